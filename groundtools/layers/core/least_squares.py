"""Levenberg-Marquardt for batches, whatever the structure of the normal equations.

Every row has its own damping d: a step that lowers the row's cost is taken and d falls,
another is refused and d rises (Nielsen's factors 1/3 and 2, 4, 8, ... in plain form).
A problem says three things about itself: its cost at x, its normal equations there, and
how a step is applied (`Dense` makes one from a residual function).
With a kernel the weights are those of iteratively reweighted least squares, rho'(e)/e,
and the cost compared is the kernel's own. Source: Madsen, Nielsen & Tingleff, Methods for
Non-Linear Least Squares Problems (2004), sect. 3.2.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from groundtools.layers.core.implicit import batch_jacobian
from groundtools.layers.core.solve import Status
from groundtools.layers.core.structure import DenseSystem
from groundtools.layers.twins.robust import barron_loss, barron_weight

MAX_DAMPING = 1e12


class System(Protocol):
    """Normal equations at a point."""

    cost: Tensor

    def damped(self, damping: Tensor) -> Any:
        """Return the step for this damping."""


class Problem(Protocol):
    """What `least_squares` needs to know."""

    def cost(self, x: Any) -> Tensor:
        """Return the cost of every row, (B,)."""

    def system(self, x: Any) -> System:
        """Return the normal equations."""

    def retract(self, x: Any, step: Any) -> Any:
        """Return x moved by the step."""

    def choose(self, taken: Tensor, new: Any, old: Any) -> Any:
        """Return new in the rows of the mask (B,), old elsewhere."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """Barron's kernel over each residual component; shape alpha <= 2, scale c > 0."""

    shape: float
    scale: float


@dataclass(frozen=True, slots=True)
class Dense:
    """A problem from its residuals: residual (B, n) -> (B, m), rows apart.

    jacobian : (B, n) -> (B, m, n), by autograd when not given; kernel : robust or None.
    """

    residual: Callable[[Tensor], Tensor]
    jacobian: Callable[[Tensor], Tensor] | None = None
    kernel: Kernel | None = None

    def cost(self, x: Tensor) -> Tensor:
        """Return half the squares' sum, or the kernel's loss, (B,)."""
        e = self.residual(x)
        if self.kernel is None:
            return 0.5 * e.square().sum(dim=1)
        return barron_loss(e, shape=self.kernel.shape, scale=self.kernel.scale).sum(dim=1)

    def system(self, x: Tensor) -> DenseSystem:
        """Return J'WJ and J'We."""
        e = self.residual(x)
        j = batch_jacobian(self.residual, x) if self.jacobian is None else self.jacobian(x)
        wj = j
        if self.kernel is not None:
            wj = barron_weight(e, shape=self.kernel.shape, scale=self.kernel.scale)[..., None] * j
        return DenseSystem(self.cost(x), (wj.mT @ e[..., None])[..., 0], wj.mT @ j)

    def retract(self, x: Tensor, step: Tensor) -> Tensor:
        """Return x + step."""
        return x + step

    def choose(self, taken: Tensor, new: Tensor, old: Tensor) -> Tensor:
        """Return new where taken."""
        return torch.where(taken[:, None], new, old)


@dataclass(frozen=True, slots=True)
class FitSolution:
    """value : as x0; cost, steps, status (B,) as in `Solution`; trace (steps, B) : costs."""

    value: Any
    cost: Tensor
    steps: Tensor
    status: Tensor
    trace: Tensor


def least_squares(
    problem: Problem, x0: Any, *, max_steps: int = 50, tolerance: float = 1e-12, damping: float = 1e-4
) -> FitSolution:
    """Return the minimum of the problem from x0, row by row; no graph is kept.

    tolerance : a row ends when a step it takes lowers its cost by less than this share of
    it, or when no damping helps any more; damping : the first one.
    Gradients: `implicit_minimum(problem.cost, solution.value)`.
    """
    with torch.no_grad():
        return _minimise(problem, x0, max_steps, tolerance, damping)


def _minimise(problem: Problem, x: Any, max_steps: int, tolerance: float, damping: float) -> FitSolution:
    cost = problem.cost(x)
    alive = torch.isfinite(cost)
    status = torch.where(alive, int(Status.NOT_CONVERGED), int(Status.NOT_FINITE)).to(torch.int8)
    d, growth = torch.full_like(cost, damping), torch.full_like(cost, 2.0)
    steps = torch.zeros_like(cost, dtype=torch.int64)
    trace = [cost]
    system = None
    for _ in range(max_steps):
        if not bool(alive.any()):
            break
        system = problem.system(x) if system is None else system
        moved = problem.retract(x, system.damped(d))
        new = problem.cost(moved)
        steps += alive
        taken = alive & (new <= cost)
        fallen = cost - new
        settled = taken & (fallen <= tolerance * cost.abs())
        status[settled] = Status.CONVERGED
        if bool(taken.any()):
            x, cost = problem.choose(taken, moved, x), torch.where(taken, new, cost)
            system = None
        d = torch.where(taken, d / 3.0, d * growth)
        growth = torch.where(taken, 2.0, growth * 2.0)
        # No damping helps: the cost cannot fall in floating point, that is, a minimum.
        status[alive & (d > MAX_DAMPING)] = Status.CONVERGED
        alive = alive & ~settled & (d <= MAX_DAMPING)
        trace.append(cost)
    return FitSolution(x, cost, steps, status, torch.stack(trace))
