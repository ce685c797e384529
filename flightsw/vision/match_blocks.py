"""From a rough pose to one that blocks of the frame agree on.

A rough pose (of the coarse search: 5 deg of yaw, 5 % of scale, 10 km; of a prediction:
tens of km) lays the map under the frame: the map's features are looked up at the frame's
own cells and their directions turned into the frame's axes. 72 blocks of the frame then
look for their places within `REACH` cells (`flightsw.vision.blocks`). Pairs of blocks vote
for the similarity that moves all of them (tilt bends it: the radius allows for that), and
the pose is fitted to those that agree. What agrees by chance is for the dense check.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import ecef_from_lla, ellipsoid_intersection, lla_from_ecef
from flightsw.camera.project import ray_from_pixel
from flightsw.vision.blocks import BLOCK, BlockShifts, place_blocks
from flightsw.vision.features import Floats
from flightsw.vision.fit import Fit, Pose, Prior
from flightsw.vision.maps import FEATURE_STEP, MapGrid, ReferenceMap
from flightsw.vision.match_coarse import STEP, FrameFeatures
from flightsw.vision.preprocess import MODEL_CAMERA

Array = NDArray[np.float64]

REACH = 12  # cells, 30 km
NODE = 6  # cells between exactly projected ones
LEAST_USABLE = 0.4  # of a block's cells
LEAST_CORRELATION = 0.14
VOTE_RADIUS = 3.0  # cells
FEWEST_BLOCKS = 5  # that agree with a fitted pose
MOST_VOTERS = 40  # blocks that make pairs
RADII_PX = (24.0, 16.0, 10.0, 8.0, 8.0)  # model px, step by step


@dataclass(frozen=True, slots=True)
class Support:
    """A pose, how many blocks agree with it, and the sum of their correlations."""

    pose: Pose
    blocks: int
    correlation: float


def improve(features: FrameFeatures, rough: Pose, reference: ReferenceMap, *, prior: Prior) -> Support | None:
    """Return the pose that blocks of the frame agree on near a rough one, or None."""
    ground = _ground_cells(rough, reference.grid)
    if ground is None:
        return None
    rows, columns = (n // BLOCK for n in features.usable.shape)
    top = (features.usable.shape[0] - rows * BLOCK) // 2
    cut = (slice(top, top + rows * BLOCK), slice(0, columns * BLOCK))
    window = _window(ground, reference, top)
    shifts = place_blocks(
        features.planes[:, *cut], features.usable[cut], window, reach=REACH, least_usable=LEAST_USABLE
    )
    good = np.flatnonzero(shifts.is_good & (shifts.peak > LEAST_CORRELATION))
    if len(good) < FEWEST_BLOCKS:
        return None
    agrees = good[_consensus(shifts, good)]
    if len(agrees) < FEWEST_BLOCKS:
        return None
    return _fitted(shifts, good, agrees, ground, top, rough, reference.grid, prior)


def _fitted(
    shifts: BlockShifts,
    good: NDArray[np.int64],
    agrees: NDArray[np.int64],
    ground: Array,
    top: int,
    rough: Pose,
    grid: MapGrid,
    prior: Prior,
) -> Support | None:
    """Return the pose fitted to the good blocks, from those that agree; None with too few."""
    at = shifts.at + np.array([top, 0.0])
    uv_px = (at[:, ::-1] + 0.5) * STEP
    p_ecef = _map_points(ground, at + shifts.moved, grid)
    seen = np.asarray(np.isfinite(p_ecef).all(axis=1))
    good, agrees = good[seen[good]], agrees[seen[agrees]]
    if len(agrees) < FEWEST_BLOCKS:
        return None
    fit = Fit(MODEL_CAMERA, uv_px[good], p_ecef[good], rough.r_ecef[None], rough.cam_from_ecef[None])
    first = np.isin(good, agrees)[None]
    fit.step(first, prior)
    fit.step(first, prior)
    for radius in RADII_PX:
        fit.step(fit.residual_px() < radius, prior)
    inlier = fit.residual_px()[0] < RADII_PX[-1]
    if inlier.sum() < FEWEST_BLOCKS:
        return None
    pose = Pose(fit.r_ecef[0], fit.cam_from_ecef[0])
    return Support(pose, int(inlier.sum()), float(shifts.peak[good][inlier].sum()))


def _consensus(shifts: BlockShifts, good: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which of the good blocks move by one similarity: a pair gives one, the others vote."""
    q = shifts.at[good, 1] + 1j * shifts.at[good, 0]
    d = shifts.moved[good, 1] + 1j * shifts.moved[good, 0]
    weight = shifts.peak[good]
    voters = np.argsort(-weight, kind="stable")[:MOST_VOTERS]
    i, j = np.triu_indices(len(voters), 1)
    i, j = voters[i], voters[j]
    base = q[j] - q[i]
    slope = (d[j] - d[i]) / base
    keep = (np.abs(base) > 2 * BLOCK) & (np.abs(slope) < 0.2)
    i, slope = i[keep], slope[keep]
    if len(i) == 0:
        return np.zeros(len(good), np.bool_)
    miss = np.abs(d[i, None] + slope[:, None] * (q[None] - q[i, None]) - d[None])
    votes = (weight * np.maximum(1.0 - 0.5 * miss / VOTE_RADIUS, 0.0) * (miss < VOTE_RADIUS)).sum(axis=1)
    return np.asarray(miss[votes.argmax()] < VOTE_RADIUS)


def _ground_cells(pose: Pose, grid: MapGrid) -> Array | None:
    """Return the map rows and columns (n, m, 2) under nodes every NODE cells; None off the map.

    Nodes run from REACH cells before the frame's first cell to REACH beyond its last.
    """
    height, width = MODEL_CAMERA.height_px // STEP, MODEL_CAMERA.width_px // STEP
    rows = np.arange(-REACH - NODE, height + REACH + 2 * NODE, NODE)
    columns = np.arange(-REACH - NODE, width + REACH + 2 * NODE, NODE)
    u, v = np.meshgrid((columns + 0.5) * STEP, (rows + 0.5) * STEP)
    rays = ray_from_pixel(MODEL_CAMERA, np.column_stack([u.ravel(), v.ravel()])) @ pose.cam_from_ecef
    points = ellipsoid_intersection(pose.r_ecef, rays)
    lat, lon, _ = lla_from_ecef(points)
    middle = grid.west_deg + 0.5 * grid.columns * grid.cell_lon_deg
    east = (np.rad2deg(lon) - middle + 180.0) % 360.0 - 180.0 + middle - grid.west_deg
    row = (grid.north_deg - np.rad2deg(lat)) / grid.cell_lat_deg - 0.5
    column = east / grid.cell_lon_deg - 0.5
    inside = (row > 0) & (row < grid.rows - 1) & (column > 0) & (column < grid.columns - 1)
    if inside.mean() < 0.1:
        return None
    return np.stack([row, column], axis=1).reshape(*u.shape, 2)


def _window(ground: Array, reference: ReferenceMap, top: int) -> Floats:
    """Return the map's features in the frame's axes (3, H, W): the blocks and REACH around them."""
    height = MODEL_CAMERA.height_px // STEP - 2 * top
    row0, column0 = top - REACH, -REACH
    rows = row0 + np.arange(height // BLOCK * BLOCK + 2 * REACH)
    columns = column0 + np.arange(MODEL_CAMERA.width_px // STEP + 2 * REACH)
    cells = _interpolated(ground, rows, columns)
    with np.errstate(invalid="ignore"):
        cell = np.rint(np.nan_to_num(cells, nan=-1e6)).astype(np.int64)
    grid = reference.grid
    inside = (cell >= 0).all(axis=2) & (cell[..., 0] < grid.rows) & (cell[..., 1] < grid.columns)
    index = np.where(inside, cell[..., 0] * grid.columns + cell[..., 1], 0)
    taken = reference.features.reshape(-1, 3)[index].astype(np.float32)
    taken *= np.float32(FEATURE_STEP) * inside[..., None]
    # The way east along u, from the nodes; a cell of longitude shrinks with latitude.
    along = ground[:, 1:] - ground[:, :-1]
    lat_deg = grid.north_deg - (ground[:, :-1, 0] + 0.5) * grid.cell_lat_deg
    stretch = np.cos(np.deg2rad(lat_deg)) * grid.cell_lon_deg / grid.cell_lat_deg
    turn = np.nan_to_num(np.exp(-2j * np.angle(along[..., 1] * stretch + 1j * along[..., 0])))
    near = (rows + REACH + NODE) // NODE, (columns + REACH + NODE) // NODE
    pair = (taken[..., 1] + 1j * taken[..., 2]) * turn[near[0]][:, near[1]].astype(np.complex64)
    return np.stack([taken[..., 0], pair.real, pair.imag])


def _interpolated(ground: Array, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Array:
    """Return the map's rows and columns under frame cells (R, C, 2), linear between nodes."""
    out = ground
    for at in (rows, columns):
        where = (at + REACH + NODE) / NODE
        index = np.floor(where).astype(np.int64)
        part = (where - index)[:, None, None]
        out = (out[index] * (1.0 - part) + out[index + 1] * part).transpose(1, 0, 2)
    return out


def _map_points(ground: Array, at: Array, grid: MapGrid) -> Array:
    """Return the ground points (B, 3), m, under fractional frame cells (B, 2) row, column."""
    where = (at + REACH + NODE) / NODE
    index = np.clip(np.floor(where).astype(np.int64), 0, np.array(ground.shape[:2]) - 2)
    part = where - index
    i, j = index.T
    a, b = part[:, :1], part[:, 1:]
    top = ground[i, j] * (1.0 - b) + ground[i, j + 1] * b
    bottom = ground[i + 1, j] * (1.0 - b) + ground[i + 1, j + 1] * b
    cell = top * (1.0 - a) + bottom * a
    lat_deg = grid.north_deg - (cell[:, 0] + 0.5) * grid.cell_lat_deg
    lon_deg = grid.west_deg + (cell[:, 1] + 0.5) * grid.cell_lon_deg
    return ecef_from_lla(np.deg2rad(lat_deg), np.deg2rad(lon_deg))
