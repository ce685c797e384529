"""Which object of a catalogue is ours: ranking by likelihood, and two ways to say "I cannot tell".

Orbits are compared at one instant by relative orbital elements (m, scaled by a):
    da, dL (along the track), a dex, a dey (eccentricity vector), a dix, a diy (plane)
taken without the short periods of J2, in axes in which our own orbit is polar, so that
nothing is singular. Objects of one release differ by hundreds of km along the track and by a
few elsewhere; a difference of elements stays linear where one of positions bends. What a
release gives has three dimensions (a push), not six: across them the listed objects
differ by the catalogue's error C alone, which says nothing of who is who. So the spread of
many listed objects is estimated first, and each is drawn towards it: object k is at
m_k with covariance V (what is left of C), and has the likelihood N(m_k; 0, J P J' + V); an
object that is not listed has that of the spread B around the mean m, N(m; 0, J P J' + B).
Few objects show no spread: then V = C, and the unlisted one is the catalogue smeared out by
the steps between neighbours along the track. Listed objects share the prior 1 - MISSING.
"None of these" is the probability of not being listed above a half, or a nearest object
that chi-square refuses; "ambiguous" a best probability below SURE.
Sources: D'Amico, Autonomous Formation Flying in LEO, 2010, eq. 2.2 (elements); Flohrer et
al., AMOS 2008 (shape of a TLE's error); Efron and Morris, JASA 68 (1973) (drawing estimates
towards their common spread); Baik and Silverstein, J. Multivariate Anal. 97 (2006) (EDGE).
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
from groundtools.products.short_period import mean_states

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

SURE = 0.97
MISSING = 0.05  # prior of not being in the catalogue
NONE_DISTANCE2 = 22.458  # chi-square with 6 degrees of freedom, 99.9 %
# A catalogue's error of 1 km (3-D RMS): da, dL, dex, dey, dix, diy, in km; 0.20 radial, 0.95
# along, 0.25 across. The mean motion is its best element: 20 m of da are 3 km a day.
CATALOG_SHAPE = np.array([0.02, 0.86, 0.20, 0.20, 0.25, 0.25])
GATE_M = 2.5e6  # further away than this nobody is a rival
LEAST_OBJECTS = 20  # that show a spread
HUGE = 1e12  # a distance2 that is not compared


class Verdict(Enum):
    """How an identification ends; the value is the sentence for a human."""

    IDENTIFIED = "one object fits, and no other"
    AMBIGUOUS = "several objects fit, or the best is not sure to be ours"
    NONE = "no object of the catalogue fits"


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """verdict; order (K,) of the objects, most probable first; probability, distance2 (K,) of each
    object in catalogue order (distance2 HUGE beyond the gate); missing : the probability of
    not being listed; relative (K, 6) elements, m."""

    verdict: Verdict
    order: NDArray[np.intp]
    probability: Array
    missing: float
    distance2: Array
    relative: Array


def catalogue_states(sets: tuple[MeanElements, ...], epoch: Epoch) -> Array:
    """Return GCRF states (K, 6), m and m/s, of all sets at one instant; NaN where SGP4 gives up."""
    teme = np.array([teme_states(one.satrec(), np.array([epoch - one.epoch]))[0] for one in sets])
    back = np.swapaxes(teme_from_eci(epoch, np.zeros(1)), 1, 2)[0]
    return rotated(back, teme.reshape(-1, 6))


def rank(
    state: Array, covariance: Array, candidates: Array, *, catalog_sigma: float, missing: float = MISSING
) -> Ranking:
    """Return who of the candidates our state is.

    state (6,), covariance (6, 6), candidates (K, 6) : GCRF at one instant, m and m/s;
    catalog_sigma : 3-D position error of the catalogue, 1 sigma RMS, m; missing : prior of
    not being listed. InputError for no candidate.
    """
    if len(candidates) == 0:
        raise InputError("holds no object", fix="give the elements of the deployment")
    with np.errstate(invalid="ignore"):
        near = np.linalg.norm(candidates[:, :3] - state[:3], axis=1) < GATE_M
    relative = np.full((len(candidates), 6), np.nan)
    distance2 = np.full(len(candidates), HUGE)
    probability, not_listed = np.zeros(len(candidates)), 1.0
    if near.any():
        axes = polar_axes(state)
        centre = mean_states(state[None])[0]
        relative[near] = relative_elements(axes, centre, mean_states(candidates[near]))
        jacobian = element_jacobian(axes, state)
        own = jacobian @ covariance @ jacobian.T
        catalog = (CATALOG_SHAPE * catalog_sigma) ** 2
        near_distance2, log_listed, log_unlisted = _likelihoods(relative[near], own, catalog)
        distance2[near] = np.minimum(near_distance2, HUGE)
        top = max(log_listed.max(), log_unlisted)
        weights = (1.0 - missing) / near.sum() * np.exp(log_listed - top)
        unlisted = missing * np.exp(log_unlisted - top)
        probability[near] = weights / (weights.sum() + unlisted)
        not_listed = float(unlisted / (weights.sum() + unlisted))
    order = np.lexsort((distance2, -probability))
    verdict = _verdict(distance2, probability, not_listed)
    return Ranking(verdict, order, probability, not_listed, distance2, relative)


def _verdict(distance2: Array, probability: Array, not_listed: float) -> Verdict:
    if not_listed > 0.5 or not distance2.min() < NONE_DISTANCE2:
        return Verdict.NONE
    return Verdict.IDENTIFIED if probability.max() >= SURE else Verdict.AMBIGUOUS


def _likelihoods(points: Array, own: Array, catalog: Array) -> tuple[Array, Array, float]:
    """Return squared distances (K,) and log densities (K,) of listed points, and of one not listed.

    points (K, 6) : elements relative to ours; own (6, 6) : our covariance; catalog (6,) : variances.
    """
    if len(points) < LEAST_OBJECTS:
        distance2, listed = _normal(points, own + np.diag(catalog))
        smeared = _normal(points, own + np.diag(catalog) + _bandwidth(points))[1]
        top = smeared.max()
        return distance2, listed, float(top + np.log(np.mean(np.exp(smeared - top))))
    mean = points.mean(axis=0)
    scale = np.sqrt(catalog)
    variance, axes = np.linalg.eigh(np.cov((points / scale).T))
    # Sampling noise alone has variances up to this edge, in units of the catalogue's own.
    edge = (1.0 + np.sqrt(points.shape[1] / len(points))) ** 2
    signal = np.where(variance > edge, variance - 1.0, 0.0)
    kept = signal / (signal + 1.0)
    back = scale[:, None] * axes
    drawn = mean + ((points - mean) / scale @ axes * kept) @ back.T
    left = back @ np.diag(kept + (1.0 - kept) ** 2 / len(points)) @ back.T
    spread = back @ np.diag(signal + 1.0 / len(points)) @ back.T
    distance2, listed = _normal(drawn, own + left)
    return distance2, listed, float(_normal(mean[None], own + spread)[1][0])


def _normal(points: Array, covariance: Array) -> tuple[Array, Array]:
    """Return squared distances (K,) of points (K, 6) from 0, and log densities less a constant."""
    scale = np.sqrt(np.diag(covariance))
    root = np.linalg.cholesky(covariance / np.outer(scale, scale))
    distance2 = np.sum(np.linalg.solve(root, (points / scale).T) ** 2, axis=0)
    return distance2, -0.5 * distance2 - np.log(np.diag(root) * scale).sum()


def _bandwidth(points: Array) -> Array:
    """Return the covariance (6, 6) that smears points (K, 6) into a density: half the mean square
    of the steps between neighbours along the track, so that the density is a local one.
    """
    if len(points) < 2:
        return np.diag((0.1 * np.abs(points[0]) + 1.0) ** 2)
    steps = np.diff(points[np.argsort(points[:, 1])], axis=0)
    return np.asarray(0.5 * steps.T @ steps / len(steps))


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
