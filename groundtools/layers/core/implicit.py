"""Gradients of a solution, without the steps that found it.

For z = f(z, theta) with J = df/dz, a vector v on z pulls back to theta as
    v' dz/dtheta = u' df/dtheta,   (I - J') u = v           (thesis eqs. 2.6, 3.15)
and the adjoints differ in how they find u:
    Iterate    u = J' u + v as a fixed point of its own (exact at its tolerance)
    Neumann    u = sum of (J')^i v for i = 0 .. k; 0 is the one-step gradient
    Factor     by the factored matrix I - J (exact)
    LastSteps  k steps of f under autograd: at the fixed point, Neumann(k - 1)
Anderson of type II with a memory of n is GMRES on this linear system.
For a residual F(z, theta) = 0, dz = -F_z^-1 dF: `implicit_root`, one Newton step whose
value is nothing and whose gradient is exact; `implicit_minimum` takes the gradient of a
cost as F and its full Hessian as F_z.
Each adjoint gives derivatives of first order.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from groundtools.layers.core.solve import Solution, solve
from groundtools.layers.core.solvers import Anderson, Solver
from groundtools.layers.core.tree import ravel

Map = Callable[[Any], Any]
Told = Callable[[Solution], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Iterate:
    """Solve the adjoint system by iteration; `report` is told how its rows ended."""

    solver: Solver = field(default_factory=Anderson)
    tolerance: float = 1e-9
    max_steps: int = 100
    report: Told | None = None

    def attach(self, f: Map, z: Any) -> Any:
        """Return f(z) with the gradient of the fixed point."""

        def adjoint(pull: Map, v: Tensor) -> Tensor:
            # Scaled to length one, so that small gradients are solved as well as large ones.
            scale = v.norm(dim=1, keepdim=True).clamp_min(torch.finfo(v.dtype).tiny)
            found = solve(
                lambda u: pull(u) + v / scale, v / scale,
                solver=self.solver, tolerance=self.tolerance, max_steps=self.max_steps,
            )  # fmt: skip
            if self.report is not None:
                self.report(found)
            return found.value * scale

        return _attach(f, z, adjoint)


@dataclass(frozen=True, slots=True)
class Neumann:
    """The first k + 1 terms of the series of (I - J')^-1."""

    k: int

    def attach(self, f: Map, z: Any) -> Any:
        """Return f(z) with the truncated gradient."""

        def adjoint(pull: Map, v: Tensor) -> Tensor:
            u = v
            for _ in range(self.k):
                u = pull(u) + v
            return u

        return _attach(f, z, adjoint)


@dataclass(frozen=True, slots=True)
class Factor:
    """Solve with I - J itself; matrix (B, n, n) is J, computed row by row when not given."""

    matrix: Tensor | None = None

    def attach(self, f: Map, z: Any) -> Any:
        """Return f(z) with the gradient of the fixed point."""
        flat, unravel = ravel(z)
        held = flat.detach()
        jacobian = (
            batch_jacobian(lambda x: ravel(f(unravel(x)))[0], held) if self.matrix is None else self.matrix
        )
        system = torch.eye(held.shape[1], dtype=held.dtype, device=held.device) - jacobian.detach()
        out = ravel(f(unravel(held)))[0]
        _refuse_non_finite(out)
        moved = torch.linalg.solve(system, out - out.detach()) if held.numel() else out - out.detach()
        return unravel(out.detach() + moved)


@dataclass(frozen=True, slots=True)
class LastSteps:
    """Apply f k more times and differentiate through those; from a start, this is unrolling."""

    k: int

    def attach(self, f: Map, z: Any) -> Any:
        """Return f applied k times to the detached z."""
        flat, unravel = ravel(z)
        out = unravel(flat.detach())
        for _ in range(self.k):
            out = f(out)
        _refuse_non_finite(ravel(out)[0])
        return out


Adjoint = Iterate | Neumann | Factor | LastSteps


def implicit(f: Map, z: Any, *, adjoint: Adjoint | None = None) -> Any:
    """Return the fixed point z of f with gradients to whatever f depends on.

    f : as given to `solve`; z : its solution; adjoint : default `Iterate()`. The value is
    f(z), which is z to the tolerance of the solve. Raises ValueError where f(z) is not
    finite, naming the rows: such rows have no gradient and are dropped with `Solution.ok`.
    """
    return (adjoint or Iterate()).attach(f, z)


def implicit_root(residual: Callable[[Tensor], Tensor], z: Tensor, matrix: Tensor | None = None) -> Tensor:
    """Return the root z (B, n) of F with gradients to whatever F depends on.

    matrix : dF/dz (B, n, n), computed when not given. The value stays z exactly.
    """
    held = z.detach()
    if matrix is None:
        matrix = batch_jacobian(residual, held)
    f = residual(held)
    _refuse_non_finite(f)
    return held - torch.linalg.solve(matrix.detach(), f - f.detach())


def implicit_minimum(cost: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return the minimum x (B, n) of cost (B,) with its exact gradient, by the full Hessian.

    Gauss-Newton's matrix alone would leave out the second derivatives of the residuals.
    """

    def slope(at: Tensor) -> Tensor:
        at = at if at.requires_grad else at.detach().requires_grad_()
        with torch.enable_grad():
            return torch.autograd.grad(cost(at).sum(), at, create_graph=True)[0]

    return implicit_root(slope, x)


def batch_jacobian(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return df/dx (B, m, n) of a map (B, n) -> (B, m) that treats rows apart."""
    at = x.detach().requires_grad_()
    with torch.enable_grad():
        out = f(at)
        rows = [torch.autograd.grad(out[:, i].sum(), at, retain_graph=True)[0] for i in range(out.shape[1])]
    return torch.stack(rows, dim=1).detach() if rows else x.new_zeros(len(x), 0, x.shape[1])


class _Attached(torch.autograd.Function):
    """The identity forward; backward hands the gradient to the adjoint."""

    @staticmethod
    def forward(ctx: Any, out: Tensor, adjoint: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.adjoint = adjoint
        return out.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return ctx.adjoint(grads[0]), None


def _attach(f: Map, z: Any, adjoint: Callable[[Map, Tensor], Tensor]) -> Any:
    flat, unravel = ravel(z)
    with torch.enable_grad():
        held = flat.detach().requires_grad_()
        out = ravel(f(unravel(held)))[0]
    _refuse_non_finite(out)
    if not out.requires_grad or not held.numel():
        return unravel(out)

    def pull(u: Tensor) -> Tensor:
        """Return J' u."""
        (back,) = torch.autograd.grad(out, held, u, retain_graph=True, allow_unused=True)
        return torch.zeros_like(u) if back is None else back

    return unravel(_Attached.apply(out, lambda v: adjoint(pull, v)))


def _refuse_non_finite(out: Tensor) -> None:
    if bool(torch.isfinite(out).all()):
        return
    rows = torch.nonzero(~torch.isfinite(out).all(dim=1))[:, 0].tolist()
    raise ValueError(f"rows {rows} are not finite and have no gradient: drop them with Solution.ok")
