"""From the inertial to the Earth-fixed frame: IAU 2006 precession, IAU 2000B nutation.

    r_ecef = W(xp, yp) R3(ERA - s) M(X, Y) r_eci
with X, Y the celestial pole and s the CIO locator from the Fukushima-Williams angles,
ERA the Earth rotation angle of UT1, W the polar motion. IAU 2000B is within 1 mas
(4 cm on a satellite) of IAU 2000A, and the free core nutation, left out, is 0.3 mas.
X, Y, s, UT1-TAI and the pole move slowly: they are evaluated at whole multiples of 3 h
and interpolated linearly (the error is below 2 mm).
Source: IERS Conventions 2010, ch. 5; McCarthy & Luzum, Cel. Mech. 85 (2003);
Wallace & Capitaine, A&A 459 (2006); letters as there.
"""

from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.eop import ARCSEC, EarthOrientation, default_earth_orientation
from flightsw.astro.time import CENTURY_S, DAY_S, TT_MINUS_TAI_S, Epoch

Array = NDArray[np.float64]

ERA_AT_J2000 = 0.779_057_273_264_0  # turns, at 2000-01-01T12:00 UT1
ERA_EXTRA = 0.002_737_811_911_354_48  # turns gained per day of UT1 beyond one
EARTH_RATE = 2.0 * np.pi * (1.0 + ERA_EXTRA) / DAY_S  # rad/s
OMEGA_EARTH = np.array([0.0, 0.0, EARTH_RATE])  # rad/s, ecef axes; the pole's offset is below 3e-6
NODE_S = 10_800  # s between nodes of the slow terms

# Fundamental arguments l, l', F, D, Om in arcsec: constant, rate per century (2000B's own).
_ARGUMENTS = np.array(
    [
        [485_868.249_036, 1_717_915_923.2178],
        [1_287_104.793_05, 129_596_581.0481],
        [335_779.526_232, 1_739_527_262.8478],
        [1_072_260.703_69, 1_602_961_601.2090],
        [450_160.398_036, -6_962_890.5431],
    ]
)
# gamma, phi, psi (bias and precession) and obliquity, arcsec, by powers of t.
_ANGLES = np.array(
    [
        [-0.052928, 10.556378, 0.4932044, -0.00031238, -0.000002788, 0.0000000260],
        [84381.412819, -46.811016, 0.0511268, 0.00053289, -0.000000440, -0.0000000176],
        [-0.041775, 5038.481484, 1.5584175, -0.00018522, -0.000026452, -0.0000000148],
        [84381.406, -46.836769, -0.0001831, 0.00200340, -0.000000576, -0.0000000434],
    ]
)
# s + XY/2 in microarcsec: powers of t, then sines (multipliers of l l' F D Om; t^0, t^2).
_S_POLYNOMIAL = np.array([94.00, 3808.65, -122.68, -72574.11, 27.98, 15.62])
_S_MULTIPLIERS = np.array(
    [[0, 0, 0, 0, 1], [0, 0, 0, 0, 2], [0, 0, 2, -2, 3], [0, 0, 2, -2, 1], [0, 0, 2, -2, 2], [0, 0, 2, 0, 2]]
)
_S_SINES = np.array([-2640.73, -63.53, -11.75, -11.21, 4.57, 0.0])
_S_SINES_T2 = np.array([743.52, -8.85, 0.0, 0.0, 56.91, 9.84])


def ecef_from_eci(epoch: Epoch, t_s: float | Array = 0.0, eop: EarthOrientation | None = None) -> Array:
    """Return the rotation from GCRF to ITRF axes at `t_s` seconds past `epoch`.

    t_s : scalar or (N,); the result is (3, 3) or (N, 3, 3). eop : a table, default the
    bundled one. For positions only; a velocity in the rotating frame also needs
    -OMEGA_EARTH x r_ecef.
    """
    t = np.atleast_1d(np.asarray(t_s, dtype=float))
    days, rest_ns = divmod(epoch.tai_ns, DAY_S * 1_000_000_000)  # whole days keep the turns exact
    tai_s = epoch.tai_ns / 1e9 + t
    x, y, s, ut1_tai, xp, yp = _slow_terms(tai_s, eop or default_earth_orientation()).T
    day_fraction = (rest_ns / 1e9 + t + ut1_tai) / DAY_S
    turns = np.mod(ERA_AT_J2000 + ERA_EXTRA * (days + day_fraction) + day_fraction, 1.0)
    rotation = _polar_motion(_celestial_to_terrestrial(x, y, 2.0 * np.pi * turns - s), xp, yp)
    return np.asarray(rotation if np.ndim(t_s) else rotation[0])


def celestial_pole(tt_centuries: Array) -> Array:
    """Return the celestial pole X, Y and the CIO locator s, (N, 3) in rad, IAU 2006/2000B."""
    t = np.asarray(tt_centuries, dtype=float)
    d_psi, d_eps = _nutation(t)
    powers = t[:, None] ** np.arange(6)
    gamma, phi, psi, eps = (powers @ _ANGLES.T).T * ARCSEC
    psi, eps = psi + d_psi, eps + d_eps
    a = np.sin(eps) * np.sin(psi)
    b = np.sin(eps) * np.cos(psi) * np.cos(phi) - np.cos(eps) * np.sin(phi)
    x = a * np.cos(gamma) - b * np.sin(gamma)
    y = a * np.sin(gamma) + b * np.cos(gamma)
    sines = np.sin(_arguments(t) @ _S_MULTIPLIERS.T)
    s_plus = powers @ _S_POLYNOMIAL + sines @ _S_SINES + t**2 * (sines @ _S_SINES_T2)
    return np.stack([x, y, s_plus * 1e-6 * ARCSEC - 0.5 * x * y], axis=1)


def _arguments(t: Array) -> Array:
    """Return the fundamental arguments (N, 5) in rad at centuries TT (N,)."""
    arcsec = np.mod(_ARGUMENTS[:, 0] + t[:, None] * _ARGUMENTS[:, 1], 1_296_000.0)
    return np.asarray(arcsec * ARCSEC)


def _nutation(t: Array) -> tuple[Array, Array]:
    """Return the nutation in longitude and obliquity (N,), rad, IAU 2000B fitted to IAU 2006."""
    multipliers, c = _nutation_table()
    angle = _arguments(t) @ multipliers.T
    sin, cos = np.sin(angle), np.cos(angle)
    d_psi = sin @ c[:, 0] + t * (sin @ c[:, 1]) + cos @ c[:, 2]
    d_eps = cos @ c[:, 3] + t * (cos @ c[:, 4]) + sin @ c[:, 5]
    # The means of the planetary terms, then the change of J2 and obliquity (IAU 2006).
    d_psi = (d_psi * 1e-7 - 0.135e-3) * (1.0 + 0.4697e-6 - 2.7774e-6 * t)
    d_eps = (d_eps * 1e-7 + 0.388e-3) * (1.0 - 2.7774e-6 * t)
    return d_psi * ARCSEC, d_eps * ARCSEC


@lru_cache(maxsize=1)
def _nutation_table() -> tuple[Array, Array]:
    """Return multipliers (77, 5) and coefficients (77, 6) in 0.1 uas."""
    text = (files("flightsw.astro") / "data" / "nutation_2000b.csv").read_text(encoding="utf-8")
    rows = [line.split(",") for line in text.splitlines() if line and line[0] in "-0123456789"]
    table = np.array(rows, dtype=float)
    return table[:, :5], table[:, 5:]


def _slow_terms(tai_s: Array, eop: EarthOrientation) -> Array:
    """Return X, Y, s (rad), UT1-TAI (s), xp, yp (rad), (N, 6), at TAI s past J2000's noon."""
    cell = np.floor(tai_s / NODE_S)
    nodes = np.unique(np.concatenate([cell, cell + 1.0]))
    node_s = nodes * NODE_S
    pole = celestial_pole((node_s + TT_MINUS_TAI_S) / CENTURY_S)
    values = np.column_stack([pole, eop.interpolate(node_s)])
    left = np.searchsorted(nodes, cell)
    weight = (tai_s / NODE_S - cell)[:, None]
    return np.asarray((1.0 - weight) * values[left] + weight * values[left + 1])


def _celestial_to_terrestrial(x: Array, y: Array, theta: Array) -> Array:
    """Return R3(theta) M(X, Y), (N, 3, 3): GCRF to the terrestrial intermediate frame."""
    z = np.sqrt(1.0 - x * x - y * y)
    a = 1.0 / (1.0 + z)
    pole_frame = np.empty((len(x), 3, 3))
    pole_frame[:, 0] = np.column_stack([1.0 - a * x * x, -a * x * y, -x])
    pole_frame[:, 1] = np.column_stack([-a * x * y, 1.0 - a * y * y, -y])
    pole_frame[:, 2] = np.column_stack([x, y, z])
    cos, sin = np.cos(theta)[:, None], np.sin(theta)[:, None]
    out = pole_frame.copy()
    out[:, 0] = cos * pole_frame[:, 0] + sin * pole_frame[:, 1]
    out[:, 1] = cos * pole_frame[:, 1] - sin * pole_frame[:, 0]
    return out


def _polar_motion(rotation: Array, xp: Array, yp: Array) -> Array:
    """Return R1(-yp) R2(-xp) applied from the left; s' (0.05 mas per century) is left out."""
    cos_x, sin_x = np.cos(xp)[:, None], np.sin(xp)[:, None]
    cos_y, sin_y = np.cos(yp)[:, None], np.sin(yp)[:, None]
    third = cos_x * rotation[:, 2] - sin_x * rotation[:, 0]
    out = np.empty_like(rotation)
    out[:, 0] = cos_x * rotation[:, 0] + sin_x * rotation[:, 2]
    out[:, 1] = cos_y * rotation[:, 1] - sin_y * third
    out[:, 2] = cos_y * third + sin_y * rotation[:, 1]
    return out
