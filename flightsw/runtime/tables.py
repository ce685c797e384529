"""The tables that come and go as CSV files: observations, attitude, gyro.

Columns, units and meanings are in docs (Files and exit codes); each is a promise to
users. Rules common to all: `flightsw.runtime.csv_table`.
"""

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.time import NS, Epoch
from flightsw.errors import InputError
from flightsw.estimate.observations import AttitudeTable, GyroTable, Observations
from flightsw.files import write_together
from flightsw.runtime.csv_cells import Column, Kind, show
from flightsw.runtime.csv_table import Table, read_table

Array = NDArray[np.float64]

DAY_S = 86_400.0  # s
MAX_SPAN_DAYS = 31.0  # a longer arc is a wrong year, not an orbit fit
UNIT_TOLERANCE = 1e-3  # of a quaternion's norm: three decimals pass, and are normalised

_TIME = Column("time_utc", Kind.TIME, fix="write it like 2026-03-01T12:00:05.25Z")

OBSERVATION_COLUMNS = (
    _TIME,
    Column("landmark_id", Kind.TEXT, fix="give the landmark's name"),
    Column("lon_deg", low=-180.0, high=360.0, fix="give degrees, east positive"),
    Column("lat_deg", low=-90.0, high=90.0, fix="give geodetic degrees, north positive"),
    Column("height_m", low=-1000.0, high=10_000.0, fix="give metres above the WGS 84 ellipsoid"),
    Column("u_px", low=-1e6, high=1e6, fix="give full-resolution pixels"),
    Column("v_px", low=-1e6, high=1e6, fix="give full-resolution pixels"),
    Column("confidence", low=0.0, high=1.0, fix="give a number from 0 to 1"),
    Column("sigma_px", low=1e-3, high=1e4, fix="give 1 sigma per axis, or leave it empty", required=False),
    Column("region", Kind.TEXT, fix="give a short name, or leave it empty", required=False),
)
ATTITUDE_COLUMNS = (
    _TIME,
    *(Column(name, low=-1.01, high=1.01, fix="give a unit quaternion") for name in ("qw", "qx", "qy", "qz")),
    Column("sigma_deg", low=0.0, high=180.0, fix="give 1 sigma per axis, or leave it empty", required=False),
)
_RATES = ("wx_rad_s", "wy_rad_s", "wz_rad_s")
GYRO_COLUMNS = (
    _TIME,
    *(Column(name, low=-100.0, high=100.0, fix="give rad/s in the body frame") for name in _RATES),
)


@dataclass(frozen=True, slots=True)
class ObservationRow:
    """One line of an observations file. sigma_px : None where the detector gives none."""

    epoch: Epoch
    landmark_id: str
    lon_deg: float
    lat_deg: float
    height_m: float
    u_px: float
    v_px: float
    confidence: float
    sigma_px: float | None = None
    region: str = ""


def read_observations(path: str | os.PathLike[str]) -> Observations:
    """Return the landmark sightings of a CSV file, sorted by time; none at all is legal.

    The reference epoch is the first time. Raises InputError naming file, line, column, fix.
    """
    table = read_table(path, OBSERVATION_COLUMNS, what="an observations file")
    epoch, t_s = _since_first(table)
    if len(table):
        _limit_span(table, t_s)
    return Observations.build(
        epoch=epoch,
        t_s=t_s,
        landmark_id=table.text("landmark_id"),
        lon_deg=table.number("lon_deg"),
        lat_deg=table.number("lat_deg"),
        height_m=table.number("height_m"),
        uv_px=np.column_stack([table.number("u_px"), table.number("v_px")]),
        confidence=table.number("confidence"),
        sigma_px=table.number("sigma_px"),
        region=table.text("region"),
    )


def read_attitude(path: str | os.PathLike[str]) -> AttitudeTable:
    """Return the attitude table of a CSV file (at least one row, times ascending).

    Raises InputError naming file, line, column and fix.
    """
    table = read_table(path, ATTITUDE_COLUMNS, what="an attitude file")
    epoch, t_s = _series(table, "--attitude")
    q = np.column_stack([table.number(name) for name in ("qw", "qx", "qy", "qz")])
    norm = np.linalg.norm(q, axis=1)
    wrong = np.abs(norm - 1.0) > UNIT_TOLERANCE
    if wrong.any():
        row = int(np.argmax(wrong))
        fix = "give unit quaternions, scalar first, at least 4 decimals"
        raise table.error(row, "qw, qx, qy, qz", f"the quaternion's norm is {norm[row]:.6g}, not 1", fix)
    sigma_rad = np.radians(table.number("sigma_deg"))
    return AttitudeTable(epoch=epoch, t_s=t_s, q=q / norm[:, None], sigma_rad=sigma_rad)


def read_gyro(path: str | os.PathLike[str]) -> GyroTable:
    """Return the turning rates of a CSV file (at least one row, times ascending).

    Raises InputError naming file, line, column and fix.
    """
    table = read_table(path, GYRO_COLUMNS, what="a gyro file")
    epoch, t_s = _series(table, "--gyro")
    return GyroTable(epoch=epoch, t_s=t_s, rate_body=np.column_stack([table.number(name) for name in _RATES]))


def write_observations(path: str | os.PathLike[str], rows: Iterable[ObservationRow]) -> None:
    """Write an observations file, whole or not at all; no rows give the header alone.

    Decimals: 1 ns, 1e-9 deg (0.1 mm), 1 mm, 1e-4 px. Raises UsageError where the folder
    cannot be written.
    """
    lines = [",".join(column.name for column in OBSERVATION_COLUMNS)]
    lines += [_line(row) for row in rows]
    target = Path(path)
    write_together(target.parent, {target.name: "\n".join(lines) + "\n"})


def rows_of(observations: Observations) -> list[ObservationRow]:
    """Return observations as the rows of a file."""
    o = observations
    return [
        ObservationRow(
            epoch=o.epoch + float(o.t_s[i]),
            landmark_id=str(o.landmark_id[i]),
            lon_deg=float(o.lon_deg[i]),
            lat_deg=float(o.lat_deg[i]),
            height_m=float(o.height_m[i]),
            u_px=float(o.uv_px[i, 0]),
            v_px=float(o.uv_px[i, 1]),
            confidence=float(o.confidence[i]),
            sigma_px=None if math.isnan(o.sigma_px[i]) else float(o.sigma_px[i]),
            region=str(o.region[i]),
        )
        for i in range(len(o))
    ]


def _line(row: ObservationRow) -> str:
    """Return one line of an observations file."""
    sigma = "" if row.sigma_px is None else f"{row.sigma_px:.4f}"
    cells = [
        row.epoch.utc_iso(),
        _quoted(row.landmark_id),
        f"{row.lon_deg:.9f}",
        f"{row.lat_deg:.9f}",
        f"{row.height_m:.3f}",
        f"{row.u_px:.4f}",
        f"{row.v_px:.4f}",
        f"{row.confidence:.6f}",
        sigma,
        _quoted(row.region),
    ]
    return ",".join(cells)


def _quoted(text: str) -> str:
    """Return a text as a CSV cell."""
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\r\n') else text


def _since_first(table: Table) -> tuple[Epoch, Array]:
    """Return the earliest time and the seconds (N,) since it; 2000 where there are no rows."""
    tai_ns = table.tai_ns()
    first = int(tai_ns.min()) if len(tai_ns) else 0
    return Epoch(first), (tai_ns - first) / NS


def _series(table: Table, flag: str) -> tuple[Epoch, Array]:
    """Return epoch and seconds (N,) of a table that must have rows in ascending order."""
    if not len(table):
        raise InputError("has no rows", file=table.file, fix=f"add rows, or leave {flag} out")
    table.require_ascending()
    return _since_first(table)


def _limit_span(table: Table, t_s: Array) -> None:
    """Refuse observations that no arc holds, by the row furthest from the middle one."""
    if t_s.max() <= MAX_SPAN_DAYS * DAY_S:
        return
    row = int(np.argmax(np.abs(t_s - np.median(t_s))))
    shown = show(Epoch(int(table.tai_ns()[row])).utc_iso())
    problem = f"{shown} makes the file span {t_s.max() / DAY_S:.0f} days, at most {MAX_SPAN_DAYS:g} are taken"
    raise table.error(row, "time_utc", problem, "check the year, or split the file")
