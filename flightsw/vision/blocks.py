"""Blocks of an image's features find their own places on a map, all at once (by spectra).

Both finders draw their poses tight with it, the search for candidates too:
    score_b(s) = sum over block b of f(x) . m(x + s) / sqrt(sum of f^2  sum of w m^2(x + s))
over all shifts |s| <= reach cells; f features, w where they are of use, m the map. The
peak's place to a part of a cell comes from a parabola, its error from the curvature: a
correlation c of n cells' worth of features, of curvature k (1/cell^2), places a block to
    sigma^2 = (1 - c^2) / (n_eff k c)
with n_eff the independent cells: neighbours share the window their features come from.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.vision.dft import corner_of, spectrum_of
from flightsw.vision.features import Floats, Mask

Array = NDArray[np.float64]

BLOCK = 16  # cells of 2.4 km: 38 km
INDEPENDENT = 1.0  # of a block's usable cells
LEAST_SIGMA = 0.05  # cells
LEAST_ENERGY = 0.3  # of the three channels, a usable cell; land has 1 to 3, flat sea and noise 0.1


@dataclass(frozen=True, slots=True)
class BlockShifts:
    """Where each block (B,) lies best.

    at (B, 2) : row and column of its middle; moved (B, 2) : rows, columns to its place on
    the map; peak (B,) : correlation there; sigma (B,) : of `moved` per axis, cells; is_good
    (B,) : enough of it is usable, and its peak lies inside the search.
    """

    at: Array
    moved: Array
    peak: Array
    sigma: Array
    is_good: Mask


def place_blocks(
    features: Floats, usable: Mask, window: Floats, *, reach: int, least_usable: float, most: int = 10_000
) -> BlockShifts:
    """Return where the blocks of an image lie best on a map.

    features (3, H, W), usable (H, W) : H and W whole blocks; window (3, H + 2 reach,
    W + 2 reach) : the map, so that block cell (i, j) lies on window cell (i + reach,
    j + reach) unmoved; least_usable : of a block's cells; most : so many blocks are looked
    at, those with the most in them. Blocks that show nothing (flat sea) are left out.
    """
    height, width = usable.shape
    rows, columns = height // BLOCK, width // BLOCK
    share = _split(usable[None].astype(np.float32))[:, 0].mean(axis=(1, 2))
    energy = _split(np.square(features).sum(axis=0)[None])[:, 0].mean(axis=(1, 2))
    rank = np.where((share > least_usable) & (energy > LEAST_ENERGY * share), energy, 0.0)
    best = np.argsort(-rank, kind="stable")[:most]
    chosen = np.sort(best[rank[best] > 0.0])
    row, column = np.divmod(np.arange(rows * columns), columns)
    at = np.column_stack([row, column])[chosen] * float(BLOCK) + 0.5 * (BLOCK - 1)
    score = _correlated(features, usable, window, chosen, reach)
    return _peaks(score, at, share[chosen], reach)


def _correlated(
    features: Floats, usable: Mask, window: Floats, chosen: NDArray[np.int64], reach: int
) -> Floats:
    """Return the scores (B, 2 reach + 1, 2 reach + 1) of the chosen blocks."""
    size, side = BLOCK + 2 * reach, 2 * reach + 1
    own = _split(features)[chosen]
    energy = np.square(own).sum(axis=(1, 2, 3))
    theirs = _windows(window, usable.shape[1] // BLOCK, chosen, size)
    product = _shifted_sums(own, theirs, side)
    # The map's energy under a block: a plain sum where all of it is usable, as most are.
    under = np.empty((len(chosen), side, side), np.float32)
    squared = np.square(window).sum(axis=0)
    weight = _split(usable[None].astype(np.float32))[chosen]
    whole = weight.all(axis=(1, 2, 3))
    if whole.any():
        sums = _block_sums(squared)[None]
        under[whole] = _windows(sums, usable.shape[1] // BLOCK, chosen[whole], side)[:, 0]
    if not whole.all():
        part = _windows(squared[None], usable.shape[1] // BLOCK, chosen[~whole], size)
        under[~whole] = _shifted_sums(weight[~whole], part, side)
    # An all but empty piece of map (the open sea) must not make a peak of nothing.
    floor = 0.1 * under.mean(axis=(1, 2), keepdims=True) + 1.0
    return np.asarray(product / np.sqrt(energy[:, None, None] * np.maximum(under, floor) + 1e-6), np.float32)


def _windows(planes: Floats, columns: int, chosen: NDArray[np.int64], size: int) -> Floats:
    """Return the pieces (B, C, size, size) of planes (C, H, W) that begin where blocks do."""
    views = np.lib.stride_tricks.sliding_window_view(planes, (size, size), axis=(1, 2))
    views = views[:, ::BLOCK, ::BLOCK]
    return np.ascontiguousarray(views[:, chosen // columns, chosen % columns].transpose(1, 0, 2, 3))


def _shifted_sums(blocks: Floats, windows: Floats, side: int) -> Floats:
    """Return sums (B, side, side), over channels and cells, of blocks times windows at every shift."""
    size = windows.shape[-1]
    spectrum = spectrum_of(windows, size)
    spectrum *= np.conj(spectrum_of(blocks, size))
    return corner_of(spectrum.sum(axis=1), side)


def _block_sums(plane: Floats) -> Floats:
    """Return sums over BLOCK x BLOCK cells that begin at every cell, (H - BLOCK + 1, W - BLOCK + 1)."""
    total = np.zeros((plane.shape[0] + 1, plane.shape[1] + 1))
    np.cumsum(np.cumsum(plane, axis=0, dtype=np.float64), axis=1, out=total[1:, 1:])
    rows = total[BLOCK:] - total[:-BLOCK]
    return np.asarray(rows[:, BLOCK:] - rows[:, :-BLOCK], np.float32)


def _peaks(score: Floats, at: Array, share: Floats, reach: int) -> BlockShifts:
    """Return each block's best place by a parabola, and its error."""
    side = 2 * reach + 1
    flat = score.reshape(len(score), side * side)
    best = flat.argmax(axis=1)
    row, column = np.divmod(best, side)
    inside = (row > 0) & (row < side - 1) & (column > 0) & (column < side - 1)
    centre = np.where(inside, best, side + 1)
    block = np.arange(len(score))
    peak = flat[block, best].astype(np.float64)
    moved, curvature = [], []
    for step, index in ((side, row), (1, column)):
        before, here, after = (flat[block, centre + k * step].astype(np.float64) for k in (-1, 0, 1))
        bend = np.maximum(2.0 * here - before - after, 1e-6)
        moved.append(index - reach + np.clip(0.5 * (after - before) / bend, -0.5, 0.5))
        curvature.append(bend)
    bend = np.minimum(*curvature) if len(score) else np.empty(0)
    cells = np.maximum(share * BLOCK**2 * INDEPENDENT, 1.0)
    c = np.clip(peak, 1e-3, 0.999)
    sigma = np.sqrt((1.0 - c * c) / (cells * bend * c) + LEAST_SIGMA**2)
    return BlockShifts(at, np.column_stack(moved), peak, sigma, inside)


def _split(planes: Floats) -> Floats:
    """Return whole blocks (B, C, BLOCK, BLOCK), row by row, of planes (C, H, W)."""
    count, height, width = planes.shape
    rows, columns = height // BLOCK, width // BLOCK
    cut = planes[:, : rows * BLOCK, : columns * BLOCK].reshape(count, rows, BLOCK, columns, BLOCK)
    return np.ascontiguousarray(cut.transpose(1, 3, 0, 2, 4)).reshape(rows * columns, count, BLOCK, BLOCK)
