"""Land and water, to a quarter of a pixel, for any rectangle of the mercator pyramid.

GSHHG polygons are filled at four times the resolution and averaged:
land, then lakes out of it, then islands in lakes. Blocks are made when first asked for
and kept on disk; whole blocks of sea or land cost nothing.
"""

import zlib
from dataclasses import dataclass, field
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from groundtools.imagery.blocks import BlockCache, Pixels, assemble
from groundtools.imagery.cache import cache_dir, write_atomically
from groundtools.imagery.mercator import lonlat_from_pixel, pixel_from_lonlat
from groundtools.imagery.shorelines import ICE, ISLAND, LAKE, LAND, basemap_file, load_shorelines

BLOCK_PX = 1024
SUPERSAMPLING = 4
MARGIN_PX = 4  # polygons are cut this far outside a block, so that cuts are never drawn
SHIFT = 4  # fractional bits of cv2's fixed-point coordinates
MIN_AREA_PX = 1.0 / 16.0  # smaller islands and lakes are left out: the fill inflates them
FORMAT = "3"  # of the files in the cache; change it when the drawing changes


def _resolution(level: int) -> str:
    """Return which shorelines suit a level: their tolerance is below a third of a pixel."""
    return "f" if level >= 8 else "h" if level >= 6 else "i" if level >= 4 else "l"


def rasterise(x0: int, y0: int, size: int, *, level: int) -> Pixels:
    """Return the land mask (size, size, 1), 0 water to 255 land, at pixel x0, y0.

    (1, 1, 1) where the block is all land or all water.
    """
    corners = [[x0 - MARGIN_PX, y0 + size + MARGIN_PX], [x0 + size + MARGIN_PX, y0 - MARGIN_PX]]
    (west, east), (south, north) = np.rad2deg(lonlat_from_pixel(corners, level=level))
    window = (float(west), float(south), float(east), float(north))
    pixel_km2 = (40_075.0 / (256 << level) * np.cos(np.deg2rad((south + north) / 2.0))) ** 2
    shorelines = load_shorelines(_resolution(level))
    smallest = pixel_km2 * MIN_AREA_PX
    land = shorelines.rings(window, (LAND, ICE), smallest)
    if not land:
        return np.zeros((1, 1, 1), np.uint8)
    canvas = np.zeros((size * SUPERSAMPLING, size * SUPERSAMPLING), np.uint8)
    lakes = shorelines.rings(window, (LAKE,), smallest)
    islands = shorelines.rings(window, (ISLAND,), smallest)
    for rings, colour in ((land, 255), (lakes, 0), (islands, 255)):
        if rings:
            points = _canvas_points(rings, x0, y0, level)
            cv2.fillPoly(canvas, points, (colour,), shift=SHIFT)
            # The fill covers its whole outline: half of it on average belongs outside.
            cv2.polylines(canvas, points, isClosed=True, color=(128,), shift=SHIFT)
            if cuts := _cuts(rings):
                points = _canvas_points(cuts, x0, y0, level)
                cv2.polylines(canvas, points, isClosed=False, color=(colour,), shift=SHIFT)
    low, high = int(canvas.min()), int(canvas.max())
    if low == high:
        return np.full((1, 1, 1), low, np.uint8)
    return np.asarray(cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA))[..., None]


def _cuts(rings: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """Return the segments (2, 2) along 180 and 0 deg where GSHHG cuts polygons in two."""
    cuts = []
    for ring in rings:
        lon = np.append(ring[:, 0], ring[0, 0])
        on_cut = (np.abs(lon) == 180.0) | (lon == 0.0)
        for i in np.flatnonzero(on_cut[:-1] & (lon[1:] == lon[:-1])):
            cuts.append(ring[[i, (i + 1) % len(ring)]])
    return cuts


def _canvas_points(rings: list[NDArray[np.float32]], x0: int, y0: int, level: int) -> list[NDArray[np.int32]]:
    """Return polygons in cv2's fixed-point coordinates, whose integers are pixel centres."""
    lon, lat = np.deg2rad(np.concatenate(rings).astype(float)).T
    xy = (pixel_from_lonlat(lon, lat, level=level) - (x0, y0)) * SUPERSAMPLING - 0.5
    fixed = np.round(xy * (1 << SHIFT)).astype(np.int32)
    return np.split(fixed, np.cumsum([len(ring) for ring in rings])[:-1])


@dataclass(frozen=True, slots=True)
class LandMask:
    """The land mask with its two caches: in memory (bounded) and on disk."""

    memory: BlockCache = field(default_factory=lambda: BlockCache(64 << 20))

    def read(self, x0: int, y0: int, x1: int, y1: int, *, level: int) -> Pixels:
        """Return the mask (y1 - y0, x1 - x0): 0 water to 255 land, antialiased.

        x wraps; north of the map is sea, south of it is Antarctica.
        """

        def block_at(bx: int, by: int) -> Pixels:
            return self.memory.get((level, bx, by), lambda: self._load(level, bx, by))

        return assemble(
            block_at,
            (x0, y0, x1, y1),
            level=level,
            block_px=BLOCK_PX,
            channels=1,
            above=np.zeros(1, np.uint8),
            below=np.full(1, 255, np.uint8),
        )[..., 0]

    def _load(self, level: int, bx: int, by: int) -> Pixels:
        size = min(BLOCK_PX, 256 << level)
        source = basemap_file(f"gshhs_{_resolution(level)}.dat").stat().st_size
        path = cache_dir("landmask", f"{FORMAT}-{source}", str(level)) / f"{bx}_{by}.z"
        try:
            pixels = np.frombuffer(zlib.decompress(path.read_bytes()), np.uint8).copy()
            side = 1 if pixels.size == 1 else size
            return pixels.reshape(side, side, 1)
        except (OSError, zlib.error, ValueError):
            block = rasterise(bx * size, by * size, size, level=level)
            write_atomically(path, zlib.compress(block.tobytes(), 1))
            return block


@cache
def land_mask() -> LandMask:
    """Return the process's one land mask, so that its memory is shared."""
    return LandMask()
