"""`TrackingMPC` in numpy alone: what a payload would run.

The same problem, penalty and chain as `solver` (see there for the equations), for batches,
without gradients. Importing it loads no torch. A model gives `step`, `jacobians`, `below`
and `below_jacobian` for (B, T, .) arrays.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FEW_ROWS = 8  # up to here LAPACK's band solver, row by row, is quicker than batched blocks
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
        x, u, eta, lam, mu = start.x, start.u, start.eta, start.lam, start.mu
        for _ in range(updates):
            for _ in range(self.newton):
                step = self._newton_step(x0, waypoints, x, u, eta, lam, mu)
                x, u, gain = self._search(x0, waypoints, x, u, eta, lam, mu, step)
                if gain < self.settled:
                    break
            k, h = self._gaps(x0, x, u), self._limits(x, u)
            eta, lam = eta + mu * k, np.maximum(lam + mu * h, 0.0)
            mu = min(mu * self.growth, self.max_mu)
        return Track(x, u, eta, lam, mu)

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

    def _merit(self, x0: Array, w: Array, x: Array, u: Array, eta: Array, lam: Array, mu: float) -> Array:
        k = self._gaps(x0, x, u)
        force = np.maximum(lam + mu * self._limits(x, u), 0.0)
        extra = (eta * k + 0.5 * mu * k * k).sum(axis=(1, 2)) + (force * force).sum(axis=(1, 2)) / (2.0 * mu)
        return self.cost(x, u, w) + extra

    def _search(
        self, x0: Array, w: Array, x: Array, u: Array, eta: Array, lam: Array, mu: float,
        steps: tuple[Array, Array],
    ) -> tuple[Array, Array, float]:  # fmt: skip
        m = self.dynamics.m
        base = self._merit(x0, w, x, u, eta, lam, mu)
        best_x, best_u, best, open_ = x, u, base, np.ones(len(x), dtype=bool)
        for step, length in ((s, length) for s in steps for length in LENGTHS):
            moved_x, moved_u = x + length * step[..., m:], u + length * step[..., :m]
            merit = self._merit(x0, w, moved_x, moved_u, eta, lam, mu)
            lower = open_ & (merit < best)
            best_x = np.where(lower[:, None, None], moved_x, best_x)
            best_u = np.where(lower[:, None, None], moved_u, best_u)
            best = np.where(lower, merit, best)
            open_ &= ~lower
            if not open_.any():
                break
        return best_x, best_u, float(((base - best) / (1.0 + np.abs(base))).max(initial=0.0))

    def _newton_step(
        self, x0: Array, w: Array, x: Array, u: Array, eta: Array, lam: Array, mu: float
    ) -> tuple[Array, Array]:
        """Return the step (B, T, m + n) to the minimum of the model with linear constraints.

        Which limits act is guessed from where the step leads, `passes` times: limits that
        a plain Gauss-Newton step would run through would stop its line search dead. That
        step, which always leads downhill, comes second: for rows whose guesses cycle.
        """
        d, m = self.dynamics, self.dynamics.m
        _, t, n = x.shape
        f, a, b = d.jacobians(np.concatenate([x0[:, None], x[:, :-1]], axis=1), u)
        own = np.concatenate([-b, np.broadcast_to(np.eye(n), a.shape)], axis=-1)
        e = eta + mu * (x - f)
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
        force = lam + mu * self._limits(x, u)
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
        solve = _band_solve if len(g) <= FEW_ROWS else _chain_solve
        return solve(diagonal, below, -g, m)


def _band_solve(diagonal: Array, below: Array, right: Array, m: int) -> Array:
    """Solve the chain row by row as a symmetric band."""
    from scipy.linalg import solveh_banded  # loaded when needed

    rows, t, size = right.shape
    band = np.zeros((rows, 2 * size, t, size))  # lower form: [k, block, column] is k below the diagonal
    for column in range(size):
        band[:, : size - column, :, column] = np.swapaxes(diagonal[:, :, column:, column], 1, 2)
    for column in range(m, size):  # of the block above
        low = size - column
        band[:, low : low + size, :-1, column] = np.swapaxes(below[:, :, :, column - m], 1, 2)
    out = np.empty_like(right)
    for row in range(rows):
        flat = band[row].reshape(2 * size, t * size)
        out[row] = solveh_banded(
            flat, right[row].reshape(-1), lower=True, check_finite=False, overwrite_ab=True
        ).reshape(t, size)
    return out


def _chain_solve(diagonal: Array, below: Array, right: Array, m: int) -> Array:
    """Solve the chain by blocks, the controls eliminated first; below acts on the x part.

    Block [[P, S'], [S, X]] with controls P (m, m): X - S P^-1 S' is a chain of the states
    alone, since below = [L_u; L_x] couples controls only to the states before.
    """
    p, s_t = diagonal[..., :m, :m], diagonal[..., :m, m:]
    lu = np.zeros((*p.shape[:-1], s_t.shape[-1]))
    lu[:, 1:] = below[..., :m, :]
    n = s_t.shape[-1]
    # P^-1 times [S', L_u, r_u]
    inner = np.linalg.solve(p, np.concatenate([s_t, lu, right[..., :m, None]], axis=-1))
    s, l_t = np.swapaxes(s_t, -1, -2), np.swapaxes(lu, -1, -2)
    x = diagonal[..., m:, m:] - s @ inner[..., :n]
    x[:, :-1] -= l_t[:, 1:] @ inner[:, 1:, :, n : 2 * n]
    lower = below[..., m:, :] - s[:, 1:] @ inner[:, 1:, :, n : 2 * n]
    r = right[..., m:] - (s @ inner[..., -1:])[..., 0]
    r[:, :-1] -= (l_t[:, 1:] @ inner[:, 1:, :, -1:])[..., 0]
    states = _states(x, lower, r)
    before = np.zeros_like(states)
    before[:, 1:] = states[:, :-1]
    controls = (
        inner[..., -1]
        - (inner[..., :n] @ states[..., None] + inner[..., n : 2 * n] @ before[..., None])[..., 0]
    )
    return np.concatenate([controls, states], axis=-1)


def _states(diagonal: Array, lower: Array, right: Array) -> Array:
    """Solve a block-tridiagonal system of the states (B, T, n)."""
    t = diagonal.shape[1]
    gains, ahead = [], []
    block, part = diagonal[:, 0], right[:, 0]
    for i in range(t - 1):
        upper = np.swapaxes(lower[:, i], -1, -2)
        solved = np.linalg.solve(block, np.concatenate([upper, part[..., None]], axis=-1))
        gains.append(solved[..., :-1])
        ahead.append(solved[..., -1])
        block = diagonal[:, i + 1] - lower[:, i] @ solved[..., :-1]
        part = right[:, i + 1] - (lower[:, i] @ solved[..., -1:])[..., 0]
    out = np.empty_like(right)
    out[:, -1] = np.linalg.solve(block, part[..., None])[..., 0]
    for i in range(t - 2, -1, -1):
        out[:, i] = ahead[i] - (gains[i] @ out[:, i + 1, :, None])[..., 0]
    return out
