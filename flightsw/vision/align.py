"""An accepted pose drawn tight: the frame's blocks find their own places on the map.

The gate's pose rests on a handful of landmarks, each some pixels off, and a wrong one
among them drags it along. Once the dense check has accepted it, the map itself says
better where the frame lies: every block of about 60 km is shifted until it correlates
best (to a part of a cell, by a parabola), and the pose is fitted to all blocks that agree.
What the detector claims is then judged against that pose (`flightsw.vision.finder`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import ecef_from_lla
from flightsw.vision.check import View, view_of
from flightsw.vision.features import Floats
from flightsw.vision.fit import Fit, Pose, Prior
from flightsw.vision.maps import MapGrid, ReferenceMap
from flightsw.vision.preprocess import MODEL_CAMERA, ModelFrame

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]

BLOCK = 24  # cells, 58 km
REACHES = (2, 1)  # cells a block is moved, round by round
LEAST_USABLE = 0.4  # of a block's cells
LEAST_CORRELATION = 0.15  # of a block with the map, haze and thin cloud included: the fit decides
FEWEST_BLOCKS = 6
RADII_PX = (12.0, 6.0, 4.0, 3.0)  # inlier radius of each fitting step, model px
PRIOR = Prior(pixel_sigma=1.0)


@dataclass(frozen=True, slots=True)
class Alignment:
    """A pose fitted to the map: blocks that agree with it, and their r.m.s. residual, model px."""

    pose: Pose
    blocks: int
    residual_px: float


def align(
    frame: ModelFrame, pose: Pose, reference: ReferenceMap, *, shift: tuple[int, int] = (0, 0)
) -> Alignment | None:
    """Return the pose that lays a frame on the map, or None where too few blocks agree.

    pose : accepted by the dense check, right to a few cells; shift : (rows, columns) of
    its peak there, cells, where the first round starts.
    """
    result: Alignment | None = None
    for reach in REACHES:
        view = view_of(frame, pose, reference)
        if view is None:
            return None
        row, column, moved, is_good = _moved_blocks(view, shift, reach)
        if is_good.sum() < FEWEST_BLOCKS:
            return None
        at = np.column_stack([row, column])[is_good]
        uv_px = view.uv_px[at[:, 0], at[:, 1]]
        ground = at + moved[is_good] + (view.top, view.left)
        result = _fitted(pose, uv_px, _cell_ecef(reference.grid, ground))
        if result is None:
            return None
        pose, shift = result.pose, (0, 0)
    return result


def _moved_blocks(view: View, shift: tuple[int, int], reach: int) -> tuple[Indices, Indices, Array, Mask]:
    """Return the blocks' middle row and column (B,), where they moved (B, 2), and which to trust."""
    steps = range(-reach, reach + 1)
    size = len(steps)
    rows, columns = (n // BLOCK for n in view.usable.shape)
    product = np.empty((size, size, rows, columns))
    theirs = np.empty_like(product)
    own = _blocks(np.square(view.features).sum(axis=0))
    weight = view.usable.astype(np.float32)
    for i in steps:
        for j in steps:
            patch = _shifted(view.patch, (i + shift[0], j + shift[1]))
            product[i, j] = _blocks(np.einsum("chw,chw->hw", view.features, patch))
            theirs[i, j] = _blocks(np.square(patch).sum(axis=0) * weight)
    score = product / np.sqrt(np.maximum(own * theirs, 1e-6))
    score = np.roll(score, (reach, reach), axis=(0, 1)).reshape(size * size, -1)  # -reach first
    best = score.argmax(axis=0)
    i, j = np.divmod(best, size)
    inner = (i > 0) & (i < size - 1) & (j > 0) & (j < size - 1)
    peak = score[best, np.arange(len(best))]
    is_good = inner & (peak > LEAST_CORRELATION) & (_blocks(weight).ravel() > LEAST_USABLE * BLOCK**2)
    part = [_vertex(score, best, step, is_good) for step in (size, 1)]
    moved = np.column_stack([i - reach + part[0] + shift[0], j - reach + part[1] + shift[1]])
    row, column = np.divmod(np.arange(rows * columns), columns)
    return row * BLOCK + BLOCK // 2, column * BLOCK + BLOCK // 2, moved, is_good


def _vertex(score: Array, best: NDArray[np.int64], step: int, is_inner: Mask) -> Array:
    """Return where between cells a parabola through three scores peaks, -0.5..0.5, (B,)."""
    index, at = np.where(is_inner, best, score.shape[0] // 2), np.arange(score.shape[1])
    before, here, after = (score[index + k * step, at] for k in (-1, 0, 1))
    bend = before - 2.0 * here + after
    with np.errstate(divide="ignore", invalid="ignore"):
        part = 0.5 * (before - after) / bend
    return np.where((bend < 0.0) & (np.abs(part) <= 0.5), part, 0.0)


def _fitted(pose: Pose, uv_px: Array, p_ecef: Array) -> Alignment | None:
    """Return the pose fitted to the blocks, or None where too few agree."""
    fit = Fit(MODEL_CAMERA, uv_px, p_ecef, pose.r_ecef[None], pose.cam_from_ecef[None])
    for radius in RADII_PX:
        fit.step(fit.residual_px() < radius, PRIOR)
    residual = fit.residual_px()[0]
    inlier = residual < RADII_PX[-1]
    if inlier.sum() < FEWEST_BLOCKS:
        return None
    rms = float(np.sqrt(np.square(residual[inlier]).mean()))
    return Alignment(Pose(fit.r_ecef[0], fit.cam_from_ecef[0]), int(inlier.sum()), rms)


def _cell_ecef(grid: MapGrid, at: Array) -> Array:
    """Return the ground points (B, 3), m, at fractional cells (B, 2) row, column (0 = centre)."""
    lat_deg = grid.north_deg - (at[:, 0] + 0.5) * grid.cell_lat_deg
    lon_deg = grid.west_deg + (at[:, 1] + 0.5) * grid.cell_lon_deg
    return ecef_from_lla(np.deg2rad(lat_deg), np.deg2rad(lon_deg))


def _blocks(values: Floats) -> Array:
    """Return sums over whole blocks, (H // BLOCK, W // BLOCK), of (H, W)."""
    rows, columns = (n // BLOCK for n in values.shape)
    whole = values[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
    return np.asarray(whole.sum(axis=(1, 3)), np.float64)


def _shifted(patch: Floats, shift: tuple[int, int]) -> Floats:
    """Return patch (3, H, W) read at (row + i, column + j); what comes from outside is 0."""
    i, j = shift
    rows, columns = patch.shape[1:]
    out = np.zeros_like(patch)
    out[:, max(0, -i) : rows - max(0, i), max(0, -j) : columns - max(0, j)] = patch[
        :, max(0, i) : rows - max(0, -i), max(0, j) : columns - max(0, -j)
    ]
    return out
