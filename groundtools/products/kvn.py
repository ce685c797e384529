"""Keyword = value lines of CCSDS messages, and the times and numbers in them.

Source: CCSDS 502.0-B-3 (Orbit Data Messages), sect. 7. Units in brackets after a value
are dropped. OEM files, which are tables, are read by the `oem` package instead.
"""

import re
from datetime import date, timedelta
from typing import NoReturn

from flightsw.astro.time import TT_MINUS_TAI_S, Epoch
from flightsw.errors import InputError

TIME_DIGITS = 6  # what parsers hold; 8 mm of a low orbit
_LINE = re.compile(r"([A-Z][A-Z0-9_]*)\s*=\s*(.*?)\s*(?:\[[^\]]*\])?\s*", re.ASCII)
_ORDINAL = re.compile(r"(\d{4})-(\d{3})T(.*)", re.ASCII)
GPS_BEHIND_TAI_S = 19.0
_TO_TAI_S = {"TAI": 0.0, "GPS": GPS_BEHIND_TAI_S, "TT": -TT_MINUS_TAI_S, "TDT": -TT_MINUS_TAI_S}

Pairs = list[tuple[str, str]]


def pairs_of(text: str) -> Pairs:
    """Return the keyword-value pairs of a message in order. InputError names the bad line."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("COMMENT") or stripped in ("META_START", "META_STOP"):
            continue
        match = _LINE.fullmatch(stripped)
        if match is None:
            raise InputError("is not KEYWORD = value", field=f"line {number}", fix="see CCSDS 502.0-B")
        found.append((match[1], match[2]))
    return found


def unique(pairs: Pairs) -> dict[str, str]:
    """Return the pairs as a table; InputError for a keyword given twice."""
    table: dict[str, str] = {}
    for key, value in pairs:
        if key in table:
            raise InputError("is given twice", field=key, fix="leave one")
        table[key] = value
    return table


def number(fields: dict[str, str], key: str, default: float | None = None) -> float:
    """Return the number of a field. InputError if absent (without a default) or none."""
    text = fields.get(key)
    if text is None or text == "":
        if default is None:
            raise InputError("is missing", field=key, fix="give it")
        return default
    try:
        value = float(text)
    except (TypeError, ValueError):
        value = float("nan")
    if not abs(value) < 1e30:  # NaN too
        raise InputError(f"{str(text)[:40]!r} is not a finite number", field=key)
    return value


def whole(fields: dict[str, str], key: str, default: int = 0) -> int:
    """Return the whole number of a field."""
    value = number(fields, key, float(default))
    if value != int(value):
        raise InputError(f"{value!r} is not a whole number", field=key)
    return int(value)


def parse_time(text: str, system: str = "UTC", field: str = "EPOCH") -> Epoch:
    """Return the instant of a CCSDS time, calendar or day of the year. InputError."""
    clean = str(text).strip().removesuffix("Z")
    match = _ORDINAL.fullmatch(clean)
    try:
        if match:
            clean = f"{_calendar(int(match[1]), int(match[2]))}T{match[3]}"
        clean = _whole_digits(clean)
        if system == "UTC":
            return Epoch.from_utc(clean + "Z")
        if system == "UT1":
            _refuse(field, "UT1 is not read")
        # Read as if UTC, then take the leap seconds out: other scales count every second alike.
        reading = Epoch.from_utc(clean + "Z")
        return reading - (reading.tai_minus_utc_s - _TO_TAI_S[system])
    except KeyError:
        _refuse("TIME_SYSTEM", f"{system[:20]!r} is not known; write UTC, TAI, TT or GPS")
    except (ValueError, OverflowError) as error:
        _refuse(field, str(error))


def scale_reading(epoch: Epoch, system: str, digits: int) -> str:
    """Return an instant as TAI or GPS time would read it, ISO 8601 without a zone."""
    unit = 10 ** (9 - digits)
    ns = (epoch.tai_ns - int(_TO_TAI_S[system] * 1e9) + unit // 2) // unit * unit
    seconds, rest = divmod(ns, 1_000_000_000)
    days, second = divmod(seconds + 43_200, 86_400)
    day = date(2000, 1, 1) + timedelta(days=days)
    clock = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
    return f"{day}T{clock}.{rest // unit:0{digits}d}"


def _calendar(year: int, day: int) -> date:
    first = date(year, 1, 1)
    result = first + timedelta(days=day - 1)
    if day < 1 or result.year != year:
        raise ValueError(f"{year} has no day {day}")
    return result


def _whole_digits(text: str) -> str:
    """Cut more than nine decimals off a time, which some writers give."""
    head, dot, digits = text.partition(".")
    return head + dot + digits[:9] if digits.isdigit() else text


def _refuse(field: str, problem: str) -> NoReturn:
    raise InputError(problem, field=field, fix="write times like 2026-03-01T12:00:05.25") from None
