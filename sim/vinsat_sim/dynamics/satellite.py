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
        a, b = self.sun[..., 0], self.sun[..., 1]
        zero = np.zeros_like(a)
        across = np.stack([np.stack([a, b, zero], -1), np.stack([-b, a, zero], -1)], -1)
        self.along, self.across = across[..., 0], across[..., 1]

    def rows(self, rows: NDArray[np.intp]) -> "SatelliteArrays":
        """Return the model of some rows of a batch, by index."""
        if self.sun.ndim == 1 or len(self.sun) == 1:
            return self
        return SatelliteArrays(sun=self.sun[rows], cone=self.cone, dt=self.dt, within=self.within)

    def derivative(self, x: Array, u: Array) -> Array:
        """Return dx/dt (..., 9)."""
        y = (x[..., _FIRST] * x[..., _SECOND]) @ _WEIGHT
        out = y[..., :9]
        out[..., :3] += (0.25 * RATE - y[..., 9:10]) * x[..., 3:6] + y[..., 10:] * x[..., :3]
        out[..., 3:] += (u[..., None, :] * _BY_U).reshape(*u.shape[:-1], 6)
        return np.asarray(out)

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
        stages, rates = [x], [self.derivative(x, u)]
        for ahead in (0.5 * h, 0.5 * h, h):
            stages.append(x + ahead * rates[-1])
            rates.append(self.derivative(stages[-1], u))
        slopes = self._slope(np.stack(stages))
        k = np.zeros((*x.shape, 12))  # derivatives of a stage's rate by [x; u]
        k[..., :9] = slopes[0]
        k[..., 3:, 9:] = _SLOPE_U
        total = k.copy()
        for slope, ahead, weight in zip(slopes[1:], (0.5 * h, 0.5 * h, h), (2.0, 2.0, 1.0)):
            k = slope @ (ahead * k)
            k[..., :9] += slope
            k[..., 3:, 9:] += _SLOPE_U
            total += weight * k
        total *= h / 6.0
        total[..., _NINE, _NINE] += 1.0
        end = x + h / 6.0 * (rates[0] + 2.0 * (rates[1] + rates[2]) + rates[3])
        return end, total[..., :9], total[..., 9:]

    def _slope(self, x: Array) -> Array:
        """Return d(derivative)/dx (..., 9, 9)."""
        by = (x.reshape(-1, 9) @ _BY_X).reshape(*x.shape[:-1], 11, 9)
        out = by[..., :9, :]
        sigma, w = x[..., :3], x[..., 3:6]
        y = (x[..., _SCALARS_FIRST] * x[..., _SCALARS_SECOND]) @ _SCALARS
        out[..., :3, :6] += sigma[..., None] * by[..., 10:, :6] - w[..., None] * by[..., 9:10, :6]
        out[..., _THREE, _THREE] += y[..., 1:]
        out[..., _THREE, _THREE + 3] += 0.25 * RATE - y[..., :1]
        return np.asarray(out)

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
        sigma = x[..., :3]
        f, one = self._cosine_parts(sigma)[:2]
        return np.asarray(self.sun[..., 2] + 4.0 * f / (one * one))

    def _cosine_parts(self, sigma: Array) -> tuple[Array, Array, Array, Array]:
        """Return f, 1 + s^2, and what f is made of: cosine = c + 4 f / (1 + s^2)^2 with Sun (a, b, c),

        f = 2 r (a p + b q) + (1 - s^2) (a q - b p) - 2 c (p^2 + q^2).
        """
        s2 = (sigma * sigma).sum(axis=-1)
        r = sigma[..., 2]
        along = (sigma * self.along).sum(axis=-1)
        turn = (sigma * self.across).sum(axis=-1)
        f = 2.0 * r * along + (1.0 - s2) * turn - 2.0 * self.sun[..., 2] * (s2 - r * r)
        return f, 1.0 + s2, along, turn

    def _cosine_slope(self, sigma: Array) -> Array:
        f, one, along, turn = self._cosine_parts(sigma)
        c = self.sun[..., 2]
        by = (2.0 * sigma[..., 2:]) * self.along + (2.0 - one)[..., None] * self.across
        by -= (2.0 * turn + 4.0 * c)[..., None] * sigma
        by[..., 2] += 2.0 * along + 4.0 * c * sigma[..., 2]
        square = one * one
        return np.asarray((4.0 / square)[..., None] * by - (16.0 * f / (square * one))[..., None] * sigma)


def quadratic_terms(inertia: tuple[float, float, float] = INERTIA) -> list[tuple[int, int, int, float]]:
    """Return (row, i, j, c): rate `row` has the term c x_i x_j.

    Rows 9 and 10 are RATE s^2 / 4 and RATE (s . w) / 2, which sigma' has times -w and s.
    """
    terms = []
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        terms += [(i, j, 3 + k, 0.5 * RATE), (i, k, 3 + j, -0.5 * RATE)]  # s x w
        terms.append((3 + i, 3 + j, 3 + k, -RATE * (inertia[k] - inertia[j]) / inertia[i]))  # w x J w
        lever = MOMENTUM / inertia[i]
        terms += [(3 + i, 3 + j, 6 + k, -lever), (3 + i, 3 + k, 6 + j, lever)]  # w x h
        terms += [(9, i, i, 0.25 * RATE), (10, i, 3 + i, 0.5 * RATE)]
    return terms


def _tables(terms: list[tuple[int, int, int, float]]) -> tuple[Array, ...]:
    """Return first and second factors, their weights (terms, 11), and d/dx as a matrix (9, 99)."""
    first, second = (np.array([term[at] for term in terms]) for at in (1, 2))
    weight, by_x = np.zeros((len(terms), 11)), np.zeros((9, 11, 9))
    for at, (row, i, j, c) in enumerate(terms):
        weight[at, row] = c
        by_x[i, row, j] += c
        by_x[j, row, i] += c
    return first, second, weight, by_x.reshape(9, 99)


_TERMS = quadratic_terms()
_FIRST, _SECOND, _WEIGHT, _BY_X = _tables(_TERMS)
_SCALARS_FIRST, _SCALARS_SECOND, _SCALARS, _ = _tables([t for t in _TERMS if t[0] >= 9])
_SCALARS = _SCALARS[:, 9:]
_BY_U = np.array([[-TORQUE / (RATE * j) for j in INERTIA], [TORQUE / MOMENTUM] * 3])
_SLOPE_U = np.concatenate([np.diag(row) for row in _BY_U])  # (6, 3)
_THREE, _NINE = np.arange(3), np.arange(9)
