"""Unit quaternions and rotations, one convention: scalar first, Hamilton, v' = R(q) v.

q = [w, x, y, z]; R(q1 q2) = R(q1) R(q2); q and -q are the same rotation.
Source: Sola, "Quaternion kinematics for the error-state Kalman filter", 2017, eq. 115;
the way back is Shepperd's (Journal of Guidance and Control 1978), stable everywhere.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def rotation_from_quaternion(q: Array) -> Array:
    """Return rotation matrices (..., 3, 3) of unit quaternions (..., 4)."""
    w, x, y, z = q[..., 0], q[..., 1], q[..., 2], q[..., 3]
    rows = [
        [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
        [2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)],
        [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def quaternion_from_rotation(rotation: Array) -> Array:
    """Return unit quaternions (..., 4) with w >= 0 of rotation matrices (..., 3, 3)."""
    m = np.asarray(rotation)
    m00, m11, m22 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    trace = m00 + m11 + m22
    yz, zx, xy = (m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1])
    s_yz, s_zx, s_xy = (m[..., 2, 1] + m[..., 1, 2], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 0] + m[..., 0, 1])
    # Each row is 4 q_k q: four times the quaternion, scaled by its own component k.
    candidates = np.stack(
        [
            np.stack([1.0 + trace, yz, zx, xy], axis=-1),
            np.stack([yz, 1.0 + 2.0 * m00 - trace, s_xy, s_zx], axis=-1),
            np.stack([zx, s_xy, 1.0 + 2.0 * m11 - trace, s_yz], axis=-1),
            np.stack([xy, s_zx, s_yz, 1.0 + 2.0 * m22 - trace], axis=-1),
        ],
        axis=-2,
    )
    largest = np.argmax(np.stack([trace, m00, m11, m22], axis=-1), axis=-1)
    q = np.take_along_axis(candidates, largest[..., None, None], axis=-2)[..., 0, :]
    q = q / np.linalg.norm(q, axis=-1, keepdims=True)
    return np.asarray(np.where(q[..., :1] < 0.0, -q, q))


def slerp(q0: Array, q1: Array, fraction: Array) -> Array:
    """Return unit quaternions (N, 4) a `fraction` (N,) of the short way from q0 to q1, both (N, 4)."""
    cosine = np.sum(q0 * q1, axis=-1)
    q1 = np.where(cosine[:, None] < 0.0, -q1, q1)
    half = np.arctan2(np.linalg.norm(q1 - q0, axis=-1), np.linalg.norm(q1 + q0, axis=-1))
    angle = 2.0 * half  # between the quaternions, 0..pi/2; well conditioned, unlike arccos
    near = angle < 1e-8  # the weights below tend to (1 - f, f)
    sine = np.where(near, 1.0, np.sin(angle))
    w0 = np.where(near, 1.0 - fraction, np.sin((1.0 - fraction) * angle) / sine)
    w1 = np.where(near, fraction, np.sin(fraction * angle) / sine)
    q = w0[:, None] * q0 + w1[:, None] * q1
    return np.asarray(q / np.linalg.norm(q, axis=-1, keepdims=True))
