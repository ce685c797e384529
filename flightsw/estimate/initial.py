"""Lost in space: an orbit from detections alone, no guess of any kind.

1. Every frame is resected by itself (`resection`).
2. Within each pass, frame fixes make nearly circular orbits, ranked by the detections
   they explain (`hypotheses`); the best few are fitted robustly over +-200 s.
3. Each local fit is grown to the other passes, nearest first (`growth`); after a new
   pass the orbit is fitted again to all that agrees, so that errors of linearisation
   do not add up.
4. The orbit that explains most detections wins. A burst of coherently shifted frames
   makes a fine local orbit, but one that no other pass agrees with.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from flightsw.estimate.growth import absorb_all, chunk_of_frames, richest_first
from flightsw.estimate.local_orbits import Orbit, local_orbits
from flightsw.estimate.orbit_fit import (
    OFFSET,
    Belief,
    Fit,
    FitSetup,
    fit_orbit,
)
from flightsw.estimate.sightings import Sightings
from flightsw.estimate.solver import SolverOptions

Array = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

SEEDS = 8  # local orbits that are grown, at most
GOOD_SHARE = 0.85  # of all detections explained, over two passes or more: no need to look on
CONTESTED, BEGINNERS = 0.6, 3  # share of a pass that agrees; chunks that may speak first
JOINT_INFLATION = 4.0  # of a fit's covariance before it gates others


def grow(sightings: Sightings, seed: Orbit, setup: FitSetup, rng: np.random.Generator) -> Orbit:
    """Return the orbit after all passes have been offered to it, nearest in time first."""
    belief, inliers, start = seed.belief, seed.inliers.copy(), seed.belief.t_s
    pass_of_row = sightings.pass_index[sightings.frame]
    away = np.abs(sightings.t_s - start)
    home = sightings.pass_index[int(np.argmin(away))]
    passes = sorted(set(pass_of_row.tolist()), key=lambda p: np.min(away[sightings.pass_index == p]))
    known = 0
    for one_pass in passes:
        rows = pass_of_row == one_pass
        part = sightings.select(rows)
        if one_pass == home:
            after, agrees = absorb_all(belief, part, setup.forces, rng, order=_nearest_first(part, start))
            agrees |= inliers[rows] & ~_touched(part, agrees)
        else:
            belief = _turned_since(belief, setup.slow_sigma)
            after, agrees = _absorb_strange(belief, part, setup, rng)
        inliers[rows] = agrees
        if after is not belief:
            known += 1
            belief = refit(sightings.select(inliers), after, setup).belief(JOINT_INFLATION)
    return Orbit(belief, inliers, known, float(sightings.worth @ inliers))


def _nearest_first(part: Sightings, start: float) -> IntArray:
    """Return the chunks of a pass in the order of their distance in time from `start`."""
    chunk = chunk_of_frames(part)
    middle = np.bincount(chunk, weights=part.t_s) / np.bincount(chunk)
    return np.argsort(np.abs(middle - start), kind="stable")


def _touched(part: Sightings, agrees: BoolArray) -> BoolArray:
    """Return the detections (N,) of chunks in which any agrees."""
    of_row = chunk_of_frames(part)[part.frame]
    return np.asarray((np.bincount(of_row, weights=agrees.astype(np.float64)) > 0.0)[of_row])


def _absorb_strange(
    belief: Belief, part: Sightings, setup: FitSetup, rng: np.random.Generator
) -> tuple[Belief, BoolArray]:
    """Offer a pass that the orbit has not met; which chunk speaks first decides where it is contested.

    Frames shifted alike may be the most in the chunk that speaks first; so where less than
    CONTESTED of the pass agrees others begin, and the most agreement wins.
    """
    order, worth = richest_first(part), part.worth
    best = absorb_all(belief, part, setup.forces, rng, order=order, hold=True)
    for first in order[1:BEGINNERS]:
        if worth @ best[1] > CONTESTED * worth.sum():
            break
        turned = np.concatenate([[first], order[order != first]])
        other = absorb_all(belief, part, setup.forces, rng, order=turned, hold=True)
        if worth @ other[1] > worth @ best[1]:
            best = other
    return best


def _turned_since(belief: Belief, slow_sigma: float) -> Belief:
    """Return the belief for another pass: a slow pointing error has changed since this one."""
    covariance = belief.covariance.copy()
    covariance[OFFSET, OFFSET] += 2.0 * slow_sigma**2
    return replace(belief, covariance=covariance)


def refit(sightings: Sightings, belief: Belief, setup: FitSetup) -> Fit:
    """Fit the orbit to given detections, starting robust: they are gated already."""
    options = SolverOptions(max_iterations=5, first_iteration=8, tolerance=0.2)
    return fit_orbit(sightings, belief.t_s, belief.x, setup, options)


def find_orbit(sightings: Sightings, setup: FitSetup, rng: np.random.Generator) -> Orbit | None:
    """Return the orbit that explains most of the detections, or None where nothing makes one."""
    seeds = local_orbits(sightings, setup, rng)
    worth = sightings.worth
    best: Orbit | None = None
    for seed in seeds[:SEEDS]:
        if best is not None and best.passes >= 2 and worth @ (seed.inliers & best.inliers) > 0.7 * seed.score:
            continue  # this seed is a part of what is known already
        orbit = grow(sightings, seed, setup, rng)
        if best is None or (orbit.score > best.score):
            best = orbit
        if best.passes >= 2 and best.score > GOOD_SHARE * worth.sum():
            break
    return best
