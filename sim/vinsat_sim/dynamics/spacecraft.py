"""Satellites to learn on: detumbling by magnetorquers, pointing by wheels, arrays of actuators.

Detumble   x = [q body from inertial (4); w / RATE (3); cos, sin of the orbit's angle]
    q' = q (0, w) / 2,  J w' = -w x J w + d x B_body;  B is a tilted dipole's along a circular
    orbit, quadratic in (cos, sin), so that all but the torque is one matrix of monomials
Pointing   x = [MRP of body from target; w / RATE; h / MOMENTUM],  u = wheel torques
    J w' = -w x (J w + h) - h',  h' = u after dead-band less friction, 0 where the wheel is full
Array      x = [MRP; w / RATE; s], N units with axis, lag and limit of their own, s observed
    J w' = -w x J w + sum_i a_i s_i,  s_i' = (u_i - s_i) / lag_i
Rates, momenta and torques in units of their scales, of order one. Wheels of 15 mN m s.
Right sides are products of two entries of the state times a matrix: few large operations,
since a batch of a thousand rows is small for torch.
Sources: Wertz, Spacecraft Attitude Determination and Control, app. H (dipole); Schaub & Junkins 3.6.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from vinsat_sim.dynamics.base import Model
from vinsat_sim.dynamics.satellite import INERTIA, MOMENTUM, RATE, quadratic_terms

TUMBLE = math.radians(10.0)  # rad/s, the unit of rates in Detumble
ORBIT_RATE = 1.1e-3  # rad/s, 500 km
INCLINATION, TILT = math.radians(97.4), math.radians(10.0)
FIELD_T = 2.5e-5  # T, the dipole's equatorial field at 500 km
DIPOLE_A_M2 = 1.0


class Quadratic:
    """Sums of products of two entries of x: rows of `terms`, each (row, i, j, weight)."""

    def __init__(self, terms: list[tuple[int, int, int, float]], entries: int, rows: int) -> None:
        pairs = sorted({(min(i, j), max(i, j)) for _, i, j, _ in terms})
        self.count = len(pairs)
        self.pick = torch.zeros(entries, 2 * self.count, dtype=torch.float64)
        self.weight = torch.zeros(self.count, rows, dtype=torch.float64)
        for at, (i, j) in enumerate(pairs):
            self.pick[i, at] = self.pick[j, self.count + at] = 1.0
        for row, i, j, weight in terms:
            self.weight[pairs.index((min(i, j), max(i, j))), row] += weight

    def __call__(self, x: Tensor) -> Tensor:
        """Return the sums (..., rows)."""
        both = x @ self.pick.to(x)
        return (both[..., : self.count] * both[..., self.count :]) @ self.weight.to(x)


# Entries j and k of u and B for the torque u x B: (u_j B_k) +1 and (u_k B_j) -1 on row i.
_TURNS = ((0, 1, 2), (1, 2, 0), (2, 0, 1))


class Detumble(Model):
    """Three magnetorquers of 1 A m^2; inertia in g m^2. A step of 0.05 s keeps energy and momentum
    to 1e-8 over 1,000 s at 10 deg/s."""

    n, m = 9, 3

    def __init__(
        self, *, inertia: tuple[float, float, float] = INERTIA, dt: float = 0.05, substeps: int = 1,
        dipole: float = DIPOLE_A_M2,
    ) -> None:  # fmt: skip
        """Set inertia (g m^2), step (s) and the magnetorquers' limit (A m^2)."""
        self.dt, self.substeps = dt, substeps
        self.inertia = torch.tensor(inertia, dtype=torch.float64)
        self.u_max = torch.ones(3, dtype=torch.float64)
        self.u_min, self.u_rest = -self.u_max, torch.zeros(3, dtype=torch.float64)
        self.products = Quadratic(_detumble_terms(inertia), 9, 27)
        self.linear = torch.zeros(9, 9, dtype=torch.float64)
        self.linear[8, 7], self.linear[7, 8] = -ORBIT_RATE, ORBIT_RATE
        self.pick_u, self.pick_b, self.turn = (
            torch.zeros(*s, dtype=torch.float64) for s in ((3, 6), (9, 6), (6, 9))
        )
        push = dipole * FIELD_T * 1e3 / (self.inertia * TUMBLE)  # N m in g m^2 rad/s^2
        for i, j, k in _TURNS:
            self.pick_u[j, i] = self.pick_u[k, 3 + i] = 1.0
            self.pick_b[3 * k : 3 * k + 3, i] = self.pick_b[3 * j : 3 * j + 3, 3 + i] = 1.0
            self.turn[i, 4 + i], self.turn[3 + i, 4 + i] = push[i], -push[i]

    def derivative(self, x: Tensor, u: Tensor) -> Tensor:
        """Return dx/dt (..., 9)."""
        return self.under(u)(x)

    def under(self, u: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the derivative under a held control."""
        push, across = u @ self.pick_u.to(u), self.pick_b.to(u)
        turn, linear = self.turn.to(u), self.linear.to(u)

        def rate(x: Tensor) -> Tensor:
            y = self.products(x)
            torque = (push * ((y[..., 9:18] * y[..., 18:]) @ across)) @ turn
            return torque.add_(y[..., :9]).add_(x @ linear)

        return rate

    def field(self, x: Tensor) -> Tensor:
        """Return the field in body axes (..., 3), in units of FIELD_T."""
        y = self.products(x)
        return (y[..., 9:18] * y[..., 18:]).unflatten(-1, (3, 3)).sum(-1)


def _detumble_terms(inertia: tuple[float, float, float]) -> list[tuple[int, int, int, float]]:
    """Rows: dx/dt without torque (9), body-from-inertial (9), the inertial field three times (9)."""
    h = 0.5 * TUMBLE
    terms = [
        (0, 1, 4, -h), (0, 2, 5, -h), (0, 3, 6, -h), (1, 0, 4, h), (1, 2, 6, h), (1, 3, 5, -h),
        (2, 0, 5, h), (2, 3, 4, h), (2, 1, 6, -h), (3, 0, 6, h), (3, 1, 5, h), (3, 2, 4, -h),
    ]  # fmt: skip
    for i, j, k in _TURNS:
        terms.append((4 + i, 4 + j, 4 + k, -TUMBLE * (inertia[k] - inertia[j]) / inertia[i]))
        terms += [(9 + 4 * i, a, a, 1.0 if a in (0, 1 + i) else -1.0) for a in range(4)]
        terms += [(9 + 3 * i + j, 1 + i, 1 + j, 2.0), (9 + 3 * j + i, 1 + i, 1 + j, 2.0)]
        terms += [(9 + 3 * i + j, 0, 1 + k, 2.0), (9 + 3 * j + i, 0, 1 + k, -2.0)]
    along = ((1.0, 0.0, 0.0), (0.0, math.cos(INCLINATION), math.sin(INCLINATION)))
    pole = (math.sin(TILT), 0.0, math.cos(TILT))
    m_c, m_s = (sum(a * b for a, b in zip(pole, r)) for r in along)
    for axis in range(3):
        c, s = along[0][axis], along[1][axis]
        for copy in range(3):  # 3 (m . r) r - m, with c^2 + s^2 = 1 on the last term
            row = 18 + 3 * copy + axis
            terms.append((row, 7, 7, 3.0 * m_c * c - pole[axis]))
            terms.append((row, 8, 8, 3.0 * m_s * s - pole[axis]))
            terms.append((row, 7, 8, 3.0 * (m_c * s + m_s * c)))
    return terms


class Pointing(Model):
    """Three wheels whose torque limit is `torque`, mN m; inertia in g m^2.

    friction : coulomb and viscous, mN m at full momentum, that drags the wheels; dead_band :
    commands below this share of the limit do nothing. Both zero: the nominal model. A full
    wheel takes no more (judged at the start of a step; its momentum ends at the limit).
    """

    n, m = 9, 3

    def __init__(
        self, *, inertia: tuple[float, float, float] = INERTIA, friction: float = 0.0,
        dead_band: float = 0.0, torque: float = 0.2, dt: float = 0.5,
    ) -> None:  # fmt: skip
        self.dt, self.torque, self.friction, self.dead_band = dt, torque, friction, dead_band
        self.inertia = torch.tensor(inertia, dtype=torch.float64)
        self.u_max = torch.ones(3, dtype=torch.float64)
        self.u_min, self.u_rest = -self.u_max, torch.zeros(3, dtype=torch.float64)
        self.products = Quadratic(quadratic_terms(inertia), 9, 11)
        self.wheels = torch.zeros(3, 9, dtype=torch.float64)
        for i in range(3):
            self.wheels[i, 3 + i], self.wheels[i, 6 + i] = -1.0 / (RATE * inertia[i]), 1.0 / MOMENTUM

    def step(self, x: Tensor, u: Tensor) -> Tensor:
        """Return the state dt later."""
        h = x[..., 6:]
        if self.dead_band > 0.0:
            u = torch.where(u.abs() < self.dead_band, 0.0, u)
        u = torch.where((h.abs() >= 1.0) & (h * u > 0.0), 0.0, u)
        after = super().step(x, u)
        return torch.cat([after[..., :6], after[..., 6:].clamp(-1.0, 1.0)], -1)

    def derivative(self, x: Tensor, u: Tensor) -> Tensor:
        """Return dx/dt (..., 9), without dead-band and fullness."""
        torque = self.torque * u
        if self.friction > 0.0:
            h = x[..., 6:]
            torque = torque - 0.5 * self.friction * (torch.tanh(20.0 * h) + h)
        return _with_attitude(self.products(x), x, 9) + torque @ self.wheels.to(x)


def _with_attitude(y: Tensor, x: Tensor, n: int) -> Tensor:
    """Return rates (..., n) from the sums of `quadratic_terms`: RATE s^2 / 4 and RATE (s . w) / 2 last."""
    turn = y[..., :3] + (0.25 * RATE - y[..., n : n + 1]) * x[..., 3:6] + y[..., n + 1 :] * x[..., :3]
    return torch.cat([turn, y[..., 3:n]], -1)


class Array(Model):
    """N small torque units spread over the sphere, each with its own lag and limit.

    All limits together are 3 `torque` mN m, whatever N. scatter : spread of the logarithms of
    lags and limits about what is believed, for a real array.
    """

    def __init__(
        self, units: int, *, inertia: tuple[float, float, float] = INERTIA, torque: float = 0.2,
        scatter: float = 0.0, dt: float = 0.5, substeps: int = 2,
    ) -> None:  # fmt: skip
        self.n, self.m, self.dt, self.substeps = 6 + units, units, dt, substeps
        self.inertia = torch.tensor(inertia, dtype=torch.float64)
        chance = torch.Generator().manual_seed(units)
        i = torch.arange(units, dtype=torch.float64) + 0.5
        height, angle = 1.0 - 2.0 * i / units, math.pi * (1.0 + math.sqrt(5.0)) * i
        ring = (1.0 - height**2).sqrt()
        axes = torch.stack([ring * angle.cos(), ring * angle.sin(), height], -1)
        size, lag = 0.5 + torch.rand(2, units, generator=chance, dtype=torch.float64)
        off = torch.exp(scatter * torch.randn(2, units, generator=chance, dtype=torch.float64))
        self.lag = lag * off[0]  # s
        self.axes = axes * (3.0 * torque * size / size.sum() * off[1])[:, None]  # mN m at full command
        self.u_max = torch.ones(units, dtype=torch.float64)
        self.u_min, self.u_rest = -self.u_max, torch.zeros(units, dtype=torch.float64)
        terms = [
            (row if row < 6 else row - 3, i, j, c)
            for row, i, j, c in quadratic_terms(inertia)
            if max(i, j) < 6
        ]
        self.products = Quadratic(terms, 6, 8)
        self.push = self.axes / (self.inertia * RATE)

    def derivative(self, x: Tensor, u: Tensor) -> Tensor:
        """Return dx/dt (..., 6 + N)."""
        state = x[..., 6:]
        body = _with_attitude(self.products(x[..., :6]), x, 6)
        spin = body[..., 3:] + state @ self.push.to(x)
        return torch.cat([body[..., :3], spin, (u - state) / self.lag.to(x)], -1)
