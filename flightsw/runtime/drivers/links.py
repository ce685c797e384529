"""Links: a serial line (or pseudo-terminal), and a TCP port for one ground at a time.

Both are non-blocking; what cannot be sent now stays with the caller. A device that is
gone is opened again at the next call, at most once a second.
"""

import contextlib
import os
import socket
import termios
import time
import tty

PIECE = 65_536  # bytes taken at a time
RETRY_S = 1.0
SPEEDS = {
    9600: termios.B9600, 19_200: termios.B19200, 38_400: termios.B38400, 57_600: termios.B57600,
    115_200: termios.B115200, 230_400: termios.B230400, 460_800: termios.B460800,
    921_600: termios.B921600,
}  # fmt: skip


class SerialLink:
    """A serial device at a speed of `SPEEDS`, raw, 8N1. `path` may be a pseudo-terminal."""

    def __init__(self, path: str, baud: int) -> None:
        self._path, self._speed = path, SPEEDS[baud]
        self._handle = -1
        self._tried = -RETRY_S

    def receive(self) -> bytes:
        """Return what has come."""
        if not self._opened():
            return b""
        try:
            return os.read(self._handle, PIECE)
        except BlockingIOError:
            return b""
        except OSError:
            self.close()
            return b""

    def send(self, data: bytes) -> int:
        """Send without waiting."""
        if not self._opened():
            return 0
        try:
            return os.write(self._handle, data)
        except BlockingIOError:
            return 0
        except OSError:
            self.close()
            return 0

    def readers(self) -> list[int]:
        """Return the device where it is open."""
        return [self._handle] if self._handle >= 0 else []

    def close(self) -> None:
        """Close the device."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _opened(self) -> bool:
        if self._handle >= 0:
            return True
        if time.monotonic() - self._tried < RETRY_S:
            return False
        self._tried = time.monotonic()
        try:
            self._handle = os.open(self._path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
            tty.setraw(self._handle)
            settings = termios.tcgetattr(self._handle)
            settings[4] = settings[5] = self._speed
            termios.tcsetattr(self._handle, termios.TCSANOW, settings)
        except (OSError, termios.error):
            self.close()
        return self._handle >= 0


class TcpLink:
    """A port to which one ground connects; a newer connection takes the place of an older."""

    def __init__(self, host: str, port: int) -> None:
        self._server = socket.create_server((host, port), reuse_port=False)
        self._server.setblocking(False)
        self._peer: socket.socket | None = None

    @property
    def port(self) -> int:
        """Return the port that is listened on."""
        number: int = self._server.getsockname()[1]
        return number

    def receive(self) -> bytes:
        """Return what has come."""
        self._accept()
        if self._peer is None:
            return b""
        try:
            data = self._peer.recv(PIECE)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self._drop()
        return data

    def send(self, data: bytes) -> int:
        """Send without waiting; where nobody is connected it is as lost as on the air."""
        if self._peer is None:
            return len(data)
        try:
            return self._peer.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self._drop()
            return len(data)

    def readers(self) -> list[int]:
        """Return the port and the connection."""
        return [self._server.fileno()] + ([] if self._peer is None else [self._peer.fileno()])

    def close(self) -> None:
        """Close port and connection."""
        self._drop()
        self._server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            peer, _ = self._server.accept()
            self._drop()
            peer.setblocking(False)
            self._peer = peer

    def _drop(self) -> None:
        if self._peer is not None:
            self._peer.close()
            self._peer = None


class NoLink:
    """Nobody to talk to."""

    def receive(self) -> bytes:
        """Return nothing."""
        return b""

    def send(self, data: bytes) -> int:
        """Let it go."""
        return len(data)

    def readers(self) -> list[int]:
        """Return nothing."""
        return []

    def close(self) -> None:
        """Nothing to close."""
