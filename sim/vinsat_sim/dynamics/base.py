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

    def under(self, u: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the derivative under a held control: what depends on u alone is made once."""
        return lambda x: self.derivative(x, u)

    def step(self, x: Tensor, u: Tensor) -> Tensor:
        """Return the state dt later (..., n), the control held: classical Runge-Kutta."""
        h, rate = self.dt / self.substeps, self.under(u)
        for _ in range(self.substeps):
            k1 = rate(x)
            k2 = rate(x.add(k1, alpha=0.5 * h))
            k3 = rate(x.add(k2, alpha=0.5 * h))
            k4 = rate(x.add(k3, alpha=h))
            x = x.add((k1 + k4).add(k2 + k3, alpha=2.0), alpha=h / 6.0)
        return x

    def jacobians(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return d(step)/dx (..., n, n) and d(step)/du (..., n, m), without a graph."""
        with torch.no_grad():
            by_x = torch.eye(self.n, dtype=x.dtype).expand(*x.shape, self.n)
            by_u = x.new_zeros(*x.shape, self.m)
            for _ in range(self.substeps):
                x, by_x, by_u = self._tangent(x, u, by_x, by_u)
            return by_x, by_u

    def slopes(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return d(derivative)/dx (..., n, n) and by u (..., n, m); analytic where it pays."""
        return jacobian_pair(self.derivative, x, u)

    def _tangent(self, x: Tensor, u: Tensor, by_x: Tensor, by_u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return one Runge-Kutta step and its derivatives, chained onto those before."""
        h = self.dt / self.substeps
        stages, slopes = [x], []
        for ahead in (0.5 * h, 0.5 * h, h):
            slopes.append(self.derivative(stages[-1], u))
            stages.append(x + ahead * slopes[-1])
        slopes.append(self.derivative(stages[-1], u))
        many = torch.stack(stages)
        fx, fu = self.slopes(many, u.expand(*many.shape[:-1], self.m))
        k_x, k_u = fx[0] @ by_x, fx[0] @ by_u + fu[0]
        sum_x, sum_u = k_x, k_u
        for i, (ahead, weight) in enumerate(((0.5 * h, 2.0), (0.5 * h, 2.0), (h, 1.0)), start=1):
            k_x = fx[i] @ (by_x + ahead * k_x)
            k_u = fx[i] @ (by_u + ahead * k_u) + fu[i]
            sum_x, sum_u = sum_x + weight * k_x, sum_u + weight * k_u
        end = x + h / 6.0 * (slopes[0] + 2.0 * (slopes[1] + slopes[2]) + slopes[3])
        return end, by_x + h / 6.0 * sum_x, by_u + h / 6.0 * sum_u

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
