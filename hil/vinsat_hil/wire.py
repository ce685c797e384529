"""The link: a pseudo-terminal (or any stream), with a tap before the faults, and the faults.

In lock-step nothing may depend on how fast the kernel moves bytes: `deliver` returns when
all that was sent lies before the payload, `collect` when all that the payload has sent
(as its board counts it) is here.
"""

import contextlib
import fcntl
import os
import pty
import select
import struct
import termios
import time
import tty
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from flightsw.errors import InputError
from flightsw.runtime.link.framing import DELIMITER
from groundtools.link.streams import Stream, open_stream
from vinsat_hil.faults import Fault

WAIT_S = 10.0  # of real time, for the kernel to move bytes
PIECE = 65_536


class Wire(Protocol):
    """Bytes to and from the payload's link."""

    def send(self, data: bytes) -> None:
        """Give bytes to the payload; returns when they lie before it."""

    def receive(self, at_least: int) -> bytes:
        """Return what has come; waits until so many bytes have come, for a while."""

    def close(self) -> None:
        """Let go of it."""


class PtyWire:
    """A pseudo-terminal. path : the payload's end; it stays open here, so it survives restarts."""

    def __init__(self) -> None:
        self._ours, self._theirs = pty.openpty()
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        self.path = os.ttyname(self._theirs)

    def send(self, data: bytes) -> None:
        """Send, and wait until it can be read."""
        waiting = self._waiting()
        sent, end = 0, time.monotonic() + WAIT_S
        while sent < len(data) and time.monotonic() < end:
            try:
                sent += os.write(self._ours, data[sent:])
            except BlockingIOError:
                select.select([], [self._ours], [], 0.01)
        while self._waiting() < waiting + sent and time.monotonic() < end:
            time.sleep(0.0005)

    def receive(self, at_least: int) -> bytes:
        """Return what has come."""
        out = bytearray()
        end = time.monotonic() + WAIT_S
        while True:
            try:
                out += os.read(self._ours, PIECE)
                continue
            except (BlockingIOError, OSError):
                pass
            if len(out) >= at_least or time.monotonic() > end:
                return bytes(out)
            select.select([self._ours], [], [], 0.005)

    def close(self) -> None:
        """Close both ends."""
        os.close(self._ours)
        os.close(self._theirs)

    def _waiting(self) -> int:
        count: int = struct.unpack("i", fcntl.ioctl(self._theirs, termios.FIONREAD, b"\0" * 4))[0]
        return count


class StreamWire:
    """A serial line or TCP port of a board elsewhere, opened when it can be.

    Nothing tells when bytes have crossed such a line, so `send` waits a little, and where
    the board cannot count what it sends (TCP) `receive` listens until it is quiet.
    """

    SETTLE_S, QUIET_S = 0.05, 0.1

    def __init__(self, address: str) -> None:
        self._address = address
        self._stream: Stream | None = None

    def send(self, data: bytes) -> None:
        """Send; nobody there is a packet lost."""
        if data and self._opened() is not None:
            try:
                self._opened().send(data)  # type: ignore[union-attr]
                time.sleep(self.SETTLE_S)
            except InputError:
                self._drop()

    def receive(self, at_least: int) -> bytes:
        """Return what has come."""
        out, end = bytearray(), time.monotonic() + WAIT_S
        while (stream := self._opened()) is not None and time.monotonic() < end:
            try:
                piece = stream.receive(self.QUIET_S)
            except InputError:
                self._drop()
                break
            out += piece
            if not piece and len(out) >= at_least:
                break
        return bytes(out)

    def close(self) -> None:
        """Let go of it."""
        self._drop()

    def _opened(self) -> Stream | None:
        if self._stream is None:
            with contextlib.suppress(InputError):
                self._stream = open_stream(self._address)
        return self._stream

    def _drop(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


class Spoiler:
    """The faults of one direction, played on frames between zero bytes."""

    def __init__(self, faults: Sequence[Fault], direction: int) -> None:
        self._faults = [
            (fault, np.random.default_rng([fault.seed, 2, direction]))
            for fault in faults
            if fault.kind.layer == "link"
        ]
        self._rest = b""

    def pass_on(self, data: bytes, t_s: float) -> bytes:
        """Return what arrives of bytes sent at a time; a frame that is not whole yet waits."""
        if not self._faults:
            return data
        *frames, self._rest = (self._rest + data).split(DELIMITER)
        out = bytearray()
        for frame in frames:
            for arrived in self._arrived(frame, t_s):
                out += arrived + DELIMITER
        return bytes(out)

    def _arrived(self, frame: bytes, t_s: float) -> list[bytes]:
        if not frame:
            return [frame]
        copies = [frame]
        for fault, rng in self._faults:
            if not fault.covers(t_s):
                continue
            if fault.name == "link_loss":
                copies = [one for one in copies if rng.random() >= fault.amount]
            elif fault.name == "link_duplicate":
                copies += [one for one in copies if rng.random() < fault.amount]
            else:
                copies = [_NOISE[fault.name](one, fault.amount, rng) for one in copies]
        return copies


def _errors(frame: bytes, rate: float, rng: np.random.Generator) -> bytes:
    bits = np.unpackbits(np.frombuffer(frame, dtype=np.uint8))
    return np.packbits(bits ^ (rng.random(len(bits)) < rate)).tobytes()


def _burst(frame: bytes, length: float, rng: np.random.Generator) -> bytes:
    out = bytearray(frame)
    first = int(rng.integers(len(out)))
    last = min(first + int(length), len(out))
    out[first:last] = rng.integers(0, 256, last - first, dtype=np.uint8).tobytes()
    return bytes(out)


_NOISE: dict[str, Callable[[bytes, float, np.random.Generator], bytes]] = {
    "link_errors": _errors,
    "link_burst": _burst,
}
