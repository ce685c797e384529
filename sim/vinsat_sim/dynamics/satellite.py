"""A small satellite with three reaction wheels, magnetorquers, and a Sun to keep out of view.

    J w' = -w x (J w + h) - u + d x B_body,   h' = u,   sigma' = B(sigma) w / 4
with w the body rate, h the wheels' momentum, u their torque and d the magnetic dipole.
State x = [MRP of body from inertial; w; h] (9) and control [u] or [u; d], where w, h, u and
d are in units of their limits (RATE, MOMENTUM, TORQUE, DIPOLE), so that all are of order
one: a solver's penalties weigh them alike. A 3U CubeSat with wheels of 2 mN m and 15 mN m s.
The camera looks along body +z; the Sun stays out of a cone about it.
`Satellite` is for torch, `SatelliteArrays` the same in numpy with analytic Jacobians.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from groundtools.layers.core.lie import mrp_rate, mrp_rotation
from vinsat_sim.dynamics.base import Model

Array = NDArray[np.float64]

INERTIA = (36.0, 36.0, 8.0)  # g m^2; mN m / (g m^2) = 1/s^2
TORQUE, MOMENTUM, RATE = 2.0, 15.0, 0.035  # mN m, mN m s, rad/s (2 deg/s)
SCALE = np.array([1.0] * 3 + [RATE] * 3 + [MOMENTUM] * 3)
DIPOLE = 200.0  # mA m^2
FIELD = (2.0e-2, -1.0e-2, 3.0e-2)  # mT: mA m^2 times mT is uN m; see TO_MN
TO_MN = 1e-3  # uN m in mN m
BORESIGHT = (0.0, 0.0, 1.0)


class Satellite(Model):
    """For torch. cone : half angle the Sun keeps from the boresight, rad; 0 leaves it out."""

    n, m = 9, 3

    def __init__(
        self, *, sun: tuple[float, float, float] = (1.0, 0.0, 0.0), cone: float = 0.0,
        magnetorquers: bool = False, field: tuple[float, float, float] = FIELD, dt: float = 2.0,
    ) -> None:  # fmt: skip
        """Set the Sun's direction (inertial, unit), the cone and the field (inertial, mT)."""
        self.dt = dt
        self.sun = torch.tensor(sun, dtype=torch.float64)
        self.cone, self.magnetorquers = cone, magnetorquers
        self.field = torch.tensor(field, dtype=torch.float64)
        self.inertia = torch.tensor(INERTIA, dtype=torch.float64)
        self.m = 6 if magnetorquers else 3
        self.u_max = torch.ones(self.m, dtype=torch.float64)
        self.u_min, self.u_rest = -self.u_max, torch.zeros(self.m, dtype=torch.float64)
        self.p = 12 + (cone > 0.0)

    def derivative(self, x: Tensor, u: Tensor) -> Tensor:
        """Return dx/dt in the units of x; u = [wheel torque; dipole]."""
        sigma, omega, h = x[..., :3], RATE * x[..., 3:6], MOMENTUM * x[..., 6:]
        inertia = self.inertia.to(x)
        torque = -torch.linalg.cross(omega, inertia * omega + h, dim=-1) - TORQUE * u[..., :3]
        if self.magnetorquers:
            field = (mrp_rotation(sigma) @ self.field.to(x)[..., None])[..., 0]
            dipole = u[..., 3:]
            torque = torque + DIPOLE * TO_MN * torch.linalg.cross(dipole, field.expand_as(dipole), dim=-1)
        wheels = (TORQUE / MOMENTUM) * u[..., :3].expand_as(h)
        return torch.cat([mrp_rate(sigma, omega), torque / (inertia * RATE), wheels], -1)

    def below(self, x: Tensor) -> Tensor:
        """Return the limits of rate and momentum, and the cone's cosine."""
        rate, h = x[..., 3:6], x[..., 6:]
        limits = torch.cat([rate - 1.0, -rate - 1.0, h - 1.0, -h - 1.0], -1)
        if not self.cone > 0.0:
            return limits
        return torch.cat([limits, (self.sun_cosine(x) - np.cos(self.cone))[..., None]], -1)

    def sun_cosine(self, x: Tensor) -> Tensor:
        """Return the cosine between boresight and Sun (...)."""
        return (mrp_rotation(x[..., :3]) @ self.sun.to(x)[..., None])[..., 2, 0]


class SatelliteArrays:
    """The same in numpy, wheels alone; sun (3,) or one a row (B, 1, 3)."""

    n, m = 9, 3

    def __init__(self, *, sun: Array, cone: float = 0.0, dt: float = 2.0, within: float = 1.0) -> None:
        """Set the Sun's direction (inertial, unit), the cone (rad), the step (s), and the share
        of the limits of rate and momentum to stay within.
        """
        self.within = within
        self.sun, self.cone, self.dt = np.asarray(sun, dtype=float), cone, dt
        self.u_max = np.ones(3)
        self.u_min = -self.u_max
        self.inertia = np.array(INERTIA)

    def derivative(self, x: Array, u: Array) -> Array:
        """Return dx/dt (..., 9)."""
        sigma, omega, h = x[..., :3], RATE * x[..., 3:6], MOMENTUM * x[..., 6:]
        s2 = np.sum(sigma * sigma, axis=-1, keepdims=True)
        along = np.sum(sigma * omega, axis=-1, keepdims=True)
        out = np.empty(x.shape)
        out[..., :3] = 0.25 * ((1.0 - s2) * omega + 2.0 * _cross(sigma, omega) + 2.0 * along * sigma)
        out[..., 3:6] = (-_cross(omega, self.inertia * omega + h) - TORQUE * u) / (RATE * self.inertia)
        out[..., 6:] = (TORQUE / MOMENTUM) * u
        return out

    def step(self, x: Array, u: Array) -> Array:
        """Return the state dt later (..., 9)."""
        h = self.dt
        k1 = self.derivative(x, u)
        k2 = self.derivative(x + 0.5 * h * k1, u)
        k3 = self.derivative(x + 0.5 * h * k2, u)
        k4 = self.derivative(x + h * k3, u)
        return np.asarray(x + h / 6.0 * (k1 + 2.0 * (k2 + k3) + k4))

    def jacobians(self, x: Array, u: Array) -> tuple[Array, Array, Array]:
        """Return the state dt later and its exact derivatives (..., 9, 9) and (..., 9, 3)."""
        h = self.dt
        shape = np.broadcast_shapes(x.shape[:-1], u.shape[:-1])
        by_u = np.zeros((*shape, 9, 12))  # derivatives by [x; u] of every stage
        start = np.broadcast_to(np.eye(9, 12), by_u.shape)
        slope_u = np.zeros((9, 12))
        slope_u[3:6, 9:] = -np.diag(TORQUE / (RATE * self.inertia))
        slope_u[6:, 9:] = (TORQUE / MOMENTUM) * np.eye(3)
        total, total_d = np.zeros(x.shape), np.zeros(by_u.shape)
        k, k_d = np.zeros(x.shape), np.zeros(by_u.shape)
        for ahead, weight in ((0.0, 1.0), (0.5, 2.0), (0.5, 2.0), (1.0, 1.0)):
            at = x + ahead * h * k
            k_d = self._slope(at) @ (start + ahead * h * k_d) + slope_u
            k = self.derivative(at, u)
            total, total_d = total + weight * k, total_d + weight * k_d
        end_d = start + h / 6.0 * total_d
        return x + h / 6.0 * total, end_d[..., :9], end_d[..., 9:]

    def _slope(self, x: Array) -> Array:
        """Return d(derivative)/dx (..., 9, 9)."""
        sigma, omega, h = x[..., :3], RATE * x[..., 3:6], MOMENTUM * x[..., 6:]
        out = np.zeros((*x.shape, 9))
        eye = np.eye(3)
        s2 = np.sum(sigma * sigma, axis=-1)[..., None, None]
        dot = np.sum(sigma * omega, axis=-1)[..., None, None]
        outer = sigma[..., :, None] * omega[..., None, :]  # s w'
        swap = np.swapaxes(outer, -1, -2)
        out[..., :3, :3] = 0.5 * (outer - swap - _skew(omega) + dot * eye)
        square = sigma[..., :, None] * sigma[..., None, :]
        out[..., :3, 3:6] = (0.25 * RATE) * ((1.0 - s2) * eye + 2.0 * _skew(sigma) + 2.0 * square)
        scale = 1.0 / self.inertia[:, None]
        out[..., 3:6, 3:6] = scale * (_skew(self.inertia * omega + h) - _skew(omega) * self.inertia)
        out[..., 3:6, 6:] = (-MOMENTUM / RATE) * scale * _skew(omega)
        return out

    def below(self, x: Array) -> Array:
        """Return the limits of rate and momentum, and the cone's cosine."""
        rate, h = x[..., 3:6], x[..., 6:]
        w = self.within
        parts = [rate - w, -rate - w, h - w, -h - w]
        if self.cone > 0.0:
            parts.append((self.sun_cosine(x) - np.cos(self.cone))[..., None])
        return np.concatenate(parts, axis=-1)

    def below_jacobian(self, x: Array) -> Array:
        """Return d(below)/dx (..., 12 or 13, 9)."""
        rows = 13 if self.cone > 0.0 else 12
        out = np.zeros((*x.shape[:-1], rows, 9))
        eye = np.eye(3)
        out[..., :3, 3:6], out[..., 3:6, 3:6] = eye, -eye
        out[..., 6:9, 6:], out[..., 9:12, 6:] = eye, -eye
        if self.cone > 0.0:
            out[..., 12, :3] = self._cosine_slope(x[..., :3])
        return out

    def sun_cosine(self, x: Array) -> Array:
        """Return the cosine between boresight (body +z) and Sun (...)."""
        p, q, r = x[..., 0], x[..., 1], x[..., 2]
        s2 = p * p + q * q + r * r
        d = 1.0 - s2
        scale = 4.0 / (1.0 + s2) ** 2
        third = np.stack(
            [2.0 * p * r + d * q, 2.0 * q * r - d * p, 0.25 * (1.0 + s2) ** 2 - 2.0 * (p * p + q * q)],
            axis=-1,
        )
        return np.asarray(scale * np.sum(third * self.sun, axis=-1))

    def _cosine_slope(self, sigma: Array) -> Array:
        p, q, r = sigma[..., 0], sigma[..., 1], sigma[..., 2]
        a, b, c = np.moveaxis(np.broadcast_to(self.sun, sigma.shape), -1, 0)
        s2 = p * p + q * q + r * r
        one, d = 1.0 + s2, 1.0 - s2
        # cosine = c + 4 f / one^2 with f = a (2 p r + d q) + b (2 q r - d p) - 2 c (p^2 + q^2)
        f = a * (2.0 * p * r + d * q) + b * (2.0 * q * r - d * p) - 2.0 * c * (p * p + q * q)
        turn = a * q - b * p
        by_p = 2.0 * a * r - b * d - 4.0 * c * p - 2.0 * p * turn
        by_q = a * d + 2.0 * b * r - 4.0 * c * q - 2.0 * q * turn
        by_r = 2.0 * (a * p + b * q) - 2.0 * r * turn
        by = np.stack([by_p, by_q, by_r], axis=-1)
        return np.asarray(4.0 * by / one[..., None] ** 2 - 16.0 * (f / one**3)[..., None] * sigma)


def _cross(a: Array, b: Array) -> Array:
    """Return a x b (..., 3): several times quicker than numpy's for small arrays."""
    out = np.empty(np.broadcast_shapes(a.shape, b.shape))
    out[..., 0] = a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1]
    out[..., 1] = a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2]
    out[..., 2] = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return out


def _skew(a: Array) -> Array:
    out = np.zeros((*a.shape, 3))
    out[..., 0, 1], out[..., 0, 2], out[..., 1, 2] = -a[..., 2], a[..., 1], -a[..., 0]
    out[..., 1, 0], out[..., 2, 0], out[..., 2, 1] = a[..., 2], -a[..., 1], a[..., 0]
    return out
