"""A reader of the payload's log of its own, made from its description and not from its code.

What `flightsw.runtime.store.records` documents at its head is read here a second time, so
that a payload which believes damaged records cannot convince the one who checks it.
"""

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OBSERVATIONS, EVENT, SOLUTION, COMMAND, ARC, FRAME = range(1, 7)
_HEAD = struct.Struct(">4sBBHIQQq")
_CRC_BYTES = 4
_MAGIC = b"VREC"


@dataclass(frozen=True, slots=True)
class Entry:
    """A valid record. at, end : where it is in its file."""

    kind: int
    boot: int
    sequence: int
    tai_ns: int
    payload: bytes
    file: str
    at: int
    end: int

    def content(self) -> dict[str, Any]:
        """Return what it says."""
        value: dict[str, Any] = json.loads(self.payload)
        return value


def entries_of(data: bytes, file: str) -> Iterator[Entry]:
    """Return every record with a right checksum."""
    at = data.find(_MAGIC)
    while at >= 0:
        end = at
        if len(data) - at >= _HEAD.size + _CRC_BYTES:
            _, version, kind, length, boot, sequence, _, tai_ns = _HEAD.unpack_from(data, at)
            end = at + _HEAD.size + length + _CRC_BYTES
            if version == 1 and end <= len(data):
                crc = int.from_bytes(data[end - _CRC_BYTES : end], "big")
                if zlib.crc32(data[at : end - _CRC_BYTES]) == crc:
                    payload = data[at + _HEAD.size : end - _CRC_BYTES]
                    yield Entry(kind, boot, sequence, tai_ns, payload, file, at, end)
                    at = data.find(_MAGIC, end)
                    continue
        at = data.find(_MAGIC, at + 1)


class LogReader:
    """The log in a folder, read again only where files have changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, tuple[tuple[int, int], list[Entry]]] = {}

    def read(self) -> dict[int, Entry]:
        """Return the records by sequence, the first of each."""
        found: dict[int, Entry] = {}
        for path in sorted(self._folder.glob("log-*.seg")):
            status = path.stat()
            mark = (status.st_size, status.st_mtime_ns)
            known = self._known.get(path.name)
            if known is None or known[0] != mark:
                known = (mark, list(entries_of(path.read_bytes(), path.name)))
                self._known[path.name] = known
            for entry in known[1]:
                found.setdefault(entry.sequence, entry)
        return dict(sorted(found.items()))
