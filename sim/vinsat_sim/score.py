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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.time import Epoch

Array = NDArray[np.float64]

WRONG_KM = 5.0
WRONG_SIGMA = 5.0
DETERMINED = "DETERMINED"


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


@dataclass(frozen=True, slots=True)
class Ephemeris:
    """A flight ephemeris: t_s (N,) s past the arc's start, r_eci (N, 3) m."""

    t_s: Array
    r_eci: Array


def read_ephemeris(path: Path, epoch: Epoch) -> Ephemeris:
    """Read ephemeris.csv with times relative to `epoch`; empty where the file is not there."""
    if not path.is_file():
        return Ephemeris(np.empty(0), np.empty((0, 3)))
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    t_s = np.array([Epoch.from_utc(row["time_utc"]) - epoch for row in rows])
    r_eci = np.array([[float(row[axis]) for axis in ("x_m", "y_m", "z_m")] for row in rows])
    return Ephemeris(t_s, r_eci.reshape(-1, 3))


def rms(values: Array) -> float | None:
    """Return the root mean square, None of nothing."""
    return float(np.sqrt(np.mean(np.square(values)))) if len(values) else None


def read_solution_json(folder: Path) -> dict[str, Any]:
    """Return the content of solution.json."""
    content: dict[str, Any] = json.loads((folder / "solution.json").read_text(encoding="utf-8"))
    return content
