"""The frame ring: frames on the medium within a budget, the oldest dropped first."""

import contextlib
import os
from pathlib import Path

from flightsw.astro.time import Epoch
from flightsw.runtime.fly.ports import Frame


class FrameRing:
    """A folder of frames named by their times, as `flightsw run` reads them."""

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        self._folder, self._budget = folder, budget_bytes
        with contextlib.suppress(OSError):  # a medium that fails is met again by `put`
            folder.mkdir(parents=True, exist_ok=True)
            for part in folder.glob(".*.part"):
                part.unlink(missing_ok=True)
        self._sizes = {path.name: path.stat().st_size for path in sorted(folder.glob("*.jpg"))}
        self._total = sum(self._sizes.values())

    def put(self, frame: Frame) -> str:
        """Write a frame and return its name. Raises OSError where the medium fails.

        Not synced: a frame lost in a power cut is one frame, and wear is for ever. It is
        written aside and renamed, so that nobody reads half of one while the program lives.
        """
        name = frame_name(frame.tai_ns)
        while self._sizes and self._total + len(frame.jpeg) > self._budget:
            oldest = min(self._sizes)
            (self._folder / oldest).unlink(missing_ok=True)
            self._total -= self._sizes.pop(oldest)
        part = self._folder / f".{name}.part"
        try:
            part.write_bytes(frame.jpeg)
            os.replace(part, self._folder / name)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        self._total += len(frame.jpeg) - self._sizes.get(name, 0)
        self._sizes[name] = len(frame.jpeg)
        return name

    def path(self, name: str) -> Path:
        """Return where a frame is."""
        return self._folder / name

    def __contains__(self, name: str) -> bool:
        return name in self._sizes


def frame_name(tai_ns: int) -> str:
    """Return the name of a frame of that time."""
    return Epoch(tai_ns).utc_iso(9).replace(":", "-").removesuffix("Z") + ".jpg"
