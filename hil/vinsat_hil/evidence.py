"""What a trial leaves to be judged: all that was seen of the payload from outside."""

from dataclasses import dataclass, field

from vinsat_hil.faults import Fault
from vinsat_hil.feed import Feed
from vinsat_hil.ground import Asked, Heard
from vinsat_hil.medium import Entry
from vinsat_hil.rig import Rig
from vinsat_hil.scenario import Scenario, Truth


@dataclass(frozen=True, slots=True)
class Death:
    """An end of the program. was_meant : a fault, or a watchdog after one, ended it."""

    t_s: float
    was_meant: bool
    code: int | None
    how: str


@dataclass(frozen=True, slots=True)
class Told:
    """What HOUSEKEEPING said at an instant, beside what the log held then.

    frames : with observations in the present arc as the payload counts them; in_log : as
    its log has them, by another reader.
    """

    t_s: float
    frames: int
    in_log: int


@dataclass(slots=True)
class Evidence:
    """Gathered while a trial runs.

    chain : digest of each instant; starts_s : processor time until a start answered; records :
    the log at the end, by sequence; lost : records that were committed and are gone or
    changed; damaged : hit by a fault that flips bits; memory_mb : at instants; opened :
    files that program and workers opened, from the trial's folder; forged : counters.
    """

    scenario: Scenario
    rig: Rig
    faults: tuple[Fault, ...]
    seed: int
    feed: Feed
    truth: Truth
    chain: list[str] = field(default_factory=list)
    starts_s: list[float] = field(default_factory=list)
    deaths: list[Death] = field(default_factory=list)
    silent: list[float] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    forged: list[int] = field(default_factory=list)
    records: dict[int, Entry] = field(default_factory=dict)
    lost: list[int] = field(default_factory=list)
    damaged: set[int] = field(default_factory=set)
    told: list[Told] = field(default_factory=list)
    memory_mb: list[tuple[float, float]] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)
    end_code: int | None = None

    def has(self, *names: str) -> bool:
        """Tell whether a fault of one of these names or layers was played."""
        return any(fault.name in names or fault.kind.layer in names for fault in self.faults)

    def medium_failed_at(self, t_s: float) -> bool:
        """Tell whether the medium failed at a time, or had until shortly before."""
        return any(
            fault.kind.layer == "medium" and fault.at_s <= t_s < fault.at_s + fault.duration_s + 400.0
            for fault in self.faults
        )
