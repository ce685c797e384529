"""Arcs: stretches of observations whose times belong together. A step of the clock ends one.

Every step of the program compares the clock with monotonic time; over a restart without
a reboot the two are compared with what was kept, and over a reboot time must at least not
run backwards. An observation of before a step would be minutes or kilometres away from
one after it, so an estimate uses one arc alone.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flightsw.astro.time import NS
from flightsw.runtime.fly.journal import Journal
from flightsw.runtime.store.records import Kind, Stamp

STEP_NS = 250_000_000  # more than slewing does between two looks, or 2 km of flight
KEEP_NS = 60 * NS  # between writes of the reference to the medium
KERNEL_BOOT = Path("/proc/sys/kernel/random/boot_id")
NOTHING_SEEN = b'"rows":[]}'  # how the record of a frame without observations ends
RECENT_BYTES = 4_000_000  # of the log, that a start reads; a full log takes too long
NAME = "arc"
DEFAULT = {"arc": 1, "kernel": "", "mono_ns": 0, "tai_ns": 0}


class ArcWatch:
    """The number of the present arc, and what it holds."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        kept = journal.load(NAME, DEFAULT)
        self.arc = int(kept["arc"])
        self._kernel = KERNEL_BOOT.read_text(encoding="ascii").strip() if KERNEL_BOOT.exists() else ""
        now = journal.clock.now()
        self._last = now
        self._compare_with_kept(kept, now)
        self._keep(now)
        self._kept_ns = now.mono_ns

    def watch(self, now: Stamp) -> bool:
        """Look at the clock; tell whether a new arc has begun."""
        step = (now.tai_ns - self._last.tai_ns) - (now.mono_ns - self._last.mono_ns)
        self._last = now
        if abs(step) > STEP_NS:
            self.begin(step / NS)
            return True
        if now.mono_ns - self._kept_ns > KEEP_NS:
            self._kept_ns = now.mono_ns
            self._keep(now)
        return False

    def begin(self, step_s: float) -> None:
        """Begin a new arc because the clock was stepped (or by command: 0)."""
        self.arc += 1
        now = self._journal.clock.now()
        self._last = now
        self._keep(now)
        self._journal.record(Kind.ARC, {"arc": self.arc, "step_s": step_s})
        self._journal.event("CLOCK_STEP", value=step_s, detail=f"arc {self.arc}")

    def frames(self, *, hours: float) -> list[dict[str, Any]]:
        """Return the present arc's frames with observations, as recorded, of the last hours."""
        oldest = self._journal.clock.now().tai_ns - round(hours * 3600 * NS)
        return [
            frame
            for frame in self.looked_at(since_ns=oldest)
            if frame["arc"] == self.arc and frame["rows"] and frame["tai_ns"] >= oldest
        ]

    def looked_at(self, *, since_ns: int) -> Iterator[dict[str, Any]]:
        """Return the frames with observations that were looked at since then, oldest first.

        The others, which are most of a log, are passed by without being parsed: a frame is
        looked at after it was taken, so the record's own time is no earlier.
        """
        for record in self._journal.store.records(Kind.OBSERVATIONS):
            if record.stamp.tai_ns >= since_ns and not record.payload.endswith(NOTHING_SEEN):
                yield json.loads(record.payload)

    def _compare_with_kept(self, kept: dict[str, Any], now: Stamp) -> None:
        """Begin a new arc where the clock was stepped while the program was not there."""
        if not kept["tai_ns"]:
            return
        step = now.tai_ns - int(kept["tai_ns"])
        if kept["kernel"] == self._kernel and now.mono_ns >= int(kept["mono_ns"]):
            step -= now.mono_ns - int(kept["mono_ns"])
            if abs(step) > STEP_NS:
                self.begin(step / NS)
        elif step < 0:
            self.begin(step / NS)

    def _keep(self, now: Stamp) -> None:
        content = {"arc": self.arc, "kernel": self._kernel, "mono_ns": now.mono_ns, "tai_ns": now.tai_ns}
        self._journal.save(NAME, content)


def read_recent(journal: Journal) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the newest frames taken and the newest looked at, as recorded, oldest first."""
    found: dict[int, list[dict[str, Any]]] = {Kind.FRAME: [], Kind.OBSERVATIONS: []}
    for record in journal.store.records(*found, newest_bytes=RECENT_BYTES):
        found[record.kind].append(json.loads(record.payload))
    return found[Kind.FRAME], found[Kind.OBSERVATIONS]
