"""What can be reproduced and what can be timed: the registry behind two commands.

A `Reproduction` answers "does the project still do what it says?", a `Bench` answers
"how fast is it?". Both run to one `Report`, printed as one JSON object. They are found
by entry points (`vinsat.reproductions`, `vinsat.benches`), each of which names a module
attribute holding a `Reproduction` or `Bench`; so this package never imports what
registers with it. `Check` says what was measured and what was asked.
"""

import math
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

REPRODUCTIONS = "vinsat.reproductions"
BENCHES = "vinsat.benches"

Scale = Literal["quick", "full"]
Value = float | int | str | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One measured figure and its threshold.

    value : what was measured; low, high : its interval (95 % unless the name says
    otherwise; None where it has none); threshold : what is asked, in words with the
    unit ("<= 80 m"); thesis : the published figure or None; passed : whether the value
    meets the threshold. A missed threshold is False, whatever the reason.
    """

    name: str
    value: Value
    passed: bool
    low: float | None = None
    high: float | None = None
    threshold: str | None = None
    thesis: float | str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the check with the keys of the interface, in their order."""
        return {
            "name": self.name,
            "value": _plain(self.value),
            "low": _plain(self.low),
            "high": _plain(self.high),
            "threshold": self.threshold,
            "thesis": _plain(self.thesis),
            "passed": bool(self.passed),
        }


Interval = tuple[float, float] | None


def at_most(
    name: str, value: float, limit: float, *, unit: str = "", interval: Interval = None,
    thesis: float | str | None = None,
) -> Check:  # fmt: skip
    """Return a check that passes when value <= limit (NaN never passes); interval is (low, high)."""
    return _check(name, value, bool(value <= limit), f"<= {limit:g} {unit}".rstrip(), interval, thesis)


def at_least(
    name: str, value: float, limit: float, *, unit: str = "", interval: Interval = None,
    thesis: float | str | None = None,
) -> Check:  # fmt: skip
    """Return a check that passes when value >= limit (NaN never passes); interval is (low, high)."""
    return _check(name, value, bool(value >= limit), f">= {limit:g} {unit}".rstrip(), interval, thesis)


def noted(name: str, value: Value, *, interval: Interval = None, thesis: float | str | None = None) -> Check:
    """Return a figure that is reported without a threshold; it always passes."""
    return _check(name, value, True, None, interval, thesis)


def _check(
    name: str, value: Value, passed: bool, threshold: str | None, interval: Interval,
    thesis: float | str | None,
) -> Check:  # fmt: skip
    low, high = interval if interval is not None else (None, None)
    return Check(
        name=name, value=value, passed=passed, low=low, high=high, threshold=threshold, thesis=thesis
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one entry found: all checks must pass for the entry to pass."""

    id: str
    checks: tuple[Check, ...]
    seeds: tuple[int, ...]
    command: str

    @property
    def passed(self) -> bool:
        """Tell whether there are checks and every one of them passed."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """Return exactly the keys every entry promises."""
        return {
            "id": self.id,
            "passed": self.passed,
            "checks": [check.as_json() for check in self.checks],
            "seeds": list(self.seeds),
            "command": self.command,
            "machine": machine(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """A claim that can be measured again.

    run(scale) : measures and returns its checks; seeds(scale) : the seeds it uses.
    "quick" ends within five minutes on two cores; "full" may take hours and resumes.
    """

    id: str
    title: str
    run: Callable[[Scale], tuple[Check, ...]]
    seeds: Callable[[Scale], tuple[int, ...]]

    def report(self, scale: Scale) -> Report:
        """Run and return the report."""
        command = f"vinsat reproduce {self.id} --scale {scale}"
        return Report(id=self.id, checks=self.run(scale), seeds=self.seeds(scale), command=command)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A speed that can be measured again, as a ratio to something known in the same run."""

    id: str
    title: str
    run: Callable[[], tuple[Check, ...]]

    def report(self) -> Report:
        """Run and return the report."""
        return Report(id=self.id, checks=self.run(), seeds=(), command=f"vinsat bench {self.id}")


def registered(group: str) -> dict[str, EntryPoint]:
    """Return the entry points of a group by name, in order of name; nothing is imported."""
    return {entry.name: entry for entry in sorted(entry_points(group=group), key=lambda e: e.name)}


def machine() -> dict[str, Any]:
    """Return what a reader needs to judge a figure: system, processor, cores, versions."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "python": platform.python_version(),
        "byte_order": sys.byteorder,
    }


def _processor() -> str:
    """Return the processor's own name where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith(("model name", "Model")):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def _plain(value: Any) -> Any:
    """Return a value JSON can carry: numpy scalars unwrapped, NaN and infinity as None."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
