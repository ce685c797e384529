"""One orbit through many detections: hard dynamics, nothing but the epoch state moves.

The unknowns x (10,) are [r, v] at the epoch of the fit (eci), the drag scale and the
constant pointing offset (rotation vector, body axes). A state at any frame follows from
the propagator, its derivative from the propagator's exact state-transition matrix, so
that a residual and its Jacobian match to rounding and the normal equations are 10 x 10,
whatever the number of frames. Unknowns that are not estimated keep their prior mean.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.propagate import Forces, propagate
from flightsw.estimate.residuals import camera_residual
from flightsw.estimate.sightings import Sightings
from flightsw.estimate.solver import SolverOptions, SolverResult, levenberg_marquardt, solve_symmetric

Array = NDArray[np.float64]
IntArray = NDArray[np.intp]

SIZE = 10
# Units of the unknowns in the solver, so that each is of order one: km, m/s, 1, mrad.
UNIT = np.array([1e3, 1e3, 1e3, 1.0, 1.0, 1.0, 1.0, 1e-3, 1e-3, 1e-3])
STATE = np.arange(6)
DRAG = np.array([6])
OFFSET = np.array([7, 8, 9])


@dataclass(frozen=True, slots=True)
class Belief:
    """A Gaussian over x at t_s past the sightings' epoch: mean (10,), covariance (10, 10), SI."""

    t_s: float
    x: Array
    covariance: Array


@dataclass(frozen=True, slots=True)
class FitSetup:
    """What a fit moves and what it knows beforehand.

    free : indices of x that are estimated; prior_mean (10,), prior_information (10, 10)
    in SI (zero rows for what is not known).
    """

    forces: Forces
    free: IntArray
    prior_mean: Array
    prior_information: Array


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted orbit at t_s past the sightings' epoch, and the solver's end point."""

    t_s: float
    x: Array
    solver: SolverResult
    setup: FitSetup

    def covariance(self, inflation: float = 1.0) -> Array:
        """Return the inverse Hessian (10, 10) in SI times `inflation`; zero for what is held."""
        free = self.setup.free
        inverse = solve_symmetric(self.solver.hessian, np.eye(len(free)))
        if inverse is None:
            inverse = np.eye(len(free)) * 1e6
        full = np.zeros((SIZE, SIZE))
        full[np.ix_(free, free)] = inverse * np.outer(UNIT[free], UNIT[free]) * inflation
        return full

    def belief(self, inflation: float = 1.0) -> Belief:
        """Return what the fit says, for the next step to build on."""
        return Belief(self.t_s, self.x, self.covariance(inflation))


def states_at(sightings: Sightings, forces: Forces, t_s: float, x: Array) -> tuple[Array, Array]:
    """Return the states (F, 6) at all frames and d(state)/d(r, v, drag) (F, 6, 7)."""
    trajectory = propagate(
        forces, sightings.epoch + t_s, x[:6], float(x[6]), sightings.t_s - t_s, with_stm=True
    )
    assert trajectory.stm is not None
    return trajectory.state, trajectory.stm


def residual_and_jacobian(sightings: Sightings, forces: Forces, t_s: float, x: Array) -> tuple[Array, Array]:
    """Return e (N, 2) in px and d(e)/d(x) (N, 2, 10) in px per SI unit; NaN where not visible."""
    state, stm = states_at(sightings, forces, t_s, x)
    frame = sightings.frame
    e, by_state, by_offset = camera_residual(
        sightings.camera, sightings.pointing, state, x[7:], sightings.p_eci, sightings.uv_px, frame
    )
    return e, np.concatenate([by_state @ stm[frame], by_offset], axis=2)


def fit_orbit(sightings: Sightings, t_s: float, x0: Array, setup: FitSetup, options: SolverOptions) -> Fit:
    """Fit x to all given detections from x0, the guess at t_s past the sightings' epoch."""
    free, sigma = setup.free, sightings.sigma_px[:, None]
    unit = UNIT[free]

    def full(z: Array) -> Array:
        x = x0.copy()
        x[free] = z * unit
        return x

    def evaluate(z: Array) -> tuple[Array, Array]:
        e, jacobian = residual_and_jacobian(sightings, setup.forces, t_s, full(z))
        return e / sigma, jacobian[:, :, free] * unit / sigma[:, :, None]

    result = levenberg_marquardt(
        evaluate,
        x0[free] / unit,
        prior_mean=setup.prior_mean[free] / unit,
        prior_information=setup.prior_information[np.ix_(free, free)] * np.outer(unit, unit),
        options=options,
    )
    return Fit(t_s, full(result.z), result, setup)


def moved(belief: Belief, sightings: Sightings, forces: Forces, t_s: float) -> Belief:
    """Return a belief carried to another time, t_s past the sightings' epoch."""
    trajectory = propagate(
        forces,
        sightings.epoch + belief.t_s,
        belief.x[:6],
        float(belief.x[6]),
        np.array([t_s - belief.t_s]),
        with_stm=True,
    )
    assert trajectory.stm is not None
    transition = np.eye(SIZE)
    transition[:6, :7] = trajectory.stm[0]
    x = belief.x.copy()
    x[:6] = trajectory.state[0]
    return replace(belief, t_s=t_s, x=x, covariance=transition @ belief.covariance @ transition.T)
