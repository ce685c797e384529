"""Levenberg-Marquardt for robust least squares with a Gaussian prior.

Minimises, over z (the unknowns in their own units, so that each is of order one),
    F(z) = c^2 sum_i rho(|e_i(z)| / c) / sigma^2 + 1/2 (z - m)' L (z - m),
e_i (2,) whitened residuals, rho Barron's loss with shape alpha and scale c, sigma their
measured per-axis noise, L the prior's information. Each step solves
    (H + mu diag(H)) dz = -g,   H = sum w J'J / sigma^2 + L,   g = sum w J'e / sigma^2 + L (z - m),
with w = c^2 rho'(|e|)/|e| in (0, 1]. alpha, c and sigma are fixed while a step is judged:
the weighted cost of the trial is compared with the weighted cost of the start. Damping as
Nielsen 1999. Source: Madsen, Nielsen, Tingleff, Methods for Non-Linear Least Squares
Problems, 2004, alg. 3.16.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from flightsw.estimate.robust import (
    ANNEALING_ITERATIONS,
    FINAL_SHAPE,
    absolute_scale,
    annealed_shape,
    barron_loss,
    barron_weight,
    sigma_from_norms,
)

Array = NDArray[np.float64]
Evaluate = Callable[[Array], tuple[Array, Array]]

HIDDEN = 1e6  # whitened residual of a detection that the model says cannot be seen
FINAL_SCALE_SIGMAS = 2.0  # final c >= 2 sigma: at c = median the estimate loses 23 % to the bound


class SolverStatus(Enum):
    """How a solve ended; the value is the sentence for a human."""

    CONVERGED = "the step fell below its tolerance"
    STALLED = "no damping gave a lower cost"
    MAX_ITERATIONS = "the iterations ran out before the step fell below its tolerance"
    TOO_FEW_RESIDUALS = "fewer residuals than unknowns"
    NOT_FINITE = "the residuals are not finite at the start"

    @property
    def is_usable(self) -> bool:
        """Tell whether the end point is a minimum as far as could be seen."""
        return self in (SolverStatus.CONVERGED, SolverStatus.STALLED)


@dataclass(frozen=True, slots=True)
class SolverOptions:
    """What a caller may set. `first_iteration` > 0 skips that much of the annealing."""

    max_iterations: int = 30
    tolerance: float = 1e-3  # of a unit of z
    first_iteration: int = 0
    sigma_floor: float = 0.02  # of the whitened residual


@dataclass(frozen=True, slots=True)
class SolverResult:
    """The end point z (n,), its weights (N,), residuals (N, 2) and Jacobian (N, 2, n).

    norms (N,) : |e|, HIDDEN where not visible; shape, scale, sigma : of the last
    kernel, in whitened units; hessian (n, n) : H without damping.
    """

    z: Array
    status: SolverStatus
    iterations: int
    cost: float
    residual: Array
    jacobian: Array
    norms: Array
    weights: Array
    hessian: Array
    shape: float
    scale: float
    sigma: float


@dataclass(frozen=True, slots=True)
class _Kernel:
    """Barron's kernel, fixed while one step is judged."""

    shape: float
    scale: float
    sigma: float

    def weights(self, norms: Array) -> Array:
        return barron_weight(norms, shape=self.shape, scale=self.scale) * self.scale**2

    def cost(self, norms: Array) -> float:
        loss = barron_loss(norms, shape=self.shape, scale=self.scale)
        return float(np.sum(loss)) * (self.scale / self.sigma) ** 2


def _kernel(norms: Array, iteration: int, options: SolverOptions) -> _Kernel:
    seen = norms[norms < HIDDEN]
    sigma = sigma_from_norms(seen, floor=options.sigma_floor)
    scale = absolute_scale(seen, floor=options.sigma_floor)
    if iteration >= ANNEALING_ITERATIONS:
        return _Kernel(FINAL_SHAPE, max(scale, FINAL_SCALE_SIGMAS * sigma), sigma)
    return _Kernel(annealed_shape(iteration), scale, sigma)


def _linearise(evaluate: Evaluate, z: Array) -> tuple[Array, Array, Array]:
    """Return residual, Jacobian and norms, with what is not finite made far and flat."""
    residual, jacobian = evaluate(z)
    norms = np.hypot(residual[:, 0], residual[:, 1])
    bad = ~np.isfinite(norms) | ~np.isfinite(jacobian).all(axis=(1, 2)) | (norms > HIDDEN)
    if bad.any():
        residual, jacobian = residual.copy(), jacobian.copy()
        residual[bad], jacobian[bad], norms[bad] = 0.0, 0.0, HIDDEN
    return residual, jacobian, norms


def _normal_equations(residual: Array, jacobian: Array, weights: Array, sigma: float) -> tuple[Array, Array]:
    n = jacobian.shape[2]
    rows = jacobian.reshape(-1, n)
    weighted = rows * np.repeat(weights / sigma**2, 2)[:, None]
    return rows.T @ weighted, weighted.T @ residual.reshape(-1)


def solve_symmetric(matrix: Array, rhs: Array) -> Array | None:
    """Return the solution of a positive definite system, scaled first; None if it is not."""
    diagonal = np.diag(matrix)
    if not np.all(np.isfinite(matrix)) or not np.all(diagonal > 0.0):
        return None
    d = 1.0 / np.sqrt(diagonal)
    try:
        factor = np.linalg.cholesky(matrix * d[:, None] * d)
    except np.linalg.LinAlgError:
        return None
    scaled = (d * rhs.T).T
    return np.asarray((d * np.linalg.solve(factor.T, np.linalg.solve(factor, scaled)).T).T)


def levenberg_marquardt(
    evaluate: Evaluate,
    z0: Array,
    *,
    prior_mean: Array,
    prior_information: Array,
    options: SolverOptions = SolverOptions(),
) -> SolverResult:
    """Minimise F from z0 (n,).

    evaluate(z) returns whitened residuals (N, 2), NaN where not visible, and their exact
    Jacobian (N, 2, n); prior_information (n, n) may be zero. Never raises for bad
    numbers: see `SolverResult.status`.
    """
    z, status, iteration = z0.copy(), SolverStatus.MAX_ITERATIONS, 0
    mu, growth = 1e-4, 2.0
    residual, jacobian, norms = _linearise(evaluate, z)
    if not np.any(norms < HIDDEN):
        status = SolverStatus.NOT_FINITE
    for iteration in range(options.max_iterations if status is not SolverStatus.NOT_FINITE else 0):
        kernel = _kernel(norms, iteration + options.first_iteration, options)
        hessian, gradient = _normal_equations(residual, jacobian, kernel.weights(norms), kernel.sigma)
        off = z - prior_mean
        hessian, gradient = hessian + prior_information, gradient + prior_information @ off
        cost = kernel.cost(norms) + 0.5 * float(off @ prior_information @ off)
        accepted = False
        while mu < 1e12:
            damping = np.diag(mu * np.maximum(np.diag(hessian), 1e-12))
            step = solve_symmetric(hessian + damping, -gradient)
            if step is not None:
                trial = _linearise(evaluate, z + step)
                off = z + step - prior_mean
                trial_cost = kernel.cost(trial[2]) + 0.5 * float(off @ prior_information @ off)
                if trial_cost <= cost * (1.0 + 1e-12):
                    accepted = True
                    break
            mu, growth = mu * growth, growth * 2.0
        is_annealed = iteration + options.first_iteration >= ANNEALING_ITERATIONS
        if not accepted or step is None:
            mu, growth = 1e-4, 2.0
            if is_annealed:
                status = SolverStatus.STALLED
                break
            continue
        expected = 0.5 * float(step @ (mu * np.diag(hessian) * step - gradient))
        ratio = (cost - trial_cost) / max(expected, 1e-300)
        mu, growth = max(mu * max(1.0 / 3.0, 1.0 - (2.0 * ratio - 1.0) ** 3), 1e-12), 2.0
        z, (residual, jacobian, norms) = z + step, trial
        if is_annealed and np.max(np.abs(step)) < options.tolerance:
            status = SolverStatus.CONVERGED
            break
    return _result(z, status, iteration + 1, residual, jacobian, norms, prior_mean, prior_information, options)


def _result(
    z: Array,
    status: SolverStatus,
    iterations: int,
    residual: Array,
    jacobian: Array,
    norms: Array,
    prior_mean: Array,
    prior_information: Array,
    options: SolverOptions,
) -> SolverResult:
    """Pack the end point with the final kernel's weights."""
    kernel = _kernel(norms, ANNEALING_ITERATIONS, options)
    weights = np.where(norms < HIDDEN, kernel.weights(norms), 0.0)
    hessian, _ = _normal_equations(residual, jacobian, weights, kernel.sigma)
    off = z - prior_mean
    return SolverResult(
        z=z,
        status=status,
        iterations=iterations,
        cost=kernel.cost(norms) + 0.5 * float(off @ prior_information @ off),
        residual=residual,
        jacobian=jacobian,
        norms=norms,
        weights=weights,
        hessian=hessian + prior_information,
        shape=kernel.shape,
        scale=kernel.scale,
        sigma=kernel.sigma,
    )
