"""The true arc of a demo, sampled at the frames' cadence."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.forces import Forces
from flightsw.astro.geodesy import geodetic_up, lla_from_ecef
from flightsw.astro.propagate import propagate
from flightsw.astro.rotation import ecef_from_eci
from flightsw.astro.sun import sun_direction_eci
from flightsw.astro.time import Epoch
from flightsw.camera.model import Camera
from flightsw.camera.nadir import body_from_ecef_nadir
from vinsat_sim.scenario import Scenario
from vinsat_sim.truth import fly_truth

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Arc:
    """Where the satellite is at N instants, and how the Sun stands there.

    epoch, t_s (N,) : start and seconds past it; state_eci (N, 6); r_ecef (N, 3), m;
    v_inertial_ecef (N, 3) : the inertial velocity in ecef axes, m/s; sun_ecef (N, 3) :
    unit vectors to the Sun; sun_elevation (N,) : at the sub-satellite point, rad.
    """

    epoch: Epoch
    t_s: Array
    state_eci: Array
    r_ecef: Array
    v_inertial_ecef: Array
    sun_ecef: Array
    sun_elevation: Array

    def nadir_cam_from_ecef(self, camera: Camera, index: int) -> Array:
        """Return cam_from_ecef (3, 3) at an instant when pointing exactly to the nadir."""
        body = body_from_ecef_nadir(self.r_ecef[index], self.v_inertial_ecef[index])
        return np.asarray(camera.cam_from_body @ body)


def true_arc(epoch: Epoch, state_eci: Array, scenario: Scenario) -> Arc:
    """Return the true arc from a state (6,) at `epoch`, m and m/s (about 2 s)."""
    truth = fly_truth(epoch, state_eci, _instants(scenario))
    return _lit(epoch, truth.t_s, truth.state_eci, truth.r_ecef, truth.v_inertial_ecef, truth.sun_ecef)


def quick_arc(epoch: Epoch, state_eci: Array, scenario: Scenario) -> Arc:
    """Return the arc within a kilometre of the true one: enough to reject a draw."""
    t_s = _instants(scenario)
    states = propagate(Forces(), epoch, state_eci, 1.0, t_s).state
    rotation = ecef_from_eci(epoch, t_s)
    r_ecef, v_ecef, sun_ecef = (
        np.einsum("nij,nj->ni", rotation, vectors)
        for vectors in (states[:, :3], states[:, 3:], sun_direction_eci(epoch, t_s))
    )
    return _lit(epoch, t_s, states, r_ecef, v_ecef, sun_ecef)


def _instants(scenario: Scenario) -> Array:
    return np.arange(0.0, scenario.duration_s + 0.5 * scenario.cadence_s, scenario.cadence_s)


def _lit(epoch: Epoch, t_s: Array, states: Array, r_ecef: Array, v_ecef: Array, sun_ecef: Array) -> Arc:
    """Return the arc with the Sun's elevation at the sub-satellite points."""
    lat, lon, _ = lla_from_ecef(r_ecef)
    sine = np.clip(np.sum(geodetic_up(lat, lon) * sun_ecef, axis=1), -1.0, 1.0)
    return Arc(epoch, t_s, states, r_ecef, v_ecef, sun_ecef, np.arcsin(sine))
