"""Small values that must survive: two copies of each, written one after the other.

A value lives in `NAME.a` and `NAME.b`, each
    magic b"VSLT", version u8, three zero bytes, generation u64, length u32, payload, CRC-32 u32
(big-endian; the CRC covers all before it). `save` gives the older copy the new value,
syncs it, and then does the same with the other: a power cut at any instant leaves one
whole copy, and once `save` has returned, both hold the newest value, so that damage to
one copy never brings an older value back (an older command counter would let a recorded
command run again). `load` takes the highest generation and mends the other copy.
"""

import struct
import zlib
from dataclasses import dataclass

from flightsw.runtime.store.disk import Disk

MAGIC = b"VSLT"
VERSION = 1
HEAD = struct.Struct(">4sB3xQI")
CRC = struct.Struct(">I")
COPIES = (".a", ".b")
MAX_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Copy:
    """A valid copy: its generation and its value."""

    generation: int
    payload: bytes


def encode_slot(copy: Copy) -> bytes:
    """Return the bytes of one copy. Raises ValueError for a value over `MAX_BYTES`."""
    if len(copy.payload) > MAX_BYTES:
        raise ValueError(f"a slot holds at most {MAX_BYTES} bytes, got {len(copy.payload)}")
    body = HEAD.pack(MAGIC, VERSION, copy.generation, len(copy.payload)) + copy.payload
    return body + CRC.pack(zlib.crc32(body))


def decode_slot(data: bytes) -> Copy | None:
    """Return the copy in a file's bytes, None where a single bit is not as it was written."""
    if len(data) < HEAD.size + CRC.size:
        return None
    magic, version, generation, length = HEAD.unpack_from(data)
    if magic != MAGIC or version != VERSION or len(data) != HEAD.size + length + CRC.size:
        return None
    if zlib.crc32(data[: -CRC.size]) != CRC.unpack_from(data, len(data) - CRC.size)[0]:
        return None
    return Copy(generation, data[HEAD.size : -CRC.size])


class Slots:
    """The named values of a disk. `mended` counts copies that were damaged and written again."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.mended = 0

    def load(self, name: str) -> bytes | None:
        """Return the newest value of a name, None where there is no valid copy.

        Where the copies differ the worse one is written again. Raises OSError where the
        disk cannot be read; a copy that cannot be mended is left as it is.
        """
        copies = self._read(name)
        best = max((c for c in copies if c is not None), key=lambda c: c.generation, default=None)
        if best is None:
            return None
        for suffix, copy in zip(COPIES, copies):
            if copy != best:
                self._mend(name + suffix, best)
        return best.payload

    def save(self, name: str, payload: bytes) -> None:
        """Keep a value: when this returns, both copies hold it. Raises OSError, ValueError."""
        copies = self._read(name)
        generations = [-1 if copy is None else copy.generation for copy in copies]
        data = encode_slot(Copy(max(generations) + 1, payload))
        known = self._disk.sizes()
        for index in sorted(range(len(COPIES)), key=lambda k: generations[k]):
            file = name + COPIES[index]
            self._disk.overwrite(file, data)
            self._disk.sync(file)
            if file not in known:
                self._disk.sync_folder()

    def names(self) -> list[str]:
        """Return the names that have a copy, valid or not."""
        return sorted({n[:-2] for n in self._disk.sizes() if n[-2:] in COPIES})

    def scrub(self) -> None:
        """Read every value, and mend copies that no longer agree."""
        for name in self.names():
            self.load(name)

    def _read(self, name: str) -> list[Copy | None]:
        copies: list[Copy | None] = []
        for suffix in COPIES:
            try:
                copies.append(decode_slot(self._disk.read(name + suffix)))
            except FileNotFoundError:
                copies.append(None)
        return copies

    def _mend(self, file: str, best: Copy) -> None:
        try:
            self._disk.overwrite(file, encode_slot(best))
            self._disk.sync(file)
            self._disk.sync_folder()
            self.mended += 1
        except OSError:
            return  # a read-only medium: the other copy serves
