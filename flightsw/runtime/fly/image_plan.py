"""When to take frames as the ground planned it: the schedule.csv that `vinsat plan` writes.

A new file (one with another time of modification than the last) is read when the payload
starts, an uplinked one by USE_SCHEDULE. Its windows are kept among the values of the store,
two copies with a CRC each: a bit that flips in the file is never believed. A plan holds
until its last window is over; then the payload images by its own rules again, since nobody
may be left to send another.
"""

import os
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

from flightsw.astro.time import NS
from flightsw.errors import InputError
from flightsw.runtime.csv_cells import Column, Kind
from flightsw.runtime.csv_table import read_table
from flightsw.runtime.fly.journal import Journal

FILE = "schedule.csv"  # an uplinked plan's name
KEPT = "schedule"  # the value's
MOST_WINDOWS = 1000
MOST_BYTES = 500_000
MOST_SAID = 200  # characters of what is wrong

_TIME_FIX = "write it like 2026-03-01T12:00:05Z"
COLUMNS = (
    Column("start_utc", Kind.TIME, fix=_TIME_FIX),
    Column("end_utc", Kind.TIME, fix=_TIME_FIX),
    Column("cadence_s", low=0.1, high=3600.0, fix="give seconds between frames"),
    Column("frames", low=1.0, high=1e6, fix="give the number of frames", required=False),
    Column("place", Kind.TEXT, fix="give a short name, or leave it empty", required=False),
    Column("landmarks", low=0.0, high=1e6, fix="leave the column out", required=False),
    Column("margin_s", low=0.0, high=1e5, fix="leave the column out", required=False),
    Column("chance", low=0.0, high=1.0, fix="leave the column out", required=False),
    Column("chance_by_then", low=0.0, high=1.0, fix="leave the column out", required=False),
)


@dataclass(frozen=True, slots=True)
class Window:
    """Frames from start to end, both included, TAI ns, every cadence_s."""

    start_ns: int
    end_ns: int
    cadence_s: float


class ImagePlan:
    """Windows in the order of their starts."""

    def __init__(self, windows: tuple[Window, ...] = ()) -> None:
        self.windows = tuple(sorted(windows, key=lambda window: window.start_ns))
        self._starts = [window.start_ns for window in self.windows]
        self._end_ns = max((_end(window) for window in self.windows), default=0)

    def holds(self, tai_ns: int) -> bool:
        """Tell whether a window is open or to come."""
        return tai_ns < self._end_ns

    def window(self, tai_ns: int) -> Window | None:
        """Return the window that is open, the one that began last where several are."""
        for window in reversed(self.windows[: bisect_right(self._starts, tai_ns)]):
            if tai_ns < _end(window):
                return window
        return None


def _end(window: Window) -> int:
    """Return when a window is over, TAI ns: half a step after its last frame."""
    return window.end_ns + round(0.5 * window.cadence_s * NS)


def read_plan(path: str | os.PathLike[str]) -> ImagePlan:
    """Return the plan of a schedule.csv, which is there. Raises InputError naming line and column."""
    if os.path.getsize(path) > MOST_BYTES:
        raise InputError(f"has over {MOST_BYTES} bytes", file=path, fix="plan fewer windows")
    table = read_table(path, COLUMNS, what="a schedule")
    if len(table) > MOST_WINDOWS:
        raise InputError(f"has {len(table)} windows", file=path, fix=f"give {MOST_WINDOWS} at most")
    start, end, cadence = table.tai_ns("start_utc"), table.tai_ns("end_utc"), table.number("cadence_s")
    for row in range(len(table)):
        if end[row] < start[row]:
            raise table.error(row, "end_utc", "is before start_utc", "exchange them")
    return ImagePlan(
        tuple(Window(int(a), int(b), float(c)) for a, b, c in zip(start, end, cadence, strict=True))
    )


class PlanDesk:
    """Keeps the plan over restarts. path : of the file that is looked for at the start, or ""."""

    def __init__(self, path: str, journal: Journal) -> None:
        self._path, self._journal = Path(path) if path else None, journal
        kept = journal.load(KEPT, {"mtime_ns": 0, "windows": []})
        self._mtime_ns = kept["mtime_ns"]
        self.plan = ImagePlan(tuple(Window(*row) for row in kept["windows"]))

    def start(self) -> None:
        """Take the file where it is a new one; one that cannot be read is said, and the plan stays."""
        try:
            mtime_ns = 0 if self._path is None else self._path.stat().st_mtime_ns
        except OSError:
            return
        if self._path is not None and mtime_ns != self._mtime_ns:
            self.take(self._path, mtime_ns=mtime_ns)

    def take(self, path: Path, *, mtime_ns: int | None = None) -> str:
        """Use the plan of a file from now on; return "" or why not."""
        if mtime_ns is not None:
            self._mtime_ns = mtime_ns
        try:
            self.plan = read_plan(path)
        except InputError as error:
            problem = str(InputError(error.problem, field=error.field))[:MOST_SAID]
            self._journal.event("SCHEDULE_REFUSED", detail=problem)
            self._keep()
            return problem
        self._keep()
        self._journal.event("SCHEDULE_TAKEN", value=len(self.plan.windows))
        return ""

    def _keep(self) -> None:
        windows = [[w.start_ns, w.end_ns, w.cadence_s] for w in self.plan.windows]
        self._journal.save(KEPT, {"mtime_ns": self._mtime_ns, "windows": windows})
