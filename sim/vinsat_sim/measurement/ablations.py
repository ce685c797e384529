"""Other ways to fit the same detections, each started from a solution of ours.

    least_squares   hard dynamics without the robust kernel
    soft_dynamics   the thesis's eq. 7.4: a state at every frame and at knots, tied by
                    propagation with a noise of its own
    frames_alone    the same without the dynamics term: every frame's position by itself
They exist to be compared with; why none of them flies is said in docs/design/024. The
robust weight is the thesis's where it is used: shape max(2 - 2 i / 5, -1) in iteration i,
scale the median of the absolute residuals. Attitude is taken as given.

With d_k the departure of state k from the solution's orbit (which obeys the dynamics) and
Phi_k the transition from k to k + 1 along it, eq. 7.4 reads
    min sum_i rho(e_i(d)) + sum_k |W (d_{k+1} - Phi_k d_k)|^2 / 2,
its normal equations are block-tridiagonal, half bandwidth 11. That Phi is not computed
anew for every d costs second order: below 1 m for 1 km over 1000 s.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

from flightsw.astro.propagate import Forces, propagate
from flightsw.estimate.orbit_fit import OFFSET, UNIT, FitSetup, residual_and_jacobian
from flightsw.estimate.residuals import camera_residual
from flightsw.estimate.robust import absolute_scale, annealed_shape, barron_weight
from flightsw.estimate.sightings import Sightings

Array = NDArray[np.float64]
IntArray = NDArray[np.intp]

ITERATIONS = 15
STATE_UNIT = UNIT[:6]
LEAST_SCALE_PX = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Softness:
    """How far a state may depart from the propagated one before it.

    position, velocity : 1 sigma per axis, m and m/s; knot_s : between states without a frame.
    """

    position: float = 1.0
    velocity: float = 0.01
    knot_s: float = 1000.0


def least_squares(sightings: Sightings, t_s: float, x0: Array, setup: FitSetup) -> Array:
    """Return x (13,) at t_s that minimises the plain sum of squares, by Gauss-Newton from x0."""
    free = setup.free
    unit = UNIT[free]
    mean = setup.prior_mean[free] / unit
    information = setup.prior_information[np.ix_(free, free)] * np.outer(unit, unit)

    def at(x: Array) -> tuple[float, Array, Array]:
        e, by_x = residual_and_jacobian(sightings, setup.forces, t_s, x)
        seen = np.isfinite(e).all(axis=1)
        e = e[seen] / sightings.sigma_px[seen, None]
        rows = (by_x[seen][:, :, free] * unit / sightings.sigma_px[seen, None, None]).reshape(-1, len(free))
        pull = information @ (x[free] / unit - mean)
        cost = float(np.sum(e**2)) + float((x[free] / unit - mean) @ pull)
        # A landmark that moves out of sight must not make a step look good.
        cost += float(np.sum(~seen)) * 1e6
        return cost, rows.T @ rows + information, rows.T @ e.reshape(-1) + pull

    x, length = x0.copy(), 1.0
    cost, hessian, gradient = at(x)
    for _ in range(2 * ITERATIONS):
        trial = x.copy()
        trial[free] -= length * unit * np.linalg.solve(hessian, gradient)
        found = at(trial)
        if found[0] <= cost:
            gain, x, length = cost - found[0], trial, min(1.0, 2.0 * length)
            cost, hessian, gradient = found
            if gain < 1e-6 * cost:
                break
        else:
            length *= 0.25
    return x


def soft_dynamics(
    sightings: Sightings, forces: Forces, t_s: float, x: Array, softness: Softness
) -> tuple[Array, Array]:
    """Return the instants (K,) and states (K, 6) of frames and knots by eq. 7.4, from x (13,) at t_s."""
    times, node = _nodes(sightings.t_s, softness.knot_s)
    orbit = propagate(forces, sightings.epoch + t_s, x[:6], float(x[6]), times - t_s, with_stm=True)
    assert orbit.stm is not None
    stm = orbit.stm[:, :, :6]
    step = stm[1:] @ np.linalg.inv(stm[:-1])  # Phi_k
    weight = np.repeat([softness.position, softness.velocity], 3) / STATE_UNIT
    step = step * STATE_UNIT / STATE_UNIT[:, None]
    departure = np.zeros((len(times), 6))
    for iteration in range(ITERATIONS):
        state = orbit.state + departure * STATE_UNIT
        e, by_state = _seen(sightings, state[node])
        w = _weights(e, iteration)
        own = by_state * STATE_UNIT
        diagonal, gradient = np.zeros((len(times), 6, 6)), np.zeros((len(times), 6))
        np.add.at(diagonal, node[sightings.frame], np.swapaxes(own, 1, 2) @ (w[:, None, None] * own))
        np.add.at(gradient, node[sightings.frame], np.einsum("nij,ni->nj", own, w[:, None] * e))
        left = (departure[1:] - np.einsum("kij,kj->ki", step, departure[:-1])) / weight**2
        gradient[1:] += left
        gradient[:-1] -= np.einsum("kij,ki->kj", step, left)
        inner = np.diag(weight**-2)
        diagonal[1:] += inner
        diagonal[:-1] += np.swapaxes(step, 1, 2) @ inner @ step
        departure -= _solve_tridiagonal(diagonal, -inner @ step, gradient)
    return times, np.asarray(orbit.state + departure * STATE_UNIT)


def frames_alone(sightings: Sightings, states: Array) -> Array:
    """Return positions (F, 3) of the frames, each from its own detections; from states (F, 6).

    NaN for frames of fewer than three detections.
    """
    frames = len(sightings.t_s)
    state = states.copy()
    poor = np.bincount(sightings.frame, minlength=frames) < 3
    for iteration in range(ITERATIONS):
        e, by_state = _seen(sightings, state)
        w = _weights(e, iteration)
        own = by_state[:, :, :3] * STATE_UNIT[:3]
        hessian, gradient = np.zeros((frames, 3, 3)), np.zeros((frames, 3))
        np.add.at(hessian, sightings.frame, np.swapaxes(own, 1, 2) @ (w[:, None, None] * own))
        np.add.at(gradient, sightings.frame, np.einsum("nij,ni->nj", own, w[:, None] * e))
        hessian[poor] = np.eye(3)
        hessian += 1e-9 * np.trace(hessian, axis1=1, axis2=2)[:, None, None] * np.eye(3)
        state[:, :3] -= np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0] * STATE_UNIT[:3]
    return np.where(poor[:, None], np.nan, state[:, :3])


def _nodes(frame_t_s: Array, knot_s: float) -> tuple[Array, IntArray]:
    """Return the instants of all states, and which of them belong to frames (F,)."""
    knots = np.arange(frame_t_s[0], frame_t_s[-1], knot_s)
    after = np.searchsorted(frame_t_s, knots)
    gap = np.minimum(np.abs(frame_t_s[after] - knots), np.abs(frame_t_s[np.maximum(after - 1, 0)] - knots))
    apart = gap > 1.0  # s
    times = np.sort(np.concatenate([frame_t_s, knots[apart]]))
    return times, np.searchsorted(times, frame_t_s).astype(np.intp)


def _seen(sightings: Sightings, state: Array) -> tuple[Array, Array]:
    """Return residuals (N, 2) px and their Jacobian by a frame's state (N, 2, 6); zero where hidden."""
    found = camera_residual(
        sightings.camera,
        sightings.pointing,
        state,
        np.zeros(len(OFFSET)),
        sightings.p_eci,
        sightings.uv_px,
        sightings.frame,
        late_s=sightings.late_s,
    )
    hidden = ~np.isfinite(found.e).all(axis=1)
    return (
        np.where(hidden[:, None], 0.0, found.e),
        np.where(hidden[:, None, None], 0.0, found.by_state),
    )


def _weights(e: Array, iteration: int) -> Array:
    """Return the thesis's weights (N,), 1/px^2: the inverse of R of its eq. 7.3."""
    norms = np.hypot(e[:, 0], e[:, 1])
    scale = absolute_scale(norms, floor=LEAST_SCALE_PX)
    return barron_weight(norms, shape=annealed_shape(iteration), scale=scale)


def _solve_tridiagonal(diagonal: Array, below: Array, rhs: Array) -> Array:
    """Return the solution (K, 6) of a symmetric system of blocks (K, 6, 6) and (K - 1, 6, 6) below."""
    count = len(diagonal)
    banded = np.zeros((12, count, 6))
    for k in range(6):  # the k-th diagonal below the main one, inside a block
        for column in range(6 - k):
            banded[k, :, column] = diagonal[:, column + k, column]
    for row in range(6):
        for column in range(6):
            banded[6 + row - column, :-1, column] = below[:, row, column]
    solved = solveh_banded(banded.reshape(12, 6 * count), rhs.reshape(-1), lower=True, check_finite=False)
    return np.asarray(solved.reshape(count, 6))
