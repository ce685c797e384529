"""Instants of time: exact, ordered, and never without their scale.

An `Epoch` holds whole nanoseconds of TAI, the scale without steps. The others follow:
    TT  = TAI + 32.184 s
    UTC = TAI - (leap seconds, the table below)
    UT1 = UTC + (UT1-UTC), from the Earth-orientation table (`flightsw.astro.eop`)
The leap-second table is that of IERS Bulletin C; none has been announced beyond the
last entry. UTC before 1972 ran at another rate and is refused.
"""

import math
import re
from bisect import bisect_right
from dataclasses import dataclass
from datetime import date
from typing import overload

NS = 1_000_000_000  # ns in a second
DAY_S = 86_400  # s in a day without a leap second
TT_MINUS_TAI_S = 32.184  # s, by definition
CENTURY_S = 36_525 * DAY_S  # s in a Julian century
MJD_2000 = 51_544  # modified Julian date of 2000-01-01T00:00

# First day of each new TAI-UTC, and its value in s (IERS Bulletin C).
_LEAPS = (
    ("1972-01-01", 10), ("1972-07-01", 11), ("1973-01-01", 12), ("1974-01-01", 13),
    ("1975-01-01", 14), ("1976-01-01", 15), ("1977-01-01", 16), ("1978-01-01", 17),
    ("1979-01-01", 18), ("1980-01-01", 19), ("1981-07-01", 20), ("1982-07-01", 21),
    ("1983-07-01", 22), ("1985-07-01", 23), ("1988-01-01", 24), ("1990-01-01", 25),
    ("1991-01-01", 26), ("1992-07-01", 27), ("1993-07-01", 28), ("1994-07-01", 29),
    ("1996-01-01", 30), ("1997-07-01", 31), ("1999-01-01", 32), ("2006-01-01", 33),
    ("2009-01-01", 34), ("2012-07-01", 35), ("2015-07-01", 36), ("2017-01-01", 37),
)  # fmt: skip
_NOON_2000 = date(2000, 1, 1).toordinal() * DAY_S + DAY_S // 2  # s
_LEAP_DAY = [date.fromisoformat(day).toordinal() for day, _ in _LEAPS]
_LEAP_OFFSET = [offset for _, offset in _LEAPS]
# The same steps on the TAI axis, s past 2000-01-01T12:00:00 TAI.
_LEAP_TAI = [day * DAY_S + offset - _NOON_2000 for day, offset in zip(_LEAP_DAY, _LEAP_OFFSET, strict=True)]

_ISO = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?:(Z)|([+-])([01]\d|2[0-3]):([0-5]\d))",
    re.ASCII,
)
_EXAMPLE = "write it like 2026-03-01T12:00:05.25Z"


@dataclass(frozen=True, slots=True, order=True)
class Epoch:
    """One instant. `tai_ns`: whole nanoseconds of TAI past 2000-01-01T12:00:00 TAI."""

    tai_ns: int

    @classmethod
    def from_utc(cls, text: str) -> "Epoch":
        """Read ISO 8601 with a zone, e.g. 2026-03-01T12:00:05.25Z or ...+09:00.

        Up to nine decimals. 23:59:60Z is an instant only on the days that had a leap
        second. ValueError says what to write instead.
        """
        match = _ISO.fullmatch(text.strip())
        if match is None:
            raise ValueError(_what_is_wrong(text))
        year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
        try:
            ordinal = date(year, month, day).toordinal()
        except ValueError as error:
            raise ValueError(f"{text!r} is no date: {error}") from None
        if hour > 23 or minute > 59 or second > 60:
            raise ValueError(f"{text!r} is no time of day: hours go to 23, minutes to 59, seconds to 59")
        shift = 0 if match[8] else (int(match[10]) * 60 + int(match[11])) * (1 if match[9] == "+" else -1)
        minutes = ordinal * 1440 + hour * 60 + minute - shift
        ordinal, minute_of_day = divmod(minutes, 1440)
        if second == 60 and not (minute_of_day == 1439 and ordinal + 1 in _LEAP_DAY[1:]):
            raise ValueError(f"{text!r} names a leap second that never was: seconds go to 59 here")
        if ordinal < _LEAP_DAY[0]:
            raise ValueError(f"{text!r} is before 1972, when UTC had no whole leap seconds")
        offset = _LEAP_OFFSET[bisect_right(_LEAP_DAY, ordinal) - 1]
        seconds = ordinal * DAY_S + minute_of_day * 60 + second + offset - _NOON_2000
        return cls(seconds * NS + int((match[7] or "0").ljust(9, "0")))

    @classmethod
    def from_tai_seconds(cls, seconds: float) -> "Epoch":
        """Return the instant `seconds` of TAI after 2000-01-01T12:00:00 TAI."""
        return cls(_nanoseconds(seconds))

    def utc_iso(self, digits: int = 9) -> str:
        """Return UTC as ISO 8601 ending in Z, rounded to `digits` (0 to 9) decimals."""
        if not 0 <= digits <= 9:
            raise ValueError(f"digits must be 0 to 9, got {digits}")
        unit = 10 ** (9 - digits)
        tai_ns = (self.tai_ns + unit // 2) // unit * unit
        ordinal, seconds, ns = _utc_fields(tai_ns)
        hour, rest = divmod(min(seconds, DAY_S - 1), 3600)
        minute, second = divmod(rest, 60)
        second += max(seconds - (DAY_S - 1), 0)  # 60 inside a leap second
        fraction = f".{ns // unit:0{digits}d}" if digits else ""
        return f"{date.fromordinal(ordinal)}T{hour:02d}:{minute:02d}:{second:02d}{fraction}Z"

    @property
    def tai_minus_utc_s(self) -> int:
        """Leap seconds in force, s."""
        return _LEAP_OFFSET[_leap_index(self.tai_ns)]

    @property
    def utc_mjd(self) -> float:
        """Modified Julian date, UTC. Resolves 1 us; a leap second lies past midnight."""
        ordinal, seconds, ns = _utc_fields(self.tai_ns)
        day = ordinal - date(2000, 1, 1).toordinal() + MJD_2000
        return day + (seconds + ns / NS) / DAY_S

    @property
    def tt_seconds(self) -> float:
        """Seconds of TT past J2000 (2000-01-01T12:00:00 TT)."""
        return self.tai_ns / NS + TT_MINUS_TAI_S

    @property
    def tt_centuries(self) -> float:
        """Julian centuries of TT past J2000."""
        return self.tt_seconds / CENTURY_S

    def ut1_utc(self) -> float:
        """Return UT1-UTC in s from the default Earth-orientation table."""
        from flightsw.astro.eop import default_earth_orientation  # eop needs Epoch

        return default_earth_orientation().at(self).ut1_utc_s

    def __add__(self, seconds: float) -> "Epoch":
        """Return the instant `seconds` later (rounded to a ns)."""
        return Epoch(self.tai_ns + _nanoseconds(seconds))

    @overload
    def __sub__(self, other: "Epoch") -> float: ...
    @overload
    def __sub__(self, other: float) -> "Epoch": ...
    def __sub__(self, other: "Epoch | float") -> "Epoch | float":
        """Return elapsed seconds since another epoch, or the epoch `other` s earlier."""
        if isinstance(other, Epoch):
            return (self.tai_ns - other.tai_ns) / NS
        return Epoch(self.tai_ns - _nanoseconds(other))

    def __str__(self) -> str:
        return self.utc_iso()


def _nanoseconds(seconds: float) -> int:
    """Return seconds rounded to whole nanoseconds, without losing large whole parts."""
    if not math.isfinite(seconds):
        raise ValueError(f"seconds must be finite, got {seconds}")
    whole = math.floor(seconds)
    return whole * NS + round((seconds - whole) * NS)


def _leap_index(tai_ns: int) -> int:
    """Return the row of the leap table in force; a leap second itself belongs to the old row."""
    index = bisect_right(_LEAP_TAI, tai_ns // NS) - 1
    if index < 0:
        raise ValueError("UTC before 1972 had no whole leap seconds and is not supported")
    return index


def _utc_fields(tai_ns: int) -> tuple[int, int, int]:
    """Return the day's ordinal, seconds of the day (86,400 in a leap second) and ns."""
    seconds, ns = divmod(tai_ns, NS)
    index = _leap_index(tai_ns)
    seconds += _NOON_2000 - _LEAP_OFFSET[index]
    ordinal, second_of_day = divmod(seconds, DAY_S)
    if index + 1 < len(_LEAP_DAY) and ordinal == _LEAP_DAY[index + 1]:
        return ordinal - 1, DAY_S + second_of_day, ns
    return ordinal, second_of_day, ns


def _what_is_wrong(text: str) -> str:
    """Return a message for a time that does not parse."""
    if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?", text.strip()):
        return f"{text!r} has no zone; end it with Z for UTC ({_EXAMPLE})"
    if re.search(r"\.\d{10,}", text):
        return f"{text!r} has more than nine decimals; a nanosecond is the smallest unit"
    return f"{text!r} is not an ISO 8601 time with a zone; {_EXAMPLE}"
