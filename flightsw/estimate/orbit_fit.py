"""One orbit through many detections: hard dynamics, nothing but the epoch state moves.

The shared unknowns x (13,) are [r, v] at the epoch of the fit (eci), the drag scale, the
constant pointing offset (rotation vector, body axes), the error of the focal length, and
drift and offset of the clock. A state at any frame follows from the propagator, its derivative
from the propagator's exact state-transition matrix, so that a residual and its Jacobian
match to rounding and the normal equations are 13 x 13, whatever the number of frames.
Where pointing varies, every frame has an error of its own besides, tied into a `chain`.
Unknowns that are not estimated keep their prior mean.

A clock that is late by c and drifts by d labels the instant t + c + d (t - t_0) as t, t_0
the sightings' epoch. The state keeps the label: by c the orbit is the same, and only the
Earth under it has turned on, which no attitude but an inertial one tells.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.gravity import GM_EARTH
from flightsw.astro.propagate import Forces, propagate
from flightsw.astro.rotation import OMEGA_EARTH
from flightsw.estimate.chain import ChainPrior, GyroNoise, Turns
from flightsw.estimate.gyro import measured_turns
from flightsw.estimate.normal_equations import Linearised, solve_symmetric
from flightsw.estimate.residuals import CameraResidual, camera_residual
from flightsw.estimate.sightings import Sightings
from flightsw.estimate.solver import SolverOptions, SolverResult, levenberg_marquardt

Array = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

SIZE = 13
# Units of the unknowns in the solver, so that each is of order one: km, m/s, 1, mrad, 1e-3, 1e-6, s.
UNIT = np.array([1e3, 1e3, 1e3, 1.0, 1.0, 1.0, 1.0, 1e-3, 1e-3, 1e-3, 1e-3, 1e-6, 1.0])
STATE = np.arange(6)
DRAG = np.array([6])
OFFSET = np.array([7, 8, 9])
FOCAL = np.array([10])
DRIFT = np.array([11])
LATE = np.array([12])  # the clock's offset


@dataclass(frozen=True, slots=True)
class Belief:
    """A Gaussian over x at t_s past the sightings' epoch: mean (13,), covariance (13, 13), SI."""

    t_s: float
    x: Array
    covariance: Array


@dataclass(frozen=True, slots=True)
class FitSetup:
    """What a fit moves and what it knows beforehand.

    free : indices of x that are estimated; prior_mean (13,), prior_information (13, 13)
    in SI (zero rows for what is not known); slow_sigma, slow_s : of the pointing errors
    of nadir frames that vary, rad per axis and correlation time, see `chain`; gyro : what
    a gyro is good for, None without one.
    """

    forces: Forces
    free: IntArray
    prior_mean: Array
    prior_information: Array
    slow_sigma: float = 0.0
    slow_s: float = 1000.0
    gyro: GyroNoise | None = None

    def chain(self, sightings: Sightings, turns: Turns | None = None) -> ChainPrior | None:
        """Return the prior of the frames' own pointing errors; None where there are none.

        turns : what the gyro says of them, see `gyro`.
        """
        nadir = sightings.pointing.is_nadir
        sigma = np.where(nadir, self.slow_sigma, sightings.own_sigma)
        if not sigma.any():
            return None
        chain = ChainPrior.gauss_markov(sightings.t_s, sigma, self.slow_s, nadir)
        if turns is None or self.gyro is None:
            return chain
        return chain.with_gyro(sightings.t_s, turns, self.gyro)


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted orbit at t_s past the sightings' epoch, and the solver's end point.

    delta (F, m) : the chain, of each frame first its pointing error beyond the offset, rad;
    zeros (F, 3) without a chain.
    """

    t_s: float
    x: Array
    delta: Array
    solver: SolverResult
    setup: FitSetup

    def covariance(self, inflation: float = 1.0) -> Array:
        """Return the inverse Hessian (13, 13) in SI times `inflation`; zero for what is held."""
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
    instants = sightings.t_s * (1.0 + x[11]) - t_s
    trajectory = propagate(forces, sightings.epoch + t_s, x[:6], float(x[6]), instants, with_stm=True)
    assert trajectory.stm is not None
    return trajectory.state, trajectory.stm


def residual_and_jacobian(
    sightings: Sightings, forces: Forces, t_s: float, x: Array, delta: Array | None = None
) -> tuple[Array, Array]:
    """Return e (N, 2) in px and d(e)/d(x) (N, 2, 13) in px per SI unit; NaN where not visible.

    delta (F, 3 or more) : pointing errors of the frames beyond the offset; their Jacobian
    is that of the offset.
    """
    state, stm = states_at(sightings, forces, t_s, x)
    frame = sightings.frame
    with_earth = np.cross(OMEGA_EARTH, sightings.p_eci)
    late_s = x[12] + x[11] * sightings.t_s[frame]
    found = camera_residual(
        sightings.camera,
        sightings.pointing,
        state,
        x[OFFSET] if delta is None else x[OFFSET] + delta[:, :3],
        sightings.p_eci + late_s[:, None] * with_earth,
        sightings.uv_px,
        frame,
        focal=float(x[10]),
        late_s=sightings.late_s,
    )
    jacobian = np.empty((len(frame), 2, SIZE))
    jacobian[:, :, :7] = found.by_state @ stm[frame]
    jacobian[:, :, OFFSET] = found.by_offset
    jacobian[:, :, 10] = found.by_focal
    jacobian[:, :, 12] = (found.by_landmark @ with_earth[:, :, None])[:, :, 0]
    by_time = _by_motion(sightings, found, state) + jacobian[:, :, 12]
    jacobian[:, :, 11] = by_time * sightings.t_s[frame, None]
    return found.e, jacobian


def _by_motion(sightings: Sightings, found: CameraResidual, state: Array) -> Array:
    """Return d(e)/dt (N, 2) of a satellite that moves on over a resting Earth."""
    r = state[:, :3]
    pull = -GM_EARTH * r / np.linalg.norm(r, axis=1)[:, None] ** 3
    on = np.concatenate([state[:, 3:], pull], axis=1)[sightings.frame]
    return np.asarray((found.by_state @ on[:, :, None])[:, :, 0])


def fit_orbit(
    sightings: Sightings,
    t_s: float,
    x0: Array,
    setup: FitSetup,
    options: SolverOptions,
    *,
    delta0: Array | None = None,
    used: BoolArray | None = None,
) -> Fit:
    """Fit x to detections from x0, the guess at t_s past the sightings' epoch.

    delta0 (F, m) : the chain to start from; used (N,) : the detections that count, all
    where not given.
    """
    turns = None
    if setup.gyro is not None:
        turns = measured_turns(sightings, states_at(sightings, setup.forces, t_s, x0)[0], x0[OFFSET])
    chain = setup.chain(sightings, turns)
    free, sigma = setup.free, sightings.sigma_px[:, None]
    unit = UNIT[free]
    hidden = np.zeros(len(sightings), dtype=bool) if used is None else ~used

    def full(z: Array) -> Array:
        x = x0.copy()
        x[free] = z * unit
        return x

    def evaluate(z: Array, delta: Array) -> Linearised:
        own = delta if chain is not None else None
        e, jacobian = residual_and_jacobian(sightings, setup.forces, t_s, full(z), own)
        e = np.where(hidden[:, None], np.nan, e / sigma)
        by_chain = jacobian[:, :, OFFSET] / sigma[:, :, None] if chain is not None else None
        return Linearised(e, jacobian[:, :, free] * unit / sigma[:, :, None], by_chain)

    result = levenberg_marquardt(
        evaluate,
        x0[free] / unit,
        prior_mean=setup.prior_mean[free] / unit,
        prior_information=setup.prior_information[np.ix_(free, free)] * np.outer(unit, unit),
        options=options,
        chain=chain,
        frame=sightings.frame,
        delta0=np.zeros((len(sightings.t_s), chain.size if chain else 3)) if delta0 is None else delta0,
    )
    return Fit(t_s, full(result.z), result.delta, result, setup)


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
