"""Pictures from STAC catalogues of cloud-optimised GeoTIFFs, without an account.

Searching, reading, warping and retrying are pystac's, odc-stac's and GDAL's work. Two
traps are met here. GDAL remembers addresses that failed, so that trying again sends no
request: such files are kept out of its memory (CPL_VSIL_CURL_NON_CACHED). And a cloud
that is averaged into a pixel before it is masked stays in the picture: the mask of bad
pixels is made at the scene's own resolution, brought to the grid by `max`, and widened
by as many pixels as the resampling of colours reaches.
"""

import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundtools.imagery.errors import SceneError
from groundtools.imagery.mosaics import Grid, Mosaic, Product, stretched
from groundtools.imagery.stac_catalogues import Catalogue, brief

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

ATTEMPTS = 6  # at reading a band, after GDAL's own eight of each request
PAUSE_S = 0.1  # before the second attempt, doubled for each further one
TILE_PX = 512  # side of the pieces in which a median over dates is taken
MAX_LAYERS = 4  # scenes over one place that a median is taken of
HTTP: dict[str, Any] = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MAX_RETRY": "8",
    "GDAL_HTTP_RETRY_DELAY": "0.25",
    "GDAL_HTTP_RETRY_CODES": "429,500,502,503,504",
    "GDAL_HTTP_TIMEOUT": "60",
    "CPL_VSIL_CURL_NON_CACHED": "/vsicurl/http",  # failures are not remembered
    "GDAL_NUM_THREADS": "1",
    "GDAL_CACHEMAX": 64,  # MB
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StacOptions:
    """What is read and how; see groundtools.dataset.recipe.StacSource."""

    bands: tuple[str, ...]
    mask_band: str
    bad_values: tuple[int, ...]
    cloud_values: tuple[int, ...]
    low: float
    high: float
    resampling: str
    depth: int
    masked: bool
    max_cloud_percent: float


class StacMosaics:
    """Products from a catalogue: see `groundtools.imagery.mosaics.MosaicSource`."""

    def __init__(self, catalogue: Catalogue, options: StacOptions, *, credit: str, licence: str) -> None:
        self.credit, self.licence = credit, licence
        self._catalogue, self._options = catalogue, options
        _configure_gdal()

    def make(self, product: Product) -> Mosaic:
        """Return random scenes laid over each other, or the median of their clear pixels."""
        chosen = choose_scenes(self._catalogue, product, self._options)
        if not chosen:
            raise SceneError(f"{product.name}: no scene of {product.collection} meets it")
        if self._options.masked:
            bands, cloud = self._median(chosen, product.grid), 0.0
        else:
            bands, cloud = self._first(chosen, product.grid)
        pixels = stretched(bands, self._options.low, self._options.high)
        ids = tuple(item.id for item in chosen)
        days = tuple(sorted({item.datetime.date().isoformat() for item in chosen}))
        known = bool(self._options.mask_band)
        return Mosaic(pixels, ids, days, cloud_percent=cloud if known else None)

    def _first(self, items: Sequence[Any], grid: Grid) -> tuple[Floats, float]:
        """Return the first picture there is of each pixel (3, h, w), and its cloud in percent."""
        options = self._options
        out = np.full((len(options.bands), grid.height_px, grid.width_px), np.nan, np.float32)
        cloudy = np.zeros(out.shape[1:], bool)
        for item in items:
            window = _window(item, grid, (slice(0, grid.height_px), slice(0, grid.width_px)))
            if window is None or not np.isnan(out[0][window]).any():
                continue
            bands = read_bands(item, grid, window, options.bands, options.resampling)
            new = np.isnan(out[0][window]) & np.isfinite(bands).all(axis=0)
            out[:, window[0], window[1]][:, new] = bands[:, new]
            if options.mask_band and new.any():
                classes = _read(item, grid, window, [options.mask_band], "nearest", "uint8", 0)[0]
                cloudy[window][new] = np.isin(classes[new], options.cloud_values)
        pictured = np.isfinite(out[0])
        share = float(cloudy[pictured].mean()) if pictured.any() else 0.0
        return out, round(100.0 * share, 2)

    def _median(self, items: Sequence[Any], grid: Grid) -> Floats:
        """Return the median of the pixels (3, h, w) that no cloud touches; NaN where there is none."""
        options = self._options
        out = np.full((len(options.bands), grid.height_px, grid.width_px), np.nan, np.float32)
        for top in range(0, grid.height_px, TILE_PX):
            for left in range(0, grid.width_px, TILE_PX):
                tile = (
                    slice(top, min(top + TILE_PX, grid.height_px)),
                    slice(left, min(left + TILE_PX, grid.width_px)),
                )
                out[:, tile[0], tile[1]] = _median_of(items, grid, tile, options)
        return out


def choose_scenes(catalogue: Catalogue, product: Product, options: StacOptions) -> list[Any]:
    """Return scenes in the product's random order, those that add nothing left out.

    Kept clouds need one picture of each place, a median up to MAX_LAYERS.
    """
    import shapely

    area = shapely.Polygon(product.grid.footprint_deg())
    layers = [area] * (MAX_LAYERS if options.masked else 1)  # what each layer still lacks
    rng = np.random.default_rng([product.seed, 1])
    chosen: list[Any] = []
    for batch in catalogue.find(product, options.max_cloud_percent):
        for index in rng.permutation(len(batch)):
            shape = shapely.geometry.shape(batch[index].geometry)
            for number, lacking in enumerate(layers):
                left = lacking.difference(shape)
                if left.area < lacking.area - 1e-6 * area.area:
                    layers[number] = left
                    chosen.append(batch[index])
                    break
            if len(chosen) == options.depth or all(one.is_empty for one in layers):
                return chosen
    return chosen


def read_bands(
    item: Any, grid: Grid, window: tuple[slice, slice], bands: Sequence[str], resampling: str
) -> Floats:
    """Return bands (n, h, w) of a scene on a window of a grid, NaN where it has no picture."""
    return _read(item, grid, window, bands, resampling, "float32", np.nan)


def read_bad(
    item: Any, grid: Grid, window: tuple[slice, slice], mask_band: str, bad_values: Sequence[int]
) -> Bools:
    """Return which pixels (h, w) of a window are touched by a bad pixel of the scene, widened.

    The widening covers how far the colours' resampling (overviews included) reaches beyond
    a pixel: one pixel, and one more for each time the mask is coarser than the grid.
    """
    import cv2
    import odc.stac
    from odc.geo.xr import xr_reproject

    native: list[Any] = []

    def load() -> Floats:
        box = _geobox(grid)[window]
        area = box.pad(3).extent
        data = odc.stac.load([item], bands=[mask_band], geopolygon=area, resampling="nearest")
        classes = data[mask_band].isel(time=0)
        bad = np.isin(classes.values, bad_values).astype(np.uint8)
        native.append(abs(float(classes.odc.geobox.resolution.x)))
        flags = xr_reproject(classes.copy(data=bad), box, resampling="max", dst_nodata=255)
        return np.asarray(flags.values)

    flags = _patiently(load, item)
    reach = 1 + int(native[-1] / grid.pixel_m)
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return np.asarray(cv2.dilate((flags != 0).astype(np.uint8), kernel) > 0)


def _median_of(items: Sequence[Any], grid: Grid, tile: tuple[slice, slice], options: StacOptions) -> Floats:
    shape = (tile[0].stop - tile[0].start, tile[1].stop - tile[1].start)
    layers = []
    for item in items:
        window = _window(item, grid, tile)
        if window is None:
            continue
        bands = read_bands(item, grid, window, options.bands, options.resampling)
        if options.mask_band:
            bands[:, read_bad(item, grid, window, options.mask_band, options.bad_values)] = np.nan
        layer = np.full((len(bands), *shape), np.nan, np.float32)
        rows, columns = (
            slice(part.start - whole.start, part.stop - whole.start)
            for part, whole in zip(window, tile, strict=True)
        )
        layer[:, rows, columns] = bands
        layers.append(layer)
    if not layers:
        return np.full((len(options.bands), *shape), np.nan, np.float32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        return np.asarray(np.nanmedian(np.stack(layers), axis=0), np.float32)


def _read(
    item: Any,
    grid: Grid,
    window: tuple[slice, slice],
    bands: Sequence[str],
    resampling: str,
    dtype: str,
    nodata: float,
) -> NDArray[Any]:
    import odc.stac

    def load(names: Sequence[str]) -> NDArray[Any]:
        data = odc.stac.load(
            [item],
            bands=list(names),
            geobox=_geobox(grid)[window],
            resampling=resampling,
            dtype=dtype,
            nodata=nodata,
        )
        return np.stack([np.asarray(data[band].values[0]) for band in names])

    try:
        return _patiently(lambda: load(bands), item, attempts=1)
    except _BrokenOff:  # GDAL retries no connection cut within an answer: smaller bites then
        return np.concatenate([_patiently(lambda band=band: load([band]), item) for band in bands])


class _BrokenOff(SceneError):
    """Reading a scene failed in a way that may pass."""


def _patiently(load: Any, item: Any, *, attempts: int = ATTEMPTS) -> NDArray[Any]:
    """Return load(), tried again where a connection broke in the middle; SceneError at the end."""
    from rasterio.errors import RasterioError

    reason = ""
    for attempt in range(attempts):
        try:
            with _quiet():
                return np.asarray(load())
        except (RasterioError, OSError) as error:
            reason = brief(error)
        except AssertionError as error:  # odc-geo's way to say it
            raise SceneError(f"scene {item.id} cannot be used (it has no coordinate system)") from error
        except (KeyError, ValueError) as error:  # odc-stac: a band or grid the item lacks
            raise SceneError(f"scene {item.id} cannot be used ({brief(error)})") from error
        time.sleep(PAUSE_S * 2 ** min(attempt, 4))
    raise _BrokenOff(f"scene {item.id} cannot be read ({reason})")


def _geobox(grid: Grid) -> Any:
    from affine import Affine
    from odc.geo.geobox import GeoBox

    return GeoBox((grid.height_px, grid.width_px), Affine(*grid.affine), f"EPSG:{grid.epsg}")


def _window(item: Any, grid: Grid, within: tuple[slice, slice]) -> tuple[slice, slice] | None:
    """Return the rows and columns of `within` that an item's outline meets, or None."""
    import shapely

    outline = shapely.segmentize(shapely.geometry.shape(item.geometry), 0.25)
    lonlat = shapely.get_coordinates(outline)
    uv = grid.uv_from_lonlat(lonlat[:, 0], lonlat[:, 1])
    uv = uv[np.isfinite(uv).all(axis=1)]
    if not len(uv):
        return None
    (left, top), (right, bottom) = np.floor(uv.min(axis=0)) - 2, np.ceil(uv.max(axis=0)) + 2
    rows = slice(int(max(top, within[0].start)), int(min(bottom, within[0].stop)))
    columns = slice(int(max(left, within[1].start)), int(min(right, within[1].stop)))
    return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


def _configure_gdal() -> None:
    import odc.stac

    with _quiet():
        odc.stac.configure_rio(**HTTP)


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what libraries say about each other's future, and about rasters' lack of one."""
    with warnings.catch_warnings():
        for kind in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", kind)
        yield
