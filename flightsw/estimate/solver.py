"""Levenberg-Marquardt for robust least squares with a Gaussian prior.

Minimises, over z (the shared unknowns in their own units, so that each is of order one)
and the chain delta (what every frame has of its own, see `chain`; often absent),
    F = c^2 sum_i rho(|e_i(z, delta)| / c) / sigma^2
        + 1/2 (z - m)' L (z - m) + 1/2 delta' Lc delta,
e_i (2,) whitened residuals, rho Barron's loss with shape alpha and scale c, sigma their
measured per-axis noise, L and Lc the priors' information. Each step solves
    (H + mu diag(H)) d(z, delta) = -g,
    H = sum w J'J / sigma^2 + L,   g = sum w J'e / sigma^2 + L (z - m),
with w = c^2 rho'(|e|)/|e| in (0, 1], the chain eliminated first. alpha, c and sigma are
fixed while a step is judged: the weighted cost of the trial is compared with that of the
start. Damping as Nielsen 1999. Source: Madsen, Nielsen, Tingleff, Methods for Non-Linear Least Squares
Problems, 2004, alg. 3.16.
"""

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from flightsw.estimate.chain import Arrow, ChainPrior
from flightsw.estimate.normal_equations import HIDDEN, Evaluate, Point, Problem, solved_step
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
IntArray = NDArray[np.intp]


MAX_DAMPING, LITTLE_DAMPING = 1e12, 1e-2
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
    """The end point z (n,), delta (F, 3), its weights (N,), residuals (N, 2) and Jacobian (N, 2, n).

    norms (N,) : |e|, HIDDEN where not visible; shape, scale, sigma : of the last
    kernel, in whitened units; hessian (n, n) : H without damping, the chain eliminated;
    information (n, n) : the part of it that is prior, the chain's included. With a chain
    the Jacobian is the reduced one, J - J_chain T^-1 B: what moves e when the chain follows.
    """

    z: Array
    delta: Array
    status: SolverStatus
    iterations: int
    cost: float
    residual: Array
    jacobian: Array
    norms: Array
    weights: Array
    hessian: Array
    information: Array
    shape: float
    scale: float
    sigma: float
    arrow: Arrow
    chain: ChainPrior | None

    def chain_freedom(self) -> float:
        """Return how many of the chain's unknowns the residuals fix; 0 without a chain."""
        return 0.0 if self.chain is None else self.arrow.freedom(self.chain)

    def only(self, rows: NDArray[np.bool_]) -> "SolverResult":
        """Return the same with the residuals of a mask (N,) alone."""
        return replace(
            self,
            residual=self.residual[rows],
            jacobian=self.jacobian[rows],
            norms=self.norms[rows],
            weights=self.weights[rows],
        )


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


def _step(
    problem: Problem, here: Point, kernel: _Kernel, damping: _Damping, tolerance: float
) -> Point | None:
    """Return the next point, of no higher cost under this kernel, or None where there is none.

    A step below the tolerance that little damping shortens is the last: it is taken as the
    linear model has it, for seeing anew would only confirm it.
    """
    arrow = problem.normal_equations(here, kernel.weights(here.norms), kernel.sigma)
    cost = kernel.cost(here.norms) + here.prior_cost
    while damping.mu < MAX_DAMPING:
        solved = solved_step(arrow, damping.mu)
        if solved is not None:
            step, own, expected = solved
            if damping.mu < LITTLE_DAMPING and float(np.max(np.abs(step), initial=0.0)) < tolerance:
                return problem.near(here, step, own)
            trial = problem.at(here.z + step, here.delta + own if len(own) else here.delta)
            gain = cost - kernel.cost(trial.norms) - trial.prior_cost
            if gain >= -1e-12 * cost:
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
    chain: ChainPrior | None = None,
    frame: IntArray | None = None,
    delta0: Array | None = None,
) -> SolverResult:
    """Minimise F from z0 (n,) and, with a chain, delta0 (F, 3).

    evaluate(z, delta) returns what is seen; prior_information (n, n) may be zero; frame
    (N,) : which link of the chain a residual belongs to, ascending. Never raises for bad
    numbers: see `SolverResult.status`.
    """
    tied = np.zeros(0, dtype=np.intp) if frame is None else frame
    problem = Problem(evaluate, prior_mean, prior_information, chain, tied)
    delta = np.zeros((0, 3)) if delta0 is None else delta0.copy()
    here, damping, iteration = problem.at(z0.copy(), delta), _Damping(), 0
    if not np.any(here.norms < HIDDEN):
        return _result(problem, here, SolverStatus.NOT_FINITE, 0, options)
    status = SolverStatus.MAX_ITERATIONS
    for iteration in range(options.max_iterations):
        annealing = iteration + options.first_iteration
        is_annealed = annealing >= ANNEALING_ITERATIONS
        last = options.tolerance if is_annealed else 0.0
        following = _step(problem, here, _kernel(here.norms, annealing, options), damping, last)
        if following is None:
            damping = _Damping()
        change = 0.0 if following is None else float(np.max(np.abs(following.z - here.z), initial=0.0))
        here = following or here
        if is_annealed and change < options.tolerance:
            status = SolverStatus.STALLED if following is None else SolverStatus.CONVERGED
            break
    return _result(problem, here, status, iteration + 1, options)


def _result(
    problem: Problem, here: Point, status: SolverStatus, iterations: int, options: SolverOptions
) -> SolverResult:
    """Pack the end point with the final kernel's weights."""
    kernel = _kernel(here.norms, ANNEALING_ITERATIONS, options)
    weights = np.where(here.norms < HIDDEN, kernel.weights(here.norms), 0.0)
    arrow = problem.normal_equations(here, weights, kernel.sigma)
    hessian, information, jacobian = arrow.shared, problem.information, here.seen.jacobian
    if problem.chain is not None and here.seen.by_chain is not None:
        hessian, _, by_shared, _ = arrow.schur()
        jacobian = jacobian - here.seen.by_chain @ by_shared[problem.frame, :3]
        own = problem.chain.product(by_shared)
        information = information + np.einsum("fik,fil->kl", by_shared, own)
    return SolverResult(
        z=here.z,
        delta=here.delta,
        status=status,
        iterations=iterations,
        cost=kernel.cost(here.norms) + here.prior_cost,
        residual=here.seen.residual,
        jacobian=jacobian,
        norms=here.norms,
        weights=weights,
        hessian=hessian,
        information=information,
        shape=kernel.shape,
        scale=kernel.scale,
        sigma=kernel.sigma,
        arrow=arrow,
        chain=problem.chain,
    )
