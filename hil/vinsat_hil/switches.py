"""The switches of a board: a page of memory that the host writes while the payload waits.

In lock-step the host flips a switch between two instants, when the payload is blocked on
its clock, so what follows is the same in every run. Standard library alone: it is loaded
under the flight program.
"""

import mmap
import struct
from enum import IntEnum
from pathlib import Path

SIZE = 4096
_FIELDS = {  # name: offset; unsigned 64-bit little-endian
    "medium": 0,  # see `Medium`
    "countdown": 8,  # operations of the medium until `end` happens; 0: never
    "end": 16,  # see `End`
    "seed": 24,  # of what a power cut leaves
    "ballast_mb": 32,  # that the inference worker is to hold
    "slow_ms": 40,  # that each task of a worker takes longer
    "sent": 48,  # bytes that this start has given to its link
    "operations": 56,  # of the medium since this start
    "is_dead": 64,  # of a payload in the host's process: every operation ends it
}
_WORD = struct.Struct("<Q")


class Medium(IntEnum):
    """What the file system does."""

    FINE = 0
    FULL = 1
    READ_ONLY = 2
    SYNC_FAILS = 3


class End(IntEnum):
    """What happens when the countdown is over."""

    NONE = 0
    KILL = 1
    POWER_CUT = 2


class Switches:
    """The page, shared through a file."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        if create:
            path.write_bytes(bytes(SIZE))
        with open(path, "r+b") as file:
            self._page = mmap.mmap(file.fileno(), SIZE)

    def __getitem__(self, name: str) -> int:
        value: int = _WORD.unpack_from(self._page, _FIELDS[name])[0]
        return value

    def __setitem__(self, name: str, value: int) -> None:
        _WORD.pack_into(self._page, _FIELDS[name], value)

    def close(self) -> None:
        """Let go of the page."""
        self._page.close()
