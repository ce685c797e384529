"""Web mercator (EPSG:3857) pixel coordinates: what every imagery provider is addressed in.

At level L the world is 256 * 2**L pixels a side; x runs east from 180 W, y runs south
from 85.051 N, and the origin is the outer corner of the first pixel. The map is
conformal: a pixel covers `metres_per_pixel(0, level) * cos(lat)` in both directions
(spherical formula on geodetic latitude, within 0.7 % of the ellipsoid).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

TILE_PX = 256
CLAMP_LATITUDE_DEG = 89.5  # y stays finite up to here; beyond, latitudes are clamped
EQUATOR_M = 2.0 * np.pi * 6_378_137.0


def world_px(level: int) -> int:
    """Return the width (and height) of the world in pixels at `level`."""
    return TILE_PX << level


def pixel_from_lonlat(lon: ArrayLike, lat: ArrayLike, *, level: int) -> Array:
    """Return pixels (..., 2) = (x, y) of geodetic longitude and latitude in rad.

    Latitudes beyond +-89.5 deg are clamped. Longitudes are not wrapped: one turn
    further east is one world further right.
    """
    limit = np.deg2rad(CLAMP_LATITUDE_DEG)
    sin_lat = np.sin(np.clip(np.asarray(lat, dtype=float), -limit, limit))
    x = np.asarray(lon, dtype=float) / (2.0 * np.pi) + 0.5
    y = 0.5 - np.arctanh(sin_lat) / (2.0 * np.pi)
    return np.asarray(np.stack(np.broadcast_arrays(x, y), axis=-1) * world_px(level))


def lonlat_from_pixel(xy_px: ArrayLike, *, level: int) -> tuple[Array, Array]:
    """Return geodetic longitude and latitude (rad) of pixels (..., 2) = (x, y)."""
    xy = np.asarray(xy_px, dtype=float) / world_px(level)
    lon = (xy[..., 0] - 0.5) * (2.0 * np.pi)
    lat = np.arcsin(np.tanh((0.5 - xy[..., 1]) * (2.0 * np.pi)))
    return lon, lat


def metres_per_pixel(lat: ArrayLike, level: int) -> Array:
    """Return the ground size (m) of one pixel at geodetic latitude `lat`, rad."""
    return np.asarray(np.cos(lat) * EQUATOR_M / world_px(level))


def level_for(gsd_m: float, lat: float, *, native_level: int, oversampling: float = 0.75) -> int:
    """Return the level whose pixels suit a ground sample distance of `gsd_m` at `lat` (rad).

    It is the finest level (at most `native_level`, at least 2) whose pixels are not
    smaller than `oversampling * gsd_m`: linear interpolation aliases below about half.
    """
    pixel = float(metres_per_pixel(lat, native_level))
    coarser = int(np.ceil(np.log2(oversampling * gsd_m / pixel)))
    return max(2, native_level - max(0, coarser))


def bounds_px(bounds_deg: tuple[float, float, float, float], *, level: int) -> tuple[int, int, int, int]:
    """Return (x0, y0, x1, y1), whole pixels that cover west, south, east, north in deg."""
    west, south, east, north = np.deg2rad(bounds_deg)
    (x0, y0), (x1, y1) = (
        pixel_from_lonlat(west, north, level=level),
        pixel_from_lonlat(east, south, level=level),
    )
    return int(np.floor(x0)), int(np.floor(y0)), int(np.ceil(x1)), int(np.ceil(y1))
