"""SE(3) and modified Rodrigues parameters, for batches.

SE(3): a twist [rho, phi] (..., 6) is exp'd to R = exp([phi x]), t = J_left(phi) rho;
rotations themselves come from the twins of what flies. A pose maps v to R v + t.
MRP: sigma = axis tan(angle / 4), |sigma| <= 1 by the shadow switch; for a frame B that
turns with omega (B axes), sigma' = B(sigma) omega / 4 and
    [BN] = I + (8 [s x]^2 - 4 (1 - s^2) [s x]) / (1 + s^2)^2.
Source: Barfoot, State Estimation for Robotics, ch. 8; Schaub & Junkins, Analytical
Mechanics of Space Systems, sect. 3.6.
"""

import torch
from torch import Tensor

from groundtools.layers.twins.rotations import rotation_and_left_jacobian, rotation_vector, skew


def se3_exp(twist: Tensor) -> tuple[Tensor, Tensor]:
    """Return R (..., 3, 3) and t (..., 3) of twists (..., 6), [rho, phi]."""
    rotation, left = rotation_and_left_jacobian(twist[..., 3:])
    return rotation, (left @ twist[..., :3, None])[..., 0]


def se3_log(rotation: Tensor, translation: Tensor) -> Tensor:
    """Return twists (..., 6) of poses; rotations below pi."""
    phi = rotation_vector(rotation)
    _, left = rotation_and_left_jacobian(phi)
    rho = torch.linalg.solve(left, translation[..., None])[..., 0]
    return torch.cat([rho, phi], dim=-1)


def se3_compose(a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the pose that applies b, then a."""
    return a[0] @ b[0], (a[0] @ b[1][..., None])[..., 0] + a[1]


def se3_inverse(pose: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return the pose that undoes this one."""
    back = pose[0].mT
    return back, -(back @ pose[1][..., None])[..., 0]


def se3_adjoint(pose: tuple[Tensor, Tensor]) -> Tensor:
    """Return Ad (..., 6, 6): exp(Ad xi) pose = pose exp(xi)."""
    rotation, translation = pose
    top = torch.cat([rotation, skew(translation) @ rotation], dim=-1)
    bottom = torch.cat([torch.zeros_like(rotation), rotation], dim=-1)
    return torch.cat([top, bottom], dim=-2)


def mrp_rotation(sigma: Tensor) -> Tensor:
    """Return [BN] (..., 3, 3): components in B from those in N, of MRPs (..., 3)."""
    s2 = (sigma * sigma).sum(-1)[..., None, None]
    k = skew(sigma)
    eye = torch.eye(3, dtype=sigma.dtype, device=sigma.device)
    return eye + (8.0 * k @ k - 4.0 * (1.0 - s2) * k) / (1.0 + s2).square()


def mrp_rate(sigma: Tensor, omega: Tensor) -> Tensor:
    """Return d(sigma)/dt (..., 3) for the body rate omega (..., 3), body axes, rad/s."""
    s2 = (sigma * sigma).sum(-1, keepdim=True)
    cross = torch.linalg.cross(sigma, omega, dim=-1)
    along = (sigma * omega).sum(-1, keepdim=True)
    return 0.25 * ((1.0 - s2) * omega + 2.0 * cross + 2.0 * along * sigma)


def mrp_shadow(sigma: Tensor) -> Tensor:
    """Return the same rotations with |sigma| <= 1: -sigma / sigma^2 where it is longer."""
    s2 = (sigma * sigma).sum(-1, keepdim=True)
    return torch.where(s2 > 1.0, -sigma / s2.clamp_min(1e-30), sigma)


def mrp_compose(after: Tensor, first: Tensor) -> Tensor:
    """Return the MRP of `first`, then `after`: [after][first] (Schaub & Junkins eq. 3.152)."""
    a2 = (after * after).sum(-1, keepdim=True)
    b2 = (first * first).sum(-1, keepdim=True)
    dot = (after * first).sum(-1, keepdim=True)
    above = (1.0 - b2) * after + (1.0 - a2) * first - 2.0 * torch.linalg.cross(after, first, dim=-1)
    return mrp_shadow(above / (1.0 + a2 * b2 - 2.0 * dot))
