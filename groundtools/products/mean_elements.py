"""Mean elements of SGP4: what OMM and TLE hold, and the states they stand for.

Angles are in degrees and the mean motion in revolutions a day, as in the files. Time
past the epoch is elapsed time: across a leap second SGP4 gets the seconds that went by.
Propagation is that of the `sgp4` package (WGS 72, "improved" mode).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.time import Epoch
from flightsw.errors import InputError
from groundtools.products.ephemeris import Body, Ephemeris
from groundtools.products.frames import rotated, teme_from_eci

Array = NDArray[np.float64]

SGP4_DAY_ZERO = Epoch.from_utc("1999-12-31T00:00:00Z")  # 18,262 days after 1949-12-31
SGP4_DAYS = 18_262
REV_PER_DAY = 1440.0 / (2.0 * np.pi)  # of one radian per minute
MOST_REV_PER_DAY = 20.0
_POSITIVE = "give a number above zero"


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanElements:
    """One element set; `epoch` is not within a leap second. InputError for what is no orbit.

    mean_motion_dot and _ddot (rev/day^2, rev/day^3) are carried along; SGP4 ignores them.
    """

    epoch: Epoch
    mean_motion_rev_day: float
    eccentricity: float
    inclination_deg: float
    raan_deg: float
    argument_of_perigee_deg: float
    mean_anomaly_deg: float
    bstar: float = 0.0
    mean_motion_dot: float = 0.0
    mean_motion_ddot: float = 0.0
    classification: str = "U"
    ephemeris_type: int = 0
    element_set_number: int = 0
    revolution_number: int = 0
    body: Body = Body()

    def __post_init__(self) -> None:
        """Check ranges. Raises InputError."""
        for name in ("raan_deg", "argument_of_perigee_deg", "mean_anomaly_deg", "bstar"):
            _within(name, getattr(self, name), -1e4, 1e4)
        _within("mean_motion_dot", self.mean_motion_dot, -100.0, 100.0)
        _within("mean_motion_ddot", self.mean_motion_ddot, -1e4, 1e4)
        _within("eccentricity", self.eccentricity, 0.0, 0.999_999_9)
        _within("inclination_deg", self.inclination_deg, 0.0, 180.0)
        _within("mean_motion_rev_day", self.mean_motion_rev_day, 1e-3, MOST_REV_PER_DAY)
        for name in ("element_set_number", "revolution_number", "ephemeris_type"):
            _within(name, getattr(self, name), 0, 10**9)
        if ":60" in self.epoch.utc_iso():
            raise InputError("lies within a leap second", field="epoch", fix="move it by a second")

    def satrec(self, catalog_number: int = 0) -> Any:
        """Return the sgp4 package's object of these elements; its numbers end at 339999."""
        from sgp4.api import WGS72, Satrec

        record = Satrec()
        day, fraction = _utc_day(self.epoch)
        record.sgp4init(
            WGS72, "i", catalog_number, day + fraction, self.bstar,
            self.mean_motion_dot / (REV_PER_DAY * 1440.0), self.mean_motion_ddot / (REV_PER_DAY * 1440.0**2),
            self.eccentricity, np.radians(self.argument_of_perigee_deg), np.radians(self.inclination_deg),
            np.radians(self.mean_anomaly_deg), self.mean_motion_rev_day / REV_PER_DAY,
            np.radians(self.raan_deg),
        )  # fmt: skip
        return record

    def states(self, epoch: Epoch, t_s: Array) -> Array:
        """Return GCRF states (N, 6), m and m/s, at t_s (N,) past `epoch`; NaN where SGP4 gives up."""
        t = np.asarray(t_s, dtype=float)
        teme = teme_states(self.satrec(), t + (epoch - self.epoch))
        return rotated(np.swapaxes(teme_from_eci(epoch, t), 1, 2), teme)

    def ephemeris(self, epoch: Epoch, t_s: Array) -> Ephemeris:
        """Return the table of states; InputError where SGP4 calls the orbit ended."""
        states = self.states(epoch, t_s)
        if not np.isfinite(states).all():
            raise InputError("SGP4 cannot carry these elements over the span", fix="ask for a shorter one")
        return Ephemeris(epoch, np.asarray(t_s, dtype=float), states, body=self.body)


def teme_states(record: Any, since_s: Array) -> Array:
    """Return TEME states (N, 6), m and m/s, at seconds since the elements' epoch; NaN for errors."""
    # Julian dates of the record's own epoch plus elapsed days: sgp4 subtracts the epoch again.
    days = np.asarray(since_s, dtype=float) / 86_400.0
    whole = np.full(len(days), record.jdsatepoch)
    error, r, v = record.sgp4_array(whole, record.jdsatepochF + days)
    out = np.concatenate([r, v], axis=1) * 1e3
    out[error != 0] = np.nan
    return np.asarray(out)


def _utc_day(epoch: Epoch) -> tuple[float, float]:
    """Return whole days since 1949-12-31 UTC and the fraction of the day."""
    text = epoch.utc_iso()
    midnight = Epoch.from_utc(f"{text[:10]}T00:00:00Z")
    leaps = midnight.tai_minus_utc_s - SGP4_DAY_ZERO.tai_minus_utc_s
    days = round(((midnight - SGP4_DAY_ZERO) - leaps) / 86_400.0)
    return float(SGP4_DAYS + days), (epoch - midnight) / 86_400.0


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InputError(f"{value!r} is outside {low:g}..{high:g}", field=name)
