"""A proposed pose drawn tight: the frame's blocks find their own places on the map.

A proposal is right to some cells at best. The frame is laid on the map by it, every block
of 16 x 16 cells (38 km) is shifted until it correlates best (`flightsw.vision.blocks`), and
the pose is fitted to all blocks that agree; then once more from there, unless it was close.
Blocks are cells of the map's own lattice, so those of the last round are observations too:
`Patches`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import ecef_from_lla
from flightsw.camera.pose_fit import Fit, Pose, Prior
from flightsw.vision.blocks import BLOCK, place_blocks
from flightsw.vision.check import View, view_of
from flightsw.vision.maps import MapGrid, ReferenceMap
from flightsw.vision.preprocess import MODEL_CAMERA, ModelFrame

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

REACHES = (4, 2)  # cells a block is moved, round by round
LEAST_USABLE = 0.3  # of a block's cells
LEAST_CORRELATION = 0.2  # of a block with the map, haze and thin cloud included: the fit decides
FEWEST_BLOCKS = 5
RADII_PX = (12.0, 6.0, 4.0, 3.0)  # inlier radius of each fitting step, model px
PIXEL_SIGMA = 1.0  # model px, of a block in the fit
LEVEL = Prior(pixel_sigma=PIXEL_SIGMA)
CLOSE_CELLS = 0.5  # a proposal as near as this needs no second round
LAST_REACH_CELLS = 1.0  # a block that moves further in the last round is no observation


@dataclass(frozen=True, slots=True)
class Patches:
    """Blocks that agree with an aligned pose. row, column (N,) : of the map's lattice, in
    blocks; lat_deg, lon_deg, height (N,) : of the block's middle on the map; uv_px (N, 2) : where
    the frame shows it, model px; peak (N,) : correlation; sigma_px (N,) : per axis, model px.
    """

    row: NDArray[np.int64]
    column: NDArray[np.int64]
    lat_deg: Array
    lon_deg: Array
    height: Array
    uv_px: Array
    peak: Array
    sigma_px: Array

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, slots=True)
class Alignment:
    """A pose fitted to the map, the frame laid on the map by it, the blocks that agree with it
    (their number and r.m.s. residual, model px; moved : how far nine in ten of them moved,
    cells), and these as observations.
    """

    pose: Pose
    view: View
    blocks: int
    residual_px: float
    moved: float
    patches: Patches


def align(
    frame: ModelFrame,
    pose: Pose,
    reference: ReferenceMap,
    *,
    prior: Prior = LEVEL,
) -> Alignment | None:
    """Return the pose that lays a frame on the map, or None where too few blocks agree.

    pose : right to about 10 km; prior : of the fit.
    """
    result: Alignment | None = None
    for reach in REACHES:
        view = view_of(frame, pose, reference)
        if view is None:
            return None
        result = _round(view, pose, reference, reach, prior)
        if result is None:
            return None
        pose = result.pose
        if result.moved < CLOSE_CELLS:
            break
    return result


def _round(view: View, pose: Pose, reference: ReferenceMap, reach: int, prior: Prior) -> Alignment | None:
    """Return the pose fitted to the blocks of one view."""
    window = np.pad(view.patch, ((0, 0), (reach, reach), (reach, reach)))
    shifts = place_blocks(view.features, view.usable, window, reach=reach, least_usable=LEAST_USABLE)
    good = shifts.is_good & (shifts.peak > LEAST_CORRELATION)
    if good.sum() < FEWEST_BLOCKS:
        return None
    at, moved = shifts.at[good], shifts.moved[good]
    uv_px = _pixels(view.uv_px, at)
    corner = np.array([view.top, view.left])
    p_ecef = _cell_ecef(reference, at + moved + corner)
    fit = Fit(MODEL_CAMERA, uv_px, p_ecef, pose.r_ecef[None], pose.cam_from_ecef[None])
    for radius in RADII_PX:
        fit.step(fit.residual_px() < radius, prior)
    residual = fit.residual_px()[0]
    inlier = residual < RADII_PX[-1]
    if inlier.sum() < FEWEST_BLOCKS:
        return None
    fitted = Pose(fit.r_ecef[0], fit.cam_from_ecef[0])
    rms = float(np.sqrt(np.square(residual[inlier]).mean()))
    near = inlier & (np.abs(moved).max(axis=1) < LAST_REACH_CELLS)
    peak, sigma = shifts.peak[good][near], shifts.sigma[good][near]
    patches = _patches(view, reference, at[near], moved[near], peak, sigma)
    far = float(np.quantile(np.abs(moved[inlier]).max(axis=1), 0.9))
    return Alignment(fitted, view, int(inlier.sum()), rms, far, patches)


def _patches(
    view: View, reference: ReferenceMap, at: Array, moved: Array, peak: Array, sigma: Array
) -> Patches:
    """Return blocks as observations: the map's own cell, and where the frame shows it."""
    corner = np.array([view.top, view.left])
    lat_deg, lon_deg = _cell_lat_lon(reference.grid, at + corner)
    height = reference.height_at(*(at + corner).T)
    block = np.floor((at + corner) / BLOCK).astype(np.int64)
    # What lies on block x of the frame is map cell x + moved, so cell x is seen at x - moved.
    uv_px = _pixels(view.uv_px, at - moved)
    beside = _pixels(view.uv_px, at + np.array([0.0, 1.0])) - _pixels(view.uv_px, at)
    scale = np.linalg.norm(beside, axis=1)
    return Patches(block[:, 0], block[:, 1], lat_deg, lon_deg, height, uv_px, peak, sigma * scale)


def _pixels(uv_px: Array, at: Array) -> Array:
    """Return pixels (B, 2) at fractional view cells (B, 2), linear between cells."""
    index = np.clip(np.floor(at).astype(np.int64), 0, np.array(uv_px.shape[:2]) - 2)
    part = at - index
    i, j = index.T
    a, b = part[:, :1], part[:, 1:]
    top = uv_px[i, j] * (1.0 - b) + uv_px[i, j + 1] * b
    bottom = uv_px[i + 1, j] * (1.0 - b) + uv_px[i + 1, j + 1] * b
    return np.asarray(top * (1.0 - a) + bottom * a)


def _cell_lat_lon(grid: MapGrid, at: Array) -> tuple[Array, Array]:
    """Return latitudes and longitudes, deg, of fractional cells (B, 2) row, column (0 = centre)."""
    return (
        grid.north_deg - (at[:, 0] + 0.5) * grid.cell_lat_deg,
        grid.west_deg + (at[:, 1] + 0.5) * grid.cell_lon_deg,
    )


def _cell_ecef(reference: ReferenceMap, at: Array) -> Array:
    """Return the ground points (B, 3), m, at fractional cells (B, 2) row, column (0 = centre)."""
    lat_deg, lon_deg = _cell_lat_lon(reference.grid, at)
    return ecef_from_lla(np.deg2rad(lat_deg), np.deg2rad(lon_deg), reference.height_at(*at.T))
