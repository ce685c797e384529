"""Two-line element sets, written and checked by the `sgp4` package, Alpha-5 included.

A TLE has room for catalogue ids up to 339999 (Z9999) and for epochs from 1957 to 2056;
beyond that it is refused, and an OMM is the answer. What it prints is rounded: epoch to
0.86 ms, angles to 0.0001 degree (up to 12 m in a low orbit), mean motion to 1e-8 rev/day.
"""

import re
from dataclasses import replace
from typing import Any

import numpy as np

from flightsw.astro.time import Epoch
from flightsw.errors import InputError
from groundtools.products.ephemeris import Body
from groundtools.products.mean_elements import REV_PER_DAY, MeanElements
from groundtools.products.omm import normal_id

FIRST_YEAR, LAST_YEAR = 1957, 2056
LAST_ID = 339_999
_USE_OMM = "write an OMM (--to omm)"
_LEAST_BSTAR = 1e-9  # smaller exponents have no room
_EPOCH_UNIT_NS = 864_000  # 1e-8 day
_DESIGNATOR = re.compile(r"(\d{4})-(\d{3})([A-Z]{1,3})", re.ASCII)
_SHORT = re.compile(r"(\d{2})(\d{3})([A-Z]{0,3})", re.ASCII)
# Columns of both lines, by kind: what the checksum does not see, letters in place of digits.
_LINE_1 = re.compile(
    r"1 [0-9A-HJ-NP-Z ][0-9 ]{3}[0-9][A-Z ] [0-9A-Z ]{8} [0-9]{2}[0-9 ]{3}\.[0-9]{8} [ +-][.][0-9]{8}"
    r" [ +-][0-9]{5}[+-][0-9] [ +-][0-9]{5}[+-][0-9] [0-9 ] [0-9 ]{4}[0-9]",
    re.ASCII,
)
_LINE_2 = re.compile(
    r"2 [0-9A-HJ-NP-Z ][0-9 ]{3}[0-9] [0-9 ]{3}\.[0-9]{4} [0-9 ]{3}\.[0-9]{4} [0-9]{7} [0-9 ]{3}\.[0-9]{4}"
    r" [0-9 ]{3}\.[0-9]{4} [0-9 ]{2}\.[0-9]{8}[0-9 ]{5}[0-9]",
    re.ASCII,
)


def write_tle(elements: MeanElements) -> str:
    """Return name (if any) and two lines. InputError where a TLE has no room."""
    from sgp4.exporter import export_tle

    elements = rounded_to_tle(elements)
    record: Any = _exportable(elements)
    first, second = export_tle(record)
    if not _LINE_1.fullmatch(first) or not _LINE_2.fullmatch(second):
        raise InputError("has a value that a TLE has no room for", fix=_USE_OMM)
    name = f"{elements.body.name[:24]}\n" if elements.body.name else ""
    return f"{name}{first}\n{second}\n"


def rounded_to_tle(elements: MeanElements) -> MeanElements:
    """Return the elements as a TLE will print them. InputError for ids and years without room."""
    year = int(elements.epoch.utc_iso()[:4])
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise InputError(f"{year} has no two-digit year in a TLE", field="epoch", fix=_USE_OMM)
    if int(elements.body.catalog_id or 0) > LAST_ID:
        problem = f"{elements.body.catalog_id} is beyond {LAST_ID}, the last that five columns can hold"
        raise InputError(problem, field="catalog_id", fix=_USE_OMM)
    small = {
        "raan_deg": round(elements.raan_deg % 360.0, 4) % 360.0,
        "argument_of_perigee_deg": round(elements.argument_of_perigee_deg % 360.0, 4) % 360.0,
        "mean_anomaly_deg": round(elements.mean_anomaly_deg % 360.0, 4) % 360.0,
        "inclination_deg": round(elements.inclination_deg, 4),
        "eccentricity": min(round(elements.eccentricity, 7), 0.999_999_9),
        "mean_motion_rev_day": round(elements.mean_motion_rev_day, 8),
        "bstar": _five_digits(elements.bstar),
        "mean_motion_dot": round(elements.mean_motion_dot, 8),
        "mean_motion_ddot": _five_digits(elements.mean_motion_ddot),
    }
    return replace(elements, epoch=rounded_epoch(elements.epoch), **small)


def rounded_epoch(epoch: Epoch) -> Epoch:
    """Return the nearest instant that a TLE can print: whole 1e-8 days of its UTC day."""
    midnight = Epoch.from_utc(f"{epoch.utc_iso()[:10]}T00:00:00Z")
    units = round((epoch.tai_ns - midnight.tai_ns) / _EPOCH_UNIT_NS)
    if units >= 10**8:  # of the next day, past a leap second too
        return Epoch.from_utc(f"{(midnight + 129_600.0).utc_iso()[:10]}T00:00:00Z")
    return Epoch(midnight.tai_ns + units * _EPOCH_UNIT_NS)


def read_tle(text: str) -> tuple[MeanElements, ...]:
    """Return the sets of a file of two lines each, or three with a name before."""
    lines = [(number, line.rstrip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    sets: list[MeanElements] = []
    name = ""
    index = 0
    while index < len(lines):
        number, line = lines[index]
        if line.startswith("1 ") and index + 1 < len(lines) and lines[index + 1][1].startswith("2 "):
            sets.append(_one_set(name, line, lines[index + 1][1], number))
            name = ""
            index += 2
        elif name or line.startswith(("1 ", "2 ")):
            raise InputError("is not followed by its second line", field=f"line {number}", fix="give both")
        else:
            name = line.removeprefix("0 ").strip()
            index += 1
    if name or not sets:
        raise InputError("holds no element set" if not sets else f"ends after the name {name[:24]!r}")
    return tuple(sets)


def _one_set(name: str, first: str, second: str, number: int) -> MeanElements:
    from sgp4.api import WGS72, Satrec
    from sgp4.io import verify_checksum

    where = f"line {number}"
    if not _LINE_1.fullmatch(first) or not _LINE_2.fullmatch(second):
        row = number if not _LINE_1.fullmatch(first) else number + 1
        raise InputError("is not in the columns of a TLE", field=f"line {row}", fix="copy it again, whole")
    if first[2:7] != second[2:7]:
        raise InputError("and the next name different objects", field=where, fix="pair the lines again")
    try:
        verify_checksum(first, second)
    except ValueError as error:
        reason = " ".join(str(error).split())[:80]
        raise InputError(f"has a wrong checksum ({reason})", field=where, fix="copy it again") from None
    record = Satrec.twoline2rv(first, second, WGS72)
    try:
        return _from_record(record, name, first)
    except InputError as error:
        raise InputError(error.problem, field=f"{where}, {error.field}", fix=error.fix) from None


def _from_record(record: Any, name: str, first: str) -> MeanElements:
    year, day = int(first[18:20]), first[20:32].replace(" ", "0")
    year += 1900 if year >= FIRST_YEAR - 1900 else 2000
    units = int(day[3:].lstrip(".") or 0)
    midnight = _midnight(year, int(day[:3]))
    return MeanElements(
        epoch=Epoch(midnight.tai_ns + units * _EPOCH_UNIT_NS),
        mean_motion_rev_day=round(record.no_kozai * REV_PER_DAY, 8),
        eccentricity=record.ecco,
        inclination_deg=round(float(np.degrees(record.inclo)), 4),
        raan_deg=round(float(np.degrees(record.nodeo)), 4),
        argument_of_perigee_deg=round(float(np.degrees(record.argpo)), 4),
        mean_anomaly_deg=round(float(np.degrees(record.mo)), 4),
        bstar=record.bstar,
        mean_motion_dot=round(record.ndot * REV_PER_DAY * 1440.0, 8),
        mean_motion_ddot=record.nddot * REV_PER_DAY * 1440.0**2,
        classification=first[7].strip() or "U",
        ephemeris_type=int(first[62].strip() or 0),
        element_set_number=record.elnum,
        revolution_number=record.revnum,
        body=Body(name, _long_designator(first[9:17].strip()), normal_id(first[2:7].strip())),
    )


def _exportable(elements: MeanElements) -> Any:
    """Return a Satrec with everything `export_tle` reads."""
    record = elements.satrec(int(elements.body.catalog_id or 0))
    record.classification = elements.classification
    match = _DESIGNATOR.fullmatch(elements.body.designator)
    record.intldesg = f"{match[1][2:]}{match[2]}{match[3]}" if match else ""
    record.ephtype = elements.ephemeris_type % 10
    record.elnum = elements.element_set_number % 10_000
    record.revnum = elements.revolution_number % 100_000
    return record


def _five_digits(value: float) -> float:
    return 0.0 if abs(value) < _LEAST_BSTAR else float(f"{value:.4e}")


def _midnight(year: int, day: int) -> Epoch:
    from groundtools.products.kvn import parse_time

    return parse_time(f"{year}-{day:03d}T00:00:00", field="epoch")


def _long_designator(short: str) -> str:
    match = _SHORT.fullmatch(short)
    if match is None:
        return ""
    century = 1900 if int(match[1]) >= FIRST_YEAR - 1900 else 2000
    return f"{century + int(match[1])}-{match[2]}{match[3]}"
