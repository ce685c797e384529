"""Where should a frame have been taken? By its neighbours, or by an orbit.

Neighbours: two fixes of one pass give the rate at which the satellite turns about the
Earth's middle, one fix gives it by the circular speed at its height, along the body's +x
(nadir pointing); the nearest fix, pose and all, is carried on by that. An orbit: its
predicted state, with the attitude that the estimate uses (`estimate.residuals`).

An expectation is only where to look. What is found there is judged by the dense check
alone (`flightsw.vision.settle`); frames whose fixes contradict the orbit they were
predicted from end its use (`Innovations`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.gravity import GM_EARTH
from flightsw.astro.rotation import OMEGA_EARTH, ecef_from_eci
from flightsw.astro.time import Epoch
from flightsw.camera.model import Camera
from flightsw.camera.pose_fit import Pose, rotation_from_vector
from flightsw.estimate.observations import AttitudeTable
from flightsw.estimate.residuals import Pointing, camera_attitude
from flightsw.estimate.solution import Solution
from flightsw.vision.track import Expectation, middle_of

Array = NDArray[np.float64]

NEAR_S = 60.0  # how far from a fix its neighbours are looked for
BASE_S = (8.0, 150.0)  # apart, two fixes that give a rate
PAIR_SIGMA = (8e3, 100.0)  # m, and m for every second away, with a rate of two fixes
SINGLE_SIGMA = (10e3, 500.0)  # with the rate of a circular orbit
POINTING_SIGMA = float(np.deg2rad(0.5))  # 1 sigma per axis, where attitude is nadir pointing
LARGEST_NIS = 16.0  # of the image's middle, two axes: 4 sigma
CONTRADICTIONS = 3  # in a row end the use of an orbit


@dataclass(frozen=True, slots=True)
class Fix:
    """An accepted pose and its time, s."""

    t_s: float
    pose: Pose


def beside(fixes: Sequence[Fix], t_s: float, camera: Camera) -> Expectation | None:
    """Return what fixes of the same pass (any order) say of a frame at `t_s`, or None: none is near."""
    near = sorted(fixes, key=lambda fix: abs(fix.t_s - t_s))
    if not near or abs(near[0].t_s - t_s) > NEAR_S:
        return None
    nearest = near[0]
    away = t_s - nearest.t_s
    for other in near[1:]:
        base = other.t_s - nearest.t_s
        if BASE_S[0] <= abs(base) <= BASE_S[1]:
            rate = _rate_of_two(nearest.pose, other.pose, base)
            break
    else:
        base, rate = 0.0, _circular_rate(nearest.pose, camera)
    first, growth = PAIR_SIGMA if base else SINGLE_SIGMA
    turn = rotation_from_vector((rate * away)[None])[0]
    pose = Pose(turn @ nearest.pose.r_ecef, nearest.pose.cam_from_ecef @ turn.T)
    return Expectation(pose, first + growth * abs(away))


def _rate_of_two(one: Pose, other: Pose, base: float) -> Array:
    """Return the rate (3,), rad/s, that turns the image's middle of one pose to the other's."""
    here, there = middle_of(one), middle_of(other)
    axis = np.cross(here, there)
    sine = float(np.linalg.norm(axis))
    angle = float(np.arctan2(sine, here @ there))
    return np.asarray(axis / max(sine, 1.0) * (angle / base))


def _circular_rate(pose: Pose, camera: Camera) -> Array:
    """Return the rate (3,), rad/s, over the turning Earth of a circular orbit along the body's +x."""
    radius = float(np.linalg.norm(pose.r_ecef))
    body_from_ecef = camera.cam_from_body.T @ pose.cam_from_ecef
    velocity = np.sqrt(GM_EARTH / radius) * body_from_ecef[0] - np.cross(OMEGA_EARTH, pose.r_ecef)
    return np.asarray(np.cross(pose.r_ecef, velocity) / radius**2)


def expected_poses(
    solution: Solution, epochs: Sequence[Epoch], camera: Camera, attitude: AttitudeTable | None
) -> list[Expectation | None]:
    """Return where an orbit puts each frame; None where its sigma is wider than any search."""
    if not solution.has_state or not epochs:
        return [None] * len(epochs)
    t_s = np.array([epoch - solution.epoch for epoch in epochs])
    state, covariance = solution.predict(t_s)
    to_ecef = np.asarray(ecef_from_eci(solution.epoch, t_s)).reshape(-1, 3, 3)
    given = np.full((len(t_s), 3, 3), np.nan)
    if attitude is not None:
        table, valid = attitude.rebased(solution.epoch).cam_from_eci_at(t_s)
        given[valid] = table[valid]
    is_nadir = np.asarray(np.isnan(given).any(axis=(1, 2)))
    offset = solution.pointing_offset_rad
    turn = np.zeros(3) if offset is None else offset
    cam_from_eci, _, _ = camera_attitude(camera, Pointing(given, to_ecef, is_nadir), state, turn)
    found: list[Expectation | None] = []
    for k in range(len(t_s)):
        pose = Pose(to_ecef[k] @ state[k, :3], cam_from_eci[k] @ to_ecef[k].T)
        spread = float(np.sqrt(max(np.linalg.eigvalsh(covariance[k, :3, :3])[-1], 0.0)))
        expected = Expectation(pose, float(np.hypot(spread, POINTING_SIGMA * max(pose.altitude, 0.0))))
        is_use = np.isfinite(spread) and np.isfinite(pose.altitude) and expected.is_useful
        found.append(expected if is_use else None)
    return found


class Innovations:
    """Do fixes lie where their orbit put them? NIS of the image's middle on the ground."""

    def __init__(self) -> None:
        self._in_a_row = 0

    def add(self, expected: Expectation, found: Pose) -> float:
        """Count a fix; return its NIS (two axes, so 2 on average)."""
        miss = float(np.linalg.norm(middle_of(found) - middle_of(expected.pose)))
        nis = (miss / expected.sigma) ** 2
        self._in_a_row = self._in_a_row + 1 if nis > LARGEST_NIS else 0
        return nis

    @property
    def is_lost(self) -> bool:
        """Tell whether the orbit should no longer be followed."""
        return self._in_a_row >= CONTRADICTIONS
