"""What of an image survives another camera, season or satellite: contrast and edges.

Three channels on the 2.4-km grid of a reference map, the same function for maps (by the
map builder, once a source) and for frames (after rectification onto the map's grid):
    c    (grey - local mean) / sqrt(local variance + floor^2)
    e2c  cos 2t sqrt(g^2 / (local mean of g^2 + floor^2)), t the gradient's direction
    e2s  sin 2t of the same; the doubled angle forgets the contrast's sign
Local means run over a square window and over valid cells only. The floors keep flat sea
and sensor noise near zero. Box filters are differences of cumulative sums.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

CHANNELS = 3
WINDOW_RADIUS = 5  # cells: 11 x 2.4 km = 26 km; 8 to 20 separate right from wrong less well
CONTRAST_FLOOR = 3.0  # grey levels of 255
GRADIENT_FLOOR = 1.0  # grey levels a cell
CLIP = 3.0  # of all channels: one bright edge must not carry a whole frame


def grey_from_rgb(rgb: NDArray[np.uint8] | Floats) -> Floats:
    """Return grey levels 0..255, float32 (...), of RGB (..., 3): Rec. 601 weights."""
    return np.asarray(rgb, np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)


def local_features(grey: Floats, valid: Mask | None = None) -> tuple[Floats, Mask]:
    """Return the feature channels (H, W, 3) float32 and where they are valid (H, W).

    grey : (H, W) on a map grid, 0..255, rows to the south, columns to the east;
    valid : (H, W), False where the grey means nothing (cloud, outside the image).
    A cell is valid when it and its four neighbours are; others are 0.
    """
    inside = np.ones(grey.shape, bool) if valid is None else valid
    weight = inside.astype(np.float64)
    # Centred on the image's mean, so that the variance below does not cancel.
    filled = np.where(inside, grey - _mean(grey, inside), 0.0)
    count = np.maximum(box_sum(weight, WINDOW_RADIUS), 1.0)
    mean = box_sum(filled, WINDOW_RADIUS) / count
    variance = np.maximum(box_sum(filled * filled, WINDOW_RADIUS) / count - mean * mean, 0.0)
    contrast = (filled - mean) / np.sqrt(variance + CONTRAST_FLOOR**2)
    usable = inside & _neighbours(inside)
    gx, gy = _gradients(filled)
    gx, gy = np.where(usable, gx, 0.0), np.where(usable, gy, 0.0)
    square = gx * gx + gy * gy
    edges = np.maximum(box_sum(usable.astype(np.float64), WINDOW_RADIUS), 1.0)
    strength = box_sum(square, WINDOW_RADIUS) / edges + GRADIENT_FLOOR**2
    scale = 1.0 / np.sqrt(np.maximum(square, 1e-12) * strength)
    channels = np.stack([contrast, (gx * gx - gy * gy) * scale, 2.0 * gx * gy * scale], axis=-1)
    channels = np.clip(channels, -CLIP, CLIP) * usable[..., None]
    return channels.astype(np.float32), usable


def merge_sources(greys: Sequence[Floats], valids: Sequence[Mask] | None = None) -> Floats:
    """Return a map's channels (H, W, 3): the mean of the features of several sources.

    greys : images (H, W) of one grid, 0..255: one an imagery source, its sea flat (the
    painted sea floor, and tiles that end in it, are edges no camera sees). Where sources
    disagree the mean shrinks, and with it the cell's say in the correlation. valids :
    where each means something, all of it by default; where none does the map is 0.
    """
    total = np.zeros((*greys[0].shape, CHANNELS), np.float32)
    count = np.zeros(greys[0].shape, np.float32)
    for k, grey in enumerate(greys):
        features, usable = local_features(grey, None if valids is None else valids[k])
        inside = np.ones(grey.shape, bool) if valids is None else usable
        total += features
        count += inside
    return np.asarray(total / np.maximum(count, 1.0)[..., None], np.float32)


def box_sum(image: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
    """Return sums over squares of 2 radius + 1 cells, cut at the borders; (H, W)."""
    for axis in (0, 1):
        size = image.shape[axis]
        padded = np.zeros(tuple(n + (1 if k == axis else 0) for k, n in enumerate(image.shape)), np.float64)
        target = padded[1:] if axis == 0 else padded[:, 1:]
        np.cumsum(image, axis=axis, out=target)
        image = _differences(padded, size, radius, axis)
    return image


def _differences(total: NDArray[np.float64], size: int, radius: int, axis: int) -> NDArray[np.float64]:
    """Return total[i + radius + 1] - total[i - radius], cut at both ends, along an axis: by slices,
    for look-ups by index take four times as long.
    """
    shape = tuple(size if k == axis else n for k, n in enumerate(total.shape))
    out = np.empty(shape)
    # Views whose first axis is the one summed over.
    summed, target = (total, out) if axis == 0 else (total.T, out.T)
    whole = max(size - radius, 0)
    target[:whole] = summed[radius + 1 : radius + 1 + whole]
    target[whole:] = summed[size]
    if size > radius:
        target[radius:] -= summed[: size - radius]
    return out


def _mean(grey: Floats, inside: Mask) -> float:
    return float(grey[inside].mean()) if inside.any() else 0.0


def _neighbours(inside: Mask) -> Mask:
    """Tell where all four neighbours are inside (the outermost cells are not)."""
    out = np.zeros_like(inside)
    out[1:-1, 1:-1] = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
    return out


def _gradients(image: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return central differences to the east and to the south, grey levels a cell."""
    gx, gy = np.zeros_like(image), np.zeros_like(image)
    gx[:, 1:-1] = 0.5 * (image[:, 2:] - image[:, :-2])
    gy[1:-1] = 0.5 * (image[2:] - image[:-2])
    return gx, gy
