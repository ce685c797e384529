"""How the computer is: memory, heat, and the two watchdogs that want to hear of it."""

import contextlib
import os
import socket
from pathlib import Path

PROC, THERMAL = Path("/proc"), Path("/sys/class/thermal/thermal_zone0/temp")
NO_SENSOR = -273.15


def memory_mb(pids: list[int]) -> float:
    """Return the memory of processes together, MB: proportional set size, so that shared
    pages count once. A process that is gone counts nothing.
    """
    total_kb = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError):
            for line in (PROC / str(pid) / "smaps_rollup").read_text(encoding="ascii").splitlines():
                if line.startswith("Pss:"):
                    total_kb += int(line.split()[1])
    return total_kb * 1024 / 1e6


def temperature(path: Path = THERMAL) -> float:
    """Return the processor's temperature, degrees Celsius; `NO_SENSOR` without one."""
    try:
        return int(path.read_text(encoding="ascii")) / 1000.0
    except (OSError, ValueError):
        return NO_SENSOR


class Watchdogs:
    """The service manager's (NOTIFY_SOCKET) and, where configured, the hardware's device.

    `feed` is called from the loop that does the work, and from nowhere else.
    """

    def __init__(self, device: str) -> None:
        self._address = os.environ.get("NOTIFY_SOCKET", "")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._device = os.open(device, os.O_WRONLY | os.O_CLOEXEC) if device else -1

    def ready(self) -> None:
        """Say that the payload is up."""
        self._notify("READY=1")

    def feed(self, status: str) -> None:
        """Say that all is well."""
        self._notify(f"WATCHDOG=1\nSTATUS={status}")
        if self._device >= 0:
            os.write(self._device, b"\0")

    def close(self) -> None:
        """Say that the end is meant; the letter V lets the hardware watchdog go."""
        self._notify("STOPPING=1")
        if self._device >= 0:
            os.write(self._device, b"V")
            os.close(self._device)
        self._socket.close()

    def _notify(self, text: str) -> None:
        if self._address:
            address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
            with contextlib.suppress(OSError):
                self._socket.sendto(text.encode(), address)
