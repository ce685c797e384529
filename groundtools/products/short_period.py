"""Osculating states without the short-period wobble of the Earth's flattening (J2).

Once around, J2 moves a low satellite by some ten kilometres, twice up and down. Two
satellites a few hundred kilometres apart are at other places of that wobble, so their
osculating elements differ where their mean ones do not. The corrections are those that
SGP4 adds, of r, u, the node, the inclination, dr/dt and r du/dt:
    dr = -3/2 k b (3 c^2 - 1) r + k/2 p s^2 cos 2u      k = J2 (R/p)^2 / 2, c = cos i, s = sin i
    du = -k/4 (7 c^2 - 1) sin 2u                        p = a (1 - e^2), b = sqrt(1 - e^2)
    d(node) = 3/2 k c sin 2u,  di = 3/2 k c s cos 2u
    d(dr/dt) = -n p k s^2 sin 2u,  d(r du/dt) = n p k (s^2 cos 2u + 3/2 (3 c^2 - 1))
They are taken off where they are evaluated at what is left, in three rounds of iteration.
Source: Hoots and Roehrich, Spacetrack Report No. 3, 1980, section 6.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.gravity import GM_EARTH

Array = NDArray[np.float64]

J2 = 1.082_626_68e-3
RADIUS = 6_378_137.0  # m
ROUNDS = 3


class _Polar(NamedTuple):
    """r, argument of latitude, node, inclination, dr/dt, r du/dt: each (N,)."""

    r: Array
    u: Array
    node: Array
    inclination: Array
    rising: Array
    turning: Array


def mean_states(states: Array) -> Array:
    """Return states (N, 6), m and m/s, without the short periods of J2.

    states : inertial, the pole of the Earth near +z (GCRF is near enough), elliptic.
    """
    osculating = _polar(states)
    left = osculating
    for _ in range(ROUNDS):
        left = _Polar(*(a - b for a, b in zip(osculating, _wobble(left), strict=True)))
    return _cartesian(left)


def _wobble(at: _Polar) -> _Polar:
    p = (at.r * at.turning) ** 2 / GM_EARTH
    a = 1.0 / (2.0 / at.r - (at.rising**2 + at.turning**2) / GM_EARTH)
    n, root = np.sqrt(GM_EARTH / a**3), np.sqrt(np.clip(p / a, 0.0, 1.0))
    k = 0.5 * J2 * (RADIUS / p) ** 2
    c, s = np.cos(at.inclination), np.sin(at.inclination)
    cos, sin, zonal = np.cos(2.0 * at.u), np.sin(2.0 * at.u), 3.0 * c**2 - 1.0
    return _Polar(
        -1.5 * k * root * zonal * at.r + 0.5 * p * k * s**2 * cos,
        -0.25 * k * (7.0 * c**2 - 1.0) * sin,
        1.5 * k * c * sin,
        1.5 * k * c * s * cos,
        -n * p * k * s**2 * sin,
        n * p * k * (s**2 * cos + 1.5 * zonal),
    )


def _polar(states: Array) -> _Polar:
    r, v = states[:, :3], states[:, 3:]
    momentum = np.cross(r, v)
    size, distance = np.linalg.norm(momentum, axis=1), np.linalg.norm(r, axis=1)
    pole = momentum / size[:, None]
    node = np.arctan2(pole[:, 0], -pole[:, 1])
    toward = np.stack([np.cos(node), np.sin(node), np.zeros_like(node)], axis=1)
    u = np.arctan2(np.sum(r * np.cross(pole, toward), axis=1), np.sum(r * toward, axis=1))
    inclination = np.arccos(np.clip(pole[:, 2], -1.0, 1.0))
    return _Polar(distance, u, node, inclination, np.sum(r * v, axis=1) / distance, size / distance)


def _cartesian(at: _Polar) -> Array:
    c, s = np.cos(at.inclination), np.sin(at.inclination)
    toward = np.stack([np.cos(at.node), np.sin(at.node), np.zeros_like(at.node)], axis=1)
    pole = np.stack([s * np.sin(at.node), -s * np.cos(at.node), c], axis=1)
    across = np.cross(pole, toward)
    cos, sin = np.cos(at.u)[:, None], np.sin(at.u)[:, None]
    outward, ahead = cos * toward + sin * across, cos * across - sin * toward
    v = at.rising[:, None] * outward + at.turning[:, None] * ahead
    return np.concatenate([at.r[:, None] * outward, v], axis=1)
