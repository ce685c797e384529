"""Pieces of the mercator pyramid held in memory, from which training views are cut.

A training run asks the same few thousand kilometres for a hundred thousand views, so
the pixels are read through the imagery port once, kept as plain uint8 files in the
cache folder and mapped from there: every process shares one copy. An imagery may be
kept with its sea flattened, raw, or both (`sea`); a network that has seen a mixture
leans on shores rather than on the sea's painted floor.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groundtools.imagery.blocks import half_size
from groundtools.imagery.cache import cache_dir
from groundtools.imagery.mercator import bounds_px, world_px

Pixels = NDArray[np.uint8]

BLOCK_ROWS = 512
WORLD_BOUNDS_DEG = (-180.0, -60.0, 180.0, 72.0)
VIEW_REACH_KM = 560.0  # half a frame's diagonal from 650 km, and 5 deg of tilt


@dataclass(frozen=True, slots=True)
class Raster:
    """A rectangle of the pyramid.

    pixels (h, w, 3) uint8 RGB, the first at x0_px, y0_px of the world at `level`;
    name says which imagery and sea; a raster as wide as the world wraps.
    """

    name: str
    pixels: Pixels
    x0_px: int
    y0_px: int
    level: int

    @property
    def wraps(self) -> bool:
        """Whether the east edge meets the west edge."""
        return self.pixels.shape[1] == world_px(self.level)

    def crop(self, x0: int, y0: int, x1: int, y1: int) -> Pixels:
        """Return world pixels x0..x1, y0..y1 (a view where possible); rows are clamped."""
        height, width = self.pixels.shape[:2]
        rows = slice(max(0, y0 - self.y0_px), min(height, y1 - self.y0_px))
        left, right = x0 - self.x0_px, x1 - self.x0_px
        if left >= 0 and right <= width:
            return self.pixels[rows, left:right]
        columns = np.arange(left, right)
        columns = columns % width if self.wraps else columns.clip(0, width - 1)
        return np.asarray(self.pixels[rows][:, columns])


def reach_bounds_deg(
    bounds_deg: tuple[float, float, float, float], reach_km: float = VIEW_REACH_KM
) -> tuple[float, float, float, float]:
    """Return bounds widened by `reach_km` on every side."""
    west, south, east, north = bounds_deg
    lat = reach_km / 111.2
    lon = lat / np.cos(np.deg2rad(max(abs(south), abs(north)) + lat))
    return west - lon, south - lat, east + lon, north + lat


def load_raster(
    spec: str, bounds_deg: tuple[float, float, float, float], *, level: int, sea: str = "flat"
) -> Raster:
    """Return the raster of an imagery, from the cache or read now.

    spec : as for `groundtools.imagery.open_imagery`; sea : "flat" or "raw".
    """
    x0, y0, x1, y1 = bounds_px(bounds_deg, level=level)
    name = "embedded" if spec == "embedded" else Path(spec).stem
    stem = f"{name}-{sea}-{level}-{x0}_{y0}_{x1}_{y1}"
    path = cache_dir("training", "rasters") / f"{stem}.u8"
    shape = (y1 - y0, x1 - x0, 3)
    if not path.exists():
        _build(path, spec, (x0, y0, x1, y1), level, sea)
    pixels = np.memmap(path, np.uint8, "r", shape=shape)
    return Raster(f"{name}-{sea}", pixels, x0, y0, level)


def _build(path: Path, spec: str, window: tuple[int, int, int, int], level: int, sea: str) -> None:
    from groundtools.imagery import open_imagery

    imagery = open_imagery(spec)
    x0, y0, x1, y1 = window
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    with open(temporary, "wb") as stream:
        for top in range(y0, y1, BLOCK_ROWS):
            block = imagery.read(x0, top, x1, min(y1, top + BLOCK_ROWS), level=level, sea=sea)
            stream.write(np.ascontiguousarray(block).tobytes())
    os.replace(temporary, path)
    about = {"imagery": imagery.name, "credit": imagery.credit, "window_px": window, "level": level}
    path.with_suffix(".json").write_text(json.dumps(about))


def half_raster(raster: Raster) -> Raster:
    """Return the raster one level coarser (2 x 2 means), its origin kept even.

    Kept in the cache folder like the others, so that processes share it.
    """
    skip_x, skip_y = raster.x0_px % 2, raster.y0_px % 2
    height = (raster.pixels.shape[0] - skip_y) // 2
    width = (raster.pixels.shape[1] - skip_x) // 2
    x0, y0 = (raster.x0_px + skip_x) // 2, (raster.y0_px + skip_y) // 2
    stem = f"{raster.name}-{raster.level - 1}-{x0}_{y0}_{x0 + width}_{y0 + height}"
    path = cache_dir("training", "rasters") / f"{stem}.u8"
    if not path.exists():
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        with open(temporary, "wb") as stream:
            for top in range(0, height, BLOCK_ROWS):
                rows = slice(skip_y + 2 * top, skip_y + 2 * min(height, top + BLOCK_ROWS))
                block = raster.pixels[rows, skip_x : skip_x + 2 * width]
                stream.write(half_size(np.asarray(block)).tobytes())
        os.replace(temporary, path)
    return Raster(
        raster.name, np.memmap(path, np.uint8, "r", shape=(height, width, 3)), x0, y0, raster.level - 1
    )


@dataclass(frozen=True, slots=True)
class HeldImagery:
    """Rasters of one imagery, by level, under the interface the renderer reads from."""

    levels: dict[int, Raster]
    credit: str = ""

    @property
    def name(self) -> str:
        """Return the imagery's and sea's name."""
        return next(iter(self.levels.values())).name

    @property
    def native_level(self) -> int:
        """Return the finest level."""
        return max(self.levels)

    def read(self, x0: int, y0: int, x1: int, y1: int, *, level: int, sea: str | None = None) -> Pixels:
        """Return pixels (y1 - y0, x1 - x0, 3); beyond the raster its border is repeated."""
        raster = self.levels[max(level, min(self.levels))]
        if level < min(self.levels):
            raise ValueError(f"level {level} is coarser than the rasters held")
        pixels = raster.crop(x0, y0, x1, y1)
        height = raster.pixels.shape[0]
        above = max(0, min(raster.y0_px - y0, y1 - y0))
        below = max(0, min(y1 - raster.y0_px - height, y1 - y0))
        if pixels.shape[0] == 0:
            return np.zeros((y1 - y0, x1 - x0, 3), np.uint8)
        if above or below:
            pixels = np.pad(pixels, ((above, below), (0, 0), (0, 0)), mode="edge")
        return np.ascontiguousarray(pixels)


def hold_imagery(
    specs: Iterable[tuple[str, tuple[str, ...]]],
    bounds_deg: tuple[float, float, float, float],
    *,
    finest: int,
    coarsest: int,
) -> list[list[HeldImagery]]:
    """Return, for each imagery spec with its sea variants, what to draw views from."""

    def hold(spec: str, sea: str) -> HeldImagery:
        raster = load_raster(spec, bounds_deg, level=finest, sea=sea)
        levels = {finest: raster}
        for level in range(finest - 1, coarsest - 1, -1):
            levels[level] = raster = half_raster(raster)
        return HeldImagery(levels)

    return [[hold(spec, sea) for sea in seas] for spec, seas in specs]
