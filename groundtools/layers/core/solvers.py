"""Accelerated fixed-point iterations: Picard, Anderson (types I and II), Broyden.

Each is a frozen set of options with `start(z0) -> memory` and the memory has
`propose(z, g) -> z_next`, where g = f(z) - z, all (B, n), and `forget(rows)`.

Anderson, with dX, dG the differences of the last m iterates and residuals:
    z+ = z + beta g - (dX + beta dG) gamma
    type II  (dG' dG + ridge) gamma = dG' g      least squares on the residual
    type I   (dX' dG - ridge) gamma = dX' g      a secant for the Jacobian itself
The ridge is relative to the trace, so that it does nothing to an easy contraction; a row
whose system is singular takes the Picard step gamma = 0.
Broyden keeps the inverse Jacobian of g as -I + U V' ("good" update) and starts anew
when its memory is full.
Source: Walker & Ni, SIAM J. Numer. Anal. 49 (2011); Fang & Saad, Numer. Linear Algebra
Appl. 16 (2009); Broyden, Math. Comp. 19 (1965).
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

MAX_GROWTH = 1e3  # a proposal further than this many |g| away is taken for a singular system


class Memory(Protocol):
    """What an iteration remembers."""

    def propose(self, z: Tensor, g: Tensor) -> Tensor:
        """Return the next iterate (B, n) from the present one and its residual."""

    def forget(self, rows: Tensor) -> None:
        """Drop the memory of the rows in the mask (B,)."""


class Solver(Protocol):
    """Options that know how to start."""

    def start(self, z0: Tensor) -> Memory:
        """Return an empty memory for a start (B, n)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picard:
    """z+ = z + damping g: plain iteration, contracts where f does."""

    damping: float = 1.0

    def start(self, z0: Tensor) -> "Picard":
        """Return itself: nothing is remembered."""
        return self

    def propose(self, z: Tensor, g: Tensor) -> Tensor:
        """Return the damped step."""
        return z + self.damping * g

    def forget(self, rows: Tensor) -> None:
        """Forget nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anderson:
    """Anderson mixing. kind : 1 or 2; memory : m; ridge : relative; damping : beta."""

    kind: int = 2
    memory: int = 6
    ridge: float = 1e-10
    damping: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in (1, 2):
            raise ValueError(f"Anderson is of kind 1 or 2, not {self.kind}")
        if self.memory < 1:
            raise ValueError(f"Anderson needs a memory of at least 1, got {self.memory}")

    def start(self, z0: Tensor) -> "_AndersonMemory":
        """Return an empty memory."""
        return _AndersonMemory(self, z0)


class _AndersonMemory:
    def __init__(self, options: Anderson, z0: Tensor) -> None:
        rows, size = z0.shape
        self.options = options
        self.dx = z0.new_zeros(rows, options.memory, size)
        self.dg = torch.zeros_like(self.dx)
        self.gram = z0.new_zeros(rows, options.memory, options.memory)
        self.filled = torch.zeros(rows, options.memory, dtype=torch.bool, device=z0.device)
        self.last: tuple[Tensor, Tensor] | None = None
        self.fresh = torch.zeros(rows, dtype=torch.bool, device=z0.device)
        self.whole = True  # no row has ever been forgotten
        self.count = 0

    def propose(self, z: Tensor, g: Tensor) -> Tensor:
        beta = self.options.damping
        plain = z + beta * g
        if self.last is not None:
            self._store(z - self.last[0], g - self.last[1])
        self.last = (z, g)
        if self.count == 0:
            return plain
        used = min(self.count, self.options.memory)
        gamma, sound = self._mixing(g, used)
        along = gamma[:, None, :]
        mixed = plain - (along @ self.dx[:, :used])[:, 0] - beta * (along @ self.dg[:, :used])[:, 0]
        reach = (mixed - z).norm(dim=1)
        sound &= torch.isfinite(reach) & (reach <= MAX_GROWTH * g.norm(dim=1))
        return torch.where(sound[:, None], mixed, plain)

    def forget(self, rows: Tensor) -> None:
        self.filled &= ~rows[:, None]
        self.fresh = self.fresh | rows  # the next difference would span the jump back
        self.whole = False

    def _store(self, dx: Tensor, dg: Tensor) -> None:
        at = self.count % self.options.memory
        if not self.whole:
            keep = ~self.fresh[:, None]
            dx, dg = torch.where(keep, dx, 0.0), torch.where(keep, dg, 0.0)
            self.filled[:, at] = keep[:, 0]
            self.fresh = torch.zeros_like(self.fresh)
        else:
            self.filled[:, at] = True
        self.dx[:, at], self.dg[:, at] = dx, dg
        self.count += 1
        used = min(self.count, self.options.memory)
        if self.options.kind == 2:
            row = (self.dg[:, :used] @ dg[:, :, None])[..., 0]
            self.gram[:, at, :used] = self.gram[:, :used, at] = row
        else:
            self.gram[:, at, :used] = (self.dg[:, :used] @ dx[:, :, None])[..., 0]
            self.gram[:, :used, at] = (self.dx[:, :used] @ dg[:, :, None])[..., 0]

    def _mixing(self, g: Tensor, used: int) -> tuple[Tensor, Tensor]:
        """Return gamma (B, used) and which rows could be solved."""
        left = (self.dx if self.options.kind == 1 else self.dg)[:, :used]
        filled = self.filled[:, :used]
        gram = self.gram[:, :used, :used]
        right = (left @ g[:, :, None])[..., 0]
        if not self.whole:
            # Rows not filled get a one on the diagonal and a zero on the right: gamma = 0.
            gram = torch.where(filled[:, :, None] & filled[:, None, :], gram, 0.0)
            right = torch.where(filled, right, 0.0)
        trace = gram.diagonal(dim1=1, dim2=2).sum(dim=1)
        extra = self.options.ridge * trace[:, None]
        diagonal = extra.expand(-1, used) if self.whole else torch.where(filled, extra, 1.0)
        gamma, info = torch.linalg.solve_ex(gram + torch.diag_embed(diagonal), right)
        sound = (info == 0) & torch.isfinite(gamma).all(dim=1)
        return torch.where(sound[:, None], gamma, 0.0), sound


@dataclass(frozen=True, slots=True, kw_only=True)
class Broyden:
    """Broyden's good method with limited memory; starts anew when the memory is full."""

    memory: int = 20
    damping: float = 1.0

    def start(self, z0: Tensor) -> "_BroydenMemory":
        """Return an empty memory: the first step is Picard's."""
        return _BroydenMemory(self, z0)


class _BroydenMemory:
    def __init__(self, options: Broyden, z0: Tensor) -> None:
        rows, size = z0.shape
        self.options = options
        self.u = z0.new_zeros(rows, options.memory, size)
        self.v = torch.zeros_like(self.u)
        self.last: tuple[Tensor, Tensor] | None = None
        self.fresh = torch.zeros(rows, dtype=torch.bool, device=z0.device)
        self.count = 0

    def propose(self, z: Tensor, g: Tensor) -> Tensor:
        if self.last is not None:
            self._update(z - self.last[0], g - self.last[1])
        self.last = (z, g)
        newton = -self._inverse(self.u, self.v, g)
        reach = newton.norm(dim=1)
        sound = torch.isfinite(reach) & (reach <= MAX_GROWTH * g.norm(dim=1))
        return z + self.options.damping * torch.where(sound[:, None], newton, g)

    def forget(self, rows: Tensor) -> None:
        self.u[rows] = 0.0
        self.v[rows] = 0.0
        self.fresh = self.fresh | rows

    def _inverse(self, u: Tensor, v: Tensor, g: Tensor) -> Tensor:
        used = min(self.count, self.options.memory)
        inner = v[:, :used] @ g[:, :, None]
        return -g + (inner.transpose(1, 2) @ u[:, :used])[:, 0]

    def _update(self, dz: Tensor, dg: Tensor) -> None:
        if self.count == self.options.memory:
            self.u.zero_()
            self.v.zero_()
            self.count = 0
        by_dg = self._inverse(self.u, self.v, dg)
        by_dz = self._inverse(self.v, self.u, dz)  # the transpose swaps U and V
        scale = (dz * by_dg).sum(dim=1, keepdim=True)
        usable = scale.abs() > 1e-12 * (dz * dz).sum(dim=1, keepdim=True)
        usable &= ~self.fresh[:, None]
        self.u[:, self.count] = torch.where(usable, (dz - by_dg) / scale, 0.0)
        self.v[:, self.count] = torch.where(usable, by_dz, 0.0)
        self.fresh = torch.zeros_like(self.fresh)
        self.count += 1
