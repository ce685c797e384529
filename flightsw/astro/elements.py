"""Keplerian elements and back, for the two-body problem.

Source: Vallado, Fundamentals of Astrodynamics, algorithms 9 and 10. Where an angle is
undefined the usual replacement is used: for a circular orbit the argument of perigee is
0 and the true anomaly counts from the node; for an equatorial one the node is at +x.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.gravity import GM_EARTH

Array = NDArray[np.float64]

UNDEFINED_BELOW = 1e-11  # eccentricity or sine of inclination


@dataclass(frozen=True, slots=True)
class Elements:
    """Osculating Keplerian elements; angles in rad in [0, 2 pi), a in m (negative if hyperbolic)."""

    a: float
    e: float
    inclination: float
    raan: float
    argument_of_perigee: float
    true_anomaly: float

    @property
    def mean_anomaly(self) -> float:
        """Mean anomaly, rad in [0, 2 pi); ellipses only."""
        if not self.e < 1.0:
            raise ValueError(f"a hyperbola has no mean anomaly, e = {self.e}")
        ratio = np.sqrt((1.0 - self.e) / (1.0 + self.e))
        eccentric = 2.0 * np.arctan2(ratio * np.sin(0.5 * self.true_anomaly), np.cos(0.5 * self.true_anomaly))
        return float(np.mod(eccentric - self.e * np.sin(eccentric), 2.0 * np.pi))


def elements_from_state(state: Array, *, gm: float = GM_EARTH) -> Elements:
    """Return the elements of a state (6,) [r; v], m and m/s. ValueError for a parabola or a fall."""
    r, v = np.asarray(state[:3], dtype=float), np.asarray(state[3:6], dtype=float)
    distance = float(np.linalg.norm(r))
    momentum = np.cross(r, v)
    energy = 0.5 * float(v @ v) - gm / distance
    if energy == 0.0 or not np.linalg.norm(momentum) > 0.0:
        raise ValueError("a parabola or a radial fall has no Keplerian elements")
    pole = momentum / np.linalg.norm(momentum)
    eccentricity = np.cross(v, momentum) / gm - r / distance
    e = float(np.linalg.norm(eccentricity))
    node = np.array([-pole[1], pole[0], 0.0])
    sin_i = float(np.linalg.norm(node))
    node = node / sin_i if sin_i > UNDEFINED_BELOW else np.array([1.0, 0.0, 0.0])
    perigee = eccentricity / e if e > UNDEFINED_BELOW else node
    return Elements(
        a=-0.5 * gm / energy,
        e=e,
        inclination=float(np.arctan2(sin_i, pole[2])),
        raan=float(np.mod(np.arctan2(node[1], node[0]), 2.0 * np.pi)),
        argument_of_perigee=_angle(node, perigee, pole),
        true_anomaly=_angle(perigee, r, pole),
    )


def state_from_elements(elements: Elements, *, gm: float = GM_EARTH) -> Array:
    """Return the state (6,) [r; v], m and m/s, in the frame of the elements."""
    e, anomaly = elements.e, elements.true_anomaly
    parameter = elements.a * (1.0 - e * e)
    if not parameter > 0.0:
        raise ValueError(f"a (1 - e^2) must be positive, got a = {elements.a}, e = {e}")
    sin, cos = np.sin(anomaly), np.cos(anomaly)
    r = parameter / (1.0 + e * cos) * np.array([cos, sin, 0.0])
    v = np.sqrt(gm / parameter) * np.array([-sin, e + cos, 0.0])
    turn = _about_z(elements.raan) @ _about_x(elements.inclination) @ _about_z(elements.argument_of_perigee)
    return np.concatenate([turn @ r, turn @ v])


def state_from_mean_anomaly(elements: Elements, mean_anomaly: float, *, gm: float = GM_EARTH) -> Array:
    """Return the state (6,) at another mean anomaly (rad) of the same ellipse."""
    e = elements.e
    if not e < 1.0:
        raise ValueError(f"a hyperbola has no mean anomaly, e = {e}")
    mean = float(np.mod(mean_anomaly + np.pi, 2.0 * np.pi) - np.pi)
    eccentric = mean + 0.85 * e * np.sign(np.sin(mean))  # Danby's start: Newton then never fails
    for _ in range(30):
        change = (eccentric - e * np.sin(eccentric) - mean) / (1.0 - e * np.cos(eccentric))
        eccentric -= change
        if abs(change) < 1e-14:
            break
    half = np.sqrt((1.0 + e) / (1.0 - e)) * np.tan(0.5 * eccentric)
    anomaly = float(np.mod(2.0 * np.arctan(half), 2.0 * np.pi))
    moved = Elements(
        elements.a, e, elements.inclination, elements.raan, elements.argument_of_perigee, anomaly
    )
    return state_from_elements(moved, gm=gm)


def _angle(start: Array, end: Array, pole: Array) -> float:
    """Return the angle from one vector to another about `pole`, rad in [0, 2 pi)."""
    sin = float(np.cross(start, end) @ pole)
    return float(np.mod(np.arctan2(sin, float(start @ end)), 2.0 * np.pi))


def _about_z(angle: float) -> Array:
    """Return the rotation of a vector about +z by `angle`, (3, 3)."""
    sin, cos = np.sin(angle), np.cos(angle)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def _about_x(angle: float) -> Array:
    """Return the rotation of a vector about +x by `angle`, (3, 3)."""
    sin, cos = np.sin(angle), np.cos(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, cos, -sin], [0.0, sin, cos]])
