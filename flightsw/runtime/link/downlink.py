"""Files to the ground in chunks that may be asked for again, in any order, after any restart.

What can be had is what lies in the folders of products, frames and models: plain files by
`folder/name`. Nothing else has a name here, so keys cannot be asked for. Chunks are read
as the queue has room, a few at a time.
"""

import zlib
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from flightsw.runtime.link.telemetry import Telemetry

CHUNK = 896  # bytes of a file in one packet
MAX_REQUESTS = 64
MAX_FILE = 100_000_000  # bytes
CHUNK_PRIORITY = 4


@dataclass(slots=True)
class _Request:
    name: str
    path: Path
    size: int
    crc: int
    next: int
    end: int


class Downlink:
    """Serves files of named folders. `folders` : first part of a name -> folder."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._folders = dict(folders)
        self._requests: deque[_Request] = deque()
        self._crcs: dict[tuple[str, int, int], int] = {}

    def files(self) -> Iterator[tuple[str, Path]]:
        """Return the name and path of every file that can be had, sorted."""
        for label, folder in sorted(self._folders.items()):
            try:
                found = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
            except OSError:
                continue
            for path in found:
                if path.is_file() and not path.is_symlink() and len(f"{label}/{path.name}".encode()) <= 64:
                    yield f"{label}/{path.name}", path

    def list(self, telemetry: Telemetry, tai_ns: int, first: int, *, most: int = 200) -> int:
        """Queue FILE packets from a position on; return how many files there are."""
        files = list(self.files())
        for position, (name, path) in list(enumerate(files))[first : first + most]:
            try:
                size, crc = self._measure(path)
            except OSError:
                continue
            values = {"position": position, "files": len(files), "size_bytes": size}
            telemetry.put("FILE", tai_ns, {**values, "content_crc32": crc, "file": name})
        return len(files)

    def request(self, name: str, first: int, chunks: int) -> str:
        """Ask for chunks of a file; return "" or why not."""
        path = dict(self.files()).get(name)
        if path is None:
            return "no such file"
        if len(self._requests) >= MAX_REQUESTS:
            return "too many requests wait"
        try:
            size, crc = self._measure(path)
        except OSError:
            return "cannot be read"
        total = max(-(-size // CHUNK), 1)
        if first >= total or size > MAX_FILE:
            return "no such chunk"
        self._requests.append(_Request(name, path, size, crc, first, min(first + chunks, total)))
        return ""

    def clear(self) -> None:
        """Forget every request."""
        self._requests.clear()

    def fill(self, telemetry: Telemetry, tai_ns: int, *, most: int = 64) -> int:
        """Queue chunks while there is room, at most `most`; return how many."""
        done = 0
        while self._requests and done < most and telemetry.queue.room(CHUNK_PRIORITY) > 2 * CHUNK:
            request = self._requests[0]
            if not self._send(request, telemetry, tai_ns):
                self._requests.popleft()
                continue
            done += 1
            request.next += 1
            if request.next >= request.end:
                self._requests.popleft()
        return done

    @property
    def is_busy(self) -> bool:
        """Tell whether chunks wait to be sent."""
        return bool(self._requests)

    def _send(self, request: _Request, telemetry: Telemetry, tai_ns: int) -> bool:
        try:
            with open(request.path, "rb") as file:
                file.seek(request.next * CHUNK)
                data = file.read(CHUNK)
        except OSError:
            return False
        values = {"file_crc32": zlib.crc32(request.name.encode()), "size_bytes": request.size}
        return telemetry.put(
            "CHUNK",
            tai_ns,
            {**values, "content_crc32": request.crc, "chunk": request.next, "data": data},
        )

    def _measure(self, path: Path) -> tuple[int, int]:
        """Return size and CRC-32 of a file, read again only when it changed."""
        status = path.stat()
        key = (str(path), status.st_size, status.st_mtime_ns)
        if key not in self._crcs:
            crc = 0
            with open(path, "rb") as file:
                while block := file.read(1 << 16):
                    crc = zlib.crc32(block, crc)
            while len(self._crcs) > 1000:
                self._crcs.pop(next(iter(self._crcs)))
            self._crcs[key] = crc
        return status.st_size, self._crcs[key]
