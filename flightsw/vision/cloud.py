"""Frames not worth a network: black, saturated, all cloud. And what a cloud looks like."""

import functools
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from flightsw.vision.features import Floats, grey_from_rgb
from flightsw.vision.preprocess import ModelFrame
from flightsw.vision.resample import block_mean

Mask = NDArray[np.bool_]

WASTED = 0.95  # of the frame: what is left is about the 11,500 km^2 that the check needs
DARK = 24  # grey levels: night and a sensor's noise stay below
FULL = 250  # grey levels
BRIGHT = 150.0  # grey levels, of a cloud's darkest colour
COLOUR = 0.25  # a cloud's largest difference between colours, of its brightest one


class Refusal(Enum):
    """Why a frame is not worth looking at."""

    BLACK = "the frame is black: night, or no light reached the sensor"
    SATURATED = "the frame is saturated"
    CLOUD = "the frame shows cloud only"


def quick_refusal(frame: ModelFrame) -> Refusal | None:
    """Return why a frame is refused, or None. Looks at every fourth pixel: 2 ms."""
    sample = frame.rgb[2::4, 2::4][frame.valid[2::4, 2::4]]
    if len(sample) == 0 or np.mean(sample.max(axis=1) < DARK) > WASTED:
        return Refusal.BLACK
    if np.mean(sample.min(axis=1) >= FULL) > WASTED:
        return Refusal.SATURATED
    if np.mean(cloudy(sample)) > WASTED:
        return Refusal.CLOUD
    return None


def cloudy(rgb: NDArray[np.uint8] | NDArray[np.float32]) -> Mask:
    """Tell which pixels (..., 3), 0..255, look like cloud: bright and nearly white."""
    low, high = rgb.min(axis=-1).astype(np.float32), rgb.max(axis=-1).astype(np.float32)
    return np.asarray((low > BRIGHT) & (high - low < COLOUR * high))


@functools.lru_cache(maxsize=1)
def reduced(frame: ModelFrame, step: int) -> tuple[Floats, Mask]:
    """Return a frame's grey means over step x step pixels (h, w), and where they are clear and its own.

    The last answer is kept: the search and every proposal of a frame ask the same.
    """
    mean = block_mean(frame.rgb, step)
    clear = ~cloudy(mean)
    if not frame.valid.all():
        clear &= block_mean(frame.valid[..., None].astype(np.uint8), step)[..., 0] > 0.99
    return grey_from_rgb(mean), clear
