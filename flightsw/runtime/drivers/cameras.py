"""Cameras: a folder into which frames fall, and any program that writes one JPEG file.

`CommandCamera` serves rpicam-still (libcamera) as well as v4l2-ctl and others: it runs a
command for each frame, with {path} and {metadata} filled in, and ends it where it takes
too long. The time of a frame is taken from libcamera's metadata where they are there
(SensorTimestamp: the first row's start of exposure, ns of CLOCK_BOOTTIME), else from the
moment the command was started.
"""

import json
import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from flightsw.astro.time import NS
from flightsw.errors import InputError
from flightsw.files import read_bytes
from flightsw.runtime.csv_cells import parse_time
from flightsw.runtime.fly.ports import DeviceError, Frame
from flightsw.runtime.store.records import Stamp

MAX_FRAME = 20_000_000  # bytes
JPEG = b"\xff\xd8"
_NAME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d)-(\d\d)-(\d\d(?:\.\d{1,9})?)Z?\.jpe?g", re.ASCII)
LIBCAMERA = ("rpicam-still", "-n", "--immediate", "-o", "{path}", "--metadata", "{metadata}")


class FolderCamera:
    """Frames of a folder, named by their times, each given once its time has come.

    after_ns : frames up to this time were given before a restart.
    """

    def __init__(self, folder: Path, *, after_ns: int | None = None) -> None:
        self._folder = folder
        self._last_ns = after_ns
        self._waiting: list[tuple[int, Path]] = []

    def request(self, now: Stamp) -> None:
        """Look for new files. Raises DeviceError where the folder is gone."""
        try:
            names = [entry.name for entry in os.scandir(self._folder)]
        except OSError as error:
            raise DeviceError(f"camera: {self._folder.name} cannot be read ({error.strerror})") from None
        found = []
        for name in names:
            match = _NAME.fullmatch(name)
            if match is None:
                continue
            try:
                tai_ns = parse_time(f"{match[1]}:{match[2]}:{match[3]}Z").tai_ns
            except ValueError:
                continue
            if self._last_ns is None or tai_ns > self._last_ns:
                found.append((tai_ns, self._folder / name))
        self._waiting = sorted(found)

    def poll(self, now: Stamp) -> Frame | None:
        """Return the next frame whose time has come; one that cannot be read is skipped."""
        while self._waiting and self._waiting[0][0] <= now.tai_ns:
            tai_ns, path = self._waiting.pop(0)
            self._last_ns = tai_ns
            try:
                return Frame(tai_ns, read_bytes(path, max_bytes=MAX_FRAME))
            except InputError:
                continue
        return None

    def stop(self) -> None:
        """Forget what waits."""
        self._waiting = []


class CycleCamera:
    """The files of a folder again and again, stamped with the present: for tests and rigs."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._count = folder, 0
        self._asked: int | None = None

    def request(self, now: Stamp) -> None:
        """Ask for a frame of now."""
        self._asked = now.tai_ns

    def poll(self, now: Stamp) -> Frame | None:
        """Return the frame. Raises DeviceError where there are no files."""
        if self._asked is None:
            return None
        tai_ns, self._asked = self._asked, None
        files = sorted(self._folder.glob("*.jpg"))
        if not files:
            raise DeviceError(f"camera: no *.jpg in {self._folder.name}")
        self._count += 1
        return Frame(tai_ns, files[self._count % len(files)].read_bytes())

    def stop(self) -> None:
        """Forget what was asked for."""
        self._asked = None


class CommandCamera:
    """A program that writes one frame and ends. line_time_s, height_px : to the centre row."""

    def __init__(
        self, command: tuple[str, ...], *, timeout_s: float, line_time_s: float = 0.0, height_px: int = 0
    ) -> None:
        self._command, self._timeout_s = command, timeout_s
        self._to_centre_ns = round(line_time_s * height_px / 2 * NS)
        self._folder = Path(tempfile.mkdtemp(prefix="vinsat-camera-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._stamp: Stamp | None = None
        self._boottime_ns = 0

    def request(self, now: Stamp) -> None:
        """Start the program, unless it runs. Raises DeviceError where there is none."""
        if self._process is not None:
            return
        names = {"path": str(self._folder / "frame.jpg"), "metadata": str(self._folder / "frame.json")}
        for name in names.values():
            Path(name).unlink(missing_ok=True)
        command = [part.format(**names) for part in self._command]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise DeviceError(f"camera: {command[0]} cannot be run ({error.strerror})") from None
        self._started, self._stamp = time.monotonic(), now
        self._boottime_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def poll(self, now: Stamp) -> Frame | None:
        """Return the frame when the program has ended. Raises DeviceError: failed, hangs, no JPEG."""
        if self._process is None or self._stamp is None:
            return None
        code = self._process.poll()
        if code is None:
            if time.monotonic() - self._started < self._timeout_s:
                return None
            self.stop()
            raise DeviceError(f"camera: no frame within {self._timeout_s:g} s")
        stamp, self._process = self._stamp, None
        if code != 0:
            raise DeviceError(f"camera: {self._command[0]} ended with {code}")
        try:
            jpeg = read_bytes(self._folder / "frame.jpg", max_bytes=MAX_FRAME)
        except InputError as error:
            raise DeviceError(f"camera: the frame {error.problem}") from None
        if not jpeg.startswith(JPEG):
            raise DeviceError("camera: what it wrote is no JPEG")
        return Frame(self._exposure(stamp), jpeg)

    def stop(self) -> None:
        """End the program if it runs."""
        if self._process is not None:
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self._process.wait()
            self._process = None

    def _exposure(self, started: Stamp) -> int:
        """Return TAI ns of mid-exposure of the centre row."""
        try:
            data = json.loads((self._folder / "frame.json").read_text(encoding="utf-8"))
            data = data[-1] if isinstance(data, list) else data
            sensor_ns = int(data["SensorTimestamp"])
            exposure_ns = int(data.get("ExposureTime", 0)) * 1000  # us
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            return started.tai_ns
        return started.tai_ns + sensor_ns - self._boottime_ns + exposure_ns // 2 + self._to_centre_ns


class NoCamera:
    """A payload without a camera."""

    def request(self, now: Stamp) -> None:
        """Do nothing."""

    def poll(self, now: Stamp) -> Frame | None:
        """Return nothing."""
        return None

    def stop(self) -> None:
        """Do nothing."""
