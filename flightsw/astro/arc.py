"""An arc of collocation steps, all solved at once by Newton's method.

The arc is cut into equal steps of Gauss-Legendre collocation (`flightsw.astro.collocation`).
Unknown are the accelerations a at all nodes and the states x at all step starts; the
equations are a = f(r(a, x), v(a, x), t, p) at every node and that steps join. With
F = df/dr, D = df/dv, S = df/dp one Newton iteration solves, in every step alike,
    (I - h^2 W2 F - h W1 D) da = (f - a) + [F, c h F + D] dx + S dp
and then passes dx from step to step. Forces of all nodes of all steps are one vectorised
call, so their cost is that of arithmetic, not of Python. The start comes from a sweep
with J2 alone, step by step. Newton squares the error; three iterations are the rule.

The same linear maps, taken where the equations hold, ARE the derivative of the discrete
solution (implicit function theorem).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.collocation import Collocation, gauss_legendre
from flightsw.astro.forces import Forces, Partials, Surroundings, acceleration_with_partials
from flightsw.astro.gravity import j2_acceleration

Array = NDArray[np.float64]

NODES = 8
TOLERANCE_M = 1e-3  # last Newton step; what is left after it is its square over the Earth's radius
MAX_ITERATIONS = 12
SWEEP_ITERATIONS = 40  # 5 are the rule; long steps need more
SWEEP_TOLERANCE = 1e-11  # m/s^2
TABLES = gauss_legendre(NODES)


@dataclass(slots=True)
class Block:
    """K orbits over S steps: starts x (K, S + 1, 6), accelerations a (K, S, s, 3), and maps.

    d_a (K, S, s, 3, 7) : d a / d [x of its step; p]; d_x (K, S, 6, 7) : the same of the
    step's end.
    """

    h: float
    x: Array
    a: Array
    d_a: Array
    d_x: Array


def solve(
    forces: Forces,
    around: Surroundings,
    start: Array,
    scale: Array,
    h: float,
    count: int,
    with_maps: bool,
) -> Block:
    """Solve K orbits from `start` (K, 6) over `count` steps by Newton's method."""
    x, a = _j2_sweep(around.pole, start, h, count)
    block = Block(h, x, a, np.empty(0), np.empty(0))
    if forces.is_j2 and not with_maps:
        return block
    for _ in range(MAX_ITERATIONS):
        moved = _newton(forces, around, scale, block)
        active = np.isfinite(moved)
        if not (moved[active] > TOLERANCE_M).any():
            break
    block.x[~(moved <= TOLERANCE_M)] = np.nan  # hit the Earth, or did not converge
    return block


def _j2_sweep(pole: Array, start: Array, h: float, count: int) -> tuple[Array, Array]:
    """Return starts (K, S + 1, 6) and accelerations (K, S, s, 3) of the J2 problem."""
    tables = TABLES
    x = np.empty((len(start), count + 1, 6))
    a = np.empty((len(start), count, NODES, 3))
    x[:, 0] = start
    guess = np.broadcast_to(j2_acceleration(start[:, None, :3], pole), (len(start), NODES, 3))
    for k in range(count):
        r0, v0 = x[:, k, None, :3], x[:, k, None, 3:]
        straight = r0 + (h * tables.c[:, None]) * v0
        for _ in range(SWEEP_ITERATIONS):
            previous, guess = guess, j2_acceleration(straight + h**2 * (tables.position @ guess), pole)
            moving = np.abs(guess - previous) > SWEEP_TOLERANCE  # false for what is NaN
            if not moving.any():
                break
        else:
            guess[moving.any(axis=(1, 2))] = np.nan  # a fall into the Earth, or a step too long
        a[:, k] = guess
        x[:, k + 1, :3] = x[:, k, :3] + h * x[:, k, 3:] + h**2 * (tables.end_position @ guess)
        x[:, k + 1, 3:] = x[:, k, 3:] + h * (tables.end_velocity @ guess)
        guess = tables.ahead @ guess
    return x, a


def _newton(forces: Forces, around: Surroundings, scale: Array, block: Block) -> Array:
    """Improve `block` in place by one Newton iteration; return the largest move in m, (K,)."""
    tables, h = TABLES, block.h
    orbits, count = block.a.shape[:2]
    r0, v0 = block.x[:, :-1, None, :3], block.x[:, :-1, None, 3:]
    r = r0 + (h * tables.c[:, None]) * v0 + h**2 * (tables.position @ block.a)
    v = v0 + h * (tables.velocity @ block.a)
    flat = (orbits, count * NODES, 3)
    force = acceleration_with_partials(forces, around, r.reshape(flat), v.reshape(flat), scale)
    residual, block.d_a = _step_maps(tables, h, block.a, force)
    block.d_x = _end_map(tables, h, block.d_a)
    end_r, end_v = _end(tables, h, block.x[:, :-1], block.a + residual)
    gap = np.concatenate([end_r, end_v], axis=-1) - block.x[:, 1:]
    dx = np.zeros_like(block.x)
    for k in range(count):
        dx[:, k + 1] = gap[:, k] + (block.d_x[:, k, :, :6] @ dx[:, k, :, None])[..., 0]
    block.a += residual + (block.d_a[..., :6] @ dx[:, :-1, None, :, None])[..., 0]
    block.x += dx
    return np.asarray(np.abs(dx[..., :3]).max(axis=(1, 2)) + h**2 * np.abs(residual).max(axis=(1, 2, 3)))


def _step_maps(tables: Collocation, h: float, a: Array, force: Partials) -> tuple[Array, Array]:
    """Solve the linear equations of every step.

    Returns the move of the accelerations that zeroes the residual with the step's start
    held (K, S, s, 3), and their derivative by that start and the drag scale (K, S, s, 3, 7).
    """
    orbits, count = a.shape[:2]
    f = force.d_position.reshape(orbits, count, NODES, 3, 3)
    matrix = (-(h**2) * tables.position)[:, None, :, None] * f[..., :, :, None, :]
    right = np.zeros((orbits, count, NODES, 3, 8))
    right[..., 0] = force.acceleration.reshape(a.shape) - a
    right[..., 1:4] = f
    right[..., 4:7] = (h * tables.c)[:, None, None] * f
    if force.d_velocity is not None:
        d = force.d_velocity.reshape(f.shape)
        matrix -= (h * tables.velocity)[:, None, :, None] * d[..., :, :, None, :]
        right[..., 4:7] += d
    if force.d_scale is not None:
        right[..., 7] = force.d_scale.reshape(a.shape)
    size = 3 * NODES
    square = matrix.reshape(orbits, count, size, size)
    square[..., np.arange(size), np.arange(size)] += 1.0
    solved = np.asarray(np.linalg.solve(square, right.reshape(orbits, count, size, 8)), dtype=np.float64)
    solved = solved.reshape(right.shape)
    return solved[..., 0], solved[..., 1:]


def _end(tables: Collocation, h: float, x: Array, a: Array) -> tuple[Array, Array]:
    """Return positions and velocities at the ends of steps, (K, S, 3) each."""
    end_r = x[..., :3] + h * x[..., 3:] + h**2 * np.einsum("j,...ji->...i", tables.end_position, a)
    end_v = x[..., 3:] + h * np.einsum("j,...ji->...i", tables.end_velocity, a)
    return np.asarray(end_r), np.asarray(end_v)


def _end_map(tables: Collocation, h: float, d_a: Array) -> Array:
    """Return d(end of step)/d[start; p] (K, S, 6, 7)."""
    d_r = h**2 * np.einsum("j,...jik->...ik", tables.end_position, d_a)
    d_v = h * np.einsum("j,...jik->...ik", tables.end_velocity, d_a)
    return np.concatenate([d_r, d_v], axis=-2) + straight(np.array(h))


def straight(duration: Array) -> Array:
    """Return d[r; v]/d[r0; v0; p] of force-free motion, (..., 6, 7)."""
    out = np.broadcast_to(np.eye(6, 7), (*duration.shape, 6, 7)).copy()
    out[..., [0, 1, 2], [3, 4, 5]] = duration[..., None]
    return out


def chained(block: Block, chain: Array) -> Array:
    """Return d(step starts)/d[x0; p] (K, S + 1, 6, 7), from that of the block's start (K, 6, 7)."""
    orbits, count = block.d_x.shape[:2]
    out = np.empty((orbits, count + 1, 6, 7))
    out[:, 0] = chain
    for k in range(count):
        out[:, k + 1] = block.d_x[:, k, :, :6] @ out[:, k]
        out[:, k + 1, :, 6] += block.d_x[:, k, :, 6]
    return out
