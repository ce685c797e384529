"""A clock that is wrong by a constant: what the orbit is worth at true time.

Landmarks turn with the Earth, and so does the nadir: an orbit seen by a clock that is late
is the same orbit over the same ground, later. Its offset cannot be found; the state at the
label of an image stays as good as it was. At true time the satellite is elsewhere on its
way, by the offset times its speed over the ground: 76 km for 10 s. Where every attitude is
inertial (`given`) the offset is estimated, for then the Earth has turned under the orbit.
"""

from enum import Enum

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.gravity import GM_EARTH
from flightsw.astro.rotation import OMEGA_EARTH
from flightsw.estimate.solution import Solution

Array = NDArray[np.float64]


class ClockTreatment(Enum):
    """What was done about the clock's offset; the value is the sentence for a human."""

    EXACT = "the clock was taken as exact"
    ESTIMATED = "estimated: the inertial attitude tells it"
    CONSIDERED = "considered: the state holds at the labels, at true time it is as uncertain as the clock"


def clock_treatment(solution: Solution) -> ClockTreatment:
    """Return how a solution treats the clock's offset."""
    if solution.clock_offset_sigma == 0.0:
        return ClockTreatment.EXACT
    full = solution.covariance_full
    estimated = full is not None and full[12, 12] > 0.0
    return ClockTreatment.ESTIMATED if estimated else ClockTreatment.CONSIDERED


def clock_offset_sigma(solution: Solution) -> float:
    """Return 1 sigma of the clock's offset, s: as estimated, else as said beforehand."""
    if clock_treatment(solution) is ClockTreatment.ESTIMATED and solution.covariance_full is not None:
        return float(np.sqrt(solution.covariance_full[12, 12]))
    return solution.clock_offset_sigma


def covariance_at_true_time(solution: Solution) -> Array | None:
    """Return the covariance (6, 6) of [r, v], eci, SI, at the true instant of the epoch.

    None without a state.
    """
    r, v, full = solution.r_eci, solution.v_eci, solution.covariance_full
    if r is None or v is None or full is None:
        return None
    on = np.concatenate([v, -GM_EARTH * r / np.linalg.norm(r) ** 3])
    if clock_treatment(solution) is ClockTreatment.ESTIMATED:
        keep = np.append(np.arange(6), 12)
        by = np.concatenate([np.eye(6), -on[:, None]], axis=1)
        return np.asarray(by @ full[np.ix_(keep, keep)] @ by.T)
    over_ground = on - np.concatenate([np.cross(OMEGA_EARTH, r), np.cross(OMEGA_EARTH, v)])
    variance = solution.clock_offset_sigma**2
    covariance = full[:6, :6] + variance * np.outer(over_ground, over_ground)
    # The way bends: on[3:] c^2 / 2 of an offset c has a mean square of 3/4 sigma^4 on[3:]^2.
    covariance[:3, :3] += 0.75 * variance**2 * np.outer(on[3:], on[3:])
    return np.asarray(covariance)
