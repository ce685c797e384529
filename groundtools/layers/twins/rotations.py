"""Twins of `flightsw.camera.quaternion` and of the rotations in `flightsw.estimate.residuals`."""

import torch
from torch import Tensor

SMALL = 1e-6  # rad, as on board: below it the series are used


def skew(a: Tensor) -> Tensor:
    """Return [a x] (..., 3, 3)."""
    x, y, z = a.unbind(-1)
    zero = torch.zeros_like(x)
    rows = [[zero, -z, y], [z, zero, -x], [-y, x, zero]]
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def rotation_and_left_jacobian(delta: Tensor) -> tuple[Tensor, Tensor]:
    """Return exp([delta x]) and J with exp([(delta + d) x]) = exp([J d x]) exp([delta x]).

    delta : (..., 3) rad; gradients are finite at zero.
    """
    square = (delta * delta).sum(-1)[..., None, None]
    small = square < SMALL**2
    angle = torch.where(small, 1.0, square).sqrt()
    a = torch.where(small, 1.0 - square / 6.0, torch.sin(angle) / angle)
    b = torch.where(small, 0.5 - square / 24.0, (1.0 - torch.cos(angle)) / angle.square())
    c = torch.where(small, 1.0 / 6.0 - square / 120.0, (1.0 - a) / angle.square())
    k = skew(delta)
    eye = torch.eye(3, dtype=delta.dtype, device=delta.device)
    return eye + a * k + b * (k @ k), eye + b * k + c * (k @ k)


def rotation_from_quaternion(q: Tensor) -> Tensor:
    """Return rotation matrices (..., 3, 3) of unit quaternions (..., 4), scalar first."""
    w, x, y, z = q.unbind(-1)
    rows = [
        [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
        [2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)],
        [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def quaternion_from_rotation(rotation: Tensor) -> Tensor:
    """Return unit quaternions (..., 4) with w >= 0 of rotation matrices (..., 3, 3)."""
    m = rotation
    m00, m11, m22 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    trace = m00 + m11 + m22
    yz, zx, xy = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    s_yz, s_zx, s_xy = m[..., 2, 1] + m[..., 1, 2], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 0] + m[..., 0, 1]
    candidates = torch.stack([
        torch.stack([1.0 + trace, yz, zx, xy], -1),
        torch.stack([yz, 1.0 + 2.0 * m00 - trace, s_xy, s_zx], -1),
        torch.stack([zx, s_xy, 1.0 + 2.0 * m11 - trace, s_yz], -1),
        torch.stack([xy, s_zx, s_yz, 1.0 + 2.0 * m22 - trace], -1),
    ], -2)  # fmt: skip
    largest = torch.stack([trace, m00, m11, m22], -1).argmax(-1)
    index = largest[..., None, None].expand(*largest.shape, 1, 4)
    q = candidates.gather(-2, index)[..., 0, :]
    q = q / q.norm(dim=-1, keepdim=True)
    return torch.where(q[..., :1] < 0.0, -q, q)


def rotation_vector(rotation: Tensor) -> Tensor:
    """Return the rotation vector (..., 3), rad, of rotations below pi."""
    q = quaternion_from_rotation(rotation)
    vector = q[..., 1:]
    square = (vector * vector).sum(-1, keepdim=True)
    small = square < SMALL**2
    sine = torch.where(small, 1.0, square).sqrt()
    factor = torch.where(small, 2.0 + square / 3.0, 2.0 * torch.atan2(sine, q[..., :1]) / sine)
    return factor * vector
