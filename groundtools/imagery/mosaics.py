"""Pictures for data sets: the grid of a product, what is asked of a source, what it gives.

A product is one georeferenced picture at the camera's scale. Pixels count from the outer
corner of the first one (north-west), u east, v south; grids are UTM, north up.
"""

import math
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Pixels = NDArray[np.uint8]

NOTHING = 0  # the grey level of pixels without a picture; pictures use 1..255


@dataclass(frozen=True, slots=True)
class Grid:
    """A UTM raster: EPSG code, north-west corner (m), pixel side (m), size (px)."""

    epsg: int
    west_m: float
    north_m: float
    pixel_m: float
    width_px: int
    height_px: int

    @property
    def affine(self) -> tuple[float, float, float, float, float, float]:
        """The coefficients a, b, c, d, e, f from pixels to metres, as GDAL and rasterio order them."""
        return (self.pixel_m, 0.0, self.west_m, 0.0, -self.pixel_m, self.north_m)

    def uv_from_lonlat(self, lon_deg: ArrayLike, lat_deg: ArrayLike) -> Array:
        """Return pixels (N, 2) of WGS 84 places; far outside the zone they may be infinite."""
        x, y = _transformer(self.epsg).transform(np.atleast_1d(lon_deg), np.atleast_1d(lat_deg))
        return np.stack([(x - self.west_m) / self.pixel_m, (self.north_m - y) / self.pixel_m], axis=1)

    def lonlat_from_uv(self, uv_px: ArrayLike) -> Array:
        """Return longitudes and latitudes (N, 2), degrees, of pixels (N, 2)."""
        uv = np.atleast_2d(np.asarray(uv_px, float))
        x, y = self.west_m + uv[:, 0] * self.pixel_m, self.north_m - uv[:, 1] * self.pixel_m
        lon, lat = _transformer(self.epsg).transform(x, y, direction="INVERSE")
        return np.stack([lon, lat], axis=1)

    def footprint_deg(self) -> Array:
        """Return the outline (4, 2), longitude and latitude of the corners, clockwise from north-west."""
        w, h = self.width_px, self.height_px
        return self.lonlat_from_uv([[0, 0], [w, 0], [w, h], [0, h]])

    def bounds_deg(self) -> tuple[float, float, float, float]:
        """Return west, south, east, north of the outline, its bent sides included."""
        w, h, t = self.width_px, self.height_px, np.linspace(0.0, 1.0, 9)[:, None]
        corners = np.array([[0, 0], [w, 0], [w, h], [0, h], [0, 0]], float)
        sides = [a + (b - a) * t for a, b in pairwise(corners)]
        lonlat = self.lonlat_from_uv(np.concatenate(sides))
        (west, south), (east, north) = lonlat.min(axis=0), lonlat.max(axis=0)
        return float(west), float(south), float(east), float(north)


@lru_cache(maxsize=130)  # all UTM zones
def _transformer(epsg: int) -> Any:
    from pyproj import Transformer

    return Transformer.from_crs("EPSG:4326", f"EPSG:{epsg}", always_xy=True)


def grid_around(lon_deg: float, lat_deg: float, *, pixel_m: float, width_px: int, height_px: int) -> Grid:
    """Return the grid whose middle is at a place, in that place's UTM zone, on whole pixels."""
    zone = math.floor((lon_deg + 180.0) / 6.0) % 60 + 1
    epsg = (32600 if lat_deg >= 0.0 else 32700) + zone
    x, y = _transformer(epsg).transform(lon_deg, lat_deg)
    west = round(x / pixel_m - width_px / 2) * pixel_m
    north = round(y / pixel_m + height_px / 2) * pixel_m
    return Grid(epsg, west, north, pixel_m, width_px, height_px)


@dataclass(frozen=True, slots=True)
class Product:
    """One picture that is asked for.

    name : "train/33T-00012", also its path; grid : where; first_day, last_day : when
    (both included), in these months; collection : of what; scenes : files or imageries
    of this split, for sources that have them; seed : of everything random about it;
    number, siblings : its place among the products of its split, region and collection.
    """

    name: str
    split: str
    region: str
    grid: Grid
    first_day: date
    last_day: date
    months: tuple[int, ...]
    collection: str
    scenes: tuple[str, ...]
    seed: int
    number: int = 0
    siblings: int = 1


@dataclass(frozen=True, slots=True)
class CameraPose:
    """Where a camera view was taken from: focal length px, r_ecef (3,) m, cam_from_ecef (3, 3)."""

    focal_px: float
    r_ecef: tuple[float, ...]
    cam_from_ecef: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Mosaic:
    """What a source made of a product.

    pixels (h, w, 3) uint8, NOTHING where there is no picture; scenes : their ids;
    days : ISO dates of them, or "first/last" where only the span is known; cloud_percent :
    of the pictured area, None where unknown; pose : of camera views, whose pixels do not
    lie on the product's grid; grid : where it is not the product's.
    """

    pixels: Pixels
    scenes: tuple[str, ...]
    days: tuple[str, ...]
    cloud_percent: float | None = None
    pose: CameraPose | None = None
    grid: Grid | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What one product costs, by assumption: requests, seconds of waiting, EECU-seconds."""

    requests: float
    seconds: float
    eecu_s: float = 0.0


class MosaicSource(Protocol):
    """A maker of products. It is opened once in every worker."""

    credit: str
    licence: str

    def make(self, product: Product) -> Mosaic:
        """Return the picture. Raises SceneError (this product cannot be made: it is set
        aside and the rest goes on) or RemoteError (nothing can be made now: stop).
        """
        ...


def stretched(bands: NDArray[np.float32], low: float, high: float) -> Pixels:
    """Return (h, w, n) uint8 of bands (n, h, w): low..high to 1..255, NaN to NOTHING."""
    scaled = (bands - np.float32(low)) * np.float32(254.0 / (high - low)) + np.float32(1.5)
    missing = ~np.isfinite(scaled).all(axis=0)
    grey = np.clip(np.nan_to_num(scaled, nan=0.0, posinf=255.0, neginf=1.0), 1.0, 255.0).astype(np.uint8)
    grey[:, missing] = NOTHING
    return np.ascontiguousarray(np.moveaxis(grey, 0, -1))
