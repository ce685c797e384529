"""The cells of a strict table: what a column may hold, and how its text becomes an array.

A wrong cell ends in an InputError that names the file, the line, the column and the fix.
Numbers are plain decimals, times are ISO 8601 with a zone, texts are short and printable.
"""

import math
import os
import re
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.time import NS, Epoch
from flightsw.errors import InputError

IntArray = NDArray[np.int64]

MAX_TEXT = 64  # characters of a text cell, where the column sets no other
MAX_SHOWN = 40  # characters of a wrong cell that are quoted back
LAST_EPOCH = Epoch.from_utc("2200-01-01T00:00:00Z")  # nanoseconds stay far inside 64 bits

_SECONDS = re.compile(r"([0-5]\d)(?:\.(\d{1,9}))?Z", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


class Kind(Enum):
    """What the cells of a column are."""

    NUMBER = "number"
    TEXT = "text"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    name : with its unit; kind; low, high : inclusive range of a number; fix : what a
    right value is, for the message; required : the column must be there; cells of a
    column that is not required may be empty (NaN, or ""); longest : characters of a text.
    """

    name: str
    kind: Kind = Kind.NUMBER
    low: float = -math.inf
    high: float = math.inf
    fix: str = ""
    required: bool = True
    longest: int = MAX_TEXT


def convert(
    column: Column, cells: list[str], line: IntArray, path: str | os.PathLike[str]
) -> NDArray[np.generic]:
    """Return the cells of one column as an array, or raise InputError at the first bad one."""
    by_kind = {Kind.NUMBER: _numbers, Kind.TEXT: _texts, Kind.TIME: _times}[column.kind]
    try:
        return by_kind(column, cells)
    except _BadCell as bad:
        field = f"line {line[bad.row]}, {column.name}"
        raise InputError(bad.problem, file=path, field=field, fix=bad.fix or column.fix) from None


class _BadCell(Exception):  # never leaves this module
    """The first wrong cell of a chunk: its row, what is wrong, and what to do about it."""

    def __init__(self, row: int, problem: str, fix: str = "") -> None:
        self.row, self.problem, self.fix = row, problem, fix


def _numbers(column: Column, cells: list[str]) -> NDArray[np.generic]:
    empty = None
    if not column.required:
        empty = np.array([not cell or cell.isspace() for cell in cells], dtype=np.bool_)
        cells = [cell if cell and not cell.isspace() else "0" for cell in cells]
    joined = "".join(cells)
    plain = joined.isascii() and "_" not in joined  # what float() takes beyond our rule
    try:
        values = np.array([float(cell) for cell in cells], dtype=np.float64) if plain else None
    except ValueError:
        values = None
    if values is None or not np.isfinite(values).all():
        values = np.array([_number(row, cell) for row, cell in enumerate(cells)], dtype=np.float64)
    outside = (values < column.low) | (values > column.high)
    if empty is not None:
        outside &= ~empty
        values[empty] = np.nan
    if outside.any():
        row = int(np.argmax(outside))
        raise _BadCell(row, f"{show(cells[row])} is outside {_range(column)}")
    return values


def _number(row: int, cell: str) -> float:
    """Return one cell as a number; the slow way, to find and name what is wrong."""
    stripped = cell.strip()
    if _NUMBER.fullmatch(stripped):
        value = float(stripped)
        if math.isfinite(value):
            return value
        raise _BadCell(row, f"{show(cell)} is too large a number")
    if not stripped:
        raise _BadCell(row, "is empty", "give a number, or leave the whole row out")
    if stripped.lower().lstrip("+-") in ("nan", "inf", "infinity"):
        raise _BadCell(row, f"{show(cell)} is not finite", "give a number, or leave the whole row out")
    raise _BadCell(row, f"{show(cell)} is not a number", "write plain decimals like -12.5 or 1.2e-3")


def _texts(column: Column, cells: list[str]) -> NDArray[np.generic]:
    texts = [cell.strip() for cell in cells]
    for row, text in enumerate(texts):
        if not text and column.required:
            raise _BadCell(row, "is empty")
        if len(text) > column.longest:
            raise _BadCell(row, f"{show(text)} is longer than {column.longest} characters")
        if not text.isprintable():
            raise _BadCell(row, f"{show(text)} has characters that cannot be printed")
    return np.array(texts, dtype=np.str_)


def _times(column: Column, cells: list[str]) -> NDArray[np.generic]:
    known: dict[str, int] = {}  # the rows of one frame share their time
    minutes: dict[str, int] = {}
    values = np.empty(len(cells), dtype=np.int64)
    for row, cell in enumerate(cells):
        value = known.get(cell)
        if value is None:
            try:
                value = known[cell] = _tai_ns(cell, minutes)
            except ValueError as error:
                raise _BadCell(row, str(error)) from None
        values[row] = value
    return values


def _tai_ns(cell: str, minutes: dict[str, int]) -> int:
    """Return `parse_time(cell).tai_ns`, fast for the common form.

    Seconds 0 to 59 of one minute run evenly in TAI (a leap second comes after them), so
    the minute is parsed once, remembered in `minutes`, and the seconds are added.
    """
    match = _SECONDS.fullmatch(cell, 17)  # 2026-03-01T12:00: has 17 characters
    if match is None:
        return parse_time(cell).tai_ns
    minute = cell[:17]
    start = minutes.get(minute)
    if start is None:
        parse_time(cell)  # so that what is wrong is said about the cell as it stands
        start = minutes[minute] = parse_time(minute + "00Z").tai_ns
    return start + int(match[1]) * NS + int((match[2] or "0").ljust(9, "0"))


def parse_time(text: str) -> Epoch:
    """Return the instant of an ISO 8601 text with a zone, 1972 to 2200. Raises ValueError."""
    if len(text) > MAX_TEXT:
        raise ValueError(f"{show(text)} is not a time; write it like 2026-03-01T12:00:05.25Z")
    epoch = Epoch.from_utc(text)
    if epoch > LAST_EPOCH:
        raise ValueError(f"{show(text)} is after 2200; check the year")
    return epoch


def show(cell: str) -> str:
    """Return a cell as it is quoted in a message: on one line, and short."""
    return repr(cell if len(cell) <= MAX_SHOWN else cell[:MAX_SHOWN] + "...")


def _range(column: Column) -> str:
    return f"{column.low:g}..{column.high:g}"
