"""Colours for land where the picture shows water: the land around it, smoothly carried over."""

import cv2
import numpy as np
from numpy.typing import NDArray

from groundtools.imagery.blocks import Pixels

Floats = NDArray[np.float32]

STRIP_ROWS = 256
RIM_PX = 2  # how far inland a picture's own water may reach: pictures and shorelines differ


def without_blue_rim(picture: Pixels, land: Pixels) -> Pixels:
    """Return the picture (h, w, 3) with its water gone from the land beside the shoreline.

    land : (h, w, 1), 0..255. Only bluish or black pixels within RIM_PX of water are replaced:
    left alone, they draw a bright rim around every coast that no other source has.
    """
    near_water = cv2.erode(land[..., 0], np.ones((2 * RIM_PX + 1, 2 * RIM_PX + 1), np.uint8)) < 255
    red, green, blue = (picture[..., i].astype(np.int16) for i in range(3))
    bluish = (blue > red + 4) & (blue > green - 12)
    watery = near_water & (bluish | (red + green + blue < 30))  # deep lakes are black
    if not watery.any():
        return picture
    weight = (~watery & (land[..., 0] > 128)).astype(np.float32)
    filled = fill_water(picture, weight)
    return np.where(watery[..., None], filled, picture)


def fill_water(photo: Pixels, weight: Floats) -> Pixels:
    """Return the photo (h, w, 3) with pixels of low weight replaced by trusted ones nearby.

    Pull-push: weighted means at ever coarser scales, then back up, each scale used only
    as far as the finer one lacks weight.
    """
    weight = weight.astype(np.float32)
    levels = [_halved(photo, weight)]
    while max(levels[-1][1].shape) > 1:
        levels.append(_halved(*levels[-1]))
    colour = levels[-1][0]
    for mean, trust in reversed(levels[:-1]):
        colour = _mixed(mean, trust, cv2.resize(colour, trust.shape[::-1]))
    return _finest(photo, weight, colour)


def _halved(mean: Floats | Pixels, trust: Floats) -> tuple[Floats, Floats]:
    """Return the weighted mean colour and the trust of 2x2 cells; 0/0 counts as black."""
    size = ((trust.shape[1] + 1) // 2, (trust.shape[0] + 1) // 2)
    total = cv2.multiply(mean, cv2.merge([trust] * 3), dtype=cv2.CV_32F)
    total = cv2.resize(total, size, interpolation=cv2.INTER_AREA)
    trust = cv2.resize(trust, size, interpolation=cv2.INTER_AREA)
    return total / np.maximum(trust, 1e-12)[..., None], trust


def _mixed(mean: Floats | Pixels, trust: Floats, coarser: Floats) -> Floats:
    """Return the mean where it is trusted, the coarser scale's colour where it is not."""
    share = np.minimum(trust * 4.0, 1.0)[..., None]
    return np.asarray(coarser + (mean - coarser) * share, dtype=np.float32)


def _finest(photo: Pixels, weight: Floats, coarser: Floats) -> Pixels:
    """Return the last mixture, in strips: the whole in floats would take 700 MB."""
    out = np.empty_like(photo)
    height, width = weight.shape
    upright = cv2.resize(coarser.astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)
    for top in range(0, height, STRIP_ROWS):
        rows = slice(top, top + STRIP_ROWS)
        mixed = _mixed(photo[rows], weight[rows], upright[rows].astype(np.float32))
        out[rows] = np.clip(np.round(mixed), 0, 255)
    return out
