"""The dictionary: every command, telemetry packet, event and parameter, from one TOML file.

The payload, the ground's tools, the tables of the documents and the XTCE file are all made
from `dictionary.toml`; nothing about a packet's content is written anywhere else.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from flightsw.config import load_toml
from flightsw.errors import InputError
from flightsw.runtime.link.fields import CODES, Field

FILE = Path(__file__).with_name("dictionary.toml")
TIME = Field("time_tai_ns", "i64", "TAI ns past 2000-01-01T12:00:00 TAI")  # begins each telemetry packet


@dataclass(frozen=True, slots=True)
class Command:
    """A command. idempotent : may run again, so it is taken even where no counter can be kept.

    reply : what the data of its reply hold.
    """

    id: int
    name: str
    description: str
    idempotent: bool = False
    argument: tuple[Field, ...] = ()
    reply: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class Telemetry:
    """A telemetry packet. priority : 0 is sent first and dropped last."""

    apid: int
    name: str
    description: str
    priority: int
    field: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """An event: what `value` and `detail` of its packet mean is in the description."""

    id: int
    name: str
    severity: Literal["INFO", "WARNING", "ERROR"]
    description: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number that can be changed in flight, and its range (inclusive)."""

    id: int
    name: str
    description: str
    default: float
    low: float
    high: float

    def __post_init__(self) -> None:
        """Refuse a default out of range. Raises InputError."""
        if not self.low <= self.default <= self.high:
            raise InputError("is outside low to high", field="default", fix="give one within")


@dataclass(frozen=True, slots=True)
class Dictionary:
    """All of it; ids, APIDs and names are each used once."""

    version: int
    command_apid: int
    command: tuple[Command, ...]
    telemetry: tuple[Telemetry, ...]
    event: tuple[Event, ...]
    parameter: tuple[Parameter, ...]

    def __post_init__(self) -> None:
        """Refuse what is there twice, and fields that cannot be read. Raises InputError."""
        _unique("command", [(c.id, c.name) for c in self.command], 0xFF)
        _unique("telemetry", [(t.apid, t.name) for t in self.telemetry], 0x7FE)
        _unique("event", [(e.id, e.name) for e in self.event], 0xFFFF)
        _unique("parameter", [(p.id, p.name) for p in self.parameter], 0xFFFF)
        owners = [(c.name, fields) for c in self.command for fields in (c.argument, c.reply)]
        owners += [(t.name, t.field) for t in self.telemetry]
        for name, fields in owners:
            names = [field.name for field in fields]
            if len(set(names)) != len(names) or "bytes" in [field.type for field in fields[:-1]]:
                raise InputError("names a field twice, or `bytes` is not last", field=name)
            if any(field.names and field.type not in CODES for field in fields):
                raise InputError("gives names to what is no number", field=name)


def _unique(what: str, pairs: list[tuple[int, str]], most: int) -> None:
    ids, names = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    if len(set(ids)) != len(ids) or len(set(names)) != len(names):
        raise InputError("uses an id or a name twice", field=what, fix="number them apart")
    if any(not 0 <= number <= most for number in ids):
        raise InputError(f"has an id outside 0 to {most}", field=what)


@cache
def dictionary() -> Dictionary:
    """Return the dictionary that is shipped."""
    return load_toml(FILE, Dictionary)


def command(key: str | int) -> Command | None:
    """Return a command by name or id, None where there is none."""
    return next((c for c in dictionary().command if key in (c.id, c.name)), None)


def telemetry(key: str | int) -> Telemetry | None:
    """Return a telemetry packet by name or APID, None where there is none."""
    return next((t for t in dictionary().telemetry if key in (t.apid, t.name)), None)


def event(key: str | int) -> Event | None:
    """Return an event by name or id, None where there is none."""
    return next((e for e in dictionary().event if key in (e.id, e.name)), None)


def parameter(key: str | int) -> Parameter | None:
    """Return a parameter by name or id, None where there is none."""
    return next((p for p in dictionary().parameter if key in (p.id, p.name)), None)
