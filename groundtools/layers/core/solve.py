"""The fixed point z = f(z) of every row of a batch.

    residual = |f(z) - z| / (1 + |f(z)|)
Rows freeze when they are below the tolerance; the best iterate of each row is returned,
the start among them. A row whose step is not finite goes back to its best iterate,
forgets its memory and takes Picard's step. No graph is kept: gradients are put back by
`implicit`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import torch
from torch import Tensor

from groundtools.layers.core.solvers import Anderson, Solver
from groundtools.layers.core.tree import Tree, ravel

GIVE_UP = 1e12  # growth of the residual over its start that is called diverged


class Status(IntEnum):
    """How a row ended."""

    CONVERGED = 0
    NOT_CONVERGED = 1
    DIVERGED = 2
    NOT_FINITE = 3

    @property
    def sentence(self) -> str:
        """The status for a human."""
        return _SENTENCES[self]


_SENTENCES = {
    Status.CONVERGED: "The residual is below the tolerance.",
    Status.NOT_CONVERGED: "The steps ran out first; the best iterate is returned.",
    Status.DIVERGED: "The residual kept growing; the best iterate is returned.",
    Status.NOT_FINITE: "The map is not finite at the start, which is returned.",
}


@dataclass(frozen=True, slots=True)
class Solution:
    """A fixed point per row.

    value : shaped like z0, without a graph; residual (B,); steps (B,) : evaluations of f
    until the row froze; status (B,) of `Status`; trace (steps, B) : the residual of every
    iterate, row after row of time.
    """

    value: Any
    residual: Tensor
    steps: Tensor
    status: Tensor
    trace: Tensor

    @property
    def ok(self) -> Tensor:
        """Which rows converged, (B,)."""
        return self.status == Status.CONVERGED


@dataclass(frozen=True, slots=True)
class Progress:
    """What a selection rule sees, all (B,): this iterate's figures and the best one's."""

    step: int
    residual: Tensor
    best_residual: Tensor
    cost: Tensor | None
    best_cost: Tensor | None


def smallest_residual(progress: Progress) -> Tensor:
    """Return which rows improve on their best residual: the usual rule."""
    return progress.residual < progress.best_residual


def solve(
    f: Callable[[Any], Any],
    z0: Tree,
    *,
    solver: Solver | None = None,
    tolerance: float = 1e-6,
    max_steps: int = 50,
    cost: Callable[[Any], Tensor] | None = None,
    accept: Callable[[Progress], Tensor] = smallest_residual,
    after: Callable[[Any, int], Any] | None = None,
) -> Solution:
    """Return the fixed point of f per row.

    f : (B, ...) -> (B, ...), or a tuple of such tensors; z0 : start; solver : default
    `Anderson()`; cost : (B,) of an iterate, asked for right after f was evaluated at it,
    for rules that weigh it; accept : which rows take the iterate as their best; after :
    changes each proposed iterate (a projection) given it and its step.
    """
    flat, unravel = ravel(z0)
    with torch.no_grad():
        return _iterate(f, flat, unravel, solver or Anderson(), tolerance, max_steps, cost, accept, after)


def _iterate(
    f: Callable[[Any], Any], z: Tensor, unravel: Callable[[Tensor], Any], solver: Solver,
    tolerance: float, max_steps: int, cost: Callable[[Any], Tensor] | None,
    accept: Callable[[Progress], Tensor], after: Callable[[Any, int], Any] | None,
) -> Solution:  # fmt: skip
    rows = len(z)
    memory = solver.start(z)
    best = z.clone()
    best_residual = z.new_full((rows,), torch.inf)
    best_cost = None if cost is None else z.new_full((rows,), torch.inf)
    first = best_residual
    steps = torch.zeros(rows, dtype=torch.int64, device=z.device)
    active = torch.ones(rows, dtype=torch.bool, device=z.device)
    trace = []
    for step in range(max_steps if rows else 0):
        value = ravel(f(unravel(z)))[0]
        g = value - z
        residual = g.norm(dim=1) / (1.0 + value.norm(dim=1))
        finite = torch.isfinite(residual)
        all_finite = bool(finite.all())
        residual = residual if all_finite else torch.where(finite, residual, torch.inf)
        here = None if cost is None else torch.where(finite, cost(unravel(z)), torch.inf)
        taken = accept(Progress(step, residual, best_residual, here, best_cost)) & finite & active
        best = z if bool(taken.all()) else torch.where(taken[:, None], z, best)
        best_residual = torch.where(taken, residual, best_residual)
        if best_cost is not None and here is not None:
            best_cost = torch.where(taken, here, best_cost)
        trace.append(residual)
        steps += active
        first = residual if step == 0 else first
        active = (
            active & (residual > tolerance) & (residual <= GIVE_UP * (1e-9 + first)) & torch.isfinite(first)
        )
        if step == max_steps - 1 or not bool(active.any()):
            break
        if not all_finite:
            bad = active & ~finite
            memory.forget(bad)
            z, g = torch.where(bad[:, None], best, z), torch.where(bad[:, None], 0.0, g)
        proposed = memory.propose(z, g)
        if after is not None:
            proposed = ravel(after(unravel(proposed), step))[0]
        z = proposed if bool(active.all()) else torch.where(active[:, None], proposed, z)
    status = _status(best_residual, first, trace, tolerance)
    stacked = torch.stack(trace) if trace else z.new_zeros(0, rows)
    return Solution(unravel(best), best_residual, steps, status, stacked)


def _status(best: Tensor, first: Tensor, trace: list[Tensor], tolerance: float) -> Tensor:
    status = torch.full_like(best, Status.NOT_CONVERGED, dtype=torch.int8)
    if trace:
        status[trace[-1] > GIVE_UP * (1e-9 + first)] = Status.DIVERGED
    status[best <= tolerance] = Status.CONVERGED
    status[~torch.isfinite(first)] = Status.NOT_FINITE
    return status
