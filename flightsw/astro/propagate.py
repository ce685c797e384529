"""Propagation of orbits, with the exact state-transition matrix of the discrete steps.

The matrix differentiates the numbers returned, not a separate approximation (see
`flightsw.astro.arc` for the method), so that an estimator's Jacobian matches its
residual. Measurements: docs/design/002-time-and-propagation.md.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.arc import TABLES, Block, chained, solve, straight
from flightsw.astro.eop import EarthOrientation
from flightsw.astro.forces import Forces, Surroundings, surroundings
from flightsw.astro.time import Epoch

__all__ = ["BATCH", "BLOCK_STEPS", "STEP_S", "Forces", "Trajectory", "propagate", "propagate_batch", "step"]

Array = NDArray[np.float64]

STEP_S = 240.0  # s; degree 20 turns once in 270 s of a low orbit
BLOCK_STEPS = 128  # steps solved together; longer arcs go block by block
BATCH = 16  # orbits solved together with the full forces: bounds the memory to ~100 MB


@dataclass(frozen=True, slots=True, eq=False)
class Trajectory:
    """States along an arc.

    t_s (N,) : s past the epoch; state (N, 6) : [r; v], eci, m and m/s; stm (N, 6, 7) or
    None : d state(t) / d [r0; v0; drag scale]. Where the orbit could not be continued
    (a start that hits the Earth) states are NaN.
    """

    t_s: Array
    state: Array
    stm: Array | None = None


def propagate(
    forces: Forces,
    epoch: Epoch,
    state: Array,
    drag_scale: float,
    t_s: Array,
    *,
    with_stm: bool = False,
    step_s: float = STEP_S,
    eop: EarthOrientation | None = None,
) -> Trajectory:
    """Propagate one state to instants before and after its epoch.

    state (6,) : [r; v], eci, m and m/s, at `epoch`; drag_scale : factor on the drag;
    t_s (N,) : s past the epoch, sorted, any signs; step_s > 0. Steps lie at whole
    multiples of step_s from the epoch, whatever is asked for.
    """
    t = _checked_times(t_s)
    start = np.asarray(state, dtype=float).reshape(1, 6)
    scale = np.array([drag_scale], dtype=float)
    states, stm = _both_directions(forces, epoch, start, scale, t, step_s, eop, with_stm)
    if with_stm:
        stm[np.isnan(states).any(axis=-1)] = np.nan
    return Trajectory(t, states[0], stm[0] if with_stm else None)


def propagate_batch(
    forces: Forces,
    epoch: Epoch,
    states: Array,
    t_s: Array,
    *,
    drag_scale: float = 1.0,
    step_s: float = STEP_S,
    eop: EarthOrientation | None = None,
) -> Array:
    """Propagate K states (K, 6) of one epoch to t_s (N,), sorted; return (K, N, 6)."""
    t = _checked_times(t_s)
    starts = np.asarray(states, dtype=float).reshape(-1, 6)
    size = max(len(starts), 1) if forces.is_j2 else BATCH
    out = np.empty((len(starts), len(t), 6))
    for i in range(0, len(starts), size):
        part = starts[i : i + size]
        scale = np.full(len(part), float(drag_scale))
        out[i : i + size] = _both_directions(forces, epoch, part, scale, t, step_s, eop, False)[0]
    return out


def step(
    forces: Forces,
    epoch: Epoch,
    t_s: float,
    state: Array,
    dt_s: float,
    drag_scale: float = 1.0,
    *,
    eop: EarthOrientation | None = None,
) -> tuple[Array, Array]:
    """Take one collocation step of dt_s (up to ~300 s) from `t_s` past `epoch`.

    Returns x1 (6,) and d x1 / d [x0; drag scale] (6, 7): the exact derivative of the
    discrete step, so that an estimator's Jacobian matches its residual.
    """
    around = surroundings(forces, epoch, t_s + dt_s * TABLES.c, eop)
    start = np.asarray(state, dtype=float).reshape(1, 6)
    block = solve(forces, around, start, np.array([drag_scale], dtype=float), dt_s, 1, True)
    return block.x[0, 1], block.d_x[0, 0]


def _checked_times(t_s: Array) -> Array:
    """Return times as an array; ValueError when unsorted or not finite."""
    t = np.atleast_1d(np.asarray(t_s, dtype=float))
    if t.ndim != 1 or not np.isfinite(t).all() or (np.diff(t) < 0.0).any():
        raise ValueError("t_s must be one-dimensional, finite and sorted")
    return t


def _both_directions(
    forces: Forces,
    epoch: Epoch,
    start: Array,
    scale: Array,
    t: Array,
    step_s: float,
    eop: EarthOrientation | None,
    with_stm: bool,
) -> tuple[Array, Array]:
    """Return states (K, N, 6) and, if asked, matrices (K, N, 6, 7), else an empty array."""
    if not step_s > 0.0:
        raise ValueError(f"step_s must be positive, got {step_s}")
    states = np.empty((len(start), len(t), 6))
    stm = np.empty((len(start), len(t) if with_stm else 0, 6, 7))
    split = int(np.searchsorted(t, 0.0))
    with np.errstate(all="ignore"):  # a hopeless start overflows; it ends as NaN
        for part, h in ((slice(split, None), step_s), (slice(0, split), -step_s)):
            if len(t[part]):
                states[:, part], stm[:, part] = _one_direction(
                    forces, epoch, start, scale, t[part], h, eop, with_stm
                )
    return states, stm


def _one_direction(
    forces: Forces,
    epoch: Epoch,
    start: Array,
    scale: Array,
    t: Array,
    h: float,
    eop: EarthOrientation | None,
    with_stm: bool,
) -> tuple[Array, Array]:
    """March block by block to times t of one sign; results as `_both_directions`."""
    states = np.empty((len(start), len(t), 6))
    stm = np.empty((len(start), len(t) if with_stm else 0, 6, 7))
    index = np.floor(t / h).astype(int)  # the step each time lies in
    chain = np.broadcast_to(np.eye(6, 7), (len(start), 6, 7))
    for first in range(0, int(index.max()) + 1, BLOCK_STEPS):
        count = min(BLOCK_STEPS, int(index.max()) + 1 - first)
        around = _node_surroundings(forces, epoch, h, first, count, eop)
        block = solve(forces, around, start, scale, h, count, with_stm)
        starts = chained(block, chain) if with_stm else np.empty(0)
        here = np.flatnonzero((index >= first) & (index < first + count))
        theta = t[here] / h - index[here]
        states[:, here] = _dense_states(block, index[here] - first, theta)
        if with_stm:
            stm[:, here] = _dense_stm(block, starts, index[here] - first, theta)
            chain = starts[:, -1]
        start = block.x[:, -1]
    return states, stm


@lru_cache(maxsize=32)
def _node_surroundings(
    forces: Forces, epoch: Epoch, h: float, first: int, count: int, eop: EarthOrientation | None
) -> Surroundings:
    """Return the surroundings of the nodes of steps first .. first + count - 1.

    Cached: an estimator solves the same arc dozens of times.
    """
    t = h * (first + np.arange(count)[:, None] + TABLES.c)
    return surroundings(forces, epoch, t.ravel(), eop)


def _dense_states(block: Block, index: Array, theta: Array) -> Array:
    """Return states (K, N, 6) at fractions theta (N,) of the steps index (N,)."""
    h = block.h
    w1, w2 = TABLES.weights(theta)
    x, a = block.x[:, index], block.a[:, index]
    r = x[..., :3] + (h * theta)[:, None] * x[..., 3:] + h**2 * np.einsum("nj,knji->kni", w2, a)
    v = x[..., 3:] + h * np.einsum("nj,knji->kni", w1, a)
    return np.concatenate([r, v], axis=-1)


def _dense_stm(block: Block, starts: Array, index: Array, theta: Array) -> Array:
    """Return d state / d[x0; p] (K, N, 6, 7) at fractions theta (N,) of the steps index (N,)."""
    h = block.h
    w1, w2 = TABLES.weights(theta)
    d_a = block.d_a[:, index]
    d_r = h**2 * np.einsum("nj,knjil->knil", w2, d_a)
    d_v = h * np.einsum("nj,knjil->knil", w1, d_a)
    local = np.concatenate([d_r, d_v], axis=-2) + straight(h * theta)
    out = local[..., :6] @ starts[:, index]
    out[..., 6] += local[..., 6]
    return out
