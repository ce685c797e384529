"""A satellite's detections to an orbit, and the orbit against the truth."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.forces import Forces
from flightsw.estimate.batch import EstimatorOptions, estimate_orbit
from flightsw.estimate.observations import GyroTable, Observations
from flightsw.estimate.solution import Solution
from vinsat_sim.measurement.conditions import CAMERA
from vinsat_sim.measurement.detector import DetectorErrors
from vinsat_sim.measurement.satellite import Satellite
from vinsat_sim.score import WRONG_KM, WRONG_SIGMA
from vinsat_sim.truth import Truth

Array = NDArray[np.float64]

SOLVED_KM = 5.0
CHECK_EVERY_S = 60.0  # between the instants at which an orbit is compared with the truth


@dataclass(frozen=True, slots=True)
class Trial:
    """How one estimate ended. Errors and sigma in km, None without a state.

    rms_km : over the whole arc; nees : e' P^-1 e of [r, v] at the solution's epoch;
    nees_position : of r alone; ratio : rms over the bound's, where that was asked for.
    """

    seed: int
    usable_passes: int
    detections: int
    status: str
    determined: bool
    wall_s: float
    error_ever_km: float | None = None
    error_last_image_km: float | None = None
    error_end_km: float | None = None
    rms_km: float | None = None
    sigma_last_image_km: float | None = None
    nees: float | None = None
    nees_position: float | None = None
    bound_km: float | None = None

    @property
    def wrong(self) -> bool:
        """Called determined and off by more than 5 km or 5 sigma at the last image."""
        if not self.determined:
            return False
        error, sigma = self.error_last_image_km, self.sigma_last_image_km
        return error is None or sigma is None or error > min(WRONG_KM, WRONG_SIGMA * sigma)

    @property
    def solved(self) -> bool:
        """Called determined and within 5 km RMS over the arc."""
        return self.determined and self.rms_km is not None and self.rms_km < SOLVED_KM

    def as_json(self) -> dict[str, Any]:
        """Return the fields, rounded to what matters, and both judgements, to be stored."""
        fields = {k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in asdict(self).items()}
        return {**fields, "wrong": self.wrong, "solved": self.solved}


def options(**changes: Any) -> EstimatorOptions:
    """Return the options of all campaigns: the Sun and the Moon pull as well."""
    return EstimatorOptions(forces=Forces(third_body=True), **changes)


def estimate(
    satellite: Satellite,
    errors: DetectorErrors,
    *,
    attitude_given: bool,
    how: EstimatorOptions | None = None,
    bound_km: float | None = None,
    gyro: GyroTable | None = None,
) -> Trial:
    """Return the trial of one satellite and one detector."""
    seen = satellite.observations(errors)
    return estimate_from(
        satellite, seen, attitude_given=attitude_given, how=how, bound_km=bound_km, gyro=gyro
    )


def estimate_from(
    satellite: Satellite,
    seen: Observations,
    *,
    attitude_given: bool,
    how: EstimatorOptions | None = None,
    bound_km: float | None = None,
    gyro: GyroTable | None = None,
) -> Trial:
    """Return the trial of one satellite and what was seen from it."""
    start = time.perf_counter()
    solution = estimate_orbit(
        seen,
        CAMERA,
        attitude=satellite.attitude() if attitude_given else None,
        gyro=gyro,
        options=how or options(),
    )
    return scored(satellite, solution, wall_s=time.perf_counter() - start, bound_km=bound_km)


def scored(satellite: Satellite, solution: Solution, *, wall_s: float, bound_km: float | None) -> Trial:
    """Compare a solution with the truth."""
    about = {
        "seed": satellite.seed,
        "usable_passes": satellite.usable_passes,
        "detections": len(satellite.image),
        "status": solution.status.name,
        "determined": solution.status.is_determined,
        "wall_s": wall_s,
        "bound_km": bound_km,
    }
    if not solution.has_state:
        return Trial(**about)
    truth = satellite.truth
    epoch_s = solution.epoch - truth.epoch
    t_s = check_times(truth)
    last_s = epoch_s + solution.last_used_s
    error = np.linalg.norm(_error(truth, solution, t_s), axis=1) / 1e3
    at_last = _error(truth, solution, np.array([last_s]))[0]
    _, covariance = solution.predict(np.array([solution.last_used_s]))
    nees, nees_position = _nees(truth, solution, epoch_s)
    return Trial(
        **about,
        error_ever_km=float(min(error.min(), np.linalg.norm(at_last) / 1e3)),
        error_last_image_km=float(np.linalg.norm(at_last) / 1e3),
        error_end_km=float(error[-1]),
        rms_km=float(np.sqrt(np.mean(error**2))),
        sigma_last_image_km=float(np.sqrt(np.trace(covariance[0, :3, :3])) / 1e3),
        nees=nees,
        nees_position=nees_position,
    )


def check_times(truth: Truth) -> Array:
    """Return the instants of an arc at which orbits are compared with the truth, s past its epoch."""
    every = max(1, round(CHECK_EVERY_S / np.diff(truth.t_s[:2])[0]))
    return np.append(truth.t_s[::every], truth.t_s[-1])


def arc_rms_km(truth: Truth, states_at: Callable[[Array], Array]) -> float:
    """Return the RMS position error over an arc, km, of an orbit given as states (N, 6) at t_s (N,)."""
    t_s = check_times(truth)
    error = states_at(t_s)[:, :3] - _at(truth, t_s)[:, :3]
    return float(f"{np.sqrt(np.mean(np.sum(error**2, axis=1))) / 1e3:.6g}")


def _at(truth: Truth, t_s: Array) -> Array:
    """Return the true states (N, 6) at instants of images, t_s past the truth's epoch."""
    index = np.clip(np.searchsorted(truth.t_s, t_s - 1e-3), 0, len(truth.t_s) - 1)
    return truth.state_eci[index]


def _error(truth: Truth, solution: Solution, t_s: Array) -> Array:
    """Return the position errors (N, 3), m."""
    state, _ = solution.predict(t_s - (solution.epoch - truth.epoch))
    return np.asarray(state[:, :3] - _at(truth, t_s)[:, :3])


def _nees(truth: Truth, solution: Solution, epoch_s: float) -> tuple[float, float]:
    """Return the normalised squared errors of [r, v] and of r, at the solution's epoch."""
    state, covariance = (part[0] for part in solution.predict(np.zeros(1)))
    error = state - _at(truth, np.array([epoch_s]))[0]
    d = np.sqrt(np.diag(covariance))
    scaled, correlation = error / d, covariance / np.outer(d, d)
    whole = float(scaled @ np.linalg.solve(correlation, scaled))
    return whole, float(scaled[:3] @ np.linalg.solve(correlation[:3, :3], scaled[:3]))
