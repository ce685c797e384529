"""Where the Sun and the Moon are, closely enough for light, density and small forces.

Low-precision series of Montenbruck & Gill, Satellite Orbits, sect. 3.3.2, referred to the
ecliptic and equinox of J2000; for the Sun with the motion of the perihelion (Meeus,
Astronomical Algorithms, ch. 25). Sun: 0.01 deg in direction, 2000-2030. Moon: 0.1 deg.
"""

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.time import CENTURY_S, Epoch

Array = NDArray[np.float64]

GM_SUN = 1.327_124_400_18e20  # m^3/s^2
GM_MOON = 4.902_800_066e12  # m^3/s^2
_OBLIQUITY = np.radians(23.439_291_11)  # of J2000
_ECI_FROM_ECLIPTIC = np.array(
    [
        [1.0, 0.0, 0.0],
        [0.0, np.cos(_OBLIQUITY), -np.sin(_OBLIQUITY)],
        [0.0, np.sin(_OBLIQUITY), np.cos(_OBLIQUITY)],
    ]
)


def sun_direction_eci(epoch: Epoch, t_s: float | Array = 0.0) -> Array:
    """Return unit vectors to the Sun, (3,) or (N, 3), eci, at `t_s` seconds past `epoch`."""
    position = sun_position_eci(epoch, t_s)
    return np.asarray(position / np.linalg.norm(position, axis=-1, keepdims=True))


def sun_position_eci(epoch: Epoch, t_s: float | Array = 0.0) -> Array:
    """Return the Sun's position, (3,) or (N, 3), m, eci, at `t_s` seconds past `epoch`."""
    t = (epoch.tt_seconds + np.asarray(t_s, dtype=float)) / CENTURY_S
    anomaly = np.radians(357.529_11 + 35_999.050_29 * t)
    longitude = np.radians(282.937_35 + 0.322_56 * t) + anomaly  # the perihelion moves
    longitude += np.radians(((6_892.6 - 17.3 * t) * np.sin(anomaly) + 72.0 * np.sin(2.0 * anomaly)) / 3600.0)
    distance = (149.619 - 2.499 * np.cos(anomaly) - 0.021 * np.cos(2.0 * anomaly)) * 1e9
    return _from_ecliptic(longitude, np.zeros_like(longitude), distance)


def moon_position_eci(epoch: Epoch, t_s: float | Array = 0.0) -> Array:
    """Return the Moon's position, (3,) or (N, 3), m, eci, at `t_s` seconds past `epoch`."""
    t = (epoch.tt_seconds + np.asarray(t_s, dtype=float)) / CENTURY_S
    mean = np.radians(218.316_17 + 481_267.880_88 * t - 1.3972 * t)  # equinox of J2000
    moon = np.radians(134.962_92 + 477_198.867_53 * t)  # l, anomaly
    sun = np.radians(357.525_43 + 35_999.049_44 * t)  # l'
    node = np.radians(93.272_83 + 483_202.018_73 * t)  # F
    elongation = np.radians(297.850_27 + 445_267.111_35 * t)  # D
    d2 = 2.0 * elongation
    longitude_arcsec = (
        22_640.0 * np.sin(moon) + 769.0 * np.sin(2.0 * moon) - 4_586.0 * np.sin(moon - d2)
        + 2_370.0 * np.sin(d2) - 668.0 * np.sin(sun) - 412.0 * np.sin(2.0 * node)
        - 212.0 * np.sin(2.0 * moon - d2) - 206.0 * np.sin(moon + sun - d2)
        + 192.0 * np.sin(moon + d2) - 165.0 * np.sin(sun - d2) + 148.0 * np.sin(moon - sun)
        - 125.0 * np.sin(elongation) - 110.0 * np.sin(moon + sun) - 55.0 * np.sin(2.0 * node - d2)
    )  # fmt: skip
    longitude = mean + np.radians(longitude_arcsec / 3600.0)
    argument = node + longitude - mean + np.radians((412.0 * np.sin(2.0 * node) + 541.0 * np.sin(sun)) / 3600)
    latitude_arcsec = (
        18_520.0 * np.sin(argument) - 526.0 * np.sin(node - d2) + 44.0 * np.sin(moon + node - d2)
        - 31.0 * np.sin(-moon + node - d2) - 25.0 * np.sin(-2.0 * moon + node)
        - 23.0 * np.sin(sun + node - d2) + 21.0 * np.sin(-moon + node)
        + 11.0 * np.sin(-sun + node - d2)
    )  # fmt: skip
    distance_km = (
        385_000.0 - 20_905.0 * np.cos(moon) - 3_699.0 * np.cos(d2 - moon) - 2_956.0 * np.cos(d2)
        - 570.0 * np.cos(2.0 * moon) + 246.0 * np.cos(2.0 * moon - d2) - 205.0 * np.cos(sun - d2)
        - 171.0 * np.cos(moon + d2) - 152.0 * np.cos(moon + sun - d2)
    )  # fmt: skip
    return _from_ecliptic(longitude, np.radians(latitude_arcsec / 3600.0), distance_km * 1e3)


def _from_ecliptic(longitude: Array, latitude: Array, distance: Array) -> Array:
    """Return eci positions (..., 3) from ecliptic longitude, latitude (rad) and distance (m)."""
    cos_latitude = np.cos(latitude)
    ecliptic = np.stack(
        [cos_latitude * np.cos(longitude), cos_latitude * np.sin(longitude), np.sin(latitude)], axis=-1
    )
    return np.asarray(distance[..., None] * (ecliptic @ _ECI_FROM_ECLIPTIC.T))
