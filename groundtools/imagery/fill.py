"""Colours for land where the picture shows water: the land around it, smoothly carried over."""

import cv2
import numpy as np
from numpy.typing import NDArray

from groundtools.imagery.blocks import Pixels

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


def fill_water(photo: Pixels, weight: NDArray[np.float32]) -> Pixels:
    """Return the photo (h, w, 3) with pixels of low weight replaced by trusted ones nearby.

    Pull-push: weighted means at ever coarser scales, then back up, each scale used only
    as far as the finer one lacks weight.
    """
    levels = [(photo.astype(np.float32) * weight[..., None], weight)]
    while max(levels[-1][1].shape) > 1:
        size = tuple((n + 1) // 2 for n in levels[-1][1].shape[::-1])
        levels.append(
            tuple(cv2.resize(part, size, interpolation=cv2.INTER_AREA) for part in levels[-1])  # type: ignore[arg-type]
        )
    colour: NDArray[np.float32] | None = None
    for total, trust in reversed(levels):
        mean = total / np.maximum(trust, 1e-9)[..., None]
        if colour is None:
            colour = mean
            continue
        size = trust.shape[::-1]
        above = cv2.resize(colour, size, interpolation=cv2.INTER_LINEAR)
        share = np.minimum(trust * 4.0, 1.0)[..., None]
        colour = mean * share + above * (1.0 - share)
    return np.clip(np.round(colour), 0, 255).astype(np.uint8)
