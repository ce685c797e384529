"""Resampling of small colour images in numpy: exact area means, and bilinear look-up."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


def area_resample(image: Bytes, rows: Array, columns: Array) -> Bytes:
    """Return the mean grey levels of a grid of rectangles, uint8 (R, C, 3).

    image : (h, w, 3); rows (R + 1,), columns (C + 1,) : the rectangles' edges in image
    pixels, increasing. Rectangles narrower than a pixel are widened to one, which is
    linear interpolation. What lies outside the image repeats its border.
    """
    down = _axis_mean(image, rows)
    across = _axis_mean(down.transpose(1, 0, 2), columns).transpose(1, 0, 2)
    return np.ascontiguousarray(np.clip(across + np.float32(0.5), 0.0, 255.0).astype(np.uint8))


def block_mean(image: Bytes, step: int) -> Floats:
    """Return means over step x step pixels, float32 (h / step, w / step, C), of (h, w, C).

    step : at most 16, divides both sides. Strided integer adds: five times faster than a
    mean over a reshaped array.
    """
    across = sum((image[:, k::step] for k in range(1, step)), image[:, ::step].astype(np.uint16))
    total = sum((across[k::step] for k in range(1, step)), across[::step])
    return np.asarray(total * np.float32(1.0 / (step * step)), np.float32)


def _axis_mean(image: NDArray[np.uint8] | Floats, edges: Array) -> Floats:
    """Return means of (h, w, 3) over intervals of axis 0, float32 (len(edges) - 1, w, 3)."""
    centre = 0.5 * (edges[:-1] + edges[1:])
    width = np.maximum(edges[1:] - edges[:-1], 1.0)
    # The integral of a piecewise constant signal is piecewise linear: two look-ups a cell.
    total = np.zeros((len(image) + 1, *image.shape[1:]), np.float32)
    np.cumsum(image, axis=0, dtype=np.float32, out=total[1:])
    difference = _integral(total, centre + 0.5 * width) - _integral(total, centre - 0.5 * width)
    return np.asarray(difference * (1.0 / width).astype(np.float32)[:, None, None])


def _integral(total: Floats, at: Array) -> Floats:
    """Return the integral (len(at), w, 3) at positions `at`, borders repeated outside."""
    size = len(total) - 1
    index = np.clip(np.floor(at).astype(np.int64), 0, size - 1)
    fraction = (at - index).astype(np.float32)[:, None, None]  # outside: extrapolates the border
    return np.asarray(total[index] + fraction * (total[index + 1] - total[index]))


def bilinear_resample(image: Bytes, uv: Floats, *, block: int = 81) -> Bytes:
    """Return image (h, w, 3) looked up at pixels uv (R, C, 2), uint8 (R, C, 3).

    Pixels have their origin at the outer corner: (0.5, 0.5) is the first pixel itself.
    Worked off in blocks of rows, to keep the working memory to a few MB.
    """
    height, width = image.shape[:2]
    flat = image.reshape(-1, 3)
    out = np.empty((*uv.shape[:2], 3), np.uint8)
    for start in range(0, len(uv), block):
        part = uv[start : start + block]
        u = np.clip(part[..., 0] - np.float32(0.5), 0.0, width - 1.001)
        v = np.clip(part[..., 1] - np.float32(0.5), 0.0, height - 1.001)
        column, row = u.astype(np.int32), v.astype(np.int32)
        a = (u - column)[..., None]
        b = (v - row)[..., None]
        corner = row * width + column
        top = flat[corner] * (1 - a) + flat[corner + 1] * a
        bottom = flat[corner + width] * (1 - a) + flat[corner + width + 1] * a
        out[start : start + block] = (top * (1 - b) + bottom * b + np.float32(0.5)).astype(np.uint8)
    return out
