"""Reference maps: how a region looks at 2.4 km, reduced to what survives another camera.

A map holds the feature channels of `flightsw.vision.features` on a grid of latitude and
longitude whose cells are about 2.4 km (exactly so at the grid's middle latitude), and
the land fraction. Frames are rectified onto the same grid before their features are
taken, so the grid's own stretch cancels.

File, little-endian: header `VSMP`, version, rows, columns, region id, corner and cell
size in degrees, feature step; zlib of the channels (plane by plane, int8, value = step
x integer) and of the land plane (uint8, 0..15); CRC-32 of all before it. Version 2 has
mean heights of the lattice's blocks behind the land plane (int16, m); without them the
ground is the ellipsoid.

Building one (groundtools.landmarks.maps):
    grid = grid_of_region((west, south, east, north))
    greys = [grey_from_rgb(mean colour of every cell, (H, W, 3)) for each source, sea flat]
    write_map(path, ReferenceMap("17R", grid, quantise(merge_sources(greys)), land))
where cells are area means over about one cell (2.4 km) and `land` is 0..15.
"""

import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import WGS84_A
from flightsw.errors import ModelError
from flightsw.vision.catalog import REPLACE, read_checked, write_atomic
from flightsw.vision.features import CHANNELS, box_sum

Array = NDArray[np.float64]

MAGIC = b"VSMP"
VERSION, VERSION_WITH_HEIGHTS = 1, 2
HEADER = struct.Struct("<4sHHH8s4df")
CELL = 2400.0  # m
MARGIN_DEG = 4.0  # beyond a region, in latitude; a frame reaches 420 km from its centre
FEATURE_STEP = 0.25  # 4 bits carry the correlation; finer steps only cost storage
SHORE = 2  # cells: what a map shows further out at sea is its maker's paint, and says nothing
LAND_FULL = 15  # the land plane's value for a cell that is all land
HEIGHT_BLOCK = 16  # cells a height: the lattice of `flightsw.vision.blocks`, 38 km
MAX_CELLS = 4_000_000  # 16 MB in memory: larger maps are refused before they are unpacked


@dataclass(frozen=True, slots=True)
class MapGrid:
    """Cells of latitude and longitude; row 0 is the northernmost, column 0 the westernmost.

    north_deg, west_deg : the outer corner of the first cell; cell_lat_deg, cell_lon_deg :
    a cell's extent (both positive). Longitudes may run past 180.
    """

    north_deg: float
    west_deg: float
    cell_lat_deg: float
    cell_lon_deg: float
    rows: int
    columns: int

    @property
    def lat_deg(self) -> Array:
        """Latitudes of the cells' centres (rows,)."""
        return self.north_deg - (np.arange(self.rows, dtype=np.float64) + 0.5) * self.cell_lat_deg

    @property
    def lon_deg(self) -> Array:
        """Longitudes of the cells' centres (columns,)."""
        return self.west_deg + (np.arange(self.columns, dtype=np.float64) + 0.5) * self.cell_lon_deg


@dataclass(frozen=True, slots=True)
class ReferenceMap:
    """A region's map: features (H, W, 3) int8 in FEATURE_STEP, land (H, W) uint8 0..15.

    heights : (ceil(H / 16), ceil(W / 16)) m above the ellipsoid, block means; None: zero.
    """

    region: str
    grid: MapGrid
    features: NDArray[np.int8]
    land: NDArray[np.uint8]
    heights: NDArray[np.int16] | None = None

    def height_at(self, row: Array, column: Array) -> Array:
        """Return heights, m, at fractional cells (0 = a cell's centre), of one shape: linear between
        the middles of blocks.
        """
        row, column = np.broadcast_arrays(row, column)
        if self.heights is None:
            return np.zeros(row.shape)
        value = self.heights.astype(np.float64)
        (i, a), (j, b) = (_between(at, n) for at, n in zip((row, column), value.shape, strict=True))
        top = value[i, j] * (1.0 - b) + value[i, np.minimum(j + 1, value.shape[1] - 1)] * b
        i = np.minimum(i + 1, value.shape[0] - 1)
        bottom = value[i, j] * (1.0 - b) + value[i, np.minimum(j + 1, value.shape[1] - 1)] * b
        return np.asarray(top * (1.0 - a) + bottom * a)


def _between(cell: Array, count: int) -> tuple[NDArray[np.int64], Array]:
    """Return the block whose middle lies before a cell, and how far on to the next it is."""
    at = np.clip((np.nan_to_num(cell) + 0.5) / HEIGHT_BLOCK - 0.5, 0.0, count - 1.0)
    index = np.floor(at).astype(np.int64)
    return index, at - index


def height_shape(grid: MapGrid) -> tuple[int, int]:
    """Return the shape of a map's heights."""
    return -(-grid.rows // HEIGHT_BLOCK), -(-grid.columns // HEIGHT_BLOCK)


def grid_of_region(
    bounds_deg: tuple[float, float, float, float], *, margin_deg: float = MARGIN_DEG
) -> MapGrid:
    """Return the map grid of a region, bounds (west, south, east, north), with its margin.

    The margin is the same distance on all sides; latitudes stop at +-84.
    """
    west, south, east, north = bounds_deg
    middle = math.radians(0.5 * (south + north))
    cell_lat = math.degrees(CELL / WGS84_A)
    cell_lon = cell_lat / math.cos(middle)
    top = min(north + margin_deg, 84.0)
    bottom = max(south - margin_deg, -84.0)
    left = west - margin_deg / math.cos(middle)
    right = east + margin_deg / math.cos(middle)
    rows = math.ceil((top - bottom) / cell_lat)
    return MapGrid(top, left, cell_lat, cell_lon, rows, math.ceil((right - left) / cell_lon))


def quantise(features: NDArray[np.float32]) -> NDArray[np.int8]:
    """Return features (H, W, 3) in whole steps, int8."""
    return np.asarray(np.clip(np.rint(features / FEATURE_STEP), -127, 127), np.int8)


def write_map(path: Path, reference: ReferenceMap) -> None:
    """Write a map (whole or not at all). Raises ValueError when its shapes disagree."""
    grid = reference.grid
    shape = (grid.rows, grid.columns)
    if reference.features.shape != (*shape, CHANNELS) or reference.land.shape != shape:
        raise ValueError(f"features {reference.features.shape} or land do not fit the grid {shape}")
    if int(reference.land.max(initial=0)) > LAND_FULL:
        raise ValueError(f"land must be 0..{LAND_FULL}")
    heights = reference.heights
    if heights is not None and heights.shape != height_shape(grid):
        raise ValueError(f"heights {heights.shape} do not fit the grid, {height_shape(grid)} would")
    version = VERSION if heights is None else VERSION_WITH_HEIGHTS
    head = HEADER.pack(
        MAGIC, version, grid.rows, grid.columns, reference.region.encode("ascii"),
        grid.north_deg, grid.west_deg, grid.cell_lat_deg, grid.cell_lon_deg, FEATURE_STEP,
    )  # fmt: skip
    planes = np.ascontiguousarray(reference.features.transpose(2, 0, 1)).astype(np.int8)
    raw = planes.tobytes() + reference.land.astype(np.uint8).tobytes()
    raw += b"" if heights is None else heights.astype("<i2").tobytes()
    body = head + zlib.compress(raw, 9)
    write_atomic(path, body + struct.pack("<I", zlib.crc32(body)))


def read_map(path: Path) -> ReferenceMap:
    """Read a map; ModelError names the file when it is missing, cut or altered."""
    data = read_checked(path, MAGIC, (VERSION, VERSION_WITH_HEIGHTS), HEADER.size)
    _, version, rows, columns, region, north, west, cell_lat, cell_lon, step = HEADER.unpack_from(data)
    numbers = (north, west, cell_lat, cell_lon)
    if not all(map(math.isfinite, numbers)) or min(cell_lat, cell_lon) <= 0.0:
        raise ModelError("its grid is not a grid of the Earth", file=path, fix=REPLACE)
    if step != FEATURE_STEP or not 0 < rows * columns <= MAX_CELLS:
        raise ModelError(f"step {step} or size {rows} x {columns} is not ours", file=path, fix=REPLACE)
    grid = MapGrid(north, west, cell_lat, cell_lon, rows, columns)
    cells = rows * columns * (CHANNELS + 1)
    blocks = height_shape(grid) if version == VERSION_WITH_HEIGHTS else (0, 0)
    size = cells + 2 * blocks[0] * blocks[1]
    unpack = zlib.decompressobj()
    try:
        raw = unpack.decompress(data[HEADER.size :], size + 1)
    except zlib.error as error:
        raise ModelError(f"cannot be unpacked ({error})", file=path, fix=REPLACE) from error
    if len(raw) != size:
        raise ModelError(f"does not hold {rows} x {columns} cells", file=path, fix=REPLACE)
    planes = np.frombuffer(raw, np.int8, cells).reshape(CHANNELS + 1, rows, columns)
    heights = np.frombuffer(raw, "<i2", offset=cells).reshape(blocks) if blocks[0] else None
    features = np.ascontiguousarray(planes[:CHANNELS].transpose(1, 2, 0))
    name = region.rstrip(b"\0").decode("ascii", "replace")
    land = planes[CHANNELS].view(np.uint8)
    features[box_sum((land > 0).astype(np.float64), SHORE) < 0.5] = 0
    return ReferenceMap(name, grid, features, land, heights)
