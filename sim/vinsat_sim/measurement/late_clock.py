"""A satellite whose clock is wrong: is its orbit still right over the ground, and its drift found?"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.rotation import ecef_from_eci
from flightsw.estimate.batch import EstimatorOptions, estimate_orbit
from flightsw.estimate.clock import covariance_at_true_time
from flightsw.estimate.observations import Observations
from flightsw.estimate.solution import Solution
from vinsat_sim.measurement.conditions import CAMERA
from vinsat_sim.measurement.detector import DetectorErrors
from vinsat_sim.measurement.satellite import Satellite
from vinsat_sim.measurement.study import Row

Array = NDArray[np.float64]


def labelled(seen: Observations, late_s: float, drift: float) -> Observations:
    """Return what a clock that is late by late_s and drifts calls the same instants."""
    return replace(seen, t_s=(seen.t_s - late_s) / (1.0 + drift))


def offset_row(satellite: Satellite, errors: DetectorErrors, how: EstimatorOptions, late_s: float) -> Row:
    """Return how an orbit fares under a clock that is late, beside the one of a right clock.

    rms_km : of positions over the ground at the labels of images in view; exact_km : with
    the right clock; true_time2 : e' P^-1 e of the position, taken for that of true time.
    """
    seen = satellite.observations(errors)
    exact = estimate_orbit(seen, CAMERA, options=replace(how, clock_offset_sigma=0.0))
    late = estimate_orbit(labelled(seen, late_s, 0.0), CAMERA, options=how)
    row: Row = {
        "status": late.status.name, "usable_passes": satellite.usable_passes,
        "determined": late.status.is_determined, "solved": late.status.is_determined, "wrong": False,
    }  # fmt: skip
    covariance = covariance_at_true_time(late)
    if not (exact.has_state and late.has_state) or covariance is None:
        return row
    images = np.unique(satellite.image)
    at_epoch = _true_position(satellite, late.epoch - satellite.truth.epoch)
    error = np.asarray(late.r_eci) - at_epoch
    return {
        **row,
        "rms_km": _over_ground_km(satellite, late, images, late_s),
        "exact_km": _over_ground_km(satellite, exact, images, 0.0),
        "true_time2": float(error @ np.linalg.solve(covariance[:3, :3], error)),
    }


def drift_row(satellite: Satellite, errors: DetectorErrors, how: EstimatorOptions, sigma: float) -> Row:
    """Return how well a drift, drawn with this sigma, is found: drift_sigmas, its error over its sigma."""
    drift = sigma * float(np.random.default_rng([satellite.seed, 77]).standard_normal())
    seen = labelled(satellite.observations(errors), 0.0, drift)
    found = estimate_orbit(seen, CAMERA, options=how)
    row: Row = {
        "status": found.status.name, "usable_passes": satellite.usable_passes,
        "determined": found.status.is_determined, "solved": found.status.is_determined, "wrong": False,
    }  # fmt: skip
    full = found.covariance_full
    if full is None or not found.status.is_determined:
        return row
    return {**row, "drift_sigmas": (found.clock_drift - drift) / float(np.sqrt(full[11, 11]))}


def _over_ground_km(satellite: Satellite, solution: Solution, images: Array, late_s: float) -> float:
    """Return the RMS of the Earth-fixed position at images, each under its label, km."""
    t_s = satellite.truth.t_s[images]
    labels = t_s - late_s
    state, _ = solution.predict(labels - (solution.epoch - satellite.truth.epoch))
    to_ecef = np.asarray(ecef_from_eci(satellite.truth.epoch, labels)).reshape(-1, 3, 3)
    error = np.einsum("nij,nj->ni", to_ecef, state[:, :3]) - satellite.truth.r_ecef[images]
    return float(np.sqrt(np.mean(np.sum(error**2, axis=1))) / 1e3)


def _true_position(satellite: Satellite, t_s: float) -> Array:
    """Return the true position (3,), eci, by cubic interpolation between images."""
    truth = satellite.truth
    k = int(np.clip(np.searchsorted(truth.t_s, t_s) - 1, 0, len(truth.t_s) - 2))
    h = truth.t_s[k + 1] - truth.t_s[k]
    u = (t_s - truth.t_s[k]) / h
    (r0, v0), (r1, v1) = ((truth.state_eci[j, :3], truth.state_eci[j, 3:]) for j in (k, k + 1))
    return np.asarray(
        (1 + 2 * u) * (1 - u) ** 2 * r0
        + u * (1 - u) ** 2 * h * v0
        + u**2 * (3 - 2 * u) * r1
        + u**2 * (u - 1) * h * v1
    )
