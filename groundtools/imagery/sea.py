"""Water as a camera in orbit sees it from far: dark, almost one colour, no sea floor."""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from groundtools.imagery.blocks import Pixels
from groundtools.imagery.mercator import world_px

SEA_RGB = (13, 30, 56)
VARIATION = 2.5  # grey levels, 1 sigma, over some 100 km
LARGEST = 7  # grey levels, of the variation
PERIODS = 16  # times the variation repeats around the world
TEXTURE_PX = 128  # of one period: 20 km a pixel at the equator


@cache
def _texture() -> NDArray[np.float32]:
    """Return gentle noise (TEXTURE_PX, TEXTURE_PX), periodic, unit variance."""
    noise = np.random.default_rng(1).standard_normal((TEXTURE_PX, TEXTURE_PX))
    frequency = np.hypot(*np.meshgrid(*2 * [np.fft.fftfreq(TEXTURE_PX) * TEXTURE_PX]))
    smooth = np.fft.ifft2(np.fft.fft2(noise) * np.exp(-((frequency / 12.0) ** 2))).real
    return np.asarray(smooth / smooth.std(), dtype=np.float32)


def sea_pixels(x0: int, y0: int, width: int, height: int, *, level: int) -> Pixels:
    """Return water (height, width, 3) at pixel x0, y0 of `level`; the same at every level."""
    scale = TEXTURE_PX * PERIODS / world_px(level)
    inverse = np.array(
        [[scale, 0.0, (x0 + 0.5) * scale % TEXTURE_PX], [0.0, scale, (y0 + 0.5) * scale % TEXTURE_PX]]
    )
    noise = cv2.warpAffine(
        _texture(),
        inverse,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_WRAP,
    )
    shade = np.clip(np.round(noise * VARIATION), -LARGEST, LARGEST).astype(np.int8) + LARGEST
    return np.asarray(cv2.LUT(cv2.merge([shade.astype(np.uint8)] * 3), _shades()))


@cache
def _shades() -> Pixels:
    """Return the table (256, 1, 3) from shade + LARGEST to colour."""
    levels = np.arange(256)[:, None] - LARGEST + np.array(SEA_RGB)
    return np.clip(levels, 0, 255).astype(np.uint8)[:, None, :]


def flatten_sea(picture: Pixels, water: Pixels, land: Pixels) -> Pixels:
    """Return `picture` on land and `water` elsewhere, mixed by the mask; all (h, w, 3 or 1)."""
    weight = land.astype(np.uint16)
    mixed = picture * weight
    mixed += water * (255 - weight)
    mixed += 127
    mixed //= 255
    return mixed.astype(np.uint8)
