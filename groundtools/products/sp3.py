"""SP3-d: Earth-fixed positions and velocities as geodesists exchange them.

ITRF, GPS time, km to 1 mm, velocities relative to the turning Earth in dm/s to 0.1 um/s.
SP3 wants equal steps: the samples that lie on the first step's grid are written.
Source: Hilla, The Extended Standard Product 3 Orbit Format (SP3-d), 2016.
"""

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.time import Epoch
from flightsw.errors import InputError
from groundtools.products import kvn
from groundtools.products.ephemeris import Body, Ephemeris
from groundtools.products.frames import ecef_states, eci_states

Array = NDArray[np.float64]

SATELLITE = "L01"  # L: a low Earth orbiter
NO_CLOCK = 999_999.999_999
AGENCY = "VSAT"
GPS_ZERO = kvn.parse_time("1980-01-06T00:00:00", "GPS")
WEEK_S = 604_800
MJD_GPS_ZERO = 44_244
_SYSTEMS = {"GPS": "GPS", "UTC": "UTC", "TAI": "TAI", "ccc": "GPS", "GAL": "GPS", "QZS": "GPS"}


def write_sp3(ephemeris: Ephemeris) -> str:
    """Return the text of an SP3-d file of one satellite."""
    step = float(ephemeris.t_s[1] - ephemeris.t_s[0]) if len(ephemeris.t_s) > 1 else 1.0
    count = (ephemeris.t_s - ephemeris.t_s[0]) / step
    keep = np.abs(count - np.round(count)) * step < 1e-6
    t_s = ephemeris.t_s[keep]
    state = ecef_states(ephemeris.epoch, t_s, ephemeris.state[keep])
    first = ephemeris.epoch + float(t_s[0])
    lines = _header(first, step, len(t_s))
    for t, (x, y, z, vx, vy, vz) in zip(t_s, state / 1e3, strict=True):
        lines.append(f"*  {_clock(ephemeris.epoch + float(t))}")
        lines.append(f"P{SATELLITE}{x:14.6f}{y:14.6f}{z:14.6f}{NO_CLOCK:14.6f}")
        speeds = "".join(f"{value * 1e4:14.6f}" for value in (vx, vy, vz))
        lines.append(f"V{SATELLITE}{speeds}{NO_CLOCK:14.6f}")
    return "\n".join([*lines, "EOF"]) + "\n"


def read_sp3(text: str) -> Ephemeris:
    """Return the first satellite's table of an SP3-a to -d file; without velocities it is refused."""
    lines = text.splitlines()
    if not lines or not lines[0].startswith("#"):
        raise InputError("is not an SP3 file", fix="its first line begins with # and a letter")
    system = next((line[9:12] for line in lines if line.startswith("%c")), "GPS")
    if system not in _SYSTEMS:
        raise InputError(f"{system!r} is not read", field="%c", fix="give GPS, UTC or TAI time")
    satellite = ""
    rows: list[tuple[Epoch, Array, Array]] = []
    time: Epoch | None = None
    position: Array | None = None
    for number, line in enumerate(lines, 1):
        where = f"line {number}"
        if line.startswith("*"):
            time = _time(line, _SYSTEMS[system], where)
        elif line.startswith("P"):
            satellite = satellite or line[1:4]
            position = _numbers(line, where) if line[1:4] == satellite else position
        elif line.startswith("V") and line[1:4] == satellite and time is not None and position is not None:
            rows.append((time, position * 1e3, _numbers(line, where) * 0.1))
            position = None
    if not rows:
        raise InputError("holds no position with a velocity", fix="give an SP3 file with V records")
    epoch = rows[0][0]
    t_s = np.array([row[0] - epoch for row in rows])
    state = np.array([np.concatenate(row[1:]) for row in rows])
    return Ephemeris(epoch, t_s, eci_states("ITRF", epoch, t_s, state), body=Body(name=satellite.strip()))


def _header(first: Epoch, step: float, count: int) -> list[str]:
    since_s = first - GPS_ZERO
    week, second = divmod(since_s, WEEK_S)
    day = since_s / 86_400.0
    zeros = "  0" * 17
    lines = [
        f"#dV{_clock(first)} {count:7d} ORBIT ITRF  FIT {AGENCY}",
        f"## {int(week):4d} {second:15.8f} {step:14.8f} {MJD_GPS_ZERO + int(day):5d} {day % 1.0:.13f}",
        f"+    1   {SATELLITE}{'  0' * 16}",
        *(f"+        {zeros}" for _ in range(4)),
        *(f"++       {zeros}" for _ in range(5)),
        "%c L  cc GPS ccc cccc cccc cccc cccc ccccc ccccc ccccc ccccc",
        "%c cc cc ccc ccc cccc cccc cccc cccc ccccc ccccc ccccc ccccc",
        "%f  1.2500000  1.025000000  0.00000000000  0.000000000000000",
        "%f  0.0000000  0.000000000  0.00000000000  0.000000000000000",
        "%i    0    0    0    0      0      0      0      0         0",
        "%i    0    0    0    0      0      0      0      0         0",
        "/* vinsat: orbit from landmarks in images",
        *("/* " for _ in range(3)),
    ]
    return lines


def _clock(epoch: Epoch) -> str:
    """Return year to second in the columns of SP3, GPS time, to 10 ns."""
    text = kvn.scale_reading(epoch, "GPS", 8)
    year, month, day, hour, minute = text[:4], text[5:7], text[8:10], text[11:13], text[14:16]
    return f"{year} {int(month):2d} {int(day):2d} {int(hour):2d} {int(minute):2d} {float(text[17:]):11.8f}"


def _time(line: str, system: str, where: str) -> Epoch:
    parts = line[1:].split()
    if len(parts) != 6:
        raise InputError("is not a date and time", field=where)
    seconds, _, digits = parts[5].partition(".")
    day = "-".join(part.rjust(2, "0") for part in parts[:3])
    clock = ":".join(part.rjust(2, "0") for part in (*parts[3:5], seconds))
    return kvn.parse_time(f"{day}T{clock}.{digits or '0'}", system, where)


def _numbers(line: str, where: str) -> Array:
    try:
        values = np.array([float(line[4 + 14 * k : 18 + 14 * k]) for k in range(3)])
    except ValueError:
        values = np.array([np.nan])
    if not np.isfinite(values).all():
        raise InputError("does not hold three numbers of 14 columns", field=where)
    return values
