"""The few things a store asks of a disk: a port, so that a power cut can be played in tests.

A disk is one flat folder. `append` and `overwrite` may be lost, torn or reordered by a
power cut until `sync` of that file returned; a file's being there, or being gone, may be
lost until `sync_folder` returned. Nothing else is assumed of the file system.
"""

import errno
import fcntl
import os
from pathlib import Path
from typing import Protocol

from flightsw.errors import VinsatError

LOCK = "lock"


class StoreBusyError(VinsatError):
    """Another process writes this store (exit code 3)."""


class Disk(Protocol):
    """One flat folder of files. Every method may raise OSError."""

    def sizes(self) -> dict[str, int]:
        """Return the names of all files and their sizes in bytes."""

    def read(self, name: str) -> bytes:
        """Return a file's content."""

    def append(self, name: str, data: bytes) -> None:
        """Add bytes to a file's end; makes the file."""

    def overwrite(self, name: str, data: bytes) -> None:
        """Give a file this content, in place; makes the file."""

    def sync(self, name: str) -> None:
        """Return when the file's content is on the medium."""

    def sync_folder(self) -> None:
        """Return when it is on the medium which files there are."""

    def remove(self, name: str) -> None:
        """Remove a file."""

    def close(self) -> None:
        """Let go of everything."""


class FolderDisk:
    """A folder of the file system, with one writer at a time.

    Raises StoreBusyError where another process holds the folder's lock. The lock belongs
    to the open file, so it ends with the process however that ends.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._open: dict[str, int] = {}
        self._lock = self._open_lock()
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            problem = f"{self.folder}: is in use by another process; stop it, or name another store"
            raise StoreBusyError(problem) from None

    def sizes(self) -> dict[str, int]:
        """Return the names of all files but the lock, and their sizes in bytes."""
        entries = [entry for entry in os.scandir(self.folder) if entry.name != LOCK]
        return {entry.name: entry.stat().st_size for entry in entries}

    def read(self, name: str) -> bytes:
        """Return a file's content."""
        return (self.folder / name).read_bytes()

    def append(self, name: str, data: bytes) -> None:
        """Add bytes to a file's end; a short write is an OSError."""
        handle = self._open.get(name)
        if handle is None:
            self._close_files()  # a log has one file that grows
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            handle = self._open[name] = os.open(self.folder / name, flags, 0o640)
        _write_all(handle, data)

    def overwrite(self, name: str, data: bytes) -> None:
        """Give a file this content, in place."""
        handle = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            _write_all(handle, data)
            os.ftruncate(handle, len(data))
        finally:
            os.close(handle)

    def sync(self, name: str) -> None:
        """Return when the file's content is on the medium."""
        handle = self._open.get(name)
        if handle is not None:
            os.fdatasync(handle)
            return
        handle = os.open(self.folder / name, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.fdatasync(handle)
        finally:
            os.close(handle)

    def sync_folder(self) -> None:
        """Return when the folder's entries are on the medium."""
        handle = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def remove(self, name: str) -> None:
        """Remove a file."""
        handle = self._open.pop(name, None)
        if handle is not None:
            os.close(handle)
        (self.folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        """Close all files and give up the lock."""
        self._close_files()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _open_lock(self) -> int:
        try:
            return os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            if error.errno != errno.EROFS:
                raise
            return os.open(self.folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)  # can still be read

    def _close_files(self) -> None:
        for handle in self._open.values():
            os.close(handle)
        self._open.clear()


class NoDisk:
    """No disk at all: empty, and refuses every write, so that the store keeps all in memory."""

    def sizes(self) -> dict[str, int]:
        """Return no files."""
        return {}

    def read(self, name: str) -> bytes:
        """Find nothing."""
        raise FileNotFoundError(errno.ENOENT, "no such file", name)

    def append(self, name: str, data: bytes) -> None:
        """Refuse."""
        raise OSError(errno.EROFS, "there is no disk", name)

    def overwrite(self, name: str, data: bytes) -> None:
        """Refuse likewise."""
        raise OSError(errno.EROFS, "there is no disk", name)

    def sync(self, name: str) -> None:
        """Do nothing."""

    def sync_folder(self) -> None:
        """Do nothing."""

    def remove(self, name: str) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def _write_all(handle: int, data: bytes) -> None:
    """Write every byte or raise OSError."""
    rest = memoryview(data)
    while rest:
        written = os.write(handle, rest)
        if written == 0:
            raise OSError(errno.EIO, "nothing was written")
        rest = rest[written:]
