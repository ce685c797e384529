"""Pointing errors from frame to frame: a Gauss-Markov chain, eliminated exactly.

Every frame f has its own pointing error delta_f (3,), a rotation vector in body axes. Its
prior is a stationary Gauss-Markov process per axis,
    delta_{f+1} = phi_f delta_f + w_f,   phi_f = exp(-(t_{f+1} - t_f) / tau),
    var(delta_f) = sigma_f^2,            var(w_f / sigma_{f+1}) = 1 - phi_f^2,
whose information is block-tridiagonal: tau = 0 frees every frame, tau = infinity makes
one error for all. With the shared unknowns z the normal equations are an arrow,
    [ H   B' ] [dz    ]     [g]
    [ B   T  ] [ddelta] = - [h],       T block-tridiagonal,
solved by a banded Cholesky factor of T and the Schur complement H - B' T^-1 B.
Source: Bierman, Factorization Methods for Discrete Sequential Estimation, 1977, ch. VII.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEAST_SIGMA = 1e-7  # rad, 0.02 arcsec: a frame whose attitude counts as exact
BAND = 6  # of T below and on the diagonal: two blocks of three


@dataclass(frozen=True, slots=True)
class ChainPrior:
    """Information of the chain: diagonal (F,) and next (F - 1,), the same for each axis, 1/rad^2."""

    diagonal: Array
    next: Array

    @classmethod
    def gauss_markov(cls, t_s: Array, sigma: Array, tau_s: float) -> "ChainPrior":
        """Return the prior of F frames at ascending t_s (F,), sigma (F,) rad, tau_s >= 0."""
        sigma = np.maximum(sigma, LEAST_SIGMA)
        step = np.diff(t_s) / tau_s if tau_s > 0.0 else np.full(len(t_s) - 1, np.inf)
        kept = np.exp(-step)
        fresh = -np.expm1(-2.0 * step)
        diagonal = np.ones(len(t_s))
        diagonal[1:] = 1.0 / fresh
        diagonal[:-1] += kept**2 / fresh
        return cls(diagonal / sigma**2, -kept / fresh / (sigma[1:] * sigma[:-1]))

    def product(self, values: Array) -> Array:
        """Return L values, both (F, 3, ...); of delta (F, 3) the gradient of 1/2 delta' L delta."""
        wide = values.reshape(len(values), -1)
        out = self.diagonal[:, None] * wide
        out[:-1] += self.next[:, None] * wide[1:]
        out[1:] += self.next[:, None] * wide[:-1]
        return out.reshape(values.shape)


@dataclass(frozen=True, slots=True)
class Arrow:
    """Normal equations of shared unknowns and a chain.

    shared (n, n), gradient (n,); border (F, 3, n), chain_gradient (F, 3); blocks
    (F, 3, 3) on T's diagonal, next (F - 1,) times the unit block beside it.
    """

    shared: Array
    gradient: Array
    border: Array
    chain_gradient: Array
    blocks: Array
    next: Array

    def schur(self, damping: float = 0.0) -> tuple[Array, Array, Array, Array]:
        """Return S (n, n), its gradient (n,), T^-1 B (F, 3, n) and T^-1 h (F, 3).

        damping : added as a share of T's diagonal. Raises LinAlgError where T is not
        positive definite, which its prior rules out but for rounding.
        """
        from scipy.linalg import cho_solve_banded, cholesky_banded  # lazily: not every process needs it

        frames, n = len(self.blocks), self.shared.shape[0]
        factor = cholesky_banded(self._banded(damping), lower=True, check_finite=False)
        rhs = np.concatenate([self.border, self.chain_gradient[:, :, None]], axis=2).reshape(
            3 * frames, n + 1
        )
        solved = cho_solve_banded((factor, True), rhs, check_finite=False)
        flat = self.border.reshape(3 * frames, n)
        schur = self.shared - flat.T @ solved[:, :n]
        gradient = self.gradient - flat.T @ solved[:, n]
        return schur, gradient, solved[:, :n].reshape(frames, 3, n), solved[:, n].reshape(frames, 3)

    def _banded(self, damping: float) -> Array:
        """Return T in LAPACK's lower banded form (6, 3 F): row k holds the k-th subdiagonal."""
        frames = len(self.blocks)
        out = np.zeros((BAND, frames, 3))
        for k in range(3):
            for axis in range(3 - k):
                out[k, :, axis] = self.blocks[:, axis + k, axis]
        out[0] *= 1.0 + damping
        out[3, :-1] = self.next[:, None]
        return out.reshape(BAND, 3 * frames)
