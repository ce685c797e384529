"""Local pictures of a region on a grid of about 620 m, the detector's own scale.

The grid is longitude and latitude with the cosine of the region's middle latitude, so
cells are square there and at most 6 % off at a region's ends.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from groundtools.imagery import Imagery, SeaMode
from groundtools.imagery.mercator import level_for, pixel_from_lonlat

Array = NDArray[np.float64]
Grey = NDArray[np.float32]

CELL_M = 620.0
METRES_PER_DEG = 111_195.0
STRIP_ROWS = 512


@dataclass(frozen=True, slots=True)
class GroundGrid:
    """Cells of `step` degrees (lon, lat); row 0 is the northernmost."""

    west_deg: float
    north_deg: float
    step_lon_deg: float
    step_lat_deg: float
    columns: int
    rows: int

    def lonlat_deg(self, xy_px: Array) -> Array:
        """Return (N, 2) longitude, latitude of grid pixels (N, 2), origin at the outer corner."""
        lon = self.west_deg + xy_px[:, 0] * self.step_lon_deg
        return np.stack([lon, self.north_deg - xy_px[:, 1] * self.step_lat_deg], axis=1)


def ground_grid(
    bounds_deg: tuple[float, float, float, float], margin_m: float, cell_m: float = CELL_M
) -> GroundGrid:
    """Return the grid over bounds (west, south, east, north) and a margin all around."""
    west, south, east, north = bounds_deg
    step_lat = cell_m / METRES_PER_DEG
    step_lon = step_lat / float(np.cos(np.deg2rad(0.5 * (south + north))))
    margin = round(margin_m / cell_m)
    columns = round((east - west) / step_lon) + 2 * margin
    rows = round((north - south) / step_lat) + 2 * margin
    return GroundGrid(west - margin * step_lon, north + margin * step_lat, step_lon, step_lat, columns, rows)


def read_ground(imagery: Imagery, grid: GroundGrid, *, sea: SeaMode = "flat") -> NDArray[np.uint8]:
    """Return the picture (rows, columns, 3) of an imagery on a grid."""
    middle = np.deg2rad(grid.north_deg - 0.5 * grid.rows * grid.step_lat_deg)
    cell_m = grid.step_lat_deg * METRES_PER_DEG
    level = level_for(cell_m, float(middle), native_level=imagery.native_level)
    x, y = _mercator_axes(grid, level)
    x0, x1 = int(x[0]) - 2, int(x[-1]) + 3
    strips = []
    for top in range(0, grid.rows, STRIP_ROWS):
        rows = y[top : top + STRIP_ROWS]
        y0, y1 = int(rows[0]) - 2, int(rows[-1]) + 3
        source = imagery.read(x0, y0, x1, y1, level=level, sea=sea)
        map_x, map_y = np.meshgrid((x - x0 - 0.5).astype(np.float32), (rows - y0 - 0.5).astype(np.float32))
        strips.append(cv2.remap(source, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
    return np.concatenate(strips)


def read_land(imagery: Imagery, grid: GroundGrid) -> Grey:
    """Return the land fraction (rows, columns) in 0..1."""
    middle = np.deg2rad(grid.north_deg - 0.5 * grid.rows * grid.step_lat_deg)
    level = level_for(grid.step_lat_deg * METRES_PER_DEG, float(middle), native_level=imagery.native_level)
    x, y = _mercator_axes(grid, level)
    x0, y0 = int(x[0]) - 2, int(y[0]) - 2
    mask = imagery.land(x0, y0, int(x[-1]) + 3, int(y[-1]) + 3, level=level)
    map_x, map_y = np.meshgrid((x - x0 - 0.5).astype(np.float32), (y - y0 - 0.5).astype(np.float32))
    land = cv2.remap(mask, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(land, np.float32) / np.float32(255.0)


def read_valid(imagery: Imagery, grid: GroundGrid) -> NDArray[np.bool_]:
    """Return where an imagery has a picture of its own (rows, columns); open sea counts as shown."""
    middle = np.deg2rad(grid.north_deg - 0.5 * grid.rows * grid.step_lat_deg)
    level = level_for(grid.step_lat_deg * METRES_PER_DEG, float(middle), native_level=imagery.native_level)
    x, y = _mercator_axes(grid, level)
    x0, y0 = int(x[0]) - 2, int(y[0]) - 2
    shown = imagery.valid(x0, y0, int(x[-1]) + 3, int(y[-1]) + 3, level=level)
    columns, rows = (x - x0).astype(np.int64), (y - y0).astype(np.int64)
    return np.asarray(shown[rows][:, columns] > 127)


def _mercator_axes(grid: GroundGrid, level: int) -> tuple[Array, Array]:
    """Return world x (columns,) and y (rows,) of the cells' centres."""
    lon = grid.west_deg + (np.arange(grid.columns) + 0.5) * grid.step_lon_deg
    lat = grid.north_deg - (np.arange(grid.rows) + 0.5) * grid.step_lat_deg
    x = pixel_from_lonlat(np.deg2rad(lon), 0.0, level=level)[:, 0]
    y = pixel_from_lonlat(0.0, np.deg2rad(lat), level=level)[:, 1]
    return x, y


def grey_of(rgb: NDArray[np.uint8]) -> Grey:
    """Return Rec. 601 luminance as float32."""
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.float32)
