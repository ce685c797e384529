"""Pointing errors from frame to frame: a Gauss-Markov chain, eliminated exactly.

Every frame f has its own pointing error delta_f (3,), a rotation vector in body axes. Its
prior is a stationary Gauss-Markov process per axis,
    delta_{f+1} = phi_f delta_f + w_f,   phi_f = exp(-(t_{f+1} - t_f) / tau),
    var(delta_f) = sigma_f^2,            var(w_f / sigma_{f+1}) = 1 - phi_f^2,
whose information is block-tridiagonal: tau = 0 frees every frame, tau = infinity makes
one error for all. A gyro tells how much the error changed between two frames, but for its
bias, which becomes a part of the chain and walks with it. With the shared unknowns z the
normal equations are an arrow,
    [ H   B' ] [dz    ]     [g]
    [ B   T  ] [ddelta] = - [h],       T block-tridiagonal,
solved by a banded Cholesky factor of T and the Schur complement H - B' T^-1 B.
Source: Bierman, Factorization Methods for Discrete Sequential Estimation, 1977, ch. VII.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

LEAST_SIGMA = 1e-7  # rad, 0.02 arcsec: a frame whose attitude counts as exact


@dataclass(frozen=True, slots=True)
class GyroNoise:
    """Of a gyro, per axis: white, rad/sqrt(s); bias, of the first bias, rad/s; walk, rad/s/sqrt(s)."""

    white: float
    bias: float
    walk: float


@dataclass(frozen=True, slots=True)
class Turns:
    """How the pointing error changed from frame to frame by the gyro, F - 1 of them.

    turned (F - 1, 3) rad, NaN where no gyro tells; carry (F - 1, 3, 3) : how the body turned.
    """

    turned: Array
    carry: Array


@dataclass(frozen=True, slots=True)
class ChainPrior:
    """What is known of the chain before the detections, 1/2 d' L d - d' pull of d (F, m).

    L is block-tridiagonal: diagonal (F, m, m), and below it next (F - 1, m, m), the block
    of frame f + 1 by frame f; pull (F, m). The first three of a frame's m numbers are its
    pointing error in rad, the next three, where a gyro is used, its bias in rad/s.
    """

    diagonal: Array
    next: Array
    pull: Array

    @property
    def size(self) -> int:
        """Return how many numbers a frame has: 3, or 6 with a gyro."""
        return int(self.diagonal.shape[1])

    @classmethod
    def gauss_markov(cls, t_s: Array, sigma: Array, tau_s: float, memory: BoolArray) -> "ChainPrior":
        """Return the prior of F frames at ascending t_s (F,), sigma (F,) rad, tau_s >= 0.

        memory (F,) : which frames belong to the process; the others err each by itself.
        """
        sigma = np.maximum(sigma, LEAST_SIGMA)
        free = np.full(len(t_s) - 1, np.inf)
        step = np.where(memory[1:] & memory[:-1], np.diff(t_s) / tau_s, free) if tau_s > 0.0 else free
        kept = np.exp(-step)
        fresh = -np.expm1(-2.0 * step)
        diagonal = np.ones(len(t_s))
        diagonal[1:] = 1.0 / fresh
        diagonal[:-1] += kept**2 / fresh
        beside = -kept / fresh / (sigma[1:] * sigma[:-1])
        return cls(
            (diagonal / sigma**2)[:, None, None] * np.eye(3),
            beside[:, None, None] * np.eye(3),
            np.zeros((len(t_s), 3)),
        )

    def with_gyro(self, t_s: Array, turns: Turns, noise: GyroNoise) -> "ChainPrior":
        """Return the prior of pointing error and gyro bias, the measured turns weighed in.

        A turn says delta_{f+1} = C delta_f + turned + dt bias_f, C = `carry`, with white
        noise of noise.white^2 dt; the bias walks from frame to frame.
        """
        frames, both = len(t_s), np.zeros((len(t_s), 6))
        diagonal, beside = np.zeros((frames, 6, 6)), np.zeros((frames - 1, 6, 6))
        diagonal[:, :3, :3], beside[:, :3, :3], both[:, :3] = self.diagonal, self.next, self.pull
        step = np.diff(t_s)
        walk = np.eye(3) / (np.maximum(noise.walk, 1e-9) ** 2 * step)[:, None, None]
        diagonal[0, 3:, 3:] += np.eye(3) / noise.bias**2
        diagonal[1:, 3:, 3:] += walk
        diagonal[:-1, 3:, 3:] += walk
        beside[:, 3:, 3:] -= walk
        measured = np.flatnonzero(np.isfinite(turns.turned).all(axis=1))
        before = np.concatenate([-turns.carry[measured], -step[measured, None, None] * np.eye(3)], axis=2)
        after = np.concatenate([np.eye(3), np.zeros((3, 3))], axis=1)
        information = 1.0 / (noise.white**2 * step[measured])
        weighted = before * information[:, None, None]
        diagonal[measured] += np.swapaxes(before, 1, 2) @ weighted
        diagonal[measured + 1] += information[:, None, None] * (after.T @ after)
        beside[measured] += after.T @ weighted
        turned = turns.turned[measured]
        both[measured] += np.einsum("fij,fi->fj", weighted, turned)
        both[measured + 1] += information[:, None] * (turned @ after)
        return ChainPrior(diagonal, beside, both)

    def product(self, values: Array) -> Array:
        """Return L values, both (F, m, k)."""
        out = self.diagonal @ values
        out[:-1] += np.swapaxes(self.next, 1, 2) @ values[1:]
        out[1:] += self.next @ values[:-1]
        return np.asarray(out)

    def gradient(self, own: Array) -> Array:
        """Return the gradient (F, m) of the prior's cost at own (F, m)."""
        return np.asarray(self.product(own[:, :, None])[:, :, 0] - self.pull)


@dataclass(frozen=True, slots=True)
class Arrow:
    """Normal equations of shared unknowns and a chain.

    shared (n, n), gradient (n,); border (F, m, n), chain_gradient (F, m); blocks
    (F, m, m) on T's diagonal, next (F - 1, m, m) below it.
    """

    shared: Array
    gradient: Array
    border: Array
    chain_gradient: Array
    blocks: Array
    next: Array

    def schur(self, damping: float = 0.0) -> tuple[Array, Array, Array, Array]:
        """Return S (n, n), its gradient (n,), T^-1 B (F, m, n) and T^-1 h (F, m).

        damping : added as a share of T's diagonal. Raises LinAlgError where T is not
        positive definite, which its prior rules out but for rounding.
        """
        from scipy.linalg import cho_solve_banded, cholesky_banded  # lazily: not every process needs it

        (frames, m), n = self.chain_gradient.shape, self.shared.shape[0]
        factor = cholesky_banded(self._banded(damping), lower=True, check_finite=False)
        rhs = np.concatenate([self.border, self.chain_gradient[:, :, None]], axis=2).reshape(
            m * frames, n + 1
        )
        solved = cho_solve_banded((factor, True), rhs, check_finite=False)
        flat = self.border.reshape(m * frames, n)
        schur = self.shared - flat.T @ solved[:, :n]
        gradient = self.gradient - flat.T @ solved[:, n]
        return schur, gradient, solved[:, :n].reshape(frames, m, n), solved[:, n].reshape(frames, m)

    def _banded(self, damping: float) -> Array:
        """Return T in LAPACK's lower banded form (2 m, m F): row k holds the k-th subdiagonal."""
        frames, m = self.chain_gradient.shape
        out = np.zeros((2 * m, frames, m))
        for column in range(m):
            for row in range(column, m):
                out[row - column, :, column] = self.blocks[:, row, column]
            for row in range(m):
                out[m + row - column, :-1, column] = self.next[:, row, column]
        out[0] *= 1.0 + damping
        return out.reshape(2 * m, m * frames)

    def freedom(self, prior: ChainPrior) -> float:
        """Return how many unknowns of the chain the detections fix: the trace of (T - L) T^-1.

        The diagonal blocks of T^-1 come from what the frames before and after leave of T
        there: (from_before + from_after - block)^-1.
        """
        frames = len(self.blocks)
        from_before, from_after = self.blocks.copy(), self.blocks.copy()
        for f in range(1, frames):
            beside = self.next[f - 1]
            from_before[f] -= beside @ np.linalg.solve(from_before[f - 1], beside.T)
        for f in range(frames - 2, -1, -1):
            beside = self.next[f]
            from_after[f] -= beside.T @ np.linalg.solve(from_after[f + 1], beside)
        inverse = np.linalg.inv(from_before + from_after - self.blocks)
        return float(np.sum((self.blocks - prior.diagonal) * np.swapaxes(inverse, 1, 2)))
