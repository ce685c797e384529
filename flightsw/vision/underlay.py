"""The map under a frame: what a pose says the frame's own cells should look like.

Matching works in the frame's axes, on cells of STEP model px: the frame's features are
made once, and every pose in question lays the map under them. The map's edge directions
are turned into the frame's axes on the way.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import ecef_from_lla, ellipsoid_intersection, lla_from_ecef
from flightsw.camera.pose_fit import Pose
from flightsw.camera.project import ray_from_pixel
from flightsw.vision.features import Floats
from flightsw.vision.maps import FEATURE_STEP, MapGrid, ReferenceMap
from flightsw.vision.match_coarse import STEP
from flightsw.vision.preprocess import MODEL_CAMERA

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

NODE = 6  # cells between exactly projected ones
LEAST_ON_MAP = 0.1  # of the nodes
HEIGHT, WIDTH = MODEL_CAMERA.height_px // STEP, MODEL_CAMERA.width_px // STEP  # cells


@dataclass(frozen=True, slots=True)
class Ground:
    """Map rows and columns (n, m, 2) under nodes every NODE frame cells, NaN off the Earth.

    first : the frame cell (row and column alike) of the first node, negative.
    """

    cells: Array
    first: int
    reference: ReferenceMap

    @property
    def grid(self) -> MapGrid:
        """The map's grid."""
        return self.reference.grid

    def at(self, cell: Array) -> Array:
        """Return the map rows and columns (B, 2) under fractional frame cells (B, 2)."""
        where = (cell - self.first) / NODE
        index = np.clip(np.floor(where).astype(np.int64), 0, np.array(self.cells.shape[:2]) - 2)
        part = where - index
        i, j = index.T
        a, b = part[:, :1], part[:, 1:]
        top = self.cells[i, j] * (1.0 - b) + self.cells[i, j + 1] * b
        bottom = self.cells[i + 1, j] * (1.0 - b) + self.cells[i + 1, j + 1] * b
        return np.asarray(top * (1.0 - a) + bottom * a)

    def points(self, cell: Array) -> Array:
        """Return the map's points (B, 3), m, that fractional frame cells (B, 2) lie on."""
        row, column = self.at(cell).T
        height = self.reference.height_at(row, column)
        lat_deg = self.grid.north_deg - (row + 0.5) * self.grid.cell_lat_deg
        lon_deg = self.grid.west_deg + (column + 0.5) * self.grid.cell_lon_deg
        return ecef_from_lla(np.deg2rad(lat_deg), np.deg2rad(lon_deg), height)


def ground_under(pose: Pose, reference: ReferenceMap, *, margin: int) -> Ground | None:
    """Return the map cells under a frame and `margin` cells around it; None off the map."""
    grid, first = reference.grid, -margin - NODE
    rows = np.arange(first, HEIGHT + margin + 2 * NODE, NODE)
    columns = np.arange(first, WIDTH + margin + 2 * NODE, NODE)
    u, v = np.meshgrid((columns + 0.5) * STEP, (rows + 0.5) * STEP)
    rays = ray_from_pixel(MODEL_CAMERA, np.column_stack([u.ravel(), v.ravel()])) @ pose.cam_from_ecef
    lat, lon, _ = lla_from_ecef(ellipsoid_intersection(pose.r_ecef, rays))
    middle = grid.west_deg + 0.5 * grid.columns * grid.cell_lon_deg
    east = (np.rad2deg(lon) - middle + 180.0) % 360.0 - 180.0 + middle - grid.west_deg
    row = (grid.north_deg - np.rad2deg(lat)) / grid.cell_lat_deg - 0.5
    column = east / grid.cell_lon_deg - 0.5
    inside = (row > 0) & (row < grid.rows - 1) & (column > 0) & (column < grid.columns - 1)
    if inside.mean() < LEAST_ON_MAP:
        return None
    return Ground(np.stack([row, column], axis=1).reshape(*u.shape, 2), first, reference)


def map_under(ground: Ground, rows: Indices, columns: Indices) -> Floats:
    """Return the map's features (3, R, C) under frame cells, in the frame's axes; 0 off the map."""
    cells = ground.cells
    for at in (rows, columns):
        where = (at - ground.first) / NODE
        index = np.floor(where).astype(np.int64)
        part = (where - index)[:, None, None]
        cells = (cells[index] * (1.0 - part) + cells[index + 1] * part).transpose(1, 0, 2)
    cell = np.rint(np.nan_to_num(cells, nan=-1e6)).astype(np.int64)
    reference, grid = ground.reference, ground.grid
    inside = (cell >= 0).all(axis=2) & (cell[..., 0] < grid.rows) & (cell[..., 1] < grid.columns)
    index = np.where(inside, cell[..., 0] * grid.columns + cell[..., 1], 0)
    taken = reference.features.reshape(-1, 3)[index].astype(np.float32)
    taken *= np.float32(FEATURE_STEP) * inside[..., None]
    near = (rows - ground.first) // NODE, (columns - ground.first) // NODE
    pair = (taken[..., 1] + 1j * taken[..., 2]) * _turn(ground)[near[0]][:, near[1]]
    return np.stack([taken[..., 0], pair.real, pair.imag])


def _turn(ground: Ground) -> NDArray[np.complex64]:
    """Return e^{-2 i a} at every node, a the angle from the map's east to the frame's u."""
    along = ground.cells[:, 1:] - ground.cells[:, :-1]
    lat_deg = ground.grid.north_deg - (ground.cells[:, :-1, 0] + 0.5) * ground.grid.cell_lat_deg
    stretch = np.cos(np.deg2rad(lat_deg)) * ground.grid.cell_lon_deg / ground.grid.cell_lat_deg
    angle = np.angle(along[..., 1] * stretch + 1j * along[..., 0])
    return np.nan_to_num(np.exp(-2j * angle)).astype(np.complex64)
