"""Two orbits of one object: their difference in radial, along-track and cross-track metres.

The axes are those of the reference: radial outward, cross-track along the orbital
momentum, along-track completes (RTN, also called RSW).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.time import Epoch
from flightsw.errors import InputError
from flightsw.estimate.solution import Solution
from groundtools.products.ephemeris import Ephemeris

Array = NDArray[np.float64]

MAX_SAMPLES = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class Difference:
    """Solution minus reference at t_s (N,) past `epoch`.

    rtn (N, 3) : m; velocity_rtn (N, 3) : m/s, of the inertial difference; sigma (N, 3) : 1 sigma
    of rtn by the solution's covariance, m, NaN where it has none.
    """

    epoch: Epoch
    t_s: Array
    rtn: Array
    velocity_rtn: Array
    sigma: Array

    @property
    def distance(self) -> Array:
        """The 3-D position difference (N,), m."""
        return np.asarray(np.linalg.norm(self.rtn, axis=1))

    def rms(self) -> Array:
        """Return RMS radial, along-track, cross-track and 3-D, (4,), m."""
        parts = np.sqrt(np.mean(self.rtn**2, axis=0))
        return np.append(parts, np.sqrt(np.mean(self.distance**2)))


def difference(found: Solution | Ephemeris, reference: Ephemeris) -> Difference:
    """Return how far an orbit is from a reference, at the reference's own times.

    A solution is propagated to them; a table is interpolated where the two overlap.
    InputError where they do not.
    """
    stride = max(1, len(reference.t_s) // MAX_SAMPLES)
    t_s, truth = reference.t_s[::stride], reference.state[::stride]
    if isinstance(found, Solution):
        states, covariance = found.predict(t_s - (found.epoch - reference.epoch))
    else:
        states, covariance = found.at(reference.epoch, t_s), np.full((len(t_s), 6, 6), np.nan)
    good = np.isfinite(states).all(axis=1)
    if not good.any():
        raise InputError("has no time in common with the reference", fix="give a reference of the same hours")
    axes = rtn_axes(truth[good])
    away = states[good] - truth[good]
    turned = axes @ covariance[good][:, :3, :3] @ np.swapaxes(axes, 1, 2)
    variance = np.diagonal(turned, axis1=1, axis2=2)
    return Difference(
        epoch=reference.epoch,
        t_s=t_s[good],
        rtn=np.einsum("nij,nj->ni", axes, away[:, :3]),
        velocity_rtn=np.einsum("nij,nj->ni", axes, away[:, 3:]),
        sigma=np.sqrt(np.maximum(variance, 0.0)),
    )


def rtn_axes(states: Array) -> Array:
    """Return the rotations (N, 3, 3) from eci to radial, along-track, cross-track of states (N, 6)."""
    r, v = states[:, :3], states[:, 3:]
    radial = r / np.linalg.norm(r, axis=1)[:, None]
    cross = np.cross(r, v)
    cross = cross / np.linalg.norm(cross, axis=1)[:, None]
    return np.stack([radial, np.cross(cross, radial), cross], axis=1)
