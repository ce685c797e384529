"""Pictures from Google Earth Engine, computed there and fetched by computePixels.

The client retries what is worth retrying (429, 5xx) with its own back-off. Here is what
it leaves to its users: pacing, cutting a request that is too large for the server's
memory or time into halves, and words for what cannot be mended. Stretching to bytes
happens there, so that a mosaic of the reference camera is one request of 34 MiB (the
limit is 48 MB, getDownloadURL's 32). Project, account and keys are read by the client
from where it keeps them and never written to a file, a log or a message.
"""

import os
import re
import time
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np

from groundtools.imagery.errors import RemoteError, SceneError
from groundtools.imagery.mosaics import Grid, Mosaic, Pixels, Product, grid_around

WORKLOAD_TAG = "vinsat-dataset"
PROJECT_VARIABLES = ("EARTHENGINE_PROJECT", "GOOGLE_CLOUD_PROJECT")
MAX_REQUEST_BYTES = 48_000_000  # of one answer, uncompressed
SMALLEST_PX = 128  # sides are not cut below this
TRUNCATED_ATTEMPTS = 3
RANDOM = "vinsat_random"  # the column pictures are sorted by

TOO_LARGE = ("user memory limit exceeded", "computation timed out", "total request size", "is too large")
REFUSED = (
    "quota",
    "rate limit",
    "too many",
    "credential",
    "permission",
    "not authorized",
    "not signed up",
    "not registered",
    "authenticat",
    "disabled",
)
SECRETS = (
    re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"),  # accounts
    re.compile(r"\bya29\.[\w.-]+|\bAIza[\w-]{10,}|\b1//[\w-]{10,}"),  # tokens and keys
    re.compile(r"projects?[ /=:'\"]+[\w:.-]+"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EarthEngineOptions:
    """What is asked for; see groundtools.dataset.recipe.EarthEngineSource.

    regions : (name, (west, south, east, north)) in degrees, for choosing scenes;
    requests_s : pace of this process.
    """

    bands: tuple[str, ...]
    low: float
    high: float
    product: str
    depth: int
    cloud_property: str
    max_cloud_percent: float
    requests_s: float
    regions: tuple[tuple[str, tuple[float, float, float, float]], ...]


def connect(*, credentials: Any = "persistent", transport: Any = None, project: str | None = None) -> None:
    """Start the client on the high-volume endpoint. RemoteError where nobody is signed in.

    credentials, transport : for tests; project : else of the environment or the credentials.
    """
    import ee

    named = project or next((os.environ[v] for v in PROJECT_VARIABLES if os.environ.get(v)), None)
    url = "https://earthengine-highvolume.googleapis.com"
    try:
        ee.Initialize(credentials, project=named, url=url, http_transport=transport)
    except Exception as error:  # the client's, google-auth's and httplib2's have no common base
        raise RemoteError(
            f"Earth Engine: cannot sign in ({_said(error)}); run `earthengine authenticate` and set"
            f" {PROJECT_VARIABLES[0]}"
        ) from None
    ee.data.setDefaultWorkloadTag(WORKLOAD_TAG)


class EarthEngineMosaics:
    """Products computed by Earth Engine: see `groundtools.imagery.mosaics.MosaicSource`."""

    def __init__(self, options: EarthEngineOptions, *, credit: str, licence: str) -> None:
        self.credit, self.licence = credit, licence
        self._options = options
        self._next = 0.0  # when the next request may leave, s of the monotonic clock
        self._scenes: dict[tuple[str, str, str], list[tuple[str, str, float, float]]] = {}

    def make(self, product: Product) -> Mosaic:
        """Return a mosaic of random pictures, or the product's own scene."""
        if self._options.product == "scene":
            name, day, lon, lat = self._scene_of(product)
            grid = _moved(product.grid, lon, lat)
            pixels = self._pixels(scene_image(name, self._options), grid, product.name)
            return Mosaic(pixels, (name,), (day,), grid=grid)
        pixels = self._pixels(mosaic_image(product, self._options), product.grid, product.name)
        # Which pictures the server took is its secret; the span is what is known.
        return Mosaic(pixels, (), (f"{product.first_day}/{product.last_day}",))

    def _scene_of(self, product: Product) -> tuple[str, str, float, float]:
        key = (product.split, product.region, product.collection)
        if key not in self._scenes:
            bounds = dict(self._options.regions)[product.region]
            rows = self._ask(lambda: scene_list(product, bounds, self._options).getInfo(), product.name)
            self._scenes[key] = [(row[0], row[1], float(row[2]), float(row[3])) for row in rows]
        scenes = self._scenes[key]
        if product.number >= len(scenes):
            raise SceneError(
                f"{product.name}: {product.collection} has {len(scenes)} scenes there,"
                f" {product.siblings} are asked for"
            )
        return scenes[product.number]

    def _pixels(self, image: Any, grid: Grid, name: str) -> Pixels:
        """Return the picture (h, w, 3), cut into as many requests as need be."""
        if 3 * grid.width_px * grid.height_px > MAX_REQUEST_BYTES:
            return self._halves(image, grid, name)
        try:
            return self._request(image, grid, name)
        except _TooLarge as error:
            if max(grid.width_px, grid.height_px) < 2 * SMALLEST_PX:
                raise SceneError(f"{name}: {error}, even for {grid.width_px} x {grid.height_px} px") from None
            return self._halves(image, grid, name)

    def _halves(self, image: Any, grid: Grid, name: str) -> Pixels:
        first, second, axis = halves(grid)
        parts = [self._pixels(image, part, name) for part in (first, second)]
        return np.concatenate(parts, axis=axis)

    def _request(self, image: Any, grid: Grid, name: str) -> Pixels:
        import ee

        a, b, c, d, e, f = grid.affine
        request = {
            "expression": image,
            "fileFormat": "NUMPY_NDARRAY",
            "grid": {
                "dimensions": {"width": grid.width_px, "height": grid.height_px},
                "affineTransform": {
                    "scaleX": a,
                    "shearX": b,
                    "translateX": c,
                    "shearY": d,
                    "scaleY": e,
                    "translateY": f,
                },
                "crsCode": f"EPSG:{grid.epsg}",
            },
        }
        for _ in range(TRUNCATED_ATTEMPTS):
            try:
                answer = self._ask(lambda: ee.data.computePixels(request), name)
                pixels = np.stack([answer[band] for band in answer.dtype.names], axis=-1)
            except (ValueError, EOFError, TypeError):  # numpy.load of half an answer
                continue
            if pixels.shape == (grid.height_px, grid.width_px, 3) and pixels.dtype == np.uint8:
                return pixels
        raise SceneError(f"{name}: Earth Engine's answer was cut short {TRUNCATED_ATTEMPTS} times")

    def _ask(self, call: Any, name: str) -> Any:
        """Return call(), in its turn; its failures become RemoteError, SceneError or _TooLarge."""
        import ee
        from google.auth.exceptions import GoogleAuthError

        now = time.monotonic()
        if now < self._next:
            time.sleep(self._next - now)
        self._next = max(now, self._next) + 1.0 / self._options.requests_s
        try:
            return call()
        except ee.EEException as error:
            words = str(error).lower()
            if any(part in words for part in TOO_LARGE):
                raise _TooLarge(_said(error)) from None
            if any(part in words for part in REFUSED):
                raise RemoteError(f"Earth Engine refuses ({_said(error)}); resume later") from None
            raise SceneError(f"{name}: Earth Engine says: {_said(error)}") from None
        except GoogleAuthError as error:
            raise RemoteError(
                f"Earth Engine: credentials are no longer valid ({_said(error)});"
                " run `earthengine authenticate`, then resume"
            ) from None
        except OSError as error:
            raise RemoteError(f"Earth Engine cannot be reached ({_said(error)}); resume later") from None


class _TooLarge(Exception):
    """The server lacks memory or time for a request of this size."""


def mosaic_image(product: Product, options: EarthEngineOptions) -> Any:
    """Return the request graph of a mosaic: random pictures of the span, the first one on top."""
    import ee

    chosen = (
        _pictures(product, _rectangle(product.grid.bounds_deg()), options)
        .select(list(options.bands))
        .randomColumn(RANDOM, product.seed)
        .sort(RANDOM)
        .limit(options.depth)
    )
    return _bytes(ee.ImageCollection(chosen).mosaic(), options)  # randomColumn forgets the type


def scene_image(name: str, options: EarthEngineOptions) -> Any:
    """Return the request graph of one scene."""
    import ee

    return _bytes(ee.Image(name).select(list(options.bands)), options)


def scene_list(
    product: Product, bounds_deg: tuple[float, float, float, float], options: EarthEngineOptions
) -> Any:
    """Return the request graph of [id, day, longitude, latitude] of a region's random scenes.

    The order follows from the span and the collection, so that every worker sees the same list.
    """
    import ee

    seed = product.first_day.toordinal()
    scenes = (
        _pictures(product, _rectangle(bounds_deg), options)
        .randomColumn(RANDOM, seed)
        .sort(RANDOM)
        .limit(product.siblings)
    )

    def row(image: Any) -> Any:
        middle = ee.Image(image).geometry().centroid(1000).coordinates()
        values = {"name": image.get("system:id"), "day": ee.Image(image).date().format("YYYY-MM-dd")}
        return ee.Feature(None, {**values, "lon": middle.get(0), "lat": middle.get(1)})

    rows = ee.FeatureCollection(scenes.map(row))
    columns = ["name", "day", "lon", "lat"]
    table = rows.reduceColumns(ee.Reducer.toList(len(columns)), columns)
    return ee.List(table.get("list"))


def halves(grid: Grid) -> tuple[Grid, Grid, int]:
    """Return a grid's two halves across its longer side, and the axis they are joined along."""
    if grid.width_px >= grid.height_px:
        half = grid.width_px // 2
        east = replace(grid, west_m=grid.west_m + half * grid.pixel_m, width_px=grid.width_px - half)
        return replace(grid, width_px=half), east, 1
    half = grid.height_px // 2
    south = replace(grid, north_m=grid.north_m - half * grid.pixel_m, height_px=grid.height_px - half)
    return replace(grid, height_px=half), south, 0


def requests_of(grid: Grid) -> int:
    """Return into how many requests a grid is cut when nothing goes wrong."""
    if 3 * grid.width_px * grid.height_px <= MAX_REQUEST_BYTES:
        return 1
    first, second, _ = halves(grid)
    return requests_of(first) + requests_of(second)


def _pictures(product: Product, area: Any, options: EarthEngineOptions) -> Any:
    import ee

    end = product.last_day + timedelta(days=1)
    found = ee.ImageCollection(product.collection).filterBounds(area)
    found = found.filterDate(product.first_day.isoformat(), end.isoformat())
    if len(product.months) < 12:
        months = [ee.Filter.calendarRange(month, month, "month") for month in product.months]
        found = found.filter(ee.Filter.Or(*months))
    if options.max_cloud_percent < 100.0:
        found = found.filter(ee.Filter.lte(options.cloud_property, options.max_cloud_percent))
    return found


def _bytes(image: Any, options: EarthEngineOptions) -> Any:
    """Return the image as bytes, low..high to 1..255 and nothing to 0 (`mosaics.stretched`)."""
    gain = 254.0 / (options.high - options.low)
    return image.subtract(options.low).multiply(gain).add(1.5).clamp(1.0, 255.0).unmask(0, False).toByte()


def _rectangle(bounds_deg: tuple[float, float, float, float]) -> Any:
    import ee

    return ee.Geometry.Rectangle([round(x, 6) for x in bounds_deg], "EPSG:4326", False)


def _moved(grid: Grid, lon_deg: float, lat_deg: float) -> Grid:
    return grid_around(
        lon_deg, lat_deg, pixel_m=grid.pixel_m, width_px=grid.width_px, height_px=grid.height_px
    )


def _said(error: Exception) -> str:
    """Return what an error says, on one line, without accounts, keys and projects."""
    text = " ".join(str(error).split())
    for secret in SECRETS:
        text = secret.sub("...", text)
    return text[:160] or type(error).__name__
