"""What a least-squares problem looks like at one point, and its normal equations.

The terms are those of `solver`: detections seen through shared unknowns z and a chain
delta, and the priors of both.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flightsw.estimate.chain import Arrow, ChainPrior

Array = NDArray[np.float64]
IntArray = NDArray[np.intp]

HIDDEN = 1e6  # whitened residual of a detection that the model says cannot be seen


@dataclass(frozen=True, slots=True)
class Linearised:
    """Whitened residuals e (N, 2), NaN where not visible, and their exact Jacobians.

    jacobian (N, 2, n) by the shared unknowns; by_chain (N, 2, 3) by the frame's own, None
    without a chain.
    """

    residual: Array
    jacobian: Array
    by_chain: Array | None = None


Evaluate = Callable[[Array, Array], Linearised]


@dataclass(frozen=True, slots=True)
class Point:
    """A point (z, delta), what is seen there, and what the priors cost there."""

    z: Array
    delta: Array
    seen: Linearised
    norms: Array
    pull: Array
    chain_pull: Array
    prior_cost: float


@dataclass(frozen=True, slots=True)
class Problem:
    """What is minimised: the residuals and the priors; frame (N,) ties residuals to the chain."""

    evaluate: Evaluate
    mean: Array
    information: Array
    chain: ChainPrior | None
    frame: IntArray

    def at(self, z: Array, delta: Array) -> Point:
        """Return the point (z, delta), with what is not finite made far and flat."""
        seen = self.evaluate(z, delta)
        norms = np.hypot(seen.residual[:, 0], seen.residual[:, 1])
        bad = ~np.isfinite(norms) | ~np.isfinite(seen.jacobian).all(axis=(1, 2)) | (norms > HIDDEN)
        if bad.any():
            norms[bad] = HIDDEN
            parts = (seen.residual, seen.jacobian, seen.by_chain)
            seen = Linearised(*(None if p is None else _without(p, bad) for p in parts))  # type: ignore[arg-type]
        return self._with_priors(z, delta, seen, norms)

    def near(self, here: Point, step: Array, own: Array) -> Point:
        """Return the point a small step (n,) and the frames' own (F, m) away, by what is known `here`."""
        seen = here.seen
        e = seen.residual + seen.jacobian @ step
        delta = here.delta
        if len(own):
            delta = delta + own
            if seen.by_chain is not None:
                e = e + np.einsum("nij,nj->ni", seen.by_chain, own[self.frame, : seen.by_chain.shape[2]])
        norms = np.where(here.norms < HIDDEN, np.hypot(e[:, 0], e[:, 1]), HIDDEN)
        return self._with_priors(here.z + step, delta, replace(seen, residual=e), norms)

    def _with_priors(self, z: Array, delta: Array, seen: Linearised, norms: Array) -> Point:
        pull = self.information @ (z - self.mean)
        cost = 0.5 * float((z - self.mean) @ pull)
        chain_pull = np.zeros_like(delta)
        if self.chain is not None:
            chain_pull = self.chain.gradient(delta)
            cost += 0.5 * float(np.sum(delta * (chain_pull - self.chain.pull)))
        return Point(z, delta, seen, norms, pull, chain_pull, cost)

    def normal_equations(self, point: Point, weights: Array, sigma: float) -> Arrow:
        """Return the normal equations at a point."""
        jacobian, residual = point.seen.jacobian, point.seen.residual
        rows = jacobian.reshape(-1, jacobian.shape[2])
        weighted = rows * np.repeat(weights / sigma**2, 2)[:, None]
        shared = rows.T @ weighted + self.information
        gradient = weighted.T @ residual.reshape(-1) + point.pull
        frames, own = len(point.delta), point.seen.by_chain
        if self.chain is None or own is None:
            nothing = np.zeros((0, 3, 3))
            border = np.zeros((0, 3, len(shared)))
            return Arrow(shared, gradient, border, np.zeros((0, 3)), nothing, nothing)
        scaled = own * (weights / sigma**2)[:, None, None]
        parts = np.concatenate([own, jacobian, residual[:, :, None]], axis=2)
        sums = _sum_by(np.swapaxes(scaled, 1, 2) @ parts, self.frame, frames)
        # The detections speak of the pointing error, the first three; what is beside it is the prior's.
        blocks, chain_gradient = self.chain.diagonal.copy(), point.chain_pull.copy()
        border = np.zeros((frames, self.chain.size, len(shared)))
        blocks[:, :3, :3] += sums[:, :, :3]
        border[:, :3] = sums[:, :, 3:-1]
        chain_gradient[:, :3] += sums[:, :, -1]
        return Arrow(shared, gradient, border, chain_gradient, blocks, self.chain.next)


def _without(values: Array, bad: NDArray[np.bool_]) -> Array:
    """Return a copy with zeros in the rows of a mask."""
    out = values.copy()
    out[bad] = 0.0
    return out


def _sum_by(values: Array, label: IntArray, count: int) -> Array:
    """Return the sums (count, ...) of values (N, ...) over equal, ascending labels (N,)."""
    out = np.zeros((count, *values.shape[1:]))
    present, first = np.unique(label, return_index=True)
    if len(present):
        out[present] = np.add.reduceat(values, first, axis=0)
    return out


def solve_symmetric(matrix: Array, rhs: Array) -> Array | None:
    """Return the solution of a positive definite system, scaled first; None if it is not."""
    diagonal = np.diag(matrix)
    if not np.all(np.isfinite(matrix)) or not np.all(diagonal > 0.0):
        return None
    d = 1.0 / np.sqrt(diagonal)
    try:
        factor = np.linalg.cholesky(matrix * d[:, None] * d)
    except np.linalg.LinAlgError:
        return None
    scaled = (d * rhs.T).T
    return np.asarray((d * np.linalg.solve(factor.T, np.linalg.solve(factor, scaled)).T).T)


def solved_step(arrow: Arrow, damping: float) -> tuple[Array, Array, float] | None:
    """Return the damped step of (z, delta) and the cost it should win; None without one."""
    scale = np.maximum(np.diag(arrow.shared), 1e-12)
    if not len(arrow.blocks):
        step = solve_symmetric(arrow.shared + np.diag(damping * scale), -arrow.gradient)
        if step is None:
            return None
        return step, arrow.chain_gradient, 0.5 * float(step @ (damping * scale * step - arrow.gradient))
    try:
        schur, gradient, by_shared, rest = arrow.schur(damping)
    except (np.linalg.LinAlgError, ValueError):
        return None
    step = solve_symmetric(schur + np.diag(damping * scale), -gradient)
    if step is None:
        return None
    own = -rest - by_shared @ step
    chain_scale = np.diagonal(arrow.blocks, axis1=1, axis2=2)
    expected = step @ (damping * scale * step - arrow.gradient)
    expected += np.sum(own * (damping * chain_scale * own - arrow.chain_gradient))
    return step, own, 0.5 * float(expected)
