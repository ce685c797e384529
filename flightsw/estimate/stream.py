"""An orbit that follows new frames without being solved anew.

The solution is carried to the new frames, its covariance with it, and corrected by those
of their detections that agree: an iterated information filter with the solver's kernel.
Errors of a detector repeat from frame to frame, which one frame cannot tell; its noise
counts CORRELATION times. So the sigma stays cautious until the next full solve, which is
due when a pass has ended.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.forces import Forces
from flightsw.camera.model import Camera
from flightsw.estimate.batch import EstimatorOptions, fit_setup
from flightsw.estimate.final_fit import with_prior
from flightsw.estimate.growth import CORRELATION, accept_gate_px, is_accepted
from flightsw.estimate.observations import AttitudeTable, Observations
from flightsw.estimate.orbit_fit import OFFSET, Belief, fit_orbit, moved, residual_and_jacobian
from flightsw.estimate.sightings import Sightings, prepare_sightings
from flightsw.estimate.solution import Solution
from flightsw.estimate.solver import SolverOptions
from flightsw.estimate.unmodelled import force_noise

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

GATE_SIGMAS = 4.0  # of a detection's miss, the orbit's own uncertainty in it
# One frame cannot tell the noise to be smaller than it is said to be.
ENDS = SolverOptions(max_iterations=10, first_iteration=8, tolerance=0.05, sigma_floor=1.0)
DEFAULTS = EstimatorOptions()


@dataclass(frozen=True, slots=True)
class Followed:
    """What came of new frames: the solution after them, and whether they were taken.

    Frames that do not agree leave the solution as it was.
    """

    solution: Solution
    is_accepted: bool


def follow(
    solution: Solution,
    observations: Observations,
    camera: Camera,
    *,
    attitude: AttitudeTable | None = None,
    options: EstimatorOptions = DEFAULTS,
) -> Followed:
    """Return the solution corrected by frames that are later than all it rests on.

    observations : of one frame or of a few within some minutes; options : those of the
    solution. The new epoch is the first of the frames; `used` is of these observations.
    Raises ValueError where the solution has no state.
    """
    full = solution.covariance_full
    x = solution.parameters()
    refused = Followed(solution, is_accepted=False)
    sightings = prepare_sightings(observations, camera, attitude)
    if full is None or not len(sightings):
        return refused
    setup = fit_setup(sightings, options)
    start = solution.epoch - sightings.epoch
    belief = moved(Belief(start, x, full), sightings, setup.forces, float(sightings.t_s[0]))
    idle = max(0.0, belief.t_s - start - solution.last_used_s)
    belief.covariance[:6, :6] += force_noise(np.array([idle]))[0]
    wide = sightings.with_attitude_noise(options.slow_pointing_sigma)
    agreeing = _agreeing(wide, belief, setup.forces)
    if not is_accepted(wide, agreeing):
        return refused
    part = sightings.select(agreeing)
    part = replace(part, sigma_px=np.sqrt(CORRELATION) * np.maximum(part.sigma_px, solution.sigma_px))
    known = with_prior(setup, belief, part, belief.t_s)
    fit = fit_orbit(part, belief.t_s, belief.x, known, ENDS)
    close = np.hypot(*(fit.solver.residual * part.sigma_px[:, None]).T) < accept_gate_px(part)
    if not fit.solver.status.is_usable or not is_accepted(part, close):
        return refused
    used = np.zeros(len(observations), dtype=bool)
    used[part.row] = True
    after = _with(solution, fit.t_s, sightings, fit.x, fit.covariance(), used)
    return Followed(after, is_accepted=True)


def _agreeing(sightings: Sightings, belief: Belief, forces: Forces) -> BoolArray:
    """Return the detections (N,) that miss by no more than orbit and detector explain."""
    e, jacobian = residual_and_jacobian(sightings, forces, belief.t_s, belief.x)
    spread = np.einsum("nai,ij,nbj->nab", jacobian, belief.covariance, jacobian)
    spread += (sightings.sigma_px**2)[:, None, None] * np.eye(2)
    with np.errstate(invalid="ignore"):
        miss2 = np.einsum("na,na->n", e, np.linalg.solve(spread, e[:, :, None])[:, :, 0])
    return np.asarray(np.nan_to_num(miss2, nan=np.inf) < GATE_SIGMAS**2)


def _with(
    solution: Solution, t_s: float, sightings: Sightings, x: Array, covariance: Array, used: BoolArray
) -> Solution:
    """Return the solution at t_s past the sightings' epoch with other estimates."""
    epoch = sightings.epoch + t_s
    return replace(
        solution,
        epoch=epoch,
        used=used,
        r_eci=x[:3],
        v_eci=x[3:6],
        drag_scale=float(x[6]),
        pointing_offset_rad=x[OFFSET],
        focal_error=float(x[10]),
        clock_drift=float(x[11]),
        clock_offset=float(x[12]),
        covariance_full=covariance,
        first_used_s=solution.first_used_s - (epoch - solution.epoch),
        last_used_s=float(sightings.t_s[-1]) - t_s,
    )
