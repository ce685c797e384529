"""Strict CSV: a file becomes checked columns, or an error that names line, column and fix.

Rules for every table: UTF-8, at most 64 MB, a header line, each known column at most once
and each required one present, in any order; every line as many fields as the header;
blank lines are skipped. Numbers are plain decimals (no nan, no inf, no digit grouping)
inside their range; times are ISO 8601 with a zone; texts are short and printable. Rows
are converted in chunks, so memory stays a small multiple of the file.
"""

import csv
import io
import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.time import Epoch
from flightsw.errors import InputError
from flightsw.files import MB, read_text

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
StrArray = NDArray[np.str_]

MAX_BYTES = 64 * MB
MAX_LINE = 4096  # characters
MAX_TEXT = 64  # characters of a text cell, where the column sets no other
MAX_SHOWN = 40  # characters of a wrong cell that are quoted back
CHUNK_ROWS = 20_000
LAST_EPOCH = Epoch.from_utc("2200-01-01T00:00:00Z")  # nanoseconds stay far inside 64 bits

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


@dataclass(frozen=True, slots=True)
class Table:
    """The columns of a file, N rows; line : (N,) line numbers for messages."""

    file: str
    line: IntArray
    columns: dict[str, NDArray[np.generic]]

    def __len__(self) -> int:
        """Return the number of rows N."""
        return len(self.line)

    def has(self, name: str) -> bool:
        """Tell whether the file has a column."""
        return name in self.columns

    def number(self, name: str) -> Array:
        """Return a number column (N,); NaN everywhere where an optional column is absent."""
        if name not in self.columns:
            return np.full(len(self), np.nan)
        return self.columns[name].astype(np.float64, copy=False)

    def text(self, name: str) -> StrArray:
        """Return a text column (N,); "" everywhere where an optional column is absent."""
        if name not in self.columns:
            return np.full(len(self), "", dtype=np.str_)
        return self.columns[name].astype(np.str_, copy=False)

    def tai_ns(self, name: str = "time_utc") -> IntArray:
        """Return a time column (N,) as `Epoch.tai_ns`."""
        return self.columns[name].astype(np.int64, copy=False)

    def error(self, row: int, name: str, problem: str, fix: str) -> InputError:
        """Return the error for one cell."""
        return InputError(problem, file=self.file, field=f"line {self.line[row]}, {name}", fix=fix)

    def require_ascending(self, name: str = "time_utc") -> None:
        """Raise InputError where a time is not later than that of the row before."""
        step = np.diff(self.tai_ns(name))
        if np.all(step > 0):
            return
        row = int(np.argmax(step <= 0)) + 1
        shown = Epoch(int(self.tai_ns(name)[row])).utc_iso()
        if step[row - 1] == 0:
            raise self.error(row, name, f"{shown} is there twice", "keep one row for each time")
        raise self.error(row, name, f"{shown} is earlier than the row before", "sort the rows by time")


def read_table(path: str | os.PathLike[str], columns: Sequence[Column], *, what: str) -> Table:
    """Return the checked columns of a CSV file.

    columns : all that may be there; what : what the file should be ("an observations
    file"), for messages. Raises InputError naming file, line, column and fix.
    """
    text = read_text(path, max_bytes=MAX_BYTES)
    reader = csv.reader(_lines(text, path), strict=True)
    try:
        header = next((row for row in reader if row), None)
        if header is None:
            raise InputError("has no header line", file=path, fix=f"{what} starts with {_names(columns)}")
        present = _match_header(header, columns, path=path, what=what)
        lines: list[IntArray] = []
        chunks: list[list[NDArray[np.generic]]] = []
        for line, rows in _chunks(reader, len(header), path):
            lines.append(line)
            chunks.append([_convert(column, [row[i] for row in rows], line, path) for i, column in present])
    except csv.Error as error:
        fix = "close every quote, and write one row a line"
        field = f"line {reader.line_num}"
        raise InputError(f"is not CSV: {error}", file=path, field=field, fix=fix) from None
    if not chunks:
        return Table(str(path), np.zeros(0, dtype=np.int64), {c.name: _empty(c) for _, c in present})
    joined = [np.concatenate(parts) for parts in zip(*chunks, strict=True)]
    named = {column.name: values for (_, column), values in zip(present, joined, strict=True)}
    return Table(str(path), np.concatenate(lines), named)


def _lines(text: str, path: str | os.PathLike[str]) -> Iterator[str]:
    """Yield the lines of a text; refuse a line that no table has."""
    for number, line in enumerate(io.StringIO(text, newline=""), start=1):
        if len(line) > MAX_LINE:
            problem = f"has {len(line):,} characters, at most {MAX_LINE:,} are read"
            fix = "write one row a line, and check that it is the right file"
            raise InputError(problem, file=path, field=f"line {number}", fix=fix)
        yield line


def _match_header(
    header: list[str], columns: Sequence[Column], *, path: str | os.PathLike[str], what: str
) -> list[tuple[int, Column]]:
    """Return (position, column) of each column of a header line, or raise InputError."""
    known = {column.name: column for column in columns}
    present: dict[str, int] = {}
    for position, cell in enumerate(header):
        name = cell.strip()
        if name not in known:
            fix = f"remove it; the columns of {what} are {_names(columns)}"
            raise InputError("is an unknown column", file=path, field=f"column {show(name)}", fix=fix)
        if name in present:
            raise InputError("is there twice", file=path, field=f"column {name}", fix="keep one of them")
        present[name] = position
    for column in columns:
        if column.required and column.name not in present:
            fix = f"add it; {what} needs {_names([c for c in columns if c.required])}"
            raise InputError("is missing", file=path, field=f"column {column.name}", fix=fix)
    return [(position, known[name]) for name, position in present.items()]


def _chunks(
    reader: Iterator[list[str]], width: int, path: str | os.PathLike[str]
) -> Iterator[tuple[IntArray, list[list[str]]]]:
    """Yield line numbers and rows, some thousand at a time; every row has `width` cells."""
    rows: list[list[str]] = []
    lines: list[int] = []
    for row in reader:
        if not row or (len(row) == 1 and row[0].isspace()):
            continue
        line = reader.line_num  # type: ignore[attr-defined]  # csv's reader has it
        if len(row) != width:
            problem = f"has {len(row)} fields where the header has {width}"
            fix = "give every field; the file may be cut off here"
            raise InputError(problem, file=path, field=f"line {line}", fix=fix)
        rows.append(row)
        lines.append(line)
        if len(rows) == CHUNK_ROWS:
            yield np.array(lines, dtype=np.int64), rows
            rows, lines = [], []
    if rows:
        yield np.array(lines, dtype=np.int64), rows


def _convert(
    column: Column, cells: list[str], line: IntArray, path: str | os.PathLike[str]
) -> NDArray[np.generic]:
    """Return the cells of one column as an array, or raise InputError at the first bad one."""
    convert = {Kind.NUMBER: _numbers, Kind.TEXT: _texts, Kind.TIME: _times}[column.kind]
    try:
        return convert(column, cells)
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
    values = np.empty(len(cells), dtype=np.int64)
    for row, cell in enumerate(cells):
        value = known.get(cell)
        if value is None:
            try:
                value = known[cell] = parse_time(cell).tai_ns
            except ValueError as error:
                raise _BadCell(row, str(error)) from None
        values[row] = value
    return values


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


def _empty(column: Column) -> NDArray[np.generic]:
    dtype = {Kind.NUMBER: np.float64, Kind.TEXT: np.str_, Kind.TIME: np.int64}[column.kind]
    return np.zeros(0, dtype=dtype)


def _names(columns: Sequence[Column]) -> str:
    return ", ".join(column.name for column in columns)
