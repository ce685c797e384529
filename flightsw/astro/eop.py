"""Earth orientation: UT1-UTC and the pole, from a small replaceable table.

The bundled table (`data/earth_orientation.csv`, IERS Bulletin A) holds every third day;
four-point interpolation of UT1-TAI (which has no leap steps) and of the pole errs by
less than 0.2 ms (10 cm on the equator). Sub-daily tides (0.1 ms, 0.5 mas) are left out.
Past its end UT1-UTC and the pole are held, the uncertainty grows by the largest excess
length of day seen since 2000, and one warning is logged.
"""

import logging
from datetime import date
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.time import DAY_S, Epoch
from flightsw.errors import InputError

Array = NDArray[np.float64]

COLUMNS = ("mjd_utc", "ut1_utc_s", "xp_arcsec", "yp_arcsec", "sigma_ut1_s")
ARCSEC = np.pi / 648_000.0  # rad
MJD_ZERO_ORDINAL = 678_576  # date.toordinal() of 1858-11-17
FIRST_MJD, LAST_MJD = 41_317, 110_000  # 1972-01-01 to 2160: dates that can be meant
HELD_DRIFT = 1.5e-3  # s/day, how fast a held UT1-UTC goes wrong at worst
MAX_BYTES = 4_000_000  # a daily table of 60 years is 1 MB
logger = logging.getLogger(__name__)


class Orientation(NamedTuple):
    """Earth orientation at one instant; pole in rad, times in s."""

    ut1_utc_s: float
    xp_rad: float
    yp_rad: float
    sigma_ut1_s: float
    is_extrapolated: bool


class EarthOrientation:
    """A table of UT1-UTC and pole coordinates over time.

    mjd (N,) : 0h UTC, whole, increasing; ut1_utc_s, sigma_ut1_s (N,) : s;
    xp_rad, yp_rad (N,) : rad. ValueError if shapes, order or finiteness are wrong.
    """

    def __init__(
        self, mjd: Array, ut1_utc_s: Array, xp_rad: Array, yp_rad: Array, sigma_ut1_s: Array
    ) -> None:
        table = np.column_stack([mjd, ut1_utc_s, xp_rad, yp_rad, sigma_ut1_s])
        if len(table) < 4:
            raise ValueError("an Earth-orientation table needs at least four rows")
        if not np.isfinite(table).all() or (np.diff(table[:, 0]) <= 0.0).any():
            raise ValueError("an Earth-orientation table needs finite values and increasing dates")
        days = table[:, 0]
        if (days != np.floor(days)).any() or days[0] < FIRST_MJD or days[-1] > LAST_MJD:
            raise ValueError(f"dates of an Earth-orientation table are whole, MJD {FIRST_MJD} to {LAST_MJD}")
        midnights = [_midnight(int(day)) for day in days]
        self._tai_s = np.array([midnight.tai_ns / 1e9 for midnight in midnights])
        leap = np.array([midnight.tai_minus_utc_s for midnight in midnights])
        self._values = np.column_stack([table[:, 1] - leap, table[:, 2], table[:, 3]])
        self._sigma_s = table[:, 4]
        self._has_warned = False
        self.first_mjd, self.last_mjd = int(table[0, 0]), int(table[-1, 0])

    @classmethod
    def from_csv(cls, path: Path | str) -> "EarthOrientation":
        """Read a table with the columns mjd_utc, ut1_utc_s, xp_arcsec, yp_arcsec, sigma_ut1_s.

        Lines that start with # are comments. InputError names file, row and fix.
        """
        file = Path(path)
        try:
            if file.stat().st_size > MAX_BYTES:
                raise InputError(f"is larger than {MAX_BYTES} bytes", file=file, fix="give daily rows")
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot be read as text ({error})", file=file) from error
        lines = [(i, line) for i, line in enumerate(text.splitlines(), 1) if line and line[0] != "#"]
        if not lines or tuple(lines[0][1].split(",")) != COLUMNS:
            raise InputError("has the wrong header", file=file, fix=f"write {','.join(COLUMNS)}")
        rows = []
        for number, line in lines[1:]:
            try:
                row = [float(part) for part in line.split(",")]
            except ValueError:
                row = []
            if len(row) != len(COLUMNS):
                raise InputError("is not five numbers", file=file, field=f"line {number}")
            rows.append(row)
        try:
            table = np.array(rows).reshape(-1, len(COLUMNS))
            return cls(table[:, 0], table[:, 1], table[:, 2] * ARCSEC, table[:, 3] * ARCSEC, table[:, 4])
        except ValueError as error:
            raise InputError(str(error), file=file) from error

    def at(self, epoch: Epoch) -> Orientation:
        """Return the orientation at `epoch`; see the module's head for times past the end."""
        tai_s = np.array([epoch.tai_ns / 1e9])
        ut1_tai, xp, yp = self.interpolate(tai_s)[0]
        outside_s = max(self._tai_s[0] - tai_s[0], tai_s[0] - self._tai_s[-1], 0.0)
        outside_days = float(outside_s) / DAY_S
        sigma = float(np.interp(tai_s[0], self._tai_s, self._sigma_s)) + HELD_DRIFT * outside_days
        ut1_utc = float(ut1_tai) + epoch.tai_minus_utc_s
        return Orientation(ut1_utc, float(xp), float(yp), sigma, outside_days > 0.0)

    def interpolate(self, tai_s: Array) -> Array:
        """Return UT1-TAI (s), xp and yp (rad), (N, 3), at TAI seconds past 2000-01-01T12:00 TAI."""
        if len(tai_s) and (tai_s.max() > self._tai_s[-1] or tai_s.min() < self._tai_s[0]):
            self._warn_once()
        t = np.clip(tai_s, self._tai_s[0], self._tai_s[-1])
        start = np.clip(np.searchsorted(self._tai_s, t, side="right") - 2, 0, len(self._tai_s) - 4)
        nodes = self._tai_s[start[:, None] + np.arange(4)]
        result = np.zeros((len(t), 3))
        for i in range(4):  # Lagrange's formula on the four surrounding rows
            weight = np.ones(len(t))
            for j in range(4):
                if j != i:
                    weight *= (t - nodes[:, j]) / (nodes[:, i] - nodes[:, j])
            result += weight[:, None] * self._values[start + i]
        return result

    def _warn_once(self) -> None:
        """Log, once per table, that times lie outside it."""
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "Earth orientation is held outside its table (MJD %d to %d): UT1 errs by up to %.1f ms a day;"
                " give a newer table",
                self.first_mjd, self.last_mjd, HELD_DRIFT * 1e3,
            )  # fmt: skip


def _midnight(mjd: int) -> Epoch:
    """Return 0h UTC of a modified Julian date."""
    return Epoch.from_utc(f"{date.fromordinal(mjd + MJD_ZERO_ORDINAL)}T00:00:00Z")


@lru_cache(maxsize=1)
def default_earth_orientation() -> EarthOrientation:
    """Return the bundled table."""
    return EarthOrientation.from_csv(Path(str(files("flightsw.astro"))) / "data" / "earth_orientation.csv")
