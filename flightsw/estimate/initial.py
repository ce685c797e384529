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

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.propagate import Forces
from flightsw.estimate.growth import absorb, accept_gate_px, chunk_of_frames, is_accepted
from flightsw.estimate.hypotheses import (
    MU,
    SPAN,
    Hypothesis,
    candidate_states,
    heading_states,
    rank_hypotheses,
)
from flightsw.estimate.orbit_fit import (
    OFFSET,
    SIZE,
    STATE,
    Belief,
    Fit,
    FitSetup,
    fit_orbit,
    residual_and_jacobian,
)
from flightsw.estimate.resection import FrameFix, fix_frame
from flightsw.estimate.sightings import Sightings
from flightsw.estimate.solver import SolverOptions

Array = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

RESECTION_GATE_PX = 18.0  # at the reference camera; 12 px for a detector of 4 px
HYPOTHESIS_GATE_PX = 120.0
LAST_RESORT_PASSES, LAST_RESORT_ROWS, LAST_RESORT_GATE_PX = 4, 4, 300.0
LOCAL_GATES_PX = (400.0, 200.0, 80.0, 40.0, 20.0)
CIRCULAR_SIGMA = 200.0  # m/s, each of climb and of speed minus circular speed
HYPOTHESES_PER_PASS = 4
SEEDS = 8  # local orbits that are grown, at most
GOOD_SHARE = 0.85  # of all detections explained, over two passes or more: no need to look on
SEED_INFLATION, JOINT_INFLATION = 9.0, 4.0  # of a fit's covariance before it gates others
FRAMES_PER_PASS = 60  # resected, at most; evenly chosen
MIN_LOCAL_INLIERS = 5
LOCAL_SHARE = 0.6  # of the near detections that the first gate of a local fit should hold


@dataclass(frozen=True, slots=True)
class Orbit:
    """An orbit and the detections (N,) that agree with it; `score` ranks orbits."""

    belief: Belief
    inliers: BoolArray
    passes: int
    score: float


def misfit_px(sightings: Sightings, forces: Forces, t_s: float, x: Array) -> Array:
    """Return the pixel misfit (N,) of every detection; inf where unseen."""
    e, _ = residual_and_jacobian(sightings, forces, t_s, x)
    return np.nan_to_num(np.hypot(e[:, 0], e[:, 1]), nan=np.inf)


def fix_frames(sightings: Sightings, rng: np.random.Generator) -> list[FrameFix]:
    """Return the fixes of all frames (an even choice of them in long passes)."""
    bounds = np.searchsorted(sightings.frame, np.arange(len(sightings.t_s) + 1))
    fixes = []
    for one_pass in range(int(sightings.pass_index[-1]) + 1 if len(sightings.t_s) else 0):
        frames = np.flatnonzero(sightings.pass_index == one_pass)
        frames = frames[np.diff(bounds)[frames] >= 2]
        if len(frames) > FRAMES_PER_PASS:
            frames = frames[np.linspace(0, len(frames) - 1, FRAMES_PER_PASS).astype(int)]
        for frame in frames:
            rows = np.arange(bounds[frame], bounds[frame + 1], dtype=np.intp)
            gate = RESECTION_GATE_PX * sightings.pixel_unit
            fix = fix_frame(sightings, int(frame), rows, gate, rng)
            if fix is not None:
                fixes.append(fix)
    return fixes


def circular_information(state: Array) -> tuple[Array, Array]:
    """Return mean (10,) and information (10, 10): the speed is about circular, the climb about 0."""
    r, v = state[:3], state[3:]
    up = r / np.linalg.norm(r)
    along = v - up * (up @ v)
    along /= np.linalg.norm(along)
    mean, information = np.zeros(SIZE), np.zeros((SIZE, SIZE))
    mean[:3], mean[3:6] = r, along * np.sqrt(MU / np.linalg.norm(r))
    information[3:6, 3:6] = (np.outer(up, up) + np.outer(along, along)) / CIRCULAR_SIGMA**2
    return mean, information


def fit_pass(sightings: Sightings, hypothesis: Hypothesis, setup: FitSetup) -> Orbit | None:
    """Fit an orbit to the detections within SPAN of a hypothesis; None when too few agree."""
    is_near = np.abs(sightings.t_s[sightings.frame] - hypothesis.t_s) <= SPAN
    near = sightings.select(is_near)
    forces, t_s = Forces.j2(), hypothesis.t_s
    x = np.concatenate([hypothesis.state, setup.prior_mean[6:]])
    free = np.intersect1d(setup.free, np.concatenate([STATE, OFFSET]))
    fit: Fit | None = None
    misfit = misfit_px(near, forces, t_s, x)
    wide = [g for g in LOCAL_GATES_PX if np.mean(misfit < g * near.pixel_unit) >= LOCAL_SHARE]
    for gate_px in LOCAL_GATES_PX[LOCAL_GATES_PX.index(min(wide)) if wide else 0 :]:
        close = misfit < np.maximum(gate_px * near.pixel_unit, 2.5 * near.sigma_px)
        if close.sum() < MIN_LOCAL_INLIERS:
            return None
        mean, information = circular_information(x[:6])
        mean[6:] = setup.prior_mean[6:]
        information = information + setup.prior_information * _beyond_state()
        options = SolverOptions(max_iterations=8, first_iteration=4 if fit is None else 8, tolerance=0.05)
        fit = fit_orbit(near.select(close), t_s, x, FitSetup(forces, free, mean, information), options)
        x = fit.x
        misfit = misfit_px(near, forces, t_s, x)
    close = misfit < accept_gate_px(near)
    if fit is None or not is_accepted(close) or not _is_plausible(x):
        return None
    inliers = np.zeros(len(sightings), dtype=bool)
    inliers[is_near] = close
    inflation = SEED_INFLATION * max(fit.solver.sigma**2, 0.1) / fit.solver.sigma**2
    covariance = fit.covariance(inflation)
    if 6 in setup.free:
        covariance[6, 6] = 1.0 / setup.prior_information[6, 6]
    return Orbit(Belief(t_s, x, covariance), inliers, 1, float(close.sum()))


def _beyond_state() -> Array:
    """Return a mask (10, 10) of the prior that concerns drag and pointing only."""
    beyond = np.arange(SIZE) >= 6
    return np.outer(beyond, beyond).astype(np.float64)


def _is_plausible(x: Array) -> bool:
    """Tell whether x is an orbit near the Earth at all: perigee above -100 km, bound."""
    r, v = x[:3], x[3:6]
    energy = 0.5 * float(v @ v) - MU / float(np.linalg.norm(r))
    if not np.isfinite(energy) or energy >= 0.0:
        return False
    momentum2 = float(np.sum(np.cross(r, v) ** 2))
    eccentricity = np.sqrt(max(0.0, 1.0 + 2.0 * energy * momentum2 / MU**2))
    return bool(-0.5 * MU / energy * (1.0 - eccentricity) > 6.278e6 and eccentricity < 0.2)


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
        members = np.flatnonzero(pass_of == one_pass)
        # In a strange pass the richest chunk speaks first; at home, the nearest.
        weight = np.array([np.sum(of_row == k) for k in members])
        order = np.argsort(np.abs(middle[members] - start) if one_pass == home else -weight, kind="stable")
        for k in members[order]:
            rows = of_row == k
            outcome = absorb(belief, sightings.select(rows), setup.forces, rng)
            if outcome.is_accepted:
                belief, found = outcome.belief, True
                inliers[rows] = outcome.inliers
            elif one_pass != home:
                inliers[rows] = False
        if found:
            known += 1
            belief = refit(sightings.select(inliers), belief, setup).belief(JOINT_INFLATION)
    return Orbit(belief, inliers, known, float(inliers.sum()))


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


def local_orbits(sightings: Sightings, setup: FitSetup, rng: np.random.Generator) -> list[Orbit]:
    """Return the orbits of single passes, those that explain most first."""
    fixes = fix_frames(sightings, rng)
    passes = range(int(sightings.pass_index[-1]) + 1 if len(sightings.t_s) else 0)
    seeds: list[Orbit] = []
    for one_pass in passes:
        here = [f for f in fixes if sightings.pass_index[f.frame] == one_pass]
        strong = [f for f in here if f.inliers >= 4]
        states, times = candidate_states(strong if len(strong) >= 2 else here)
        seeds += _fit_candidates(sightings, one_pass, states, times, HYPOTHESIS_GATE_PX, setup)
    if not seeds:  # one landmark at a time, perhaps: a costly search, and the last one
        counts = np.bincount(sightings.pass_index[sightings.frame])
        for one_pass in np.argsort(-counts, kind="stable")[:LAST_RESORT_PASSES]:
            rows = np.flatnonzero(sightings.pass_index[sightings.frame] == one_pass)
            rows = rows[np.linspace(0, len(rows) - 1, LAST_RESORT_ROWS).astype(int)]
            grids = [heading_states(sightings, int(row)) for row in rows]
            times = np.repeat(sightings.t_s[sightings.frame[rows]], [len(grid) for grid in grids])
            states = np.concatenate(grids)
            seeds += _fit_candidates(sightings, int(one_pass), states, times, LAST_RESORT_GATE_PX, setup)
    return sorted(seeds, key=lambda orbit: -orbit.score)


def _fit_candidates(
    sightings: Sightings, one_pass: int, states: Array, times: Array, gate_px: float, setup: FitSetup
) -> list[Orbit]:
    """Return the local orbits that the best of candidate states (K, 6) of a pass lead to."""
    part = sightings.select(sightings.pass_index[sightings.frame] == one_pass)
    gate_px *= sightings.pixel_unit
    ranked = rank_hypotheses(part, states, times, gate_px=gate_px, keep=HYPOTHESES_PER_PASS)
    fitted = [fit_pass(sightings, hypothesis, setup) for hypothesis in ranked]
    return [orbit for orbit in fitted if orbit is not None]
