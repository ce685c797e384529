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

from flightsw.estimate.growth import absorb, chunk_of_frames
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
JOINT_INFLATION = 4.0  # of a fit's covariance before it gates others


def grow(sightings: Sightings, seed: Orbit, setup: FitSetup, rng: np.random.Generator) -> Orbit:
    """Return the orbit after all passes have been offered to it, nearest in time first."""
    chunk = chunk_of_frames(sightings)
    of_row = chunk[sightings.frame]
    belief, inliers = seed.belief, seed.inliers.copy()
    start = belief.t_s
    middle = np.array([np.mean(sightings.t_s[chunk == k]) for k in range(int(chunk[-1]) + 1)])
    pass_of = np.array([sightings.pass_index[chunk == k][0] for k in range(len(middle))])
    home = pass_of[int(np.argmin(np.abs(middle - start)))]
    passes = sorted(set(pass_of.tolist()), key=lambda p: np.min(np.abs(middle[pass_of == p] - start)))
    known = 0
    for one_pass in passes:
        found = False
        if one_pass != home:
            belief = _turned_since(belief, setup.slow_sigma)
        members = np.flatnonzero(pass_of == one_pass)
        # In a strange pass the richest chunk speaks first; at home, the nearest.
        weight = np.array([np.sum(of_row == k) for k in members])
        order = np.argsort(np.abs(middle[members] - start) if one_pass == home else -weight, kind="stable")
        for k in members[order]:
            rows = of_row == k
            # Until a strange pass agrees the belief is held where it is: hours of linear
            # transport would bend the corrected orbit away from the passes it has.
            move = found or one_pass == home
            outcome = absorb(belief, sightings.select(rows), setup.forces, rng, move=move)
            if outcome.is_accepted:
                belief, found = outcome.belief, True
                inliers[rows] = outcome.inliers
            elif one_pass != home:
                inliers[rows] = False
        if found:
            known += 1
            belief = refit(sightings.select(inliers), belief, setup).belief(JOINT_INFLATION)
    return Orbit(belief, inliers, known, float(inliers.sum()))


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
    best: Orbit | None = None
    for seed in seeds[:SEEDS]:
        if best is not None and best.passes >= 2 and seed.inliers[best.inliers].sum() > 0.7 * seed.score:
            continue  # this seed is a part of what is known already
        orbit = grow(sightings, seed, setup, rng)
        if best is None or (orbit.score > best.score):
            best = orbit
        if best.passes >= 2 and best.score > GOOD_SHARE * len(sightings):
            break
    return best
