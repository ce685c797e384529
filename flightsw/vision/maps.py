"""Reference maps: how a region looks at 2.4 km, reduced to what survives another camera.

A map holds the feature channels of `flightsw.vision.features` on a grid of latitude and
longitude whose cells are about 2.4 km (exactly so at the grid's middle latitude), and
the land fraction. Frames are rectified onto the same grid before their features are
taken, so the grid's own stretch cancels.

File, little-endian: header `VSMP`, version, rows, columns, region id, corner and cell
size in degrees, feature step; zlib of the channels (plane by plane, int8, value = step
x integer) and of the land plane (uint8, 0..15); CRC-32 of all before it.

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
VERSION = 1
HEADER = struct.Struct("<4sHHH8s4df")
CELL = 2400.0  # m
MARGIN_DEG = 4.0  # beyond a region, in latitude; a frame reaches 420 km from its centre
FEATURE_STEP = 0.25  # 4 bits carry the correlation; finer steps only cost storage
SHORE = 2  # cells: what a map shows further out at sea is its maker's paint, and says nothing
LAND_FULL = 15  # the land plane's value for a cell that is all land
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
    """A region's map: features (H, W, 3) int8 in FEATURE_STEP, land (H, W) uint8 0..15."""

    region: str
    grid: MapGrid
    features: NDArray[np.int8]
    land: NDArray[np.uint8]


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
    head = HEADER.pack(
        MAGIC, VERSION, grid.rows, grid.columns, reference.region.encode("ascii"),
        grid.north_deg, grid.west_deg, grid.cell_lat_deg, grid.cell_lon_deg, FEATURE_STEP,
    )  # fmt: skip
    planes = np.ascontiguousarray(reference.features.transpose(2, 0, 1)).astype(np.int8)
    body = head + zlib.compress(planes.tobytes() + reference.land.astype(np.uint8).tobytes(), 9)
    write_atomic(path, body + struct.pack("<I", zlib.crc32(body)))


def read_map(path: Path) -> ReferenceMap:
    """Read a map; ModelError names the file when it is missing, cut or altered."""
    data = read_checked(path, MAGIC, VERSION, HEADER.size)
    _, _, rows, columns, region, north, west, cell_lat, cell_lon, step = HEADER.unpack_from(data)
    numbers = (north, west, cell_lat, cell_lon)
    if not all(map(math.isfinite, numbers)) or min(cell_lat, cell_lon) <= 0.0:
        raise ModelError("its grid is not a grid of the Earth", file=path, fix=REPLACE)
    if step != FEATURE_STEP or not 0 < rows * columns <= MAX_CELLS:
        raise ModelError(f"step {step} or size {rows} x {columns} is not ours", file=path, fix=REPLACE)
    size = rows * columns * (CHANNELS + 1)
    unpack = zlib.decompressobj()
    try:
        raw = unpack.decompress(data[HEADER.size :], size + 1)
    except zlib.error as error:
        raise ModelError(f"cannot be unpacked ({error})", file=path, fix=REPLACE) from error
    if len(raw) != size:
        raise ModelError(f"does not hold {rows} x {columns} cells", file=path, fix=REPLACE)
    planes = np.frombuffer(raw, np.int8).reshape(CHANNELS + 1, rows, columns)
    grid = MapGrid(north, west, cell_lat, cell_lon, rows, columns)
    features = np.ascontiguousarray(planes[:CHANNELS].transpose(1, 2, 0))
    name = region.rstrip(b"\0").decode("ascii", "replace")
    land = planes[CHANNELS].view(np.uint8)
    features[box_sum((land > 0).astype(np.float64), SHORE) < 0.5] = 0
    return ReferenceMap(name, grid, features, land)
