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
MAX_DAMPING = 1e12
FINAL_SCALE_SIGMAS = 2.0  # final c >= 2 sigma: at c = median the estimate loses 23 % to the bound


class SolverStatus(Enum):
    """How a solve ended; the value is the sentence for a human."""

    CONVERGED = "the step fell below its tolerance"
    STALLED = "no damping gave a lower cost"
    MAX_ITERATIONS = "the iterations ran out before the step fell below its tolerance"
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


DEFAULT_OPTIONS = SolverOptions()


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


@dataclass(frozen=True, slots=True)
class _Point:
    """A point z, its residuals, Jacobian and norms, and what the prior costs there."""

    z: Array
    residual: Array
    jacobian: Array
    norms: Array
    pull: Array
    prior_cost: float


@dataclass(frozen=True, slots=True)
class _Problem:
    """What is minimised: the residuals and the prior."""

    evaluate: Evaluate
    mean: Array
    information: Array

    def at(self, z: Array) -> _Point:
        """Return the point z, with what is not finite made far and flat."""
        residual, jacobian = self.evaluate(z)
        norms = np.hypot(residual[:, 0], residual[:, 1])
        bad = ~np.isfinite(norms) | ~np.isfinite(jacobian).all(axis=(1, 2)) | (norms > HIDDEN)
        if bad.any():
            residual, jacobian = residual.copy(), jacobian.copy()
            residual[bad], jacobian[bad], norms[bad] = 0.0, 0.0, HIDDEN
        pull = self.information @ (z - self.mean)
        return _Point(z, residual, jacobian, norms, pull, 0.5 * float((z - self.mean) @ pull))

    def normal_equations(self, point: _Point, weights: Array, sigma: float) -> tuple[Array, Array]:
        """Return H (n, n) and g (n,) at a point."""
        rows = point.jacobian.reshape(-1, point.jacobian.shape[2])
        weighted = rows * np.repeat(weights / sigma**2, 2)[:, None]
        hessian = rows.T @ weighted + self.information
        return hessian, weighted.T @ point.residual.reshape(-1) + point.pull


class _Damping:
    """Nielsen's damping: mu falls with the success of a step and rises ever faster without."""

    def __init__(self) -> None:
        self.mu, self._growth = 1e-4, 2.0

    def reward(self, ratio: float) -> None:
        """Adapt to the ratio of won to expected cost."""
        self.mu = max(self.mu * max(1.0 / 3.0, 1.0 - (2.0 * ratio - 1.0) ** 3), 1e-12)
        self._growth = 2.0

    def punish(self) -> None:
        """Adapt to a refused step."""
        self.mu, self._growth = self.mu * self._growth, self._growth * 2.0


def _step(problem: _Problem, here: _Point, kernel: _Kernel, damping: _Damping) -> _Point | None:
    """Return the next point, of no higher cost under this kernel, or None where there is none."""
    hessian, gradient = problem.normal_equations(here, kernel.weights(here.norms), kernel.sigma)
    cost = kernel.cost(here.norms) + here.prior_cost
    scale = np.maximum(np.diag(hessian), 1e-12)
    while damping.mu < MAX_DAMPING:
        step = solve_symmetric(hessian + np.diag(damping.mu * scale), -gradient)
        if step is not None:
            trial = problem.at(here.z + step)
            gain = cost - kernel.cost(trial.norms) - trial.prior_cost
            if gain >= -1e-12 * cost:
                expected = 0.5 * float(step @ (damping.mu * scale * step - gradient))
                damping.reward(gain / max(expected, 1e-300))
                return trial
        damping.punish()
    return None


def levenberg_marquardt(
    evaluate: Evaluate,
    z0: Array,
    *,
    prior_mean: Array,
    prior_information: Array,
    options: SolverOptions = DEFAULT_OPTIONS,
) -> SolverResult:
    """Minimise F from z0 (n,).

    evaluate(z) returns whitened residuals (N, 2), NaN where not visible, and their exact
    Jacobian (N, 2, n); prior_information (n, n) may be zero. Never raises for bad
    numbers: see `SolverResult.status`.
    """
    problem = _Problem(evaluate, prior_mean, prior_information)
    here, damping, iteration = problem.at(z0.copy()), _Damping(), 0
    if not np.any(here.norms < HIDDEN):
        return _result(problem, here, SolverStatus.NOT_FINITE, 0, options)
    status = SolverStatus.MAX_ITERATIONS
    for iteration in range(options.max_iterations):
        annealing = iteration + options.first_iteration
        following = _step(problem, here, _kernel(here.norms, annealing, options), damping)
        if following is None:
            damping = _Damping()
        change = 0.0 if following is None else float(np.max(np.abs(following.z - here.z)))
        here = following or here
        if annealing >= ANNEALING_ITERATIONS and change < options.tolerance:
            status = SolverStatus.STALLED if following is None else SolverStatus.CONVERGED
            break
    return _result(problem, here, status, iteration + 1, options)


def _result(
    problem: _Problem, here: _Point, status: SolverStatus, iterations: int, options: SolverOptions
) -> SolverResult:
    """Pack the end point with the final kernel's weights."""
    kernel = _kernel(here.norms, ANNEALING_ITERATIONS, options)
    weights = np.where(here.norms < HIDDEN, kernel.weights(here.norms), 0.0)
    return SolverResult(
        z=here.z,
        status=status,
        iterations=iterations,
        cost=kernel.cost(here.norms) + here.prior_cost,
        residual=here.residual,
        jacobian=here.jacobian,
        norms=here.norms,
        weights=weights,
        hessian=problem.normal_equations(here, weights, kernel.sigma)[0],
        shape=kernel.shape,
        scale=kernel.scale,
        sigma=kernel.sigma,
    )
