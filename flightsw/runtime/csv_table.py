"""Strict CSV: a file becomes checked columns, or an error that names line, column and fix.

Rules for every table: UTF-8, at most 64 MB, a header line, each known column at most once
and each required one present, in any order; every line as many fields as the header;
blank lines are skipped. Numbers are plain decimals (no nan, no inf, no digit grouping)
inside their range; times are ISO 8601 with a zone; texts are short and printable. Rows
are converted in chunks, so memory stays a small multiple of the file.
"""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.time import Epoch
from flightsw.errors import InputError
from flightsw.files import MB, read_text
from flightsw.runtime.csv_cells import Column, Kind, convert, show

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
StrArray = NDArray[np.str_]

MAX_BYTES = 64 * MB
MAX_LINE = 4096  # characters
CHUNK_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class Table:
    """The columns of a file, N rows; line : (N,) line numbers for messages."""

    file: str
    line: IntArray
    columns: dict[str, NDArray[np.generic]]

    def __len__(self) -> int:
        """Return the number of rows N."""
        return len(self.line)

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
            chunks.append([convert(column, [row[i] for row in rows], line, path) for i, column in present])
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


def _empty(column: Column) -> NDArray[np.generic]:
    dtype = {Kind.NUMBER: np.float64, Kind.TEXT: np.str_, Kind.TIME: np.int64}[column.kind]
    return np.zeros(0, dtype=dtype)


def _names(columns: Sequence[Column]) -> str:
    return ", ".join(column.name for column in columns)
