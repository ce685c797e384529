"""Compare a solution with the truth, in words that mean the same everywhere.

last image   the last frame with a used observation
error        distance between the ephemeris the flight program wrote and the truth (GCRF):
             `ever` its smallest value at any instant of the ephemeris, `last image` its
             value there, `end` its value at the end of the arc, propagated
sigma        sqrt(trace P_rr), 3-D, 1 sigma
wrong        called determined and off by more than 5 km or 5 sigma at the last image
solved       determined and RMS under 5 km, from the first to the last used observation
"""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.time import Epoch
from flightsw.estimate.solution import Status
from flightsw.runtime.products import EPHEMERIS, SOLUTION
from flightsw.runtime.solution_file import read_solution

Array = NDArray[np.float64]

WRONG_KM = 5.0
WRONG_SIGMA = 5.0
OBSERVATIONS = "observations.csv"


@dataclass(frozen=True, slots=True)
class TrueArc:
    """Where the satellite really was: t_s (N,) ascending, s past epoch; state_eci (N, 6), SI."""

    epoch: Epoch
    t_s: Array
    state_eci: Array

    def r_eci(self, t_s: Array) -> Array:
        """Return positions (M, 3), m; NaN outside the arc.

        Cubic Hermite between samples: at 10 s steps it errs by less than 1 mm.
        """
        at = np.asarray(t_s, dtype=np.float64)
        right = np.clip(np.searchsorted(self.t_s, at), 1, len(self.t_s) - 1)
        left = right - 1
        h = (self.t_s[right] - self.t_s[left])[:, None]
        s = (at - self.t_s[left])[:, None] / h
        r0, v0 = self.state_eci[left, :3], self.state_eci[left, 3:] * h
        r1, v1 = self.state_eci[right, :3], self.state_eci[right, 3:] * h
        r = (
            r0 * (1.0 + 2.0 * s) * (1.0 - s) ** 2
            + v0 * s * (1.0 - s) ** 2
            + r1 * s**2 * (3.0 - 2.0 * s)
            + v1 * s**2 * (s - 1.0)
        )
        outside = (at < self.t_s[0]) | (at > self.t_s[-1])
        r[outside] = np.nan
        return r


@dataclass(frozen=True, slots=True)
class Score:
    """How a solution compares with the truth; None where there is nothing to compare.

    Errors and sigma in km; first_fix_min, last_image_s from the start of the arc.
    t_s (N,), error_km (N,), sigma_km (N,) : the whole ephemeris, for plots.
    """

    status: str
    reason: str
    determined: bool
    error_ever_km: float | None
    error_last_image_km: float | None
    error_end_km: float | None
    sigma_last_image_km: float | None
    rms_km: float | None
    passes: int
    observations_used: int
    observations_rejected: int
    first_fix_min: float | None
    last_image_s: float | None
    t_s: Array
    error_km: Array
    sigma_km: Array

    @property
    def error_in_sigma(self) -> float | None:
        """The error at the last image in units of its 3-D sigma."""
        if self.error_last_image_km is None or not self.sigma_last_image_km:
            return None
        return self.error_last_image_km / self.sigma_last_image_km

    @property
    def wrong(self) -> bool:
        """Tell whether it was called determined and is off by more than 5 km or 5 sigma."""
        if not self.determined or self.error_last_image_km is None:
            return False
        outside = self.error_in_sigma is None or self.error_in_sigma > WRONG_SIGMA
        return self.error_last_image_km > WRONG_KM or outside


def score(folder: Path, truth: TrueArc) -> Score:
    """Score what the flight program left in `folder` against the true arc.

    Read are solution.json, ephemeris.csv and observations.csv (its earliest row is the
    first accepted frame). FileNotFoundError without a solution.json.
    """
    solution = json.loads((folder / SOLUTION).read_text(encoding="utf-8"))
    t_s, r_eci = _ephemeris(folder / EPHEMERIS, truth.epoch)
    error_km = np.linalg.norm(r_eci - truth.r_eci(t_s), axis=1) / 1e3
    sigma_km = _sigma_km(folder / SOLUTION, truth.epoch, t_s)
    last_s = _seconds(solution["last_used_utc"], truth.epoch)
    at_last = int(np.argmin(np.abs(t_s - last_s))) if len(t_s) and last_s is not None else None
    observed = t_s <= last_s if last_s is not None else np.zeros(len(t_s), dtype=bool)
    return Score(
        status=solution["status"],
        reason=solution["reason"],
        determined=solution["status"] == Status.DETERMINED.name,
        error_ever_km=float(error_km.min()) if len(t_s) else None,
        error_last_image_km=None if at_last is None else float(error_km[at_last]),
        error_end_km=float(error_km[-1]) if len(t_s) else None,
        sigma_last_image_km=None if at_last is None else float(sigma_km[at_last]),
        rms_km=float(np.sqrt(np.mean(np.square(error_km[observed])))) if observed.any() else None,
        passes=sum(1 for item in solution["passes"] if item["used"] > 0),
        observations_used=solution["observations_used"],
        observations_rejected=solution["observations_rejected"],
        first_fix_min=_first_fix_min(folder / OBSERVATIONS, truth.epoch),
        last_image_s=last_s,
        t_s=t_s,
        error_km=error_km,
        sigma_km=sigma_km,
    )


def _seconds(time_utc: str | None, epoch: Epoch) -> float | None:
    return None if time_utc is None else Epoch.from_utc(time_utc) - epoch


def _ephemeris(path: Path, epoch: Epoch) -> tuple[Array, Array]:
    """Return t_s (N,) past `epoch` and r_eci (N, 3), m; empty where there is no ephemeris."""
    if not path.is_file():
        return np.empty(0), np.empty((0, 3))
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    t_s = np.array([Epoch.from_utc(row["time_utc"]) - epoch for row in rows])
    r_eci = np.array([[float(row[axis]) for axis in ("x_m", "y_m", "z_m")] for row in rows])
    return t_s, r_eci.reshape(-1, 3)


def _sigma_km(path: Path, epoch: Epoch, t_s: Array) -> Array:
    """Return sqrt(trace P_rr) (N,), km, as the solution itself predicts it."""
    if not len(t_s):
        return np.empty(0)
    solution = read_solution(path)
    covariance = solution.predict(t_s - (solution.epoch - epoch))[1]
    return np.asarray(np.sqrt(np.trace(covariance[:, :3, :3], axis1=1, axis2=2)) / 1e3)


def _first_fix_min(path: Path, epoch: Epoch) -> float | None:
    if not path.is_file():
        return None
    with path.open(encoding="utf-8", newline="") as file:
        seconds = [Epoch.from_utc(row["time_utc"]) - epoch for row in csv.DictReader(file)]
    return min(seconds) / 60.0 if seconds else None
