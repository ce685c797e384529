"""Square blocks of a pixel pyramid: memory-bounded cache and assembly of any rectangle."""

from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np
from numpy.typing import NDArray

from groundtools.imagery.mercator import world_px

Pixels = NDArray[np.uint8]


class BlockCache:
    """The blocks used last, up to a number of bytes. Uniform blocks cost next to nothing."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._blocks: OrderedDict[Hashable, Pixels] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Pixels]) -> Pixels:
        """Return the block of `key`, made by `make` when it is not at hand."""
        block = self._blocks.get(key)
        if block is not None:
            self._blocks.move_to_end(key)
            return block
        block = make()
        block.setflags(write=False)
        self._blocks[key] = block
        self._bytes += block.nbytes
        while self._bytes > self._max_bytes and len(self._blocks) > 1:
            self._bytes -= self._blocks.popitem(last=False)[1].nbytes
        return block

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._bytes


def assemble(
    block_at: Callable[[int, int], Pixels],
    rectangle: tuple[int, int, int, int],
    *,
    level: int,
    block_px: int,
    channels: int,
    above: Pixels,
    below: Pixels,
) -> Pixels:
    """Return the pixels (h, w, channels) of a rectangle x0, y0, x1, y1 from blocks.

    block_at(bx, by) gives a block (block_px, block_px, channels) or a uniform one,
    (1, 1, channels). x wraps around the world; rows north of the world are filled with
    `above`, rows south of it with `below` (channels,).
    """
    x0, y0, x1, y1 = rectangle
    size = world_px(level)
    out = np.empty((y1 - y0, x1 - x0, channels), np.uint8)
    out[: max(0, min(y1, 0) - y0)] = above
    out[max(0, size - y0) :] = below
    step = min(block_px, size)
    top, bottom = max(y0, 0), min(y1, size)
    for by in range(top // step, (bottom - 1) // step + 1):
        ya, yb = max(top, by * step), min(bottom, (by + 1) * step)
        for bx in range(x0 // step, (x1 - 1) // step + 1):
            xa, xb = max(x0, bx * step), min(x1, (bx + 1) * step)
            block = block_at(bx % (size // step), by)
            if block.shape[0] > 1:
                block = block[ya - by * step : yb - by * step, xa - bx * step : xb - bx * step]
            out[ya - y0 : yb - y0, xa - x0 : xb - x0] = block
    return out


def half_size(pixels: Pixels) -> Pixels:
    """Return the mean of 2x2 pixels, (h, w, c) -> (h/2, w/2, c), rounded half up."""
    total = pixels[0::2, 0::2].astype(np.uint16)
    total += pixels[0::2, 1::2]
    total += pixels[1::2, 0::2]
    total += pixels[1::2, 1::2]
    total += 2
    return np.asarray(total >> 2, dtype=np.uint8)
