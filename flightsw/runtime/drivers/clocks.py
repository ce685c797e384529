"""Clocks: the system's, one that runs faster, and one that a host moves step by step.

`SystemClock` counts monotonic time through suspension (CLOCK_BOOTTIME) and takes UTC from
the system, with the leap seconds this program knows. `ScaledClock` runs `rate` times
faster from a given instant, the same over restarts of the program.

`LockstepClock` speaks lines of text over a stream: the host sends `TICK <tai_ns>`, the
payload does all that is due at that instant, waits for its workers, and answers
`DONE <tai_ns> <digest>`. Between ticks time stands still. `TICK <tai_ns> <mono_ns>` gives
monotonic time too, so that the two can part, as they do when a clock is stepped.
"""

import contextlib
import select
import socket
import time

from flightsw.astro.time import NS, Epoch
from flightsw.runtime.fly.ports import DeviceError
from flightsw.runtime.store.records import Stamp

_UNIX_EPOCH = Epoch.from_utc("2017-01-01T00:00:00Z")  # the last leap second is before it
_UNIX_NS = 1_483_228_800 * NS
MAX_LINE = 100  # bytes
SHORTEST_S = 0.01  # real time, between steps of an accelerated clock


def tai_from_unix_ns(unix_ns: int) -> int:
    """Return TAI ns past 2000-01-01T12:00:00 TAI of a UNIX time after 2017, ns."""
    return _UNIX_EPOCH.tai_ns + (unix_ns - _UNIX_NS)


class SystemClock:
    """The computer's clock, shifted by an offset that the ground sets."""

    is_lockstep = False

    def __init__(self, boot: int) -> None:
        self._boot, self._offset_ns = boot, 0

    def now(self) -> Stamp:
        """Return the present time."""
        tai_ns = tai_from_unix_ns(time.time_ns()) + self._offset_ns
        return Stamp(self._boot, time.clock_gettime_ns(time.CLOCK_BOOTTIME), tai_ns)

    def wait(self, seconds: float, readers: list[int]) -> bool:
        """Wait that long, or until something can be read."""
        select.select(readers, [], [], max(seconds, 0.0))
        return True

    def interrupt(self) -> None:
        """Waits are short."""

    def set_offset(self, offset_ns: int) -> None:
        """Shift TAI by so much from the system's clock."""
        self._offset_ns = offset_ns

    def done(self, digest: str) -> None:
        """Nobody asks."""

    def close(self) -> None:
        """Nothing to let go of."""


class ScaledClock(SystemClock):
    """A clock `rate` times faster: `epoch` was at `boottime_s` of CLOCK_BOOTTIME."""

    def __init__(self, boot: int, *, epoch: Epoch, boottime_s: float, rate: float) -> None:
        super().__init__(boot)
        self._epoch, self._zero_ns, self._rate = epoch, round(boottime_s * NS), rate

    def now(self) -> Stamp:
        """Return the present time of the simulation."""
        elapsed = round((time.clock_gettime_ns(time.CLOCK_BOOTTIME) - self._zero_ns) * self._rate)
        return Stamp(self._boot, max(elapsed, 0), self._epoch.tai_ns + elapsed + self._offset_ns)

    def wait(self, seconds: float, readers: list[int]) -> bool:
        """Wait so many seconds of the simulation, but no shorter than a real loop would."""
        return super().wait(max(seconds / self._rate, SHORTEST_S), readers)


class LockstepClock:
    """Time as the host says. Raises DeviceError where the host cannot be reached."""

    is_lockstep = True

    def __init__(self, boot: int, address: tuple[str, int]) -> None:
        self._boot, self._offset_ns, self._tai_ns = boot, 0, 0
        self._first_ns: int | None = None
        self._mono_ns: int | None = None
        try:
            self._socket = socket.create_connection(address, timeout=30.0)
        except OSError as error:
            raise DeviceError(f"clock: no host at {address[0]}:{address[1]} ({error})") from None
        self._socket.settimeout(None)
        self._rest = b""
        self._socket.sendall(b"READY\n")
        self.is_over = not self._next_tick()

    def now(self) -> Stamp:
        """Return the instant of the last tick."""
        assert self._first_ns is not None
        mono_ns = self._tai_ns - self._first_ns if self._mono_ns is None else self._mono_ns
        return Stamp(self._boot, mono_ns, self._tai_ns + self._offset_ns)

    def wait(self, seconds: float, readers: list[int]) -> bool:
        """Wait for the next tick, whenever that is."""
        return self._next_tick()

    def interrupt(self) -> None:
        """Hear no more of the host, which ends the wait for it."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)

    def set_offset(self, offset_ns: int) -> None:
        """Shift TAI by so much from the host's."""
        self._offset_ns = offset_ns

    def done(self, digest: str) -> None:
        """Answer the last tick."""
        try:
            self._socket.sendall(f"DONE {self._tai_ns} {digest}\n".encode())
        except OSError:
            return  # the next wait says that the host is gone

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _next_tick(self) -> bool:
        while b"\n" not in self._rest:
            try:
                piece = self._socket.recv(4096)
            except OSError:
                return False
            if not piece or len(self._rest) > MAX_LINE:
                return False
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        word, *numbers = line.decode("ascii", "replace").split()
        if word != "TICK" or len(numbers) not in (1, 2) or not all(n.lstrip("-").isdigit() for n in numbers):
            return False
        self._tai_ns = int(numbers[0])
        self._mono_ns = int(numbers[1]) if len(numbers) == 2 else None
        if self._first_ns is None:
            self._first_ns = self._tai_ns
        return True
