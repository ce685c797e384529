"""Files from the ground, in chunks of any order, into the set of models that is not in use.

A file grows as `.uplink.part` beside `.uplink.map`, both on the medium, so an uplink goes on
after a restart. The map says what was begun and which chunks came; it has a CRC (the form of
a slot's copy), and a damaged one is begun anew. `finish` checks size and SHA-256 and renames
the file into place; nothing of the set in use is ever touched.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from flightsw.errors import UsageError
from flightsw.files import write_together
from flightsw.runtime.store.slots import Copy, decode_slot, encode_slot

CHUNK = 896  # bytes of a file in one command
MAX_FILE = 64_000_000  # bytes
PART, STATE = ".uplink.part", ".uplink.map"
SYNC_EVERY = 64  # chunks between writes of the map; what is lost of it is sent again


@dataclass(slots=True)
class _Begun:
    name: str
    size: int
    sha256: str
    received: str  # bitmap, hex


class Uplink:
    """Receives one file at a time into a folder. Methods return "" or why not."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._begun: _Begun | None = None
        self._have = bytearray()
        self._unsaved = 0
        self._resume()

    def begin(self, name: str, size: int, sha256: bytes) -> str:
        """Begin a file, or go on with it where name, size and hash are the same."""
        if not name or "/" in name or "\\" in name or name.startswith("."):
            return "not a plain file name"
        if not 0 < size <= MAX_FILE:
            return f"a file has 1 to {MAX_FILE} bytes"
        same = self._begun is not None and (name, size, sha256.hex()) == (
            self._begun.name, self._begun.size, self._begun.sha256
        )  # fmt: skip
        if same:
            return ""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with open(self._folder / PART, "wb") as file:
                file.truncate(size)
            self._begun = _Begun(name, size, sha256.hex(), "")
            self._have = bytearray(-(-size // CHUNK))
            self._save()
        except (OSError, UsageError) as error:
            self._begun = None
            return _unwritten(error)
        return ""

    def chunk(self, index: int, data: bytes) -> str:
        """Take one chunk; one that is there already is taken again without harm."""
        if self._begun is None:
            return "no file was begun"
        if not 0 <= index < len(self._have):
            return "no such chunk"
        if len(data) != min(CHUNK, self._begun.size - index * CHUNK):
            return "not a chunk's length"
        try:
            with open(self._folder / PART, "r+b") as file:
                file.seek(index * CHUNK)
                file.write(data)
            self._have[index] = 1
            self._unsaved += 1
            if self._unsaved >= SYNC_EVERY:
                self._save()
        except (OSError, UsageError) as error:
            return _unwritten(error)
        return ""

    def missing(self, most: int = 12) -> tuple[int, list[int]]:
        """Return how many chunks are there, and the first that are not."""
        gaps = [index for index, there in enumerate(self._have) if not there]
        return len(self._have) - len(gaps), gaps[:most]

    def finish(self) -> str:
        """Put the file in its place when it is whole."""
        if self._begun is None:
            return "no file was begun"
        if not all(self._have):
            return "chunks are missing"
        part = self._folder / PART
        try:
            with open(part, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                os.fsync(file.fileno())
            if digest != self._begun.sha256:
                self._have = bytearray(len(self._have))  # one of them is wrong: all again
                self._save()
                return "its SHA-256 differs"
            os.replace(part, self._folder / self._begun.name)
            (self._folder / STATE).unlink(missing_ok=True)
            handle = os.open(self._folder, os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)
        except (OSError, UsageError) as error:
            return _unwritten(error)
        self._begun, self._have = None, bytearray()
        return ""

    def _save(self) -> None:
        """Put the chunks, then the map of them, on the medium."""
        assert self._begun is not None
        with open(self._folder / PART, "r+b") as file:
            os.fsync(file.fileno())
        self._begun.received = bytes(self._have).hex()
        content = json.dumps(asdict(self._begun)).encode()
        write_together(self._folder, {STATE: encode_slot(Copy(0, content))})
        self._unsaved = 0

    def _resume(self) -> None:
        """Go on with a file that an earlier start began; anything odd is begun anew."""
        try:
            copy = decode_slot((self._folder / STATE).read_bytes())
            if copy is None:
                return
            begun = _Begun(**json.loads(copy.payload))
            have = bytearray(bytes.fromhex(begun.received))
            size = (self._folder / PART).stat().st_size
        except (OSError, ValueError, TypeError):
            return
        if size == begun.size and len(have) == -(-begun.size // CHUNK):
            self._begun, self._have = begun, have


def _unwritten(error: OSError | UsageError) -> str:
    """Return that the medium took nothing, and its word for why where there is one."""
    return "cannot be written" + (f" ({error.strerror})" if isinstance(error, OSError) else "")
