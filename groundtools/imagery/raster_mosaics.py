"""Pictures of local rasters (GeoTIFF or anything GDAL reads), warped onto a product's grid."""

import glob
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from groundtools.imagery.errors import SceneError
from groundtools.imagery.mosaics import Grid, Mosaic, Product, stretched

Floats = NDArray[np.float32]


class RasterMosaics:
    """Products from the split's files, in random order, the first picture on top."""

    def __init__(self, *, low: float, high: float, resampling: str, credit: str, licence: str) -> None:
        self.credit, self.licence = credit, licence
        self._low, self._high, self._resampling = low, high, resampling

    def make(self, product: Product) -> Mosaic:
        """Return the picture. Raises SceneError where a file cannot be read or nothing meets the grid."""
        files = files_of(product.scenes)
        out = np.full((3, product.grid.height_px, product.grid.width_px), np.nan, np.float32)
        used = []
        for index in np.random.default_rng(product.seed).permutation(len(files)):
            if not np.isnan(out).any():
                break
            bands = read_on_grid(files[index], product.grid, self._resampling)
            new = np.isnan(out).any(axis=0) & np.isfinite(bands).all(axis=0)
            if new.any():
                out[:, new] = bands[:, new]
                used.append(files[index].rpartition("/")[2])
        if not used:
            raise SceneError(f"{product.name}: none of {len(files)} files has a picture there")
        return Mosaic(stretched(out, self._low, self._high), tuple(used), ())


@lru_cache(maxsize=64)
def files_of(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the files that patterns name. Raises SceneError where there are none."""
    found = tuple(sorted({file for pattern in patterns for file in glob.glob(pattern, recursive=True)}))
    if not found:
        raise SceneError(f"no file matches {', '.join(patterns)}")
    return found


def read_on_grid(file: str, grid: Grid, resampling: str) -> Floats:
    """Return three bands (3, h, w) of a raster on a grid, NaN where it has no picture."""
    import rasterio
    from rasterio.enums import Resampling
    from rasterio.vrt import WarpedVRT

    try:
        with rasterio.open(file) as dataset:
            if dataset.crs is None:
                raise SceneError(f"{file} has no coordinate system; georeference it first")
            bands = [1, 2, 3] if dataset.count >= 3 else [1, 1, 1]
            with WarpedVRT(
                dataset,
                crs=f"EPSG:{grid.epsg}",
                transform=rasterio.Affine(*grid.affine),
                width=grid.width_px,
                height=grid.height_px,
                resampling=Resampling[resampling],
                add_alpha=dataset.nodata is None,
            ) as warped:
                picture = warped.read(bands).astype(np.float32)
                inside = warped.dataset_mask() > 0
    except rasterio.errors.RasterioError as error:
        raise SceneError(f"{file} cannot be read ({' '.join(str(error).split())[:120]})") from error
    picture[:, ~inside] = np.nan
    return picture
