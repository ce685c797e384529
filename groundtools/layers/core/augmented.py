"""The augmented Lagrangian, and a small dense solver for it.

    minimise f(x)  subject to  h(x) = 0,  g(x) <= 0
    L = f + eta' h + mu/2 |h|^2 + ( |(lam + mu g)+|^2 - |lam|^2 ) / (2 mu)
    eta+ = eta + mu h,   lam+ = (lam + mu g)+,   mu+ = growth mu
Thesis eq. 8.11 prints lam' g + mu/2 |g+|^2, whose multiplier pulls at constraints that
are not active; the form above is Rockafellar's (Nocedal & Wright, ch. 17). A growth of 10
over twelve updates is 1e12 and spoils the Newton system; sqrt(10) does not.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from groundtools.layers.core.implicit import batch_jacobian, implicit_root

Rows = Callable[[Tensor], Tensor]


def penalty(h: Tensor, g: Tensor, eta: Tensor, lam: Tensor, mu: Tensor) -> Tensor:
    """Return what the constraints add to the cost, (B,); h, eta (B, q), g, lam (B, p), mu (B,)."""
    m = mu[:, None]
    equality = (eta * h + 0.5 * m * h * h).sum(dim=1)
    active = (lam + m * g).clamp_min(0.0)
    return equality + ((active * active - lam * lam) / (2.0 * m)).sum(dim=1)


def updated(h: Tensor, g: Tensor, eta: Tensor, lam: Tensor, mu: Tensor) -> tuple[Tensor, Tensor]:
    """Return the multipliers after a primal minimisation."""
    return eta + mu[:, None] * h, (lam + mu[:, None] * g).clamp_min(0.0)


@dataclass(frozen=True, slots=True)
class Constrained:
    """cost (B, n) -> (B,); equal -> (B, q) or None; below -> (B, p) or None (<= 0 holds)."""

    cost: Rows
    equal: Rows | None = None
    below: Rows | None = None

    def constraints(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return h (B, q) and g (B, p)."""
        none = x.new_zeros(len(x), 0)
        return (self.equal(x) if self.equal else none), (self.below(x) if self.below else none)


@dataclass(frozen=True, slots=True)
class Optimum:
    """x (B, n); eta (B, q), lam (B, p) : multipliers; violation (B,) : the largest left."""

    x: Tensor
    eta: Tensor
    lam: Tensor
    violation: Tensor

    @property
    def ok(self) -> Tensor:
        """Which rows are feasible to 1e-6, (B,)."""
        return self.violation <= 1e-6


def augmented_lagrangian(
    problem: Constrained, x0: Tensor, *, updates: int = 20, newton: int = 20, mu0: float = 1.0,
    growth: float = 10.0**0.5, max_mu: float = 1e8,
) -> Optimum:  # fmt: skip
    """Return a local solution of a small dense problem, row by row; no graph is kept."""
    x = x0.detach()
    h, g = problem.constraints(x)
    eta, lam = torch.zeros_like(h), torch.zeros_like(g)
    mu = x.new_full((len(x),), mu0)
    for _ in range(updates):
        x = _newton(lambda at: problem.cost(at) + penalty(*problem.constraints(at), eta, lam, mu), x, newton)  # noqa: B023
        with torch.no_grad():
            h, g = problem.constraints(x)
            eta, lam = updated(h, g, eta, lam, mu)
            mu = (growth * mu).clamp_max(max_mu)
    left = torch.cat([h.abs(), g.clamp_min(0.0), x.new_zeros(len(x), 1)], dim=1)
    return Optimum(x, eta, lam, left.max(dim=1).values)


def _newton(cost: Rows, x: Tensor, steps: int) -> Tensor:
    """Minimise row by row: damped Newton with halving, eigenvalues made positive."""
    for _ in range(steps):
        slope = _slope(cost, x)
        values, vectors = torch.linalg.eigh(batch_jacobian(lambda at: _slope(cost, at), x))
        along = (vectors.mT @ slope.detach()[..., None])[..., 0] / values.abs().clamp_min(1e-8)
        step = -(vectors @ along[..., None])[..., 0]
        with torch.no_grad():
            start, best, length = cost(x), x, torch.ones_like(x[:, :1])
            open_ = torch.ones(len(x), dtype=torch.bool)
            for _ in range(20):
                lower = open_ & (
                    cost(x + length * step) <= start + 1e-4 * length[:, 0] * (slope * step).sum(1)
                )
                best = torch.where(lower[:, None], x + length * step, best)
                open_ = open_ & ~lower
                length = length * 0.5
            moved = (best - x).abs().max() if x.numel() else x.new_zeros(())
            x = best
        if float(moved) < 1e-13:
            break
    return x.detach()


def _slope(cost: Rows, x: Tensor) -> Tensor:
    at = x if x.requires_grad else x.detach().requires_grad_()
    with torch.enable_grad():
        return torch.autograd.grad(cost(at).sum(), at, create_graph=True)[0]


def implicit_optimum(problem: Constrained, found: Optimum) -> Tensor:
    """Return x with its exact gradient through the KKT conditions (thesis eqs. 2.4-2.6).

    G(x, lam, eta) = [grad f + g' lam + h' eta; lam o g; h]: complementarity keeps both
    active and inactive inequalities in one system, singular only where neither lam nor g
    is away from zero (weakly active), where no derivative exists.
    """
    n, p = found.x.shape[1], found.lam.shape[1]

    def kkt(v: Tensor) -> Tensor:
        v = v if v.requires_grad else v.detach().requires_grad_()
        with torch.enable_grad():
            x, lam, eta = v[:, :n], v[:, n : n + p], v[:, n + p :]
            h, g = problem.constraints(x)
            lagrangian = problem.cost(x) + (lam * g).sum(1) + (eta * h).sum(1)
            slope = torch.autograd.grad(lagrangian.sum(), x, create_graph=True)[0]
            return torch.cat([slope, lam * g, h], dim=1)

    return implicit_root(kkt, torch.cat([found.x, found.lam, found.eta], dim=1))[:, :n]
