"""What the models share: Runge-Kutta steps, Jacobians of batches, no constraints."""

from collections.abc import Callable

import torch
from torch import Tensor


class Model:
    """A controlled system x' = derivative(x, u), held over steps of dt seconds.

    Subclasses set n, m, dt, u_min, u_max (m,), u_rest (m,), the control of rest, and
    `derivative`; p constraints `below` where they have any.
    """

    n: int
    m: int
    p: int = 0
    dt: float
    substeps: int = 1
    u_min: Tensor
    u_max: Tensor
    u_rest: Tensor

    def derivative(self, x: Tensor, u: Tensor) -> Tensor:
        """Return dx/dt (..., n)."""
        raise NotImplementedError

    def step(self, x: Tensor, u: Tensor) -> Tensor:
        """Return the state dt later (..., n), the control held: classical Runge-Kutta."""
        h = self.dt / self.substeps
        for _ in range(self.substeps):
            k1 = self.derivative(x, u)
            k2 = self.derivative(x + 0.5 * h * k1, u)
            k3 = self.derivative(x + 0.5 * h * k2, u)
            k4 = self.derivative(x + h * k3, u)
            x = x + h / 6.0 * (k1 + 2.0 * (k2 + k3) + k4)
        return x

    def jacobians(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return d(step)/dx (..., n, n) and d(step)/du (..., n, m), without a graph."""
        return jacobian_pair(self.step, x, u)

    def below(self, x: Tensor) -> Tensor:
        """Return the state constraints (..., p), fulfilled where <= 0."""
        return x.new_zeros(*x.shape[:-1], 0)

    def below_jacobian(self, x: Tensor) -> Tensor:
        """Return d(below)/dx (..., p, n)."""
        if self.p == 0:
            return x.new_zeros(*x.shape[:-1], 0, self.n)
        return jacobian_pair(lambda a, _: self.below(a), x, x[..., :0])[0]


def jacobian_pair(f: Callable[[Tensor, Tensor], Tensor], x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Return df/dx and df/du of a map that treats leading axes apart.

    All rows of the Jacobian in one backward pass: the batch is repeated once per output.
    """
    with torch.no_grad():
        size = f(x, u).shape[-1]
    a = x.detach().expand(size, *x.shape).clone().requires_grad_()
    b = u.detach().expand(size, *u.shape).clone().requires_grad_()
    with torch.enable_grad():
        out = f(a, b).diagonal(dim1=0, dim2=-1).sum()
        by_x, by_u = torch.autograd.grad(out, (a, b), allow_unused=True)
    by_u = torch.zeros_like(b) if by_u is None else by_u
    return by_x.movedim(0, -2), by_u.movedim(0, -2)
