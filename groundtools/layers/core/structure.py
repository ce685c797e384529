"""Normal equations H dx = -g with their structure kept, for batches.

    DenseSystem   H (B, n, n)
    SchurSystem   two groups of unknowns, blocks within each group uncoupled: bundle
                  adjustment's poses (a) and points (b). With U, V block-diagonal and W
                  the coupling, S = U - W V^-1 W' is solved for a, then b.
    ChainSystem   blocks in a row, each coupled to the next: trajectories
`damped(d)` is the step for H + d (I + diag H): Levenberg-Marquardt, bounded from below.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class DenseSystem:
    """gradient (B, n), hessian (B, n, n); cost (B,)."""

    cost: Tensor
    gradient: Tensor
    hessian: Tensor

    def damped(self, damping: Tensor) -> Tensor:
        """Return the step (B, n); NaN where the matrix is not positive definite."""
        extra = damping[:, None] * (1.0 + self.hessian.diagonal(dim1=1, dim2=2))
        return _cholesky_step(self.hessian + torch.diag_embed(extra), -self.gradient[..., None])[..., 0]


@dataclass(frozen=True, slots=True)
class ChainSystem:
    """T blocks of n: diagonal (B, T, n, n), below (B, T - 1, n, n), gradient (B, T n).

    below[t] is the block of row t + 1 and column t. Solved by block Cholesky, T steps.
    """

    cost: Tensor
    gradient: Tensor
    diagonal: Tensor
    below: Tensor

    def damped(self, damping: Tensor) -> Tensor:
        """Return the step (B, T n); NaN where the matrix is not positive definite."""
        own = self.diagonal.diagonal(dim1=2, dim2=3)
        diagonal = self.diagonal + torch.diag_embed(damping[:, None, None] * (1.0 + own))
        right = -self.gradient.reshape(own.shape)[..., None]
        return chain_solve(diagonal, self.below, right)[..., 0].reshape(self.gradient.shape)


def chain_solve(diagonal: Tensor, below: Tensor, right: Tensor) -> Tensor:
    """Solve a symmetric block-tridiagonal system; right and result (B, T, n, k).

    NaN in the rows whose matrix is not positive definite.
    """
    count = diagonal.shape[1]
    factors, couplings, ahead, bad = [], [], [], None
    block, part = diagonal[:, 0], right[:, 0]
    for t in range(count):
        factor, info = torch.linalg.cholesky_ex(block)
        bad = info > 0 if bad is None else bad | (info > 0)
        y = torch.linalg.solve_triangular(factor, part, upper=False)
        factors.append(factor)
        ahead.append(y)
        if t + 1 < count:
            # The factor's own block: below = coupling @ factor'
            coupling = torch.linalg.solve_triangular(factor, below[:, t].mT, upper=False).mT
            couplings.append(coupling)
            block = diagonal[:, t + 1] - coupling @ coupling.mT
            part = right[:, t + 1] - coupling @ y
    out = [torch.empty(0)] * count
    for t in range(count - 1, -1, -1):
        y = ahead[t] if t == count - 1 else ahead[t] - couplings[t].mT @ out[t + 1]
        out[t] = torch.linalg.solve_triangular(factors[t].mT, y, upper=True)
    solved = torch.stack(out, dim=1)
    return solved if bad is None else torch.where(bad[:, None, None, None], torch.nan, solved)


@dataclass(frozen=True, slots=True)
class SchurSystem:
    """One problem (no batch) of A blocks of p and C blocks of q unknowns.

    cost () ; u (A, p, p), v (C, q, q), w (A, C, p, q) : the Hessian's blocks;
    gradient_a (A, p), gradient_b (C, q).
    """

    cost: Tensor
    gradient_a: Tensor
    gradient_b: Tensor
    u: Tensor
    v: Tensor
    w: Tensor

    @classmethod
    def from_observations(
        cls, residual: Tensor, jac_a: Tensor, jac_b: Tensor, index_a: Tensor, index_b: Tensor,
        *, count_a: int, count_b: int, weight: Tensor | None = None,
    ) -> "SchurSystem":  # fmt: skip
        """Sum up N observations: residual (N, r), jac_a (N, r, p), jac_b (N, r, q), weight (N,).

        index_a, index_b (N,) : which blocks each observation touches.
        """
        w = residual.new_ones(len(residual)) if weight is None else weight
        wa, wb = w[:, None, None] * jac_a, w[:, None, None] * jac_b
        (_, _, p), q = jac_a.shape, jac_b.shape[2]
        u = residual.new_zeros(count_a, p, p).index_add(0, index_a, wa.mT @ jac_a)
        v = residual.new_zeros(count_b, q, q).index_add(0, index_b, wb.mT @ jac_b)
        cross = residual.new_zeros(count_a * count_b, p, q)
        cross = cross.index_add(0, index_a * count_b + index_b, wa.mT @ jac_b)
        ga = (wa.mT @ residual[..., None])[..., 0]
        gb = (wb.mT @ residual[..., None])[..., 0]
        return cls(
            0.5 * (w * residual.square().sum(dim=1)).sum(),
            residual.new_zeros(count_a, p).index_add(0, index_a, ga),
            residual.new_zeros(count_b, q).index_add(0, index_b, gb),
            u, v, cross.reshape(count_a, count_b, p, q),
        )  # fmt: skip

    def damped(self, damping: Tensor) -> tuple[Tensor, Tensor]:
        """Return the steps of both groups, (A, p) and (C, q); NaN where not positive definite.

        A block of the second group without any observation stays where it is.
        """
        (a, p), (c, q) = self.gradient_a.shape, self.gradient_b.shape
        u = self.u + torch.diag_embed(damping * (1.0 + self.u.diagonal(dim1=1, dim2=2)))
        own = self.v.diagonal(dim1=1, dim2=2)
        unseen = (own == 0.0).all(dim=1)
        v = self.v + torch.diag_embed(damping * (1.0 + own) + unseen[:, None])
        factor, info = torch.linalg.cholesky_ex(v)
        # With L L' = v: rows of w L^-T make S a plain product of two matrices.
        half = torch.linalg.solve_triangular(factor, self.w.mT, upper=False).permute(0, 3, 1, 2)
        half = half.reshape(a * p, c * q)
        gb = torch.linalg.solve_triangular(factor, self.gradient_b[..., None], upper=False).reshape(-1)
        schur = torch.block_diag(*u) - half @ half.T
        right = -(self.gradient_a.reshape(-1) - half @ gb)
        step_a = _cholesky_step(schur[None], right[None, :, None])[0, :, 0]
        inner = (-gb - half.T @ step_a).reshape(c, q, 1)
        step_b = torch.linalg.solve_triangular(factor.mT, inner, upper=True)[..., 0]
        step_b = torch.where((info > 0)[:, None], torch.nan, step_b)
        return step_a.reshape(a, p), step_b


def _cholesky_step(matrix: Tensor, right: Tensor) -> Tensor:
    factor, info = torch.linalg.cholesky_ex(matrix)
    step = torch.cholesky_solve(right, factor)
    return torch.where((info > 0)[:, None, None], torch.nan, step)
