"""Orbits of single passes, from nothing: where the search starts.

Frames are resected one by one, their fixes combined to nearly circular orbits, and the
best few of these fitted robustly, with J2 alone, to the detections of +-200 s.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.propagate import Forces
from flightsw.estimate.growth import accept_gate_px, is_accepted
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
from flightsw.estimate.sightings import Sightings, numbered
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
SEED_INFLATION = 9.0  # of a local fit's covariance before it gates others
SEGMENT, SEGMENTS, FRAMES_PER_SEGMENT = 900.0, 12, 60  # s; the richest are searched; frames resected
MIN_LOCAL_INLIERS = 5
LOCAL_SHARE = 0.6  # of the near detections that the first gate of a local fit should hold


@dataclass(frozen=True, slots=True)
class Orbit:
    """An orbit and the detections (N,) that agree with it; `score` ranks orbits."""

    belief: Belief
    inliers: BoolArray
    passes: int
    score: float


def misfit_px(
    sightings: Sightings, forces: Forces, t_s: float, x: Array, delta: Array | None = None
) -> Array:
    """Return the pixel misfit (N,) of every detection; inf where unseen. Arguments as `fit_orbit`'s."""
    e, _ = residual_and_jacobian(sightings, forces, t_s, x, delta)
    return np.nan_to_num(np.hypot(e[:, 0], e[:, 1]), nan=np.inf)


def segments(sightings: Sightings) -> list[IntArray]:
    """Return the frames of passes, long ones cut, those with most detections first."""
    first = sightings.t_s[np.searchsorted(sightings.pass_index, sightings.pass_index)]
    part = np.floor((sightings.t_s - first) / SEGMENT).astype(np.intp)
    label = numbered(np.stack([sightings.pass_index, part]), axis=1)
    richness = np.bincount(label[sightings.frame])
    order = np.argsort(-richness, kind="stable")[:SEGMENTS]
    return [np.flatnonzero(label == k).astype(np.intp) for k in order]


def fix_frames(sightings: Sightings, frames: IntArray, rng: np.random.Generator) -> list[FrameFix]:
    """Return the fixes of frames with these indices (an even choice of many)."""
    first, last = (np.searchsorted(sightings.frame, frames, side=side) for side in ("left", "right"))
    several = np.flatnonzero(last - first >= 2)
    if len(several) > FRAMES_PER_SEGMENT:
        several = several[np.linspace(0, len(several) - 1, FRAMES_PER_SEGMENT).astype(int)]
    gate = RESECTION_GATE_PX * sightings.pixel_unit
    fixes = [
        fix_frame(sightings, int(frames[k]), np.arange(first[k], last[k], dtype=np.intp), gate, rng)
        for k in several
    ]
    return [fix for fix in fixes if fix is not None]


def circular_information(state: Array) -> tuple[Array, Array]:
    """Return mean (13,) and information (13, 13): the speed is about circular, the climb about 0."""
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
        local = replace(setup, forces=forces, free=free, prior_mean=mean, prior_information=information)
        fit = fit_orbit(near.select(close), t_s, x, local, options)
        x = fit.x
        misfit = misfit_px(near, forces, t_s, x)
    close = misfit < accept_gate_px(near)
    if fit is None or not is_accepted(near, close) or not _is_plausible(x):
        return None
    inliers = np.zeros(len(sightings), dtype=bool)
    inliers[is_near] = close
    inflation = SEED_INFLATION * max(fit.solver.sigma**2, 0.1) / fit.solver.sigma**2
    covariance = fit.covariance(inflation)
    if 6 in setup.free:
        covariance[6, 6] = 1.0 / setup.prior_information[6, 6]
    return Orbit(Belief(t_s, x, covariance), inliers, 1, float(near.worth @ close))


def _beyond_state() -> Array:
    """Return a mask (13, 13) of the prior that concerns drag and pointing only."""
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


def local_orbits(sightings: Sightings, setup: FitSetup, rng: np.random.Generator) -> list[Orbit]:
    """Return the orbits of single passes, those that explain most first."""
    parts = segments(sightings)
    seeds: list[Orbit] = []
    for frames in parts:
        fixes = fix_frames(sightings, frames, rng)
        strong = [f for f in fixes if f.inliers >= 4]
        states, times = candidate_states(strong if len(strong) >= 2 else fixes)
        seeds += _fit_candidates(sightings, frames, states, times, HYPOTHESIS_GATE_PX, setup)
    if not seeds:  # one landmark at a time, perhaps: a costly search, and the last one
        for frames in parts[:LAST_RESORT_PASSES]:
            rows = np.flatnonzero(np.isin(sightings.frame, frames))
            rows = rows[np.linspace(0, len(rows) - 1, LAST_RESORT_ROWS).astype(int)]
            grids = [heading_states(sightings, int(row)) for row in rows]
            times = np.repeat(sightings.t_s[sightings.frame[rows]], [len(grid) for grid in grids])
            states = np.concatenate(grids)
            seeds += _fit_candidates(sightings, frames, states, times, LAST_RESORT_GATE_PX, setup)
    return sorted(seeds, key=lambda orbit: -orbit.score)


def _fit_candidates(
    sightings: Sightings, frames: IntArray, states: Array, times: Array, gate_px: float, setup: FitSetup
) -> list[Orbit]:
    """Return the local orbits that the best of candidate states (K, 6) of some frames lead to."""
    part = sightings.select(np.isin(sightings.frame, frames))
    gate_px *= sightings.pixel_unit
    ranked = rank_hypotheses(part, states, times, gate_px=gate_px, keep=HYPOTHESES_PER_PASS)
    fitted = [fit_pass(sightings, hypothesis, setup) for hypothesis in ranked]
    return [orbit for orbit in fitted if orbit is not None]
