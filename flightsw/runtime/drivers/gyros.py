"""Gyros: the kernel's industrial I/O interface, a table of a simulation, none."""

from bisect import bisect_right
from pathlib import Path

from flightsw.astro.time import NS
from flightsw.errors import VinsatError
from flightsw.runtime.fly.ports import DeviceError
from flightsw.runtime.store.records import Stamp
from flightsw.runtime.tables import read_gyro

Rates = tuple[float, float, float]
STILL: Rates = (0.0, 0.0, 0.0)


class IioGyro:
    """A device such as /sys/bus/iio/devices/iio:device0, whose axes are the body's."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, now: Stamp) -> Rates:
        """Return rates, rad/s. Raises DeviceError."""
        try:
            scale = float((self._folder / "in_anglvel_scale").read_text(encoding="ascii"))
            x, y, z = (
                scale * float((self._folder / f"in_anglvel_{axis}_raw").read_text(encoding="ascii"))
                for axis in "xyz"
            )
        except (OSError, ValueError) as error:
            raise DeviceError(f"gyro: {self._folder} cannot be read ({error})") from None
        return (x, y, z)


class TableGyro:
    """Rates of a gyro file (docs/files.md), the last row at or before the present."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, now: Stamp) -> Rates:
        """Return rates, rad/s. Raises DeviceError where the file is gone or too young."""
        try:
            table = read_gyro(self._path)
        except VinsatError as error:
            raise DeviceError(f"gyro: {error}") from None
        index = bisect_right(table.t_s, (now.tai_ns - table.epoch.tai_ns) / NS) - 1
        if index < 0:
            raise DeviceError("gyro: the table begins later")
        x, y, z = (float(value) for value in table.rate_body[index])
        return (x, y, z)


class NoGyro:
    """A payload without a gyro: it stands still."""

    def read(self, now: Stamp) -> Rates:
        """Return zeros."""
        return STILL
