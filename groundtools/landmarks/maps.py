"""Reference maps: each region at 2.4 km, as all imageries and seas together show it."""

import numpy as np

from flightsw.vision.features import Floats, grey_from_rgb, merge_sources
from flightsw.vision.maps import LAND_FULL, MapGrid, ReferenceMap, grid_of_region, quantise
from groundtools.imagery import Imagery, SeaMode
from groundtools.landmarks.ground import GroundGrid, read_ground, read_land

SEAS: tuple[SeaMode, ...] = ("flat", "half", "raw")


def build_map(
    name: str,
    bounds_deg: tuple[float, float, float, float],
    imageries: list[tuple[Imagery, tuple[SeaMode, ...]]],
) -> ReferenceMap:
    """Return the reference map of a place.

    bounds_deg : west, south, east, north; imageries : each with the seas to show it in.
    The features are the mean over all pictures, so what they agree on weighs most.
    """
    grid = grid_of_region(bounds_deg)
    ground = _ground(grid)
    greys: list[Floats] = []
    for imagery, seas in imageries:
        greys += [grey_from_rgb(read_ground(imagery, ground, sea=sea)) for sea in seas]
    land = np.rint(read_land(imageries[0][0], ground) * LAND_FULL).astype(np.uint8)
    return ReferenceMap(name, grid, quantise(merge_sources(greys)), land)


def _ground(grid: MapGrid) -> GroundGrid:
    """Return the same cells under the name `read_ground` knows."""
    return GroundGrid(
        grid.west_deg, grid.north_deg, grid.cell_lon_deg, grid.cell_lat_deg, grid.columns, grid.rows
    )
