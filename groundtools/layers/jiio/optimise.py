"""The joint fixed point of a model, its multiplier and its input.

    z  <- (1 - a_z) z + a_z f(z, x)
    mu <- (1 - a_mu) mu + a_mu ((df/dz)' mu + dl/dz)
    x  <- P(x - a_x (df/dx)' mu)                                   (thesis eq. 3.10)
its fixed points are the KKT points of  min l(z)  subject to  z = f(z, x)  (3.13). One
evaluation costs one pass of f forward and one back, however far z is from solved; an
accelerated solver runs on top. Which iterate is returned weighs cost against residual:
taken is what lowers the residual, anything among the first ten, and what lowers the cost
at a residual below 1.3 times the best.
Where the outer loss is the inner one, its gradient is mu' df/dtheta (3.18): no second
backward pass (`parameter_loss`). Elsewhere `attach` differentiates the joint map.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from groundtools.layers.core.implicit import Adjoint, LastSteps, implicit
from groundtools.layers.core.solve import Progress, solve
from groundtools.layers.core.solvers import Anderson, Solver

Model = Callable[[Tensor, Tensor], Tensor]
Loss = Callable[[Tensor], Tensor]
Project = Callable[[Tensor], Tensor]
Triple = tuple[Tensor, Tensor, Tensor]

FREE_STEPS, SLACK = 10, 1.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """Step sizes: z and mu are damped by theirs; x takes `early` of its step until `switch`
    of all steps are done, then `late`. normalised : the direction of x's gradient alone.
    """

    z: float = 0.8
    mu: float = 0.6
    early: float = 0.6
    late: float = 0.2
    switch: float = 0.625
    normalised: bool = False

    def x(self, step: int, steps: int) -> float:
        """Return the step size of x."""
        return self.early if step < self.switch * steps else self.late


@dataclass(frozen=True, slots=True)
class Joint:
    """A joint solution: x, z, mu like their starts; cost (B,) : l(z) as iterated, not as
    solved again (`nested.solved`); residual (B,) of the joint map; status (B,); trace of
    costs (steps, B).
    """

    x: Tensor
    z: Tensor
    mu: Tensor
    cost: Tensor
    residual: Tensor
    status: Tensor
    trace: Tensor


def kkt_or_cost(progress: Progress) -> Tensor:
    """Return which rows take this iterate; see the module."""
    better = progress.residual < progress.best_residual
    if progress.step < FREE_STEPS or progress.cost is None or progress.best_cost is None:
        return better | torch.full_like(better, progress.step < FREE_STEPS)
    cheap = (progress.cost < progress.best_cost) & (progress.residual < SLACK * progress.best_residual)
    return better | cheap


def optimize_input(
    f: Model, loss: Loss, x0: Tensor, z0: Tensor, *, steps: int = 40, solver: Solver | None = None,
    step: Steps | None = None, project: Project | None = None, mu0: Tensor | None = None,
    tolerance: float = 1e-5,
) -> Joint:  # fmt: skip
    """Return x that minimises loss(z) with z = f(z, x), per row.

    f(z, x) : (B, ...) -> like z; loss(z) -> (B,); x0, z0, mu0 : starts (mu0 zero); project :
    onto the allowed x. No graph is kept.
    """
    sizes = step or Steps()
    counted = [0]
    seen: list[Tensor] = []

    def joint(v: Triple) -> Triple:
        out, cost = _apply(f, loss, v, sizes, sizes.x(counted[0], steps), project, graph=False)
        counted[0] += 1
        seen.append(cost)
        return out

    def kept_inside(v: Triple, _: int) -> Triple:
        return (v[0], v[1], v[2] if project is None else project(v[2]))

    start = (z0, torch.zeros_like(z0) if mu0 is None else mu0, x0)
    found = solve(
        joint, start, solver=solver or Anderson(kind=1, memory=8, ridge=1e-6), tolerance=tolerance,
        max_steps=steps, cost=lambda _: seen[-1], accept=kkt_or_cost, after=kept_inside,
    )  # fmt: skip
    z, mu, x = found.value
    with torch.no_grad():
        cost = loss(z)
    trace = torch.stack(seen) if seen else cost.new_zeros(0, len(cost))
    return Joint(x, z, mu, cost, found.residual, found.status, trace)


def parameter_loss(f: Model, loss: Loss, found: Joint, *, sign: float = 1.0) -> Tensor:
    """Return a number whose gradient by the parameters of f and loss is that of l(z*) (3.18).

    Its value is the mean cost. sign -1 : for an outer loss that is the inner one's negative
    (an adversary's). Exact at a converged solution.
    """
    z, mu, x = found.z.detach(), found.mu.detach(), found.x.detach()
    through = (mu * f(z, x)).flatten(1).sum(1)
    return sign * (loss(z) + through - through.detach()).mean()


def attach(
    f: Model, loss: Loss, found: Joint, *, step: Steps | None = None, adjoint: Adjoint | None = None
) -> tuple[Tensor, Tensor]:
    """Return z and x with gradients through the joint fixed point (eqs. 3.15-3.16).

    For an outer loss other than the inner one; differentiates f twice. adjoint : default
    the last 5 steps.
    """
    sizes = step or Steps()

    def joint(v: Triple) -> Triple:
        return _apply(f, loss, v, sizes, sizes.late, None, graph=True)[0]

    z, _, x = implicit(joint, (found.z, found.mu, found.x), adjoint=adjoint or LastSteps(5))
    return z, x


def _apply(
    f: Model, loss: Loss, v: Triple, sizes: Steps, size: float, project: Project | None, *, graph: bool
) -> tuple[Triple, Tensor]:
    """Return the joint map at v = (z, mu, x), and the cost there."""
    z, mu, x = v
    with torch.enable_grad():
        if not graph:
            z, x = z.detach().requires_grad_(), x.detach().requires_grad_()
        elif not (z.requires_grad and x.requires_grad):
            z, x = z.requires_grad_(), x.requires_grad_()
        out = f(z, x)
        cost = loss(z)
        (slope,) = torch.autograd.grad(cost.sum(), z, create_graph=graph)
        back_z, back_x = torch.autograd.grad(out, (z, x), mu, create_graph=graph)
    if not graph:
        z, out, cost, x = z.detach(), out.detach(), cost.detach(), x.detach()
    if sizes.normalised:
        length = back_x.flatten(1).norm(dim=1).clamp_min(1e-12)
        back_x = back_x / length.reshape(-1, *(1,) * (back_x.dim() - 1))
    new_x = x - size * back_x
    new = (
        z + sizes.z * (out - z),
        mu + sizes.mu * (back_z + slope - mu),
        new_x if project is None else project(new_x),
    )
    return new, cost
