"""The host's end of the lock-step clock: TICK out, DONE back (flightsw.runtime.drivers.clocks)."""

import contextlib
import select
import socket
import time
from collections.abc import Callable
from enum import Enum

POLL_S = 0.1
PIECE = 4096


class NoAnswer(Enum):
    """Why an instant has no digest."""

    GONE = "the program ended"
    SILENT = "no answer in time"


class ClockHost:
    """A port on which a payload asks for the time. address : HOST:PORT as the payload is to be told."""

    def __init__(self, host: str = "127.0.0.1", *, listen: str = "127.0.0.1") -> None:
        self._server = socket.create_server((listen, 0))
        self.address = f"{host}:{self._server.getsockname()[1]}"
        self._peer: socket.socket | None = None
        self._rest = b""

    def accept(self, is_alive: Callable[[], bool], *, timeout_s: float) -> NoAnswer | None:
        """Wait for a payload that has started to say READY; return None, or why it did not."""
        self.hang_up()
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if select.select([self._server], [], [], POLL_S)[0]:
                self._peer, _ = self._server.accept()
                line = self._line(is_alive, end)
                if line == "READY":
                    return None
                return line if isinstance(line, NoAnswer) else NoAnswer.GONE
            if not is_alive():
                return NoAnswer.GONE
        return NoAnswer.SILENT

    def tick(
        self, tai_ns: int, mono_ns: int, is_alive: Callable[[], bool], *, timeout_s: float
    ) -> str | NoAnswer:
        """Move time; return the digest when all that was due is done, or why there is none."""
        if self._peer is None:
            return NoAnswer.GONE
        try:
            self._peer.sendall(f"TICK {tai_ns} {mono_ns}\n".encode())
        except OSError:
            return NoAnswer.GONE
        line = self._line(is_alive, time.monotonic() + timeout_s)
        if isinstance(line, NoAnswer):
            return line
        word, _, rest = line.partition(" ")
        number, _, digest = rest.partition(" ")
        return digest if (word, number) == ("DONE", str(tai_ns)) else NoAnswer.GONE

    def hang_up(self) -> None:
        """End the conversation, if there is one."""
        if self._peer is not None:
            with contextlib.suppress(OSError):
                self._peer.shutdown(socket.SHUT_RDWR)
            self._peer.close()
        self._peer, self._rest = None, b""

    def close(self) -> None:
        """Close the port."""
        self.hang_up()
        self._server.close()

    def _line(self, is_alive: Callable[[], bool], end: float) -> str | NoAnswer:
        assert self._peer is not None
        while b"\n" not in self._rest:
            if select.select([self._peer], [], [], POLL_S)[0]:
                try:
                    piece = self._peer.recv(PIECE)
                except OSError:
                    return NoAnswer.GONE
                if not piece:
                    return NoAnswer.GONE
                self._rest += piece
            elif not is_alive():
                return NoAnswer.GONE
            elif time.monotonic() > end:
                return NoAnswer.SILENT
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode("ascii", "replace")
