"""Detections in, orbit out: the estimator's front door.

`estimate_orbit` needs no initial guess. It finds an orbit (`initial`), fits it to all
that agrees (`final_fit`), and judges whether the result may be relied on (`verdict`).
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.propagate import Forces
from flightsw.camera.model import Camera
from flightsw.estimate.chain import GyroNoise
from flightsw.estimate.final_fit import FinalFit, fit_all
from flightsw.estimate.growth import chunk_of_frames
from flightsw.estimate.gyro import integrated
from flightsw.estimate.initial import find_orbit, grow
from flightsw.estimate.local_orbits import Orbit
from flightsw.estimate.observations import AttitudeTable, GyroTable, Observations
from flightsw.estimate.orbit_fit import DRAG, DRIFT, FOCAL, LATE, OFFSET, SIZE, STATE, Belief, FitSetup
from flightsw.estimate.own_attitude import with_own_attitudes
from flightsw.estimate.rivals import rival_support
from flightsw.estimate.sightings import Sightings, prepare_sightings
from flightsw.estimate.solution import Solution, SolverStatistics, Status
from flightsw.estimate.verdict import judge, pass_statistics

Array = NDArray[np.float64]
IntArray = NDArray[np.intp]

LEAST_DETECTIONS = 4  # below, not even an unconfirmed orbit can be looked for
SEARCH_PER_FRAME, SEARCH_FRAMES_PER_CHUNK = 40, 16  # what the search looks at, at most
SEARCH_DEGREE = 10  # of the gravity field
RANDOM_SEED = 20_260_301  # of the search's draws: the same input gives the same output


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimatorOptions:
    """What may be set; the defaults are for a 3U CubeSat with nadir pointing good to 0.5 deg.

    forces : of the final fit; drag_sigma : prior of the drag scale about 1;
    pointing_sigma : prior of the constant pointing offset per axis, rad, where the
    attitude is not given; slow_pointing_sigma, slow_pointing_s : of the pointing error
    that varies besides, a Gauss-Markov process per axis (rad, correlation time; 0 s frees
    every frame); gyro : what a gyro is good for, a coarse MEMS one by default;
    free_tilt_sigma : > 0 where the attitude is unknown, nadir but for so much tilt, rad,
    and turned about the nadir by any angle; focal_sigma, clock_drift_sigma : priors of the
    focal length's relative error and of the clock's drift, s/s (0: not estimated);
    clock_offset_sigma : of a constant error of the clock, s: estimated where all attitude
    is given, which is inertial and tells it, else only considered, see `clock`;
    pass_bias_fraction : sigma of a bias of the detector common to a pass, as a fraction of
    its noise.
    """

    forces: Forces = field(default_factory=Forces)
    drag_sigma: float = 1.0
    pointing_sigma: float = float(np.radians(0.5))
    slow_pointing_sigma: float = 0.0
    slow_pointing_s: float = 1000.0
    gyro: GyroNoise = GyroNoise(white=5e-3, bias=0.087, walk=5e-4)
    free_tilt_sigma: float = 0.0
    focal_sigma: float = 0.0
    clock_drift_sigma: float = 0.0
    clock_offset_sigma: float = 0.0
    pass_bias_fraction: float = 0.2


def estimate_orbit(
    observations: Observations,
    camera: Camera,
    *,
    attitude: AttitudeTable | None = None,
    gyro: GyroTable | None = None,
    prior: Solution | None = None,
    options: EstimatorOptions = EstimatorOptions(),
) -> Solution:
    """Return the orbit that the observations determine, or why they do not.

    attitude : cam_from_eci; frames without a row are taken as nadir pointing with a
    constant offset. gyro : used where nadir pointing varies. prior : an earlier solution,
    to start from and weigh in. Never raises for bad geometry or bad detections: see
    `Solution.status`.
    """
    sightings = prepare_sightings(observations, camera, attitude)
    if gyro is not None:
        angle, run = integrated(gyro, sightings.epoch, sightings.t_s)
        sightings = replace(sightings, gyro_angle=angle, gyro_run=run)
    nothing = Solution(
        status=Status.NO_LANDMARKS if len(observations) == 0 else Status.TOO_FEW_LANDMARKS,
        epoch=observations.epoch,
        used=np.zeros(len(observations), dtype=bool),
        attitude_mode=_attitude_mode(sightings, attitude, options),
        forces=options.forces,
        clock_offset_sigma=options.clock_offset_sigma,
    )
    if len(sightings) < LEAST_DETECTIONS:
        return nothing
    try:
        return _estimate(nothing, sightings, prior, options)
    except np.linalg.LinAlgError:  # geometry beyond all guards is an outcome, not a crash
        return replace(nothing, status=Status.NOT_CONVERGED)


def _estimate(
    nothing: Solution, sightings: Sightings, prior: Solution | None, options: EstimatorOptions
) -> Solution:
    """Search, fit and judge; `nothing` is the answer without a state."""
    rng = np.random.default_rng(RANDOM_SEED)
    if options.free_tilt_sigma > 0.0:
        sightings = with_own_attitudes(sightings, options.free_tilt_sigma, rng)
        if len(sightings) < LEAST_DETECTIONS:
            return replace(nothing, status=Status.TOO_FEW_LANDMARKS)
    setup = fit_setup(sightings, options)
    belief = _prior_belief(prior, sightings)
    wide = sightings.with_attitude_noise(options.slow_pointing_sigma)
    part = thinned(wide, rng)
    orbit = _search(part, setup, belief, rng)
    final = None
    if orbit is not None:
        final = fit_all(sightings, orbit, setup, belief, options.pass_bias_fraction)
    if final is None:
        too_few = len(np.unique(sightings.landmark)) < 2
        return nothing if too_few else replace(nothing, status=Status.NO_ORBIT)
    rivals = rival_support(wide, final, setup, rng)
    return _solution(nothing, sightings, final, rivals, prior)


def _attitude_mode(sightings: Sightings, attitude: AttitudeTable | None, options: EstimatorOptions) -> str:
    nadir = sightings.pointing.is_nadir
    if options.free_tilt_sigma > 0.0 and nadir.any():
        return "free"
    if nadir.all():
        return "nadir" if attitude is None or len(nadir) else "given"
    return "mixed" if nadir.any() else "given"


def fit_setup(sightings: Sightings, options: EstimatorOptions) -> FitSetup:
    """Return what is estimated and its prior: drag always, the offset where pointing is uncertain."""
    free = np.concatenate([STATE, DRAG])
    information = np.zeros((SIZE, SIZE))
    information[6, 6] = options.drag_sigma**-2
    pointing = options.pointing_sigma
    if not sightings.pointing.is_nadir.any():
        # A given attitude may be off as a whole; frames that tell their own are so each by itself.
        pointing = float(np.max(sightings.attitude_sigma * ~sightings.tells_itself, initial=0.0))
    if pointing > 0.0:
        free = np.concatenate([free, OFFSET])
        information[OFFSET, OFFSET] = pointing**-2
    inertial = not (sightings.pointing.is_nadir | sightings.tells_itself).any()
    late = options.clock_offset_sigma if inertial else 0.0
    for index, sigma in ((FOCAL, options.focal_sigma), (DRIFT, options.clock_drift_sigma), (LATE, late)):
        if sigma > 0.0:
            free = np.concatenate([free, index])
            information[index, index] = sigma**-2
    mean = np.zeros(SIZE)
    mean[6] = 1.0
    slow = options.slow_pointing_sigma if sightings.pointing.is_nadir.any() else 0.0
    gyro = options.gyro if sightings.gyro_angle is not None and slow > 0.0 else None
    return FitSetup(options.forces, free, mean, information, slow, options.slow_pointing_s, gyro)


def _prior_belief(prior: Solution | None, sightings: Sightings) -> Belief | None:
    """Return an earlier solution as a belief; its force errors until the new arc are added."""
    if prior is None or not prior.has_state or prior.covariance_full is None:
        return None
    first = float(sightings.t_s[0]) - (prior.epoch - sightings.epoch)
    state, covariance = prior.predict(np.array([first]))
    full = prior.covariance_full.copy()
    # Correlation of the state with drag and offset is given up: it shrinks with every arc.
    full[:6, 6:] = full[6:, :6] = 0.0
    full[:6, :6] = covariance[0]
    x = np.concatenate([state[0], prior.parameters()[6:]])
    return Belief(float(sightings.t_s[0]), x, full)


def _search(part: Sightings, setup: FitSetup, prior: Belief | None, rng: np.random.Generator) -> Orbit | None:
    """Return an orbit to start the final fit from: the prior's, if it still fits, or a found one."""
    setup = replace(setup, forces=_search_forces(setup.forces))
    if prior is not None:
        seed = Orbit(prior, np.zeros(len(part), dtype=bool), 0, 0.0)
        orbit = grow(part, seed, setup, rng)
        if orbit.score > 0.4 * part.worth.sum():
            return orbit
    return find_orbit(part, setup, rng)


def _search_forces(forces: Forces) -> Forces:
    """Return cheaper forces for the search: their 0.1 to 0.7 km in 6 h is within its gates."""
    return replace(forces, degree=min(forces.degree, SEARCH_DEGREE), third_body=False)


def thinned(sightings: Sightings, rng: np.random.Generator) -> Sightings:
    """Return at most SEARCH_PER_FRAME detections a frame and an even choice of frames a chunk."""
    chunk = chunk_of_frames(sightings)
    keep_frame = np.ones(len(sightings.t_s), dtype=bool)
    for k in np.flatnonzero(np.bincount(chunk) > SEARCH_FRAMES_PER_CHUNK):
        members = np.flatnonzero(chunk == k)
        keep_frame[members] = False
        keep_frame[members[np.linspace(0, len(members) - 1, SEARCH_FRAMES_PER_CHUNK).astype(int)]] = True
    keep = keep_frame[sightings.frame]
    for frame in np.flatnonzero(np.bincount(sightings.frame) > SEARCH_PER_FRAME):
        rows = np.flatnonzero(sightings.frame == frame)
        keep[rng.permutation(rows)[SEARCH_PER_FRAME:]] = False
    return sightings if keep.all() else sightings.select(keep)


def _solution(
    nothing: Solution, sightings: Sightings, final: FinalFit, rivals: IntArray, prior: Solution | None
) -> Solution:
    """Return the solution with its statistics and its verdict."""
    fit = final.fit
    solver = fit.solver
    frames = sightings.t_s[sightings.frame[final.used]]
    used = nothing.used.copy()
    used[sightings.row[final.used]] = True
    sigma_px = solver.sigma * float(np.median(sightings.sigma_px[final.used]))
    solution = replace(
        nothing,
        epoch=sightings.epoch + fit.t_s,
        used=used,
        covariance_full=final.covariance,
        r_eci=fit.x[:3],
        v_eci=fit.x[3:6],
        drag_scale=float(fit.x[6]),
        pointing_offset_rad=fit.x[OFFSET],
        focal_error=float(fit.x[10]),
        clock_drift=float(fit.x[11]),
        clock_offset=float(fit.x[12]),
        sigma_px=sigma_px,
        first_used_s=float(frames[0]) - fit.t_s,
        last_used_s=float(frames[-1]) - fit.t_s,
        passes=pass_statistics(sightings, final, rivals),
        solver=SolverStatistics(
            status=solver.status.value,
            iterations=solver.iterations,
            cost=solver.cost,
            shape=solver.shape,
            scale_px=solver.scale * float(np.median(sightings.sigma_px[final.used])),
            sigma_px=sigma_px,
            candidates=len(sightings),
        ),
    )
    return replace(solution, status=judge(solution, solver.status.is_usable, prior))
