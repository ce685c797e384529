"""Pictures of map tiles (XYZ or WMTS addresses, folders, tars), warped onto a product's grid."""

from functools import lru_cache

import cv2
import numpy as np

from flightsw.errors import InputError
from groundtools.imagery import Imagery, SeaMode, open_imagery
from groundtools.imagery.errors import RemoteError
from groundtools.imagery.mercator import level_for, pixel_from_lonlat
from groundtools.imagery.mosaics import Grid, Mosaic, Pixels, Product
from groundtools.imagery.tiles import TileImagery, UrlSource

STRIP_ROWS = 512
NODE_PX = 16  # coordinates are computed this far apart and interpolated: 0.01 px off at most


class TileMosaics:
    """Products from one of the split's imageries: see `groundtools.imagery.mosaics.MosaicSource`."""

    def __init__(self, *, level: int, sea: SeaMode, credit: str, licence: str) -> None:
        self.credit, self.licence = credit, licence
        self._level, self._sea = level, sea

    def make(self, product: Product) -> Mosaic:
        """Return the picture. Raises RemoteError where the server does not answer."""
        chosen = product.scenes[np.random.default_rng(product.seed).integers(len(product.scenes))]
        imagery = _opened(chosen, self._level)
        try:
            pixels = picture_on_grid(imagery, product.grid, sea=self._sea)
        except InputError as error:
            if chosen.startswith(("http://", "https://")):
                raise RemoteError(f"{error}; then resume") from error
            raise
        return Mosaic(np.maximum(pixels, 1), (imagery.name,), ())


def picture_on_grid(imagery: Imagery, grid: Grid, *, sea: SeaMode | None = None) -> Pixels:
    """Return the picture (h, w, 3) of an imagery on a UTM grid, bilinear."""
    ((_, lat),) = grid.lonlat_from_uv([[grid.width_px / 2, grid.height_px / 2]])
    level = level_for(grid.pixel_m, float(np.deg2rad(lat)), native_level=imagery.native_level)
    out = np.empty((grid.height_px, grid.width_px, 3), np.uint8)
    for top in range(0, grid.height_px, STRIP_ROWS):
        rows = min(STRIP_ROWS, grid.height_px - top)
        xy = _mercator(grid, top, rows, level)
        (x0, y0), (x1, y1) = np.floor(xy.min(axis=(0, 1))) - 2, np.ceil(xy.max(axis=(0, 1))) + 3
        source = imagery.read(int(x0), int(y0), int(x1), int(y1), level=level, sea=sea)
        where = (xy - (x0, y0) - 0.5).astype(np.float32)
        out[top : top + rows] = cv2.remap(source, where[..., 0], where[..., 1], cv2.INTER_LINEAR)
    return out


def _mercator(grid: Grid, top: int, rows: int, level: int) -> np.ndarray:
    """Return the world pixels (rows, width, 2) of a strip's pixel centres."""
    across, down = -(-grid.width_px // NODE_PX) + 1, -(-rows // NODE_PX) + 1
    u, v = np.meshgrid(np.arange(across) * NODE_PX + 0.5, np.arange(down) * NODE_PX + top + 0.5)
    lonlat = np.deg2rad(grid.lonlat_from_uv(np.stack([u.ravel(), v.ravel()], axis=1)))
    nodes = pixel_from_lonlat(lonlat[:, 0], lonlat[:, 1], level=level).reshape(down, across, 2)
    base = nodes[0, 0].copy()
    at = [(np.arange(size) / NODE_PX) for size in (rows, grid.width_px)]
    low = [np.minimum(a.astype(int), n - 2) for a, n in zip(at, (down, across), strict=True)]
    part = [(a - b)[:, None] for a, b in zip(at, low, strict=True)]
    offset = nodes - base
    along = offset[low[0]] * (1 - part[0][..., None]) + offset[low[0] + 1] * part[0][..., None]
    return along[:, low[1]] * (1 - part[1]) + along[:, low[1] + 1] * part[1] + base


@lru_cache(maxsize=4)
def _opened(spec: str, level: int) -> Imagery:
    if spec.startswith(("http://", "https://")):
        source = UrlSource(spec, native_level=level)
        return TileImagery(source, name=spec.split("/")[2], credit="")
    return open_imagery(spec)
