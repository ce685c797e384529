"""What the payload asks of the world: each a protocol, each with drivers beside it.

A driver never blocks for longer than a few milliseconds, and says that its device is gone
with `DeviceError`; the payload then goes on without it and tries again.
"""

from dataclasses import dataclass
from typing import Protocol

from flightsw.errors import VinsatError
from flightsw.runtime.store.records import Stamp


class DeviceError(VinsatError):
    """A device does not answer as it should; the message says how."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame: TAI ns of mid-exposure of the centre row, and the JPEG file's bytes."""

    tai_ns: int
    jpeg: bytes


class Clock(Protocol):
    """Time. `is_lockstep`: it stands still until the host moves it, so work is waited for."""

    is_lockstep: bool

    def now(self) -> Stamp:
        """Return the present time."""

    def wait(self, seconds: float, readers: list[int]) -> bool:
        """Wait that long, or until a file descriptor can be read; False: the host is gone."""

    def interrupt(self) -> None:
        """Have a wait that is under way end soon; called by a signal's handler."""

    def set_offset(self, offset_ns: int) -> None:
        """Shift TAI by so much from the system's clock."""

    def done(self, digest: str) -> None:
        """Say that the work of this instant is done (of use in lock-step alone)."""

    def close(self) -> None:
        """Let go of it."""


class Camera(Protocol):
    """Where frames come from."""

    def request(self, now: Stamp) -> None:
        """Ask for a frame. Raises DeviceError."""

    def poll(self, now: Stamp) -> Frame | None:
        """Return a frame that is there. Raises DeviceError."""

    def stop(self) -> None:
        """Take no more frames."""


class Gyro(Protocol):
    """Where turning rates come from."""

    def read(self, now: Stamp) -> tuple[float, float, float]:
        """Return rates in the body frame, rad/s. Raises DeviceError."""


class Link(Protocol):
    """A stream of bytes to and from the spacecraft's bus or radio."""

    def receive(self) -> bytes:
        """Return what has come, without waiting; nothing where nobody is there."""

    def send(self, data: bytes) -> int:
        """Send without waiting; return how many bytes were taken."""

    def readers(self) -> list[int]:
        """Return file descriptors that can be read when something comes."""

    def close(self) -> None:
        """Let go of it."""
