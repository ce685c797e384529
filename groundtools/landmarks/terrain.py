"""Heights of a map's blocks from the user's own terrain file (GeoTIFF or anything GDAL reads)."""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flightsw.errors import InputError
from flightsw.vision.maps import HEIGHT_BLOCK, MapGrid, height_shape

LOWEST, HIGHEST = -500.0, 9000.0  # m: anything else is no height of land
LEAST_COVERED = 0.02  # of the map's blocks


def read_terrain(path: Path, grid: MapGrid) -> NDArray[np.int16]:
    """Return the mean height, m, of every block of a map's lattice; 0 where the file says nothing.

    Heights are taken as above the ellipsoid; above mean sea level they are up to 100 m off,
    which moves a patch by 60 m at the edge of a view. Raises InputError for a file that
    cannot be read, has no coordinate system, holds no heights or lies elsewhere.
    """
    import rasterio
    from rasterio.enums import Resampling
    from rasterio.transform import Affine
    from rasterio.warp import reproject

    rows, columns = height_shape(grid)
    tall, wide = grid.cell_lat_deg * HEIGHT_BLOCK, grid.cell_lon_deg * HEIGHT_BLOCK
    mean = np.full((rows, columns), np.nan)
    try:
        with rasterio.open(path) as file:
            if file.crs is None:
                raise InputError("has no coordinate system", file=path, fix="georeference it first")
            for turn_deg in (0.0, -360.0, 360.0):  # maps may run past 180
                found = np.full((rows, columns), np.nan, np.float32)
                here = Affine(wide, 0.0, grid.west_deg + turn_deg, 0.0, -tall, grid.north_deg)
                reproject(
                    rasterio.band(file, 1), found, dst_crs="EPSG:4326", dst_transform=here,
                    dst_nodata=math.nan, resampling=Resampling.average,
                )  # fmt: skip
                mean = np.where(np.isnan(mean), found, mean)
    except rasterio.errors.RasterioError as error:
        raise InputError(f"cannot be read ({error})", file=path, field="--terrain") from error
    covered = np.isfinite(mean)
    if covered.mean() < LEAST_COVERED:
        fix = "give a terrain file that covers the place"
        raise InputError("shows nothing of the place", file=path, field="--terrain", fix=fix)
    if mean[covered].min() < LOWEST or mean[covered].max() > HIGHEST:
        problem = (
            f"holds {mean[covered].min():.0f} to {mean[covered].max():.0f}, which are no heights in metres"
        )
        raise InputError(problem, file=path, field="--terrain", fix="give heights in metres")
    return np.asarray(np.rint(np.nan_to_num(mean)), np.int16)
