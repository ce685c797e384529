"""Drag in the Harris-Priester atmosphere, with one estimated factor.

    a = -1/2 scale (Cd A / m) rho |v_rel| v_rel
rho lies between a night and a day profile (of geodetic height) by the angle
to a bulge that trails the Sun by 30 deg of longitude: rho = rho_min + (rho_max - rho_min)
cos^n(angle/2), n = 6. The profiles are for mean solar activity; `scale` takes up the rest.
Above 1,000 km the last layer is continued, below 100 km the density is held. Between the
rows of the table log rho is a cubic with continuous slope, not a line as in the source
(0.5 % apart): with kinks the partials would jump and the integrator lose its order.
Source: Montenbruck & Gill, Satellite Orbits, sect. 3.5.2 and table 3.8.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import geodetic_up, lla_from_ecef

Array = NDArray[np.float64]

CUBESAT_BALLISTIC = 2.2 * 0.01 / 1.3  # m^2/kg: Cd A / m of a 3U satellite, long side along track
BULGE_LAG = np.radians(30.0)
BULGE_EXPONENT = 6.0  # n: the value for polar orbits (2 at low inclinations)

# height km, rho_min, rho_max in g/km^3
_TABLE = np.array([
    [100, 497400, 497400], [120, 24900, 24900], [130, 8377, 8710], [140, 3899, 4059],
    [150, 2122, 2215], [160, 1263, 1344], [170, 800.8, 875.8], [180, 528.3, 601.0],
    [190, 361.7, 429.7], [200, 255.7, 316.2], [210, 183.9, 239.6], [220, 134.1, 185.3],
    [230, 99.49, 145.5], [240, 74.88, 115.7], [250, 57.09, 93.08], [260, 44.03, 75.55],
    [270, 34.30, 61.82], [280, 26.97, 50.95], [290, 21.39, 42.26], [300, 17.08, 35.26],
    [320, 10.99, 25.11], [340, 7.214, 18.19], [360, 4.824, 13.37], [380, 3.274, 9.955],
    [400, 2.249, 7.492], [420, 1.558, 5.684], [440, 1.091, 4.355], [460, 0.7701, 3.362],
    [480, 0.5474, 2.612], [500, 0.3916, 2.042], [520, 0.2819, 1.605], [540, 0.2042, 1.267],
    [560, 0.1488, 1.005], [580, 0.1092, 0.7997], [600, 0.08070, 0.6390],
    [620, 0.06012, 0.5123], [640, 0.04519, 0.4121], [660, 0.03430, 0.3325],
    [680, 0.02632, 0.2691], [700, 0.02043, 0.2185], [720, 0.01607, 0.1779],
    [740, 0.01281, 0.1452], [760, 0.01036, 0.1190], [780, 0.008496, 0.09776],
    [800, 0.007069, 0.08059], [840, 0.004680, 0.05741], [880, 0.003200, 0.04210],
    [920, 0.002210, 0.03130], [960, 0.001560, 0.02360], [1000, 0.001150, 0.01810],
])  # fmt: skip
_HEIGHT = _TABLE[:, 0] * 1e3  # m
_LOG_RHO = np.log(_TABLE[:, 1:] * 1e-12)  # of kg/m^3
_WIDTH = np.diff(_HEIGHT)[:, None]  # m
_SECANT = np.diff(_LOG_RHO, axis=0) / _WIDTH  # 1/m
_SLOPE = np.concatenate(  # at the heights of the table: of the parabola through three of them
    [
        _SECANT[:1],
        (_WIDTH[1:] * _SECANT[:-1] + _WIDTH[:-1] * _SECANT[1:]) / (_WIDTH[1:] + _WIDTH[:-1]),
        _SECANT[-1:],
    ]
)

_BULGE_FROM_SUN = np.array(
    [
        [np.cos(BULGE_LAG), -np.sin(BULGE_LAG), 0.0],
        [np.sin(BULGE_LAG), np.cos(BULGE_LAG), 0.0],
        [0.0, 0.0, 1.0],
    ]
)


class Drag(NamedTuple):
    """Acceleration (N, 3) and its partials by position, relative velocity (N, 3, 3) and scale (N, 3)."""

    acceleration: Array
    d_position: Array
    d_velocity: Array
    d_scale: Array


def harris_priester(r_ecef: Array, sun_direction_ecef: Array) -> tuple[Array, Array]:
    """Return the density (N,) in kg/m^3 and its gradient (N, 3) in kg/m^4.

    r_ecef (N, 3) : m; sun_direction_ecef (N, 3) : unit vectors.
    """
    lat, lon, height = lla_from_ecef(r_ecef)
    (low, high), slope = _profiles(height)

    bulge = sun_direction_ecef @ _BULGE_FROM_SUN.T
    distance = np.linalg.norm(r_ecef, axis=1)
    unit = r_ecef / distance[:, None]
    cos_angle = np.sum(unit * bulge, axis=1)
    half = np.maximum(0.5 + 0.5 * cos_angle, 1e-12)  # cos^2(angle/2)
    share = half ** (0.5 * BULGE_EXPONENT)
    d_share = 0.25 * BULGE_EXPONENT * share / half  # d(share)/d(cos_angle)

    by_height = slope[0] * low * (1.0 - share) + slope[1] * high * share
    gradient = by_height[:, None] * geodetic_up(lat, lon)
    gradient += ((high - low) * d_share / distance)[:, None] * (bulge - cos_angle[:, None] * unit)
    return low + (high - low) * share, gradient


def _profiles(height: Array) -> tuple[Array, Array]:
    """Return night and day density (2, N), kg/m^3, and their logarithms' slopes (2, N), 1/m."""
    inside = np.clip(height, _HEIGHT[0], _HEIGHT[-1])
    layer = np.clip(np.searchsorted(_HEIGHT, inside, side="right") - 1, 0, len(_SECANT) - 1)
    width = _WIDTH[layer]
    x = (inside - _HEIGHT[layer])[:, None] / width
    start, secant = _SLOPE[layer], _SECANT[layer]
    # Hermite's cubic with the excess of its end slopes over the secant, p and q.
    p, q = start - secant, _SLOPE[layer + 1] - secant
    log_rho = _LOG_RHO[layer] + width * x * (secant + (1.0 - x) * (p * (1.0 - x) - q * x))
    slope = secant + p * (1.0 - x) * (1.0 - 3.0 * x) + q * x * (3.0 * x - 2.0)
    above = np.maximum(height - _HEIGHT[-1], 0.0)[:, None]
    density = np.exp(log_rho + above * _SLOPE[-1])
    return density.T, (slope * (height > _HEIGHT[0])[:, None]).T


def drag_acceleration(
    r_ecef: Array,
    v_rel_ecef: Array,
    sun_direction_ecef: Array,
    *,
    ballistic_m2_kg: float,
    scale: Array | float,
) -> Drag:
    """Return the drag on satellites, in ecef axes.

    r_ecef, v_rel_ecef (N, 3) : position, m, and velocity relative to the air, m/s (that
    is, in the rotating frame); ballistic_m2_kg : Cd A / m; scale : (N,) or one factor.
    """
    density, d_density = harris_priester(r_ecef, sun_direction_ecef)
    speed = np.linalg.norm(v_rel_ecef, axis=1)
    unit_scale = -0.5 * ballistic_m2_kg * speed[:, None] * v_rel_ecef  # times rho
    d_scale = unit_scale * density[:, None]
    factor = np.broadcast_to(np.asarray(scale, dtype=float), density.shape)
    d_position = factor[:, None, None] * unit_scale[:, :, None] * d_density[:, None, :]
    outer = v_rel_ecef[:, :, None] * v_rel_ecef[:, None, :] / speed[:, None, None]
    k = -0.5 * ballistic_m2_kg * factor * density
    d_velocity = k[:, None, None] * (outer + speed[:, None, None] * np.eye(3))
    return Drag(factor[:, None] * d_scale, d_position, d_velocity, d_scale)
