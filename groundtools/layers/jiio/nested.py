"""The usual way: solve the model, differentiate it implicitly, step the input; repeat."""

from collections.abc import Callable

import torch
from torch import Tensor

from groundtools.layers.core.implicit import Iterate, implicit
from groundtools.layers.core.solve import Solution, solve
from groundtools.layers.core.solvers import Anderson

Model = Callable[[Tensor, Tensor], Tensor]
Loss = Callable[[Tensor], Tensor]

TOLERANCE, MAX_STEPS = 1e-3, 40


def solved(f: Model, x: Tensor, z0: Tensor, *, tolerance: float = 1e-5, max_steps: int = 100) -> Solution:
    """Return z = f(z, x) solved to the tolerance: what a reported loss must be judged at."""
    with torch.no_grad():
        return solve(lambda z: f(z, x), z0, solver=Anderson(kind=2), tolerance=tolerance, max_steps=max_steps)


def layer_residual(f: Model, x: Tensor, z: Tensor) -> Tensor:
    """Return |f(z, x) - z| / (1 + |z|) per row (B,)."""
    with torch.no_grad():
        return (f(z, x) - z).flatten(1).norm(dim=1) / (1.0 + z.flatten(1).norm(dim=1))


def input_gradient(f: Model, loss: Loss, x: Tensor, z0: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return dl/dx by the implicit function theorem, z and the cost (B,)."""
    at = x.detach().requires_grad_()
    found = solved(f, at.detach(), z0, tolerance=TOLERANCE, max_steps=MAX_STEPS)
    with torch.enable_grad():
        z = implicit(
            lambda s: f(s, at), found.value, adjoint=Iterate(tolerance=TOLERANCE, max_steps=MAX_STEPS)
        )
        cost = loss(z)
        (grad,) = torch.autograd.grad(cost.sum(), at)
    return grad, z.detach(), cost.detach()


def adam(
    f: Model, loss: Loss, x0: Tensor, z0: Tensor, *, steps: int = 40, rate: float = 0.1, warm: bool = True
) -> tuple[Tensor, Tensor]:
    """Return x and z after Adam on the input; warm : each solve starts at the last z."""
    x = x0.detach().clone()
    optimiser = torch.optim.Adam([x], lr=rate)
    z = z0
    for _ in range(steps):
        x.grad, new_z, _ = input_gradient(f, loss, x, z)
        optimiser.step()
        z = new_z if warm else z0
    return x.detach(), z


def pgd(
    f: Model,
    loss: Loss,
    x0: Tensor,
    z0: Tensor,
    *,
    steps: int = 20,
    size: float,
    project: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor]:
    """Return x and z after projected steps of `size` against the normalised gradient."""
    x, z = x0.detach(), z0
    for _ in range(steps):
        grad, z, _ = input_gradient(f, loss, x, z)
        length = grad.flatten(1).norm(dim=1).clamp_min(1e-12)
        x = project(x - size * grad / length.reshape(-1, *(1,) * (x.dim() - 1)))
    return x, z
