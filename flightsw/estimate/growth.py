"""An orbit of one pass grown to all of them, chunk by chunk.

A belief (mean and covariance at one time) is carried to the next chunk of frames. One
or two of its detections at a time propose a correction inside the belief (RANSAC in the
coordinates y where the belief is N(0, I)); the best proposal's inliers correct it, again
from the corrected state with a narrower gate. A chunk is dropped unless five detections or
more end within the narrow gate, and these are a quarter of it, a frame counting for at most
ten, or most of three frames: without this rule most runs fail at 30 % outliers.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.propagate import Forces
from flightsw.camera.project import ray_from_pixel
from flightsw.estimate.orbit_fit import OFFSET, SIZE, Belief, moved, residual_and_jacobian, states_at
from flightsw.estimate.residuals import camera_attitude
from flightsw.estimate.runs import whole_frames
from flightsw.estimate.sightings import Sightings, numbered, split_by_gap

Array = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

CHUNK_GAP, CHUNK_LENGTH = 60.0, 150.0  # s
ACCEPT_SHARE, ACCEPT_COUNT, ACCEPT_FRAMES = 0.25, 5, 3
ACCEPT_GATE_PX = 15.0  # at the reference camera, or 2.5 sigma of the detector
GATES_PX = (200.0, 80.0, 40.0, 20.0, 15.0)  # one per correction
WIDE_PX = 100.0  # predicted sigma above which pixels are too nonlinear to start with
PROPOSALS = 60
MAX_MAHALANOBIS2 = 80.0  # of a whole correction; the beliefs are only roughly Gaussian
CORRELATION = 4.0  # noise variance of a chunk is this much larger: errors repeat over frames


@dataclass(frozen=True, slots=True)
class Absorbed:
    """A chunk's outcome: the belief after it, and which of its detections agree (n,)."""

    belief: Belief
    inliers: BoolArray
    is_accepted: bool


def chunk_of_frames(sightings: Sightings) -> IntArray:
    """Return the chunk index (F,) of each frame: cut at gaps and every CHUNK_LENGTH."""
    group = split_by_gap(sightings.t_s, CHUNK_GAP)
    if not len(group):
        return group
    starts = sightings.t_s[np.searchsorted(group, group)]
    part = np.floor((sightings.t_s - starts) / CHUNK_LENGTH).astype(np.intp)
    return numbered(np.stack([group, part]), axis=1)


def accept_gate_px(sightings: Sightings) -> Array:
    """Return the gate (N,) in px within which a detection counts as explained."""
    return np.maximum(ACCEPT_GATE_PX * sightings.pixel_unit, 2.5 * sightings.sigma_px)


def is_accepted(chunk: Sightings, close: BoolArray) -> bool:
    """Apply the acceptance rule to one chunk, of whose detections those of a mask (N,) agree."""
    return bool(accepted_chunks(chunk, close, np.zeros(len(chunk.t_s), dtype=np.intp))[0])


def accepted_chunks(sightings: Sightings, close: BoolArray, chunk: IntArray) -> BoolArray:
    """Return which chunks (K,) pass the acceptance rule; close (N,) detections agree, chunk (F,)."""
    of_row, worth = chunk[sightings.frame], sightings.worth
    count = np.bincount(of_row, weights=close.astype(np.float64))
    share = np.bincount(of_row, weights=close * worth) / np.bincount(of_row, weights=worth)
    frames = np.bincount(chunk, weights=whole_frames(sightings, close).astype(np.float64))
    return np.asarray((count >= ACCEPT_COUNT) & ((share >= ACCEPT_SHARE) | (frames >= ACCEPT_FRAMES)))


def line_of_sight_residual(sightings: Sightings, forces: Forces, t_s: float, x: Array) -> tuple[Array, Array]:
    """Return the miss of each line of sight (N, 2), scaled to px, and its Jacobian (N, 2, 13).

    The landmark's offset across the observed ray, in m, over its distance, times the focal
    length: linear in r where the pixel residual is not, so it may start hundreds of km off.
    """
    state, stm = states_at(sightings, forces, t_s, x)
    frame = sightings.frame
    cam, by_state, by_offset = camera_attitude(sightings.camera, sightings.pointing, state, x[OFFSET])
    p_cam = np.einsum("nij,nj->ni", cam[frame], sightings.p_eci - state[frame, :3])
    ray = ray_from_pixel(sightings.camera, sightings.uv_px)
    depth = np.maximum(np.sum(p_cam * ray, axis=1), 200e3)
    first = np.cross(ray, np.array([0.0, 1.0, 0.0]))
    first /= np.linalg.norm(first, axis=1)[:, None]
    across = np.stack([first, np.cross(ray, first)], axis=1)
    across *= (sightings.camera.fx_px / depth)[:, None, None]
    turn = np.zeros((len(frame), 3, 3))  # d(p_cam)/d(theta) = -[p_cam x]
    turn[:, 0, 1], turn[:, 0, 2], turn[:, 1, 2] = p_cam[:, 2], -p_cam[:, 1], p_cam[:, 0]
    turn -= np.swapaxes(turn, 1, 2)
    d_state = turn @ by_state[frame]
    d_state[:, :, :3] -= cam[frame]
    jacobian = np.zeros((len(frame), 2, SIZE))
    jacobian[:, :, :7] = across @ (d_state @ stm[frame])
    jacobian[:, :, OFFSET] = across @ (turn @ by_offset[frame])
    return -np.einsum("nij,nj->ni", across, p_cam), -jacobian


def _proposals(e: Array, a: Array, y: Array, rng: np.random.Generator) -> Array:
    """Return corrected y (M, n): the present one, and those of single and paired detections."""
    usable = np.flatnonzero(np.isfinite(e).all(axis=1))
    n = len(usable)
    if n == 0:
        return y[None]
    singles = usable[rng.permutation(n)[:PROPOSALS]]
    proposals = [y[None], _correct(e[singles], a[singles], y)]
    if n >= 2:
        pick = np.stack([rng.integers(0, n, 2 * PROPOSALS), rng.integers(0, n, 2 * PROPOSALS)], axis=1)
        pick = usable[pick[pick[:, 0] != pick[:, 1]]]
        proposals.append(_correct(e[pick].reshape(len(pick), 4), a[pick].reshape(len(pick), 4, -1), y))
    return np.concatenate(proposals)


def _correct(e: Array, a: Array, y: Array) -> Array:
    """Return the y (M, n) that M subsets of residuals e (M, m) with Jacobian a (M, m, n) imply."""
    inner = a @ np.swapaxes(a, 1, 2)
    size = np.trace(inner, axis1=1, axis2=2)  # duplicates and huge beliefs leave it singular else
    inner += (1.0 + 1e-9 * size)[:, None, None] * np.eye(a.shape[1])
    target = e - a @ y
    gain = np.linalg.solve(inner, target[:, :, None])
    return np.asarray(-(np.swapaxes(a, 1, 2) @ gain)[:, :, 0])


def _root(covariance: Array) -> tuple[Array, IntArray]:
    """Return L (13, n) with L L' = covariance, and the indices of x that it moves."""
    free = np.flatnonzero(np.diag(covariance) > 0.0)
    part = covariance[np.ix_(free, free)]
    d = np.sqrt(np.diag(part))
    value, vector = np.linalg.eigh(part / np.outer(d, d))
    root = np.zeros((len(covariance), len(free)))
    root[free] = d[:, None] * vector * np.sqrt(np.maximum(value, 1e-14))
    return root, free


def absorb(
    belief: Belief, chunk: Sightings, forces: Forces, rng: np.random.Generator, *, move: bool = True
) -> Absorbed:
    """Correct a belief by one chunk of frames, or find that they do not fit it.

    move : carry the belief to the chunk first: cheaper and, over minutes, as good. Held
    where it is, its own detections stay explained however far the chunk corrects it.
    """
    if move:
        belief = moved(belief, chunk, forces, float(np.mean(chunk.t_s)))
    root, _ = _root(belief.covariance)
    y, x = np.zeros(root.shape[1]), belief.x
    sigma = chunk.sigma_px
    unit, worth = chunk.pixel_unit, chunk.worth
    close = np.zeros(len(chunk), dtype=bool)
    information = np.eye(len(y))
    for correction, gate_px in enumerate(GATES_PX):
        e, jacobian = residual_and_jacobian(chunk, forces, belief.t_s, x)
        a = jacobian @ root
        spread = np.sqrt(np.median(np.nan_to_num(np.sum(a * a, axis=(1, 2)), nan=1e12)))
        if correction < 2 and spread > WIDE_PX * unit:
            e, jacobian = line_of_sight_residual(chunk, forces, belief.t_s, x)
            a = jacobian @ root
        e, a = e / sigma[:, None], a / sigma[:, None, None]
        bad: BoolArray = np.isnan(e).any(axis=1).reshape(-1)
        e, a = np.where(bad[:, None], np.nan, e), np.where(bad[:, None, None], 0.0, a)
        gate = np.maximum(gate_px * unit, 2.5 * sigma) / sigma
        trial = _proposals(e, a, y, rng)
        linear = e[None] + np.einsum("nij,mj->mni", a, trial - y)
        miss = np.nan_to_num(np.hypot(linear[..., 0], linear[..., 1]), nan=np.inf)
        score = np.maximum(0.0, 1.0 - (miss / gate) ** 2) @ worth
        score[np.sum(trial**2, axis=1) > MAX_MAHALANOBIS2] = -1.0
        close = miss[int(np.argmax(score))] < gate
        rows = a[close].reshape(-1, len(y)) / np.sqrt(CORRELATION)
        target = (e[close] - a[close] @ y).reshape(-1) / np.sqrt(CORRELATION)
        information = np.eye(len(y)) + rows.T @ rows
        y = np.linalg.solve(information, -rows.T @ target)
        x = belief.x + root @ y
    e, _ = residual_and_jacobian(chunk, forces, belief.t_s, x)
    close = np.nan_to_num(np.hypot(e[:, 0], e[:, 1]), nan=np.inf) < accept_gate_px(chunk)
    accepted = is_accepted(chunk, close) and float(y @ y) < MAX_MAHALANOBIS2
    after = replace(belief, x=x, covariance=root @ np.linalg.solve(information, root.T))
    return Absorbed(after if accepted else belief, close, accepted)


def absorb_all(
    belief: Belief,
    sightings: Sightings,
    forces: Forces,
    rng: np.random.Generator,
    *,
    order: IntArray | None = None,
    hold: bool = False,
) -> tuple[Belief, BoolArray]:
    """Offer the chunks of one pass to a belief; return it and who agrees (N,).

    order : of the chunks, the richest first where not given; hold : leave the belief at the
    time it has until a chunk agrees: hours of linear transport would bend a corrected orbit
    away from the passes it has.
    """
    of_row = chunk_of_frames(sightings)[sightings.frame]
    if order is None:
        order = richest_first(sightings)
    inliers = np.zeros(len(sightings), dtype=bool)
    for k in order:
        rows = of_row == k
        outcome = absorb(belief, sightings.select(rows), forces, rng, move=not hold)
        if outcome.is_accepted:
            belief, hold = outcome.belief, False
            inliers[rows] = outcome.inliers
    return belief, inliers


def richest_first(sightings: Sightings) -> IntArray:
    """Return the chunks of one pass in the order of what their detections are worth."""
    of_row = chunk_of_frames(sightings)[sightings.frame]
    return np.argsort(-np.bincount(of_row, weights=sightings.worth), kind="stable")
