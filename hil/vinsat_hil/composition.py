"""Compositions of faults: from a file, from one line, or drawn.

One line is a list of NAME@AT_S[+DURATION_S][*AMOUNT][#SEED], joined by commas, such as
`disk_full@30+600,power_cut@45*12#3`. A TOML file holds the same as tables:
    [[fault]]
    name = "disk_full"
    at_s = 30.0
    duration_s = 600.0
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flightsw.config import load_toml
from flightsw.errors import InputError, UsageError
from vinsat_hil.faults import KINDS, Fault, FaultKind, Rung

MOST = 4  # faults of a drawn composition
STREAM = 9  # of the seed, for compositions
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?"
_ONE = re.compile(
    rf"(?P<name>[a-z_]+)@(?P<at>{_NUMBER})(?:\+(?P<duration>\d+\.?\d*))?"
    rf"(?:\*(?P<amount>{_NUMBER}))?(?:#(?P<seed>\d+))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRow:
    """A [[fault]] table. amount : half way through the kind's range where it is left out."""

    name: str
    at_s: float
    duration_s: float = 0.0
    amount: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what no kind allows. Raises InputError."""
        kind = KINDS.get(self.name)
        if kind is None:
            raise InputError(f"{self.name!r} is no fault", field="name", fix="see `vinsat hil faults`")
        if kind.lasts and not self.duration_s > 0.0:
            raise InputError(f"{self.name} lasts", field="duration_s", fix="say how long, in s")
        if self.amount is not None and kind.amount and not kind.low <= self.amount <= kind.high:
            fix = f"{kind.low:g} to {kind.high:g} ({kind.amount})"
            raise InputError(f"{self.amount:g} is out of range", field="amount", fix=fix)

    def fault(self) -> Fault:
        """Return the fault."""
        kind = KINDS[self.name]
        amount = 0.5 * (kind.low + kind.high) if self.amount is None else self.amount
        duration_s = self.duration_s if kind.lasts else 0.0
        amount = amount if kind.amount else 0.0
        return Fault(name=self.name, at_s=self.at_s, duration_s=duration_s, amount=amount, seed=self.seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultFile:
    """A file of faults."""

    fault: tuple[FaultRow, ...]


def read_faults(text: str) -> tuple[Fault, ...]:
    """Return the faults of "none", of a line, or of a file's name that ends in .toml.

    Raises UsageError (a line that is none), InputError (a file).
    """
    if text in ("", "none"):
        return ()
    if text.endswith(".toml"):
        return tuple(row.fault() for row in load_toml(Path(text), FaultFile).fault)
    return tuple(_one(part.strip()) for part in text.split(","))


def line_of(faults: Sequence[Fault]) -> str:
    """Return the line that `read_faults` reads back, "none" for no faults."""
    return ",".join(_text(fault) for fault in faults) or "none"


def draw_faults(
    seed: int,
    *,
    rung: Rung,
    inference: str,
    busy_s: Sequence[float],
    until_s: float,
    count: int | None = None,
) -> tuple[Fault, ...]:
    """Return the composition of a seed: 1 to `MOST` faults that this rung can play.

    inference : "observations" or "models"; busy_s : times at which something happens (of
    frames), near which half of the faults begin; until_s : none is on after it.
    """
    rng = np.random.default_rng([seed, STREAM])
    kinds = [kind for kind in KINDS.values() if rung in kind.rungs and kind.needs in ("", inference)]
    number = int(rng.integers(1, MOST + 1)) if count is None else count
    faults = [_drawn(kinds[int(rng.integers(len(kinds)))], rng, busy_s, until_s) for _ in range(number)]
    return tuple(sorted(faults, key=lambda fault: fault.at_s))


def _drawn(kind: FaultKind, rng: np.random.Generator, busy_s: Sequence[float], until_s: float) -> Fault:
    near = rng.random() < 0.5
    at_s = busy_s[int(rng.integers(len(busy_s)))] - 5.0 if near else rng.uniform(-10.0, until_s)
    at_s = round(min(float(at_s), until_s - 1.0), 1)
    duration_s = round(float(np.exp(rng.uniform(np.log(20.0), np.log(4000.0)))), 1)
    duration_s = min(duration_s, round(until_s - at_s, 1)) if kind.lasts else 0.0
    amount = _amount(kind, rng)
    return Fault(
        name=kind.name, at_s=at_s, duration_s=duration_s, amount=amount, seed=int(rng.integers(1000))
    )


def _amount(kind: FaultKind, rng: np.random.Generator) -> float:
    """Return an amount of the kind's range: uniform, log-uniform over decades, whole where it counts."""
    if not kind.amount:
        return 0.0
    if kind.low > 0.0 and kind.high / kind.low > 20.0:
        value = float(np.exp(rng.uniform(np.log(kind.low), np.log(kind.high))))
    else:
        value = float(rng.uniform(kind.low, kind.high))
    return float(round(value)) if kind.low >= 1.0 else float(f"{value:.3g}")


def _one(text: str) -> Fault:
    match = _ONE.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is no fault; write NAME@AT_S[+DURATION_S][*AMOUNT][#SEED]")
    amount = match["amount"]
    try:
        return FaultRow(
            name=match["name"],
            at_s=float(match["at"]),
            duration_s=float(match["duration"] or 0.0),
            amount=None if amount is None else float(amount),
            seed=int(match["seed"] or 0),
        ).fault()
    except InputError as error:
        raise UsageError(f"{text}: {error}") from None


def _text(fault: Fault) -> str:
    text = f"{fault.name}@{fault.at_s:g}"
    if fault.kind.lasts:
        text += f"+{fault.duration_s:g}"
    if fault.kind.amount:
        text += f"*{fault.amount:g}"
    return text + (f"#{fault.seed}" if fault.seed else "")
