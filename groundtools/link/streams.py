"""Where a payload can be reached: `tcp:HOST:PORT` or `serial:DEVICE[:BAUD]`."""

import select
import socket
from pathlib import Path
from typing import Protocol

from flightsw.errors import InputError, UsageError
from flightsw.runtime.drivers.links import SPEEDS, SerialLink

PIECE = 65_536  # bytes
CONNECT_S = 5.0
EXIT_REMOTE = 6


class Stream(Protocol):
    """Bytes both ways."""

    def receive(self, timeout_s: float) -> bytes:
        """Return what comes within the time; nothing where nothing does."""

    def send(self, data: bytes) -> None:
        """Send all of it. Raises InputError where the other side is gone."""

    def close(self) -> None:
        """End it."""


class UnreachableError(InputError):
    """There is nobody at an address (exit code 6)."""

    exit_code = EXIT_REMOTE


class TcpStream:
    """A connection to a payload's port. Raises UnreachableError where there is none."""

    def __init__(self, host: str, port: int) -> None:
        self._where = f"tcp:{host}:{port}"
        fix = "is the payload running, and is this its port?"
        try:
            self._socket = socket.create_connection((host, port), timeout=CONNECT_S)
        except OSError as error:
            raise UnreachableError(f"cannot be reached ({error})", file=self._where, fix=fix) from None
        if self._socket.getsockname() == self._socket.getpeername():
            # TCP may connect a free port of this host to itself where nobody listens.
            self._socket.close()
            raise UnreachableError("cannot be reached (nobody listens)", file=self._where, fix=fix)

    def receive(self, timeout_s: float) -> bytes:
        """Return what comes within the time. Raises InputError at the connection's end."""
        if not select.select([self._socket], [], [], timeout_s)[0]:
            return b""
        try:
            data = self._socket.recv(PIECE)
        except OSError:
            data = b""
        if not data:
            raise InputError("has ended the connection", file=self._where, fix="connect again")
        return data

    def send(self, data: bytes) -> None:
        """Send all of it."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise InputError(f"is gone ({error})", file=self._where, fix="connect again") from None

    def close(self) -> None:
        """End the connection."""
        self._socket.close()


class SerialStream:
    """A serial line or pseudo-terminal."""

    def __init__(self, path: str, baud: int) -> None:
        self._path, self._link = path, SerialLink(path, baud)
        self._link.receive()
        if not self._link.readers():
            raise InputError("cannot be opened", file=path, fix="check the device and its permissions")

    def receive(self, timeout_s: float) -> bytes:
        """Return what comes within the time."""
        select.select(self._link.readers(), [], [], timeout_s)
        return self._link.receive()

    def send(self, data: bytes) -> None:
        """Send all of it, at the line's pace."""
        while data:
            sent = self._link.send(data)
            if not self._link.readers():
                raise InputError("is gone", file=self._path, fix="connect again")
            data = data[sent:]
            if data:
                select.select([], self._link.readers(), [], 1.0)

    def close(self) -> None:
        """Close the device."""
        self._link.close()


class RecordedStream:
    """Another stream, with all that comes kept at the end of a file. UsageError where it cannot be."""

    def __init__(self, stream: Stream, path: Path) -> None:
        self._stream = stream
        try:
            self._file = open(path, "ab")
        except OSError as error:
            stream.close()
            raise UsageError(f"{path}: cannot be written ({error.strerror}); record elsewhere") from None

    def receive(self, timeout_s: float) -> bytes:
        """Return what comes within the time, once it is in the file."""
        data = self._stream.receive(timeout_s)
        self._file.write(data)
        self._file.flush()
        return data

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self._stream.send(data)

    def close(self) -> None:
        """Close both."""
        self._stream.close()
        self._file.close()


def open_stream(address: str, record: Path | None = None) -> Stream:
    """Return the stream of an address, recorded where a file is named. Raises UsageError, InputError."""
    stream = _open(address)
    return stream if record is None else RecordedStream(stream, record)


def _open(address: str) -> Stream:
    kind, _, rest = address.partition(":")
    if kind == "tcp":
        host, _, port = rest.rpartition(":")
        if host and port.isdigit():
            return TcpStream(host, int(port))
    if kind == "serial" and rest:
        path, _, baud = rest.rpartition(":")
        if not path:
            return SerialStream(rest, 115_200)
        if baud.isdigit() and int(baud) in SPEEDS:
            return SerialStream(path, int(baud))
    raise UsageError(f"{address!r} is no address; give tcp:HOST:PORT or serial:DEVICE[:BAUD]")
