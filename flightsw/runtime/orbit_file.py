"""ephemeris.csv and orbit.oem: where the satellite was and will be, every 10 seconds.

The OEM is CCSDS 502.0-B, version 2.0, keyword-value notation, GCRF, UTC, km and km/s, with
the 6 x 6 covariance every few minutes. Its CREATION_DATE is the time of the last sample's
data, not of the wall clock, so that equal inputs give equal bytes; its epochs carry
microseconds (what parsers hold), the states are moved along to them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import WGS84_A, WGS84_B
from flightsw.astro.propagate import propagate
from flightsw.astro.time import Epoch
from flightsw.estimate.solution import Solution

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

ENTRY_HEIGHT = 80e3  # m: no satellite comes back from below
STEP_S = 10.0  # s, promised to users
COVARIANCE_STEP_S = 600.0
MAX_COVARIANCES = 500
EPHEMERIS_HEADER = "time_utc,x_m,y_m,z_m,vx_m_s,vy_m_s,vz_m_s"
SAME_TIME_S = 1e-6  # samples closer than this are one
OEM_DIGITS = 6  # of a second
HERMITE_DEGREE = 7  # needs four states


@dataclass(frozen=True, slots=True)
class Ephemeris:
    """States every 10 s: t_s (N,) past `epoch`, ascending; state (N, 6), eci, m and m/s.

    end_s : where it was meant to end; it ends earlier where the orbit does.
    """

    epoch: Epoch
    t_s: Array
    state: Array
    end_s: float

    @property
    def is_cut_short(self) -> bool:
        """Tell whether the orbit ended (re-entry) before the asked time."""
        return len(self.t_s) == 0 or float(self.t_s[-1]) < self.end_s - SAME_TIME_S


def sample_times(first_s: float, last_s: float, until_s: float | None) -> Array:
    """Return every 10 s from first to last, both included, and on to `until_s`, included."""
    end_s = last_s if until_s is None else max(last_s, until_s)
    grid = first_s + STEP_S * np.arange(int(np.floor((end_s - first_s) / STEP_S)) + 1)
    extra = [t for t in (last_s, end_s) if np.abs(grid - t).min() > SAME_TIME_S]
    return np.unique(np.concatenate([grid, extra]))


def sample(solution: Solution, until: Epoch | None) -> Ephemeris:
    """Return the ephemeris of a solution with a state, cut off where the orbit ends."""
    assert solution.r_eci is not None
    assert solution.v_eci is not None
    until_s = None if until is None else until - solution.epoch
    t_s = sample_times(solution.first_used_s, solution.last_used_s, until_s)
    start = np.concatenate([solution.r_eci, solution.v_eci])
    state = propagate(solution.forces, solution.epoch, start, solution.drag_scale, t_s).state
    keep = _unbroken(is_in_orbit(state))
    return Ephemeris(solution.epoch, t_s[keep], state[keep], float(t_s[-1]))


def is_in_orbit(state: Array) -> BoolArray:
    """Return the mask (N,) of finite states above the air, within 1 km of height."""
    with np.errstate(invalid="ignore"):
        unit_sphere = np.linalg.norm(state[:, :3] / [WGS84_A, WGS84_A, WGS84_B], axis=1)
        return np.asarray(np.isfinite(state).all(axis=1) & ((unit_sphere - 1.0) * WGS84_A > ENTRY_HEIGHT))


def _unbroken(good: BoolArray) -> BoolArray:
    """Return the mask (N,) of the first unbroken run of good samples (N,)."""
    if not good.any():
        return good
    first = int(np.argmax(good))
    bad_after = np.flatnonzero(~good[first:])
    stop = first + int(bad_after[0]) if len(bad_after) else len(good)
    index = np.arange(len(good))
    return np.asarray((index >= first) & (index < stop))


def ephemeris_csv(ephemeris: Ephemeris) -> str:
    """Return the text of ephemeris.csv: 0.1 mm and 0.1 um/s."""
    lines = [EPHEMERIS_HEADER]
    for t, state in zip(ephemeris.t_s, ephemeris.state, strict=True):
        r = ",".join(f"{value:.4f}" for value in state[:3])
        v = ",".join(f"{value:.7f}" for value in state[3:])
        lines.append(f"{(ephemeris.epoch + float(t)).utc_iso()},{r},{v}")
    return "\n".join(lines) + "\n"


def orbit_oem(solution: Solution, ephemeris: Ephemeris) -> str:
    """Return the text of orbit.oem; the ephemeris must have at least one state."""
    epochs = [ephemeris.epoch + float(t) for t in ephemeris.t_s]
    stamps = [epoch.utc_iso(OEM_DIGITS) for epoch in epochs]
    moved_s = np.array([Epoch.from_utc(stamp) - epoch for stamp, epoch in zip(stamps, epochs, strict=True)])
    position = ephemeris.state[:, :3] + moved_s[:, None] * ephemeris.state[:, 3:]  # at most 4 mm
    lines = [
        "CCSDS_OEM_VERS = 2.0",
        "COMMENT Orbit from landmarks in images; states are the fitted orbit, not interpolated.",
        f"COMMENT status {solution.status.name}: {solution.status.value}",
        f"CREATION_DATE = {(solution.epoch + solution.last_used_s).utc_iso(OEM_DIGITS)}",
        "ORIGINATOR = VINSAT",
        "",
        "META_START",
        "OBJECT_NAME = UNKNOWN",
        "OBJECT_ID = UNKNOWN",
        "CENTER_NAME = EARTH",
        "REF_FRAME = GCRF",
        "TIME_SYSTEM = UTC",
        f"START_TIME = {stamps[0]}",
        f"STOP_TIME = {stamps[-1]}",
        *_interpolation(len(stamps)),
        "META_STOP",
        "",
    ]
    for stamp, r, v in zip(stamps, position, ephemeris.state[:, 3:], strict=True):
        lines.append(stamp + "".join(f" {x / 1e3:.7f}" for x in r) + "".join(f" {x / 1e3:.10f}" for x in v))
    lines += ["", *_covariance_lines(solution, ephemeris.t_s, stamps)]
    return "\n".join(lines) + "\n"


def _interpolation(states: int) -> list[str]:
    if 2 * states < HERMITE_DEGREE + 1:
        return []
    return ["INTERPOLATION = HERMITE", f"INTERPOLATION_DEGREE = {HERMITE_DEGREE}"]


def _covariance_lines(solution: Solution, t_s: Array, stamps: list[str]) -> list[str]:
    """Return the covariance section: at some of the states' own times, the ends among them."""
    span = float(t_s[-1] - t_s[0])
    step = max(COVARIANCE_STEP_S, span / MAX_COVARIANCES)
    chosen = np.searchsorted(t_s, t_s[0] + step * np.arange(int(span / step) + 1))
    chosen = np.unique(np.append(np.minimum(chosen, len(t_s) - 1), len(t_s) - 1))
    covariance = solution.predict(t_s[chosen])[1] * 1e-6  # km
    lines = ["COVARIANCE_START"]
    for index, matrix in zip(chosen, covariance, strict=True):
        if not np.isfinite(matrix).all():
            continue
        lines += [f"EPOCH = {stamps[index]}", "COV_REF_FRAME = GCRF"]
        lines += [" ".join(f"{matrix[i, j]:.14e}" for j in range(i + 1)) for i in range(6)]
    return [*lines, "COVARIANCE_STOP"]
