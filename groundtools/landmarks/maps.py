"""Reference maps: a place at 2.4 km, as all imageries and seas together show it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flightsw.errors import InputError
from flightsw.vision.features import Floats, grey_from_rgb, merge_sources
from flightsw.vision.maps import LAND_FULL, MapGrid, ReferenceMap, grid_of_region, quantise
from groundtools.imagery import Imagery, SeaMode
from groundtools.landmarks.ground import GroundGrid, read_ground, read_land, read_valid
from groundtools.landmarks.terrain import read_terrain

Bounds = tuple[float, float, float, float]

SEAS: tuple[SeaMode, ...] = ("flat", "half", "raw")
LEAST_SHOWN = 0.02  # of a place, by every imagery


def seas_of(imagery: Imagery) -> tuple[SeaMode, ...]:
    """Return how an imagery's water goes into a map: the embedded one has no sea floor worth showing."""
    return ("flat",) if imagery.name == "embedded" else SEAS


class NothingShown(InputError):
    """An imagery shows nothing of a place."""


def build_map(
    name: str,
    bounds_deg: Bounds,
    imageries: list[tuple[Imagery, tuple[SeaMode, ...]]],
    *,
    terrain: Path | None = None,
) -> ReferenceMap:
    """Return the reference map of a place.

    bounds_deg : west, south, east, north; imageries : each with the seas to show it in;
    terrain : a file of heights, without which the ground is the ellipsoid. The features are
    the mean over all pictures, so what they agree on weighs most; where an imagery has no
    picture of its own it says nothing. Raises NothingShown for one that shows nothing of
    the place, InputError for a terrain that does not fit it.
    """
    grid = grid_of_region(bounds_deg)
    heights = None if terrain is None else read_terrain(terrain, grid)
    ground = _ground(grid)
    greys: list[Floats] = []
    valids: list[NDArray[np.bool_]] = []
    for imagery, seas in imageries:
        valid = read_valid(imagery, ground)
        _refuse_without_overlap(imagery, valid, grid, bounds_deg)
        greys += [grey_from_rgb(read_ground(imagery, ground, sea=sea)) for sea in seas]
        valids += [valid] * len(seas)
    land = np.rint(read_land(imageries[0][0], ground) * LAND_FULL).astype(np.uint8)
    return ReferenceMap(name, grid, quantise(merge_sources(greys, valids)), land, heights)


def _refuse_without_overlap(
    imagery: Imagery, valid: NDArray[np.bool_], grid: MapGrid, bounds_deg: Bounds
) -> None:
    """Raise NothingShown where an imagery shows (next to) nothing inside the bounds."""
    west, south, east, north = bounds_deg
    rows = (grid.lat_deg > south) & (grid.lat_deg < north)
    columns = (grid.lon_deg > west) & (grid.lon_deg < east)
    if valid[rows][:, columns].mean() < LEAST_SHOWN:
        place = ", ".join(f"{value:g}" for value in bounds_deg)
        fix = "give bounds (west,south,east,north) that the imagery covers, or leave it out"
        raise NothingShown(f"shows nothing of {place}", file=imagery.name, field="--imagery", fix=fix)


def _ground(grid: MapGrid) -> GroundGrid:
    """Return the same cells under the name `read_ground` knows."""
    return GroundGrid(
        grid.west_deg, grid.north_deg, grid.cell_lon_deg, grid.cell_lat_deg, grid.columns, grid.rows
    )
