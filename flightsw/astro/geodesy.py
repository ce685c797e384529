"""Geodetic and Earth-fixed coordinates on the WGS 84 ellipsoid.

Source of the constants: NIMA TR8350.2. Inverse: Fukushima-style fixed point on the
reduced latitude (Bowring 1976), iterated to below 1e-12 rad for heights of
-10 km to 10,000 km.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

WGS84_A = 6_378_137.0  # m, equatorial radius
WGS84_F = 1.0 / 298.257_223_563  # flattening
WGS84_B = WGS84_A * (1.0 - WGS84_F)  # m, polar radius
WGS84_E2 = WGS84_F * (2.0 - WGS84_F)  # first eccentricity squared


def ecef_from_lla(lat: Array, lon: Array, height: Array | float = 0.0) -> Array:
    """Return Earth-fixed positions (..., 3) in m.

    lat, lon : geodetic, rad; height : above the ellipsoid, m; broadcast together.
    """
    lat, lon, height = np.broadcast_arrays(lat, lon, height)
    sin_lat, cos_lat = np.sin(lat), np.cos(lat)
    prime_vertical = WGS84_A / np.sqrt(1.0 - WGS84_E2 * sin_lat**2)
    horizontal = (prime_vertical + height) * cos_lat
    return np.stack(
        [
            horizontal * np.cos(lon),
            horizontal * np.sin(lon),
            (prime_vertical * (1.0 - WGS84_E2) + height) * sin_lat,
        ],
        axis=-1,
    )


def lla_from_ecef(r_ecef: Array) -> tuple[Array, Array, Array]:
    """Return geodetic latitude, longitude (rad) and height (m) of points (..., 3) in m."""
    x, y, z = r_ecef[..., 0], r_ecef[..., 1], r_ecef[..., 2]
    horizontal = np.hypot(x, y)
    second_e2 = WGS84_E2 / (1.0 - WGS84_E2)
    beta = np.arctan2(z, (1.0 - WGS84_F) * horizontal)  # reduced latitude
    for _ in range(4):
        lat = np.arctan2(
            z + second_e2 * WGS84_B * np.sin(beta) ** 3,
            horizontal - WGS84_E2 * WGS84_A * np.cos(beta) ** 3,
        )
        beta = np.arctan2((1.0 - WGS84_F) * np.sin(lat), np.cos(lat))
    sin_lat, cos_lat = np.sin(lat), np.cos(lat)
    # Projection on the normal: well conditioned at the poles, unlike p / cos(lat) - N.
    height = horizontal * cos_lat + z * sin_lat - WGS84_A * np.sqrt(1.0 - WGS84_E2 * sin_lat**2)
    return lat, np.arctan2(y, x), height


def geodetic_up(lat: Array, lon: Array) -> Array:
    """Return the outward unit normal of the ellipsoid (..., 3) in ecef axes."""
    cos_lat = np.cos(lat)
    return np.stack([cos_lat * np.cos(lon), cos_lat * np.sin(lon), np.sin(lat)], axis=-1)


def ellipsoid_intersection(r_ecef: Array, direction_ecef: Array, height: float = 0.0) -> Array:
    """Return where rays first meet the ellipsoid raised by `height`, (..., 3) in m.

    r_ecef (..., 3) : origin of the ray, m; direction_ecef (..., 3) : any length.
    Rays that miss the Earth or point away from it give NaN. Raising both axes by
    `height` differs from the true parallel surface by less than 0.4 % of `height`.
    """
    scale = 1.0 / np.array([WGS84_A + height, WGS84_A + height, WGS84_B + height])
    origin, direction = np.broadcast_arrays(r_ecef * scale, direction_ecef * scale)
    a = np.sum(direction * direction, axis=-1)
    b = np.sum(origin * direction, axis=-1)
    c = np.sum(origin * origin, axis=-1) - 1.0
    discriminant = b * b - a * c
    with np.errstate(invalid="ignore"):
        distance = (-b - np.sqrt(discriminant)) / a
    distance = np.where(distance > 0.0, distance, np.nan)
    return np.asarray(r_ecef + distance[..., None] * direction_ecef)
