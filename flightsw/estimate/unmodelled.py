"""What the force model leaves out, as white acceleration noise.

Outside the observed arc it makes the covariance grow; inside, it moves the detections
away from the orbit that is fitted through them, more the further they are from the
epoch. With acceleration w of density q on each axis the state at t is off by
    d(t) = int_0^t Phi(t, s) G w(s) ds,     G = [0; I],
and an estimate that does not know it is off by A^-1 sum_i J_i' H_i d(t_i). Its covariance
is A^-1 M A^-1 with
    M = int N(s) Phi(s, 0)^-1 G q G' Phi(s, 0)^-T N(s)' ds,
    N(s) = sum of J_i' H_i Phi(t_i, 0) over the detections beyond s as seen from the epoch:
a consider covariance. Source: Tapley, Schutz, Born, Statistical Orbit Determination,
2004, sections 4.9 and 6.3.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# 40 m after 6 h, 320 m after 24 h: facts measured with 20x20, Sun, Moon and drag against
# 50x50 and NRLMSISE-00 (20-76 m open loop in 6 h, 70-140 m at 24 h after a fit).
FORCE_NOISE = 3.0 * 40.0**2 / 21_600.0**3  # m^2/s^3
STEP = 120.0  # s, of the integral


def grid(t_s: Array) -> Array:
    """Return the instants (G,) of the integral for detections at t_s (N,) past the epoch."""
    before, after = max(0.0, -float(t_s.min())), max(0.0, float(t_s.max()))
    return STEP * np.arange(-np.ceil(before / STEP), np.ceil(after / STEP) + 1.0)


def pull_of_force_noise(t_s: Array, normal: Array, instants: Array, stm: Array) -> Array:
    """Return M (n, n).

    t_s (N,) : of the detections, past the epoch; normal (N, n, 6) : J_i' H_i Phi(t_i, 0), of
    detection i; instants (G,) : as `grid` gives; stm (G, 6, 6) : Phi(s, 0) there.
    """
    middle = np.zeros((normal.shape[1], normal.shape[1]))
    for side in (1.0, -1.0):
        order = np.argsort(-side * t_s)
        summed = np.cumsum(normal[order], axis=0)
        here = instants[side * instants > 0.0] - 0.5 * side * STEP
        count = np.searchsorted(-side * t_s[order], -side * here)
        beyond = summed[np.maximum(count - 1, 0)] * (count > 0)[:, None, None]
        back = np.linalg.inv(stm[side * instants > 0.0])[:, :, 3:]
        moved = beyond @ back
        middle += FORCE_NOISE * STEP * np.einsum("gij,gkj->ik", moved, moved)
    return middle


def force_noise(beyond_s: Array) -> Array:
    """Return the covariance (N, 6, 6) that force errors add `beyond_s` (N,) outside the arc."""
    dt = np.maximum(beyond_s, 0.0)[:, None, None]
    out = np.empty((len(dt), 6, 6))
    unit = FORCE_NOISE * np.eye(3)
    out[:, :3, :3] = unit * dt**3 / 3.0
    out[:, :3, 3:] = out[:, 3:, :3] = unit * dt**2 / 2.0
    out[:, 3:, 3:] = unit * dt
    return out
