"""`TrackingMPC` in numpy alone: what a payload would run.

The same problem, penalty and chain as `solver` (see there for the equations), for batches,
without gradients. Importing it loads no torch. A model gives `step`, `jacobians`, `below`
and `below_jacobian` for (B, T, .) arrays.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LENGTHS = np.array([1.0, 0.5, 0.2, 0.05, 0.01])  # of the line search


class Dynamics(Protocol):
    """As `solver.Dynamics`, in numpy."""

    n: int
    m: int
    u_min: Array
    u_max: Array

    def step(self, x: Array, u: Array) -> Array:
        """Return the next state (..., n)."""

    def jacobians(self, x: Array, u: Array) -> tuple[Array, Array, Array]:
        """Return the next state and its derivatives by x and u."""

    def below(self, x: Array) -> Array:
        """Return the state constraints (..., p), <= 0 where fulfilled."""

    def below_jacobian(self, x: Array) -> Array:
        """Return their derivatives (..., p, n)."""

    def rows(self, rows: Array) -> "Dynamics":
        """Return the model of some rows of a batch, by index: itself where all rows share one."""


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """A solution: x (B, T, n), u (B, T, m), multipliers, penalty mu (a number)."""

    x: Array
    u: Array
    eta: Array
    lam: Array
    mu: float

    def shifted(self, *, updates: int, growth: float, max_mu: float) -> "Track":
        """Return the warm start of the next time step (thesis sect. 8.4.3)."""
        return Track(
            np.concatenate([self.x[:, 1:], self.x[:, -1:]], axis=1),
            np.concatenate([self.u[:, 1:], self.u[:, -1:]], axis=1),
            np.zeros_like(self.eta), np.zeros_like(self.lam), max_mu / growth**updates,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Point:
    """An iterate with its gaps k, limits h and cost, so that none is computed twice."""

    x: Array
    u: Array
    k: Array
    h: Array
    cost: Array

    def merit(self, eta: Array, lam: Array, mu: float) -> Array:
        """Return the augmented Lagrangian (B,)."""
        force = np.maximum(lam + mu * self.h, 0.0)
        equal = ((eta + (0.5 * mu) * self.k) * self.k).sum(axis=(1, 2))
        return np.asarray(self.cost + equal + (force * force).sum(axis=(1, 2)) / (2.0 * mu))

    def rows(self, rows: Array) -> "_Point":
        """Return some rows, by index."""
        if len(rows) == len(self.x):
            return self
        return _Point(self.x[rows], self.u[rows], self.k[rows], self.h[rows], self.cost[rows])

    def replaced(self, rows: Array, other: "_Point") -> "_Point":
        """Return this one with some rows, by index, taken from the other."""
        if len(rows) == len(self.x):
            return other
        parts = [part.copy() for part in (self.x, self.u, self.k, self.h, self.cost)]
        for part, new in zip(parts, (other.x, other.u, other.k, other.h, other.cost)):
            part[rows] = new
        return _Point(*parts)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArrayMPC:
    """Options as `TrackingMPC`; controls rest at zero."""

    dynamics: Dynamics
    horizon: int
    q: Array
    r: Array
    q_end: Array | None = None
    newton: int = 4
    passes: int = 3
    mu0: float = 10.0
    growth: float = 10.0
    max_mu: float = 1e5
    settled: float = 1e-9  # relative fall of the merit that ends a primal update

    def start(self, x0: Array) -> Track:
        """Return the cold start at x0 (B, n)."""
        d, rows, t = self.dynamics, len(x0), self.horizon
        x = np.repeat(x0[:, None], t, axis=1)
        u = np.zeros((rows, t, d.m))
        p = d.below(x[:, :1]).shape[-1]
        return Track(x, u, np.zeros_like(x), np.zeros((rows, t, 2 * d.m + p)), self.mu0)

    def solve(self, x0: Array, waypoints: Array, start: Track, *, updates: int) -> Track:
        """Return the track after `updates` augmented Lagrangian iterations; waypoints (B, T, n)."""
        eta, lam, mu = start.eta, start.lam, start.mu
        point = self._point(x0, waypoints, start.x, start.u)
        for _ in range(updates):
            open_ = np.arange(len(x0))  # rows whose merit still falls
            for _ in range(self.newton):
                part, rest = self._rows(open_, len(x0)), point.rows(open_)
                given = (x0[open_], waypoints[open_])
                moved, gain = part._newton(*given, rest, eta[open_], lam[open_], mu)
                point = point.replaced(open_, moved)
                open_ = open_[gain >= self.settled]
                if not open_.size:
                    break
            eta, lam = eta + mu * point.k, np.maximum(lam + mu * point.h, 0.0)
            mu = min(mu * self.growth, self.max_mu)
        return Track(point.x, point.u, eta, lam, mu)

    def _rows(self, rows: Array, count: int) -> "ArrayMPC":
        """Return the solver for some rows of a batch of `count`."""
        return self if len(rows) == count else replace(self, dynamics=self.dynamics.rows(rows))

    def residuals(self, x0: Array, track: Track) -> tuple[Array, Array]:
        """Return the largest equality and inequality violation (B,)."""
        gaps = np.abs(self._gaps(x0, track.x, track.u)).max(axis=(1, 2))
        return gaps, np.maximum(self._limits(track.x, track.u), 0.0).max(axis=(1, 2))

    def cost(self, x: Array, u: Array, waypoints: Array) -> Array:
        """Return the tracking cost (B,)."""
        away = x - waypoints
        return 0.5 * np.einsum("btn,tn,btn->b", away, self._weights(), away) + 0.5 * (u * u @ self.r).sum(1)

    def _weights(self) -> Array:
        out = np.tile(self.q, (self.horizon, 1))
        if self.q_end is not None:
            out[-1] = self.q_end
        return out

    def _gaps(self, x0: Array, x: Array, u: Array) -> Array:
        return x - self.dynamics.step(np.concatenate([x0[:, None], x[:, :-1]], axis=1), u)

    def _limits(self, x: Array, u: Array) -> Array:
        d = self.dynamics
        return np.concatenate([u - d.u_max, d.u_min - u, d.below(x)], axis=-1)

    def _point(self, x0: Array, w: Array, x: Array, u: Array) -> _Point:
        return _Point(x, u, self._gaps(x0, x, u), self._limits(x, u), self.cost(x, u, w))

    def _newton(
        self, x0: Array, w: Array, point: _Point, eta: Array, lam: Array, mu: float
    ) -> tuple[_Point, Array]:
        """Return the point one Gauss-Newton step on, and the relative fall of the merit (B,)."""
        m = self.dynamics.m
        steps = self._newton_step(x0, w, point, eta, lam, mu)
        base = point.merit(eta, lam, mu)
        found, best = point, base.copy()
        waits = np.arange(len(base))  # rows that no length has lowered yet: they alone go on
        for step, length in ((s, length) for s in steps for length in LENGTHS):
            here, moved = point.rows(waits), length * step[waits]
            part = self._rows(waits, len(base))
            tried = part._point(x0[waits], w[waits], here.x + moved[..., m:], here.u + moved[..., :m])
            merit = tried.merit(eta[waits], lam[waits], mu)
            lower = np.flatnonzero(merit < base[waits])
            found = found.replaced(waits[lower], tried.rows(lower))
            best[waits[lower]] = merit[lower]
            done = merit <= base[waits] + self.settled * (1.0 + np.abs(base[waits]))
            waits = waits[~done]
            if not waits.size:
                break
        return found, (base - best) / (1.0 + np.abs(base))

    def _newton_step(
        self, x0: Array, w: Array, point: _Point, eta: Array, lam: Array, mu: float
    ) -> tuple[Array, Array]:
        """Return the step (B, T, m + n) to the minimum of the model with linear constraints.

        Which limits act is guessed from where the step leads, `passes` times: limits that
        a plain Gauss-Newton step would run through would stop its line search dead. That
        step, which always leads downhill, comes second: for rows whose guesses cycle.
        """
        d, m, x, u = self.dynamics, self.dynamics.m, point.x, point.u
        _, t, n = x.shape
        _, a, b = d.jacobians(np.concatenate([x0[:, None], x[:, :-1]], axis=1), u)
        own = np.concatenate([-b, np.broadcast_to(np.eye(n), a.shape)], axis=-1)
        e = eta + mu * point.k
        weight = np.concatenate([np.tile(self.r, (t, 1)), self._weights()], axis=1)
        g = weight * np.concatenate([u, x - w], axis=-1) + (e[..., None, :] @ own)[..., 0, :]
        diagonal = mu * (np.swapaxes(own, -1, -2) @ own)
        at = np.arange(m + n)
        diagonal[..., at, at] += weight
        back = np.swapaxes(a[:, 1:], -1, -2)
        g[:, :-1, m:] -= (back @ e[:, 1:, :, None])[..., 0]
        diagonal[:, :-1, m:, m:] += mu * (back @ a[:, 1:])
        below = -mu * (np.swapaxes(own[:, 1:], -1, -2) @ a[:, 1:])  # by the x part of the block before
        jac = d.below_jacobian(x)
        force = lam + mu * point.h
        active = force > 0.0
        plain = self._with_limits(g, diagonal, below, jac, np.where(active, force, 0.0), mu * active)
        step = plain.copy()
        for _ in range(self.passes - 1):
            along = (jac @ step[..., m:, None])[..., 0]
            acts = force + mu * np.concatenate([step[..., :m], -step[..., :m], along], axis=-1) > 0.0
            rows = np.flatnonzero((acts != active).any(axis=(1, 2)))
            if not rows.size:
                break
            active = acts
            pushed, stiff = np.where(acts[rows], force[rows], 0.0), mu * acts[rows]
            step[rows] = self._with_limits(g[rows], diagonal[rows], below[rows], jac[rows], pushed, stiff)
        return step, plain

    def _with_limits(
        self, g: Array, diagonal: Array, below: Array, jac: Array, force: Array, stiff: Array
    ) -> Array:
        """Solve with the limits that act: force and stiffness (B, T, 2 m + p)."""
        m = self.dynamics.m
        g, diagonal, at = g.copy(), diagonal.copy(), np.arange(m)
        g[..., :m] += force[..., :m] - force[..., m : 2 * m]
        diagonal[..., at, at] += stiff[..., :m] + stiff[..., m : 2 * m]
        g[..., m:] += (force[..., None, 2 * m :] @ jac)[..., 0, :]
        diagonal[..., m:, m:] += np.swapaxes(jac, -1, -2) @ (stiff[..., 2 * m :, None] * jac)
        return _band_solve(diagonal, below, -g, m)


def _band_solve(diagonal: Array, below: Array, right: Array, m: int) -> Array:
    """Solve the chain row by row as a symmetric band: quicker than blocks, in batches too."""
    from scipy.linalg.lapack import dpbsv  # loaded when needed

    rows, t, size = right.shape
    own, low = _band_places(t, size, m)
    bands = np.zeros((rows, t * size, 2 * size))  # transposed: LAPACK wants columns together
    bands[:, own[1], own[0]] = diagonal[:, :, own[2], own[3]].reshape(rows, -1)
    bands[:, low[1], low[0]] = below.reshape(rows, -1)
    out = np.empty((rows, t * size))
    for row, (band, side) in enumerate(zip(bands, right.reshape(rows, -1))):
        solved, failed = dpbsv(band.T, side, lower=1, overwrite_ab=1)[1:]
        out[row] = np.nan if failed else solved
    return out.reshape(right.shape)


@lru_cache(maxsize=8)
def _band_places(t: int, size: int, m: int) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Return rows and columns in the band (lower form: row k is k below the diagonal) of the
    blocks' lower triangles, with the entries those are of a block, and of the blocks below.
    """
    i, j = np.tril_indices(size)
    first = size * np.arange(t)[:, None]
    own = (np.tile(i - j, t), (first + j).reshape(-1), i, j)
    i, j = (a.reshape(-1) for a in np.mgrid[:size, m:size])
    return own, (np.tile(size + i - j, t - 1), (first[:-1] + j).reshape(-1))
