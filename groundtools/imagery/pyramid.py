"""What the providers share: a bounded cache of blocks, coarser levels, flattened water."""

from abc import ABC, abstractmethod

import numpy as np

from groundtools.imagery.blocks import BlockCache, Pixels, assemble, half_size
from groundtools.imagery.fill import without_blue_rim
from groundtools.imagery.landmask import LandMask, land_mask
from groundtools.imagery.port import SeaMode
from groundtools.imagery.sea import SEA_RGB, flatten_sea, sea_pixels

BLOCK_PX = 512
CACHE_BYTES = 200 << 20
ICE_RGB = (236, 238, 242)  # Antarctica south of the map


class Pyramid(ABC):
    """Base of the providers. A subclass makes raw blocks from `direct_level` to native."""

    sea_default: SeaMode = "flat"

    def __init__(
        self,
        name: str,
        credit: str,
        *,
        native_level: int,
        direct_level: int,
        mask: LandMask | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.name = name
        self.credit = credit
        self.native_level = native_level
        self._direct_level = direct_level
        self._mask = mask or land_mask()
        self._cache = BlockCache(cache_bytes)

    @abstractmethod
    def _raw_block(self, level: int, bx: int, by: int) -> Pixels:
        """Return the pictured block (BLOCK_PX, BLOCK_PX, 3), direct_level <= level <= native."""

    def read(self, x0: int, y0: int, x1: int, y1: int, *, level: int, sea: SeaMode | None = None) -> Pixels:
        """Return RGB pixels of a rectangle: see `Imagery.read`."""
        if not 2 <= level <= self.native_level:
            raise ValueError(f"level must lie in 2..{self.native_level}, got {level}")
        mode: SeaMode = sea or self.sea_default

        def block_at(bx: int, by: int) -> Pixels:
            return self._cache.get((mode, level, bx, by), lambda: self._block(mode, level, bx, by))

        return assemble(
            block_at,
            (x0, y0, x1, y1),
            level=level,
            block_px=BLOCK_PX,
            channels=3,
            above=np.array(SEA_RGB, np.uint8),
            below=np.array(ICE_RGB, np.uint8),
        )

    def land(self, x0: int, y0: int, x1: int, y1: int, *, level: int) -> Pixels:
        """Return the land mask of a rectangle: see `Imagery.land`."""
        return self._mask.read(x0, y0, x1, y1, level=level)

    def valid(self, x0: int, y0: int, x1: int, y1: int, *, level: int) -> Pixels:
        """Return where the source has a picture: everywhere, unless a subclass knows better."""
        return np.full((y1 - y0, x1 - x0), 255, np.uint8)

    def _block(self, mode: SeaMode, level: int, bx: int, by: int) -> Pixels:
        if mode == "raw":
            return self._raw(level, bx, by)
        x0, y0 = bx * BLOCK_PX, by * BLOCK_PX
        land = self.land(x0, y0, x0 + BLOCK_PX, y0 + BLOCK_PX, level=level)[..., None]
        if land.min() == 255:
            return self._raw(level, bx, by)
        water = sea_pixels(x0, y0, BLOCK_PX, BLOCK_PX, level=level)
        if mode == "half":
            raw = self._raw(level, bx, by)
            water = ((raw.astype(np.uint16) + water + 1) >> 1).astype(np.uint8)
            return flatten_sea(raw, water, land)
        if land.max() == 0:
            return water
        return flatten_sea(without_blue_rim(self._raw(level, bx, by), land), water, land)

    def _raw(self, level: int, bx: int, by: int) -> Pixels:
        if level >= self._direct_level:
            return self._raw_block(level, bx, by)
        return self._cache.get((level, bx, by), lambda: self._coarser(level, bx, by))

    def _coarser(self, level: int, bx: int, by: int) -> Pixels:
        """Return a raw block as the 2x2 means of the level below."""
        out = np.empty((BLOCK_PX, BLOCK_PX, 3), np.uint8)
        half = BLOCK_PX // 2
        for dy in range(2):
            for dx in range(2):
                finer = self._raw(level + 1, 2 * bx + dx, 2 * by + dy)
                out[dy * half : (dy + 1) * half, dx * half : (dx + 1) * half] = half_size(finer)
        return out
