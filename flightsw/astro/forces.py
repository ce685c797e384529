"""Which forces act, and their sum with exact partials at many points of many orbits.

What depends on time alone (rotation to the Earth-fixed frame, Sun, Moon) is computed once
for the nodes of an arc (`Surroundings`) and shared by every orbit and iteration on it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.drag import CUBESAT_BALLISTIC, drag_acceleration
from flightsw.astro.eop import EarthOrientation
from flightsw.astro.gravity import (
    MAX_DEGREE,
    gravity_with_gradient,
    j2_acceleration,
    j2_gradient,
    load_gravity,
)
from flightsw.astro.rotation import EARTH_RATE, ecef_from_eci
from flightsw.astro.sun import GM_MOON, GM_SUN, moon_position_eci, sun_position_eci
from flightsw.astro.time import Epoch

Array = NDArray[np.float64]

_SPIN = EARTH_RATE * np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])  # OMEGA_EARTH x


@dataclass(frozen=True, slots=True, kw_only=True)
class Forces:
    """The force model of a propagation.

    degree : of the gravity field, 0 to 20 (its order too), or `Forces.j2()`; drag : on or
    off; ballistic_m2_kg : Cd A / m; third_body : attraction of Sun and Moon.
    """

    degree: int = MAX_DEGREE
    drag: bool = True
    ballistic_m2_kg: float = CUBESAT_BALLISTIC
    third_body: bool = False
    is_j2: bool = False

    @classmethod
    def j2(cls) -> "Forces":
        """Return the oblate Earth alone, about the axis of the arc's start: fast, 1-6 km in 6 h."""
        return cls(degree=2, drag=False, is_j2=True)


class Surroundings(NamedTuple):
    """What the forces need to know of T instants; t_s past an epoch.

    rotation (T, 3, 3) : ecef from eci, empty for J2; pole (3,) : axis of the Earth, eci;
    sun, moon (T, 3) : positions, m, eci, empty where unused.
    """

    rotation: Array
    pole: Array
    sun: Array
    moon: Array


class Partials(NamedTuple):
    """Acceleration (..., 3) in m/s^2, eci, and its partials (None where zero).

    d_position, d_velocity (..., 3, 3); d_scale (..., 3).
    """

    acceleration: Array
    d_position: Array
    d_velocity: Array | None
    d_scale: Array | None


def surroundings(forces: Forces, epoch: Epoch, t_s: Array, eop: EarthOrientation | None) -> Surroundings:
    """Return the surroundings at `t_s` (T,) seconds past `epoch`."""
    pole = ecef_from_eci(epoch, 0.0, eop)[2]
    none = np.empty((0, 3))
    rotation = np.empty((0, 3, 3)) if forces.is_j2 else ecef_from_eci(epoch, t_s, eop)
    sun = sun_position_eci(epoch, t_s) if forces.drag or forces.third_body else none
    moon = moon_position_eci(epoch, t_s) if forces.third_body else none
    return Surroundings(rotation, pole, sun, moon)


def acceleration_with_partials(
    forces: Forces, around: Surroundings, r: Array, v: Array, drag_scale: Array
) -> Partials:
    """Return accelerations and partials of K orbits at T instants.

    r, v (K, T, 3) : eci, m and m/s; drag_scale (K,). Results lead with (K, T).
    """
    if forces.is_j2:
        return Partials(j2_acceleration(r, around.pole), j2_gradient(r, around.pole), None, None)
    rot = around.rotation
    back = np.swapaxes(rot, -1, -2)
    r_ecef = _rotated(rot, r)
    flat, gradient = gravity_with_gradient(load_gravity(forces.degree), r_ecef.reshape(-1, 3))
    total = flat.reshape(r.shape)
    d_r = gradient.reshape(*r.shape, 3)
    d_velocity = d_scale = None
    if forces.drag:
        v_rel = _rotated(rot, v) - r_ecef @ _SPIN.T
        sun = _rotated(rot, around.sun / np.linalg.norm(around.sun, axis=-1, keepdims=True))
        drag = drag_acceleration(
            r_ecef.reshape(-1, 3),
            v_rel.reshape(-1, 3),
            np.broadcast_to(sun, r.shape).reshape(-1, 3),
            ballistic_m2_kg=forces.ballistic_m2_kg,
            scale=np.repeat(drag_scale, r.shape[1]),
        )
        by_velocity = drag.d_velocity.reshape(d_r.shape)
        total = total + drag.acceleration.reshape(r.shape)
        d_r = d_r + drag.d_position.reshape(d_r.shape) - by_velocity @ _SPIN
        d_velocity = back @ by_velocity @ rot
        d_scale = _rotated(back, drag.d_scale.reshape(r.shape))
    acceleration, d_position = _rotated(back, total), back @ d_r @ rot
    if forces.third_body:
        for gm, body in ((GM_SUN, around.sun), (GM_MOON, around.moon)):
            pull, d_pull = _third_body(gm, body, r)
            acceleration, d_position = acceleration + pull, d_position + d_pull
    return Partials(acceleration, d_position, d_velocity, d_scale)


def _rotated(rotation: Array, vectors: Array) -> Array:
    """Return rotation (T, 3, 3) applied to vectors (..., T, 3)."""
    return np.asarray((rotation @ vectors[..., None])[..., 0])


def _third_body(gm: float, body: Array, r: Array) -> tuple[Array, Array]:
    """Return the tidal acceleration (K, T, 3) of a point mass at `body` (T, 3), and d/dr."""
    to_body = body - r
    distance2 = np.sum(to_body * to_body, axis=-1)
    k = gm / (distance2 * np.sqrt(distance2))
    of_earth = gm * body / np.linalg.norm(body, axis=-1, keepdims=True) ** 3
    outer = to_body[..., :, None] * to_body[..., None, :]
    gradient = k[..., None, None] * (3.0 * outer / distance2[..., None, None] - np.eye(3))
    return k[..., None] * to_body - of_earth, gradient
