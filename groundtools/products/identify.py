"""Which object of a catalogue is ours: ranking by likelihood, and two ways to say "I cannot tell".

Orbits are compared at one instant by relative orbital elements (m, scaled by a):
    da, dL (along the track), a dex, a dey (eccentricity vector), a dix, a diy (plane)
taken in axes in which our own orbit is polar, so that nothing is singular. Objects of one
release differ by hundreds of km along the track and by metres elsewhere; a difference of
elements stays linear where one of positions bends. With S = J P J' + C (our covariance
and the catalogue's error) the squared distance of object k is d' S^-1 d, its probability
exp(-distance2/2) over the sum of all (equal priors). "None of these" is a chi-square
test of the nearest; "ambiguous" a probability below SURE.
Source of the elements: D'Amico, Autonomous Formation Flying in LEO, 2010, eq. 2.2.
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.gravity import GM_EARTH
from flightsw.astro.time import Epoch
from flightsw.errors import InputError
from groundtools.products.frames import rotated, teme_from_eci
from groundtools.products.mean_elements import MeanElements, teme_states

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

SURE = 0.95
NONE_SIGNIFICANCE = 0.01  # how often the right object may be called none by chance
NONE_DISTANCE2 = 16.812  # chi-square with 6 degrees of freedom, 99 %
# Shape of a catalogue's error of 1 km (3-D RMS): da, dL, dex, dey, dix, diy, in km. The mean
# motion is its best element: 20 m of da are 3 km a day along the track.
CATALOG_SHAPE = np.array([0.02, 0.8, 0.25, 0.25, 0.25, 0.25])
GATE_M = 2.5e6  # further away than this nobody is a rival
HUGE = 1e12  # a distance2 that is not compared


class Verdict(Enum):
    """How an identification ends; the value is the sentence for a human."""

    IDENTIFIED = "one object fits, and no other"
    AMBIGUOUS = "several objects fit"
    NONE = "no object of the catalogue fits"


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """verdict; order (K,) of the objects, most probable first; probability, distance2 (K,) of each
    object in catalogue order (distance2 HUGE beyond the gate); relative (K, 6) elements, m."""

    verdict: Verdict
    order: NDArray[np.intp]
    probability: Array
    distance2: Array
    relative: Array


def catalogue_states(sets: tuple[MeanElements, ...], epoch: Epoch) -> Array:
    """Return GCRF states (K, 6), m and m/s, of all sets at one instant; NaN where SGP4 gives up."""
    teme = np.array([teme_states(one.satrec(), np.array([epoch - one.epoch]))[0] for one in sets])
    back = np.swapaxes(teme_from_eci(epoch, np.zeros(1)), 1, 2)[0]
    return rotated(back, teme.reshape(-1, 6))


def rank(state: Array, covariance: Array, candidates: Array, *, catalog_sigma: float) -> Ranking:
    """Return who of the candidates our state is.

    state (6,), covariance (6, 6), candidates (K, 6) : GCRF at one instant, m and m/s;
    catalog_sigma : 3-D position error of the catalogue, 1 sigma RMS, m. InputError for
    no candidate.
    """
    if len(candidates) == 0:
        raise InputError("holds no object", fix="give the elements of the deployment")
    with np.errstate(invalid="ignore"):
        near = np.linalg.norm(candidates[:, :3] - state[:3], axis=1) < GATE_M
    axes = polar_axes(state)
    relative = np.full((len(candidates), 6), np.nan)
    distance2 = np.full(len(candidates), HUGE)
    if near.any():
        relative[near] = relative_elements(axes, state, candidates[near])
        jacobian = element_jacobian(axes, state)
        spread = jacobian @ covariance @ jacobian.T + np.diag((CATALOG_SHAPE * catalog_sigma) ** 2)
        scale = np.sqrt(np.diag(spread))
        whitened = np.linalg.solve(np.linalg.cholesky(spread / np.outer(scale, scale)), (relative[near] / scale).T)
        distance2[near] = np.minimum(np.sum(whitened**2, axis=0), HUGE)
    weight = np.exp(-0.5 * (distance2 - distance2.min()))
    probability = weight / weight.sum()
    order = np.argsort(distance2, kind="stable")
    return Ranking(_verdict(distance2, probability), order, probability, distance2, relative)


def _verdict(distance2: Array, probability: Array) -> Verdict:
    if not distance2.min() < NONE_DISTANCE2:
        return Verdict.NONE
    return Verdict.IDENTIFIED if probability.max() >= SURE else Verdict.AMBIGUOUS


def polar_axes(state: Array) -> Array:
    """Return the rotation (3, 3) to axes in which the orbit of a state is polar.

    Rows: the orbit's pole, which so lies in the equator, the position, and what completes them.
    """
    pole = np.cross(state[:3], state[3:])
    pole /= np.linalg.norm(pole)
    outward = state[:3] / np.linalg.norm(state[:3])
    return np.stack([pole, outward, np.cross(pole, outward)])


def relative_elements(axes: Array, state: Array, others: Array) -> Array:
    """Return others minus state (K, 6) in m: da, dL, dex, dey, dix, diy, scaled by our a."""
    own = _elements(axes, np.asarray(state)[None])[0]
    theirs = _elements(axes, others)
    a, inclination = own[0], own[4]
    difference = theirs - own
    turn = np.mod(difference[:, 5] + np.pi, 2.0 * np.pi) - np.pi
    along = np.mod(difference[:, 1] + turn * np.cos(inclination) + np.pi, 2.0 * np.pi) - np.pi
    return np.column_stack(
        [
            difference[:, 0], a * along, a * difference[:, 2], a * difference[:, 3], a * difference[:, 4],
            a * turn * np.sin(inclination),
        ]
    )  # fmt: skip


def element_jacobian(axes: Array, state: Array) -> Array:
    """Return d(relative elements of a state near ours) / d(its state), (6, 6), by central differences."""
    steps = np.array([10.0, 10.0, 10.0, 0.01, 0.01, 0.01])  # m, m/s
    ahead = relative_elements(axes, state, state + np.diag(steps))
    behind = relative_elements(axes, state, state - np.diag(steps))
    return np.asarray(((ahead - behind) / (2.0 * steps[:, None])).T)


def _elements(axes: Array, states: Array) -> Array:
    """Return a (m), mean argument of latitude, ex, ey, inclination and node (K, 6) in given axes."""
    halves = rotated(axes, states)
    r, v = halves[:, :3], halves[:, 3:]
    distance = np.linalg.norm(r, axis=1)
    a = 1.0 / (2.0 / distance - np.sum(v * v, axis=1) / GM_EARTH)
    momentum = np.cross(r, v)
    pole = momentum / np.linalg.norm(momentum, axis=1)[:, None]
    inclination = np.arccos(np.clip(pole[:, 2], -1.0, 1.0))
    node = np.arctan2(pole[:, 0], -pole[:, 1])
    toward = np.stack([np.cos(node), np.sin(node), np.zeros_like(node)], axis=1)
    across = np.cross(pole, toward)
    eccentricity = np.cross(v, momentum) / GM_EARTH - r / distance[:, None]
    ex, ey = np.sum(eccentricity * toward, axis=1), np.sum(eccentricity * across, axis=1)
    latitude = np.arctan2(np.sum(r * across, axis=1), np.sum(r * toward, axis=1))
    return np.column_stack([a, _mean_latitude(latitude, ex, ey), ex, ey, inclination, node])


def _mean_latitude(true: Array, ex: Array, ey: Array) -> Array:
    """Return the mean argument of latitude u of a true one, by Kepler's equation in ex, ey."""
    e2 = ex**2 + ey**2
    root = np.sqrt(np.maximum(1.0 - e2, 0.0))
    beta = 1.0 / (1.0 + root)
    cos, sin = np.cos(true), np.sin(true)
    along = 1.0 + ex * cos + ey * sin
    # Position over a in the orbit's plane, then the eccentric longitude, without a small e in a divisor.
    x, y = (1.0 - e2) * cos / along, (1.0 - e2) * sin / along
    cos_e = ex + ((1.0 - ex**2 * beta) * x - ex * ey * beta * y) / root
    sin_e = ey + ((1.0 - ey**2 * beta) * y - ex * ey * beta * x) / root
    return np.asarray(np.arctan2(sin_e, cos_e) - ex * sin_e + ey * cos_e)
