"""Frames whose answer is known, for the self-test: a whole look at each, from JPEG to pose."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flightsw.config import load_toml
from flightsw.files import MB, read_bytes

FOLDER = Path(__file__).parent
TABLE = "frames.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenFrame:
    """A frame of the networks' own camera. region : it must be found in, "" for in none;
    r_ecef_m : where the camera was.
    """

    name: str
    region: str
    r_ecef_m: tuple[float, float, float]

    @property
    def jpeg(self) -> bytes:
        """The file."""
        return read_bytes(FOLDER / f"{self.name}.jpg", max_bytes=MB)

    def error_m(self, r_ecef: NDArray[np.float64]) -> float:
        """Return how far a found position (3,) is from the true one, m."""
        return float(np.linalg.norm(r_ecef - np.array(self.r_ecef_m)))


@dataclass(frozen=True, slots=True)
class _Table:
    frame: tuple[GoldenFrame, ...]


def golden_frames() -> tuple[GoldenFrame, ...]:
    """Return all of them."""
    return load_toml(FOLDER / TABLE, _Table).frame
