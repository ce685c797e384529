"""What a scenario and a seed decide, the same for every level: truth, pointing, weather, surprises."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import geodetic_up, lla_from_ecef
from flightsw.astro.rotation import OMEGA_EARTH
from flightsw.camera.model import Camera
from flightsw.camera.nadir import body_from_ecef_nadir
from flightsw.camera.pose_fit import rotation_from_vector
from vinsat_sim.measurement.satellite import PointingErrors
from vinsat_sim.orbits import draw_orbit
from vinsat_sim.scenario import Scenario
from vinsat_sim.truth import DRAG_COEFFICIENT, Truth, TruthForces, fly_truth

Array = NDArray[np.float64]

# Independent random streams of one seed.
ORBIT_STREAM, RELEASE_STREAM, POINTING_STREAM, WEATHER_STREAM, SURPRISE_STREAM = range(11, 16)
SUN_WITHOUT_NIGHT_DEG = 50.0  # elevation of the Sun below the satellite where there is no night


@dataclass(frozen=True, slots=True)
class World:
    """One satellite's truth at M instants of the scenario's cadence.

    cam_from_ecef (M, 3, 3) true; camera : the one the flight program is told; focal_scale :
    the true focal length over its; blur_px : of the full-resolution picture, 1 sigma;
    cloud_cover 0..1 and cloud_seed : of the rendered sky.
    """

    scenario: Scenario
    seed: int
    truth: Truth
    cam_from_ecef: Array
    camera: Camera
    focal_scale: float
    blur_px: float
    cloud_cover: float
    cloud_seed: int

    @property
    def true_camera(self) -> Camera:
        """The camera that takes the pictures."""
        fx_px, fy_px = self.focal_scale * self.camera.fx_px, self.focal_scale * self.camera.fy_px
        return replace(self.camera, fx_px=fx_px, fy_px=fy_px)


def draw_world(scenario: Scenario, seed: int, camera: Camera) -> World:
    """Return the world of a seed; 6 h take about 1 s."""
    epoch, state = draw_orbit(np.random.default_rng([_launch(scenario, seed), ORBIT_STREAM]), scenario)
    release = np.random.default_rng([seed, RELEASE_STREAM]).standard_normal(3)
    state = state + np.concatenate([np.zeros(3), scenario.swarm.release_m_s * release])
    surprise = np.random.default_rng([seed, SURPRISE_STREAM])
    told = scenario.surprises
    focal, blur, ut1_s, drag = (
        float(surprise.uniform(*pair))
        for pair in (told.focal_error_percent, told.blur_px, told.ut1_error_s, told.drag_factor)
    )
    t_s = np.arange(0.0, scenario.duration_s + 0.5 * scenario.cadence_s, scenario.cadence_s)
    truth = fly_truth(epoch, state, t_s, TruthForces(drag_coefficient=drag * DRAG_COEFFICIENT))
    truth = _turned(truth, float(OMEGA_EARTH[2]) * ut1_s)
    if not scenario.night:
        truth = replace(truth, sun_ecef=_sun_always_up(truth))
    weather = np.random.default_rng([seed, WEATHER_STREAM])
    low, high = scenario.cloud_cover
    return World(
        scenario=scenario,
        seed=seed,
        truth=truth,
        cam_from_ecef=_attitude(scenario, seed, truth, camera),
        camera=camera,
        focal_scale=1.0 + focal / 100.0,
        blur_px=blur,
        cloud_cover=low + (high - low) * float(weather.beta(*scenario.cloud_shape)),
        cloud_seed=int(weather.integers(2**31)),
    )


def _launch(scenario: Scenario, seed: int) -> int:
    """Return the seed of the orbit: the first of those released together."""
    return seed - (seed - 1) % scenario.swarm.objects


def _turned(truth: Truth, angle: float) -> Truth:
    """Return the truth on an Earth that has turned further by an angle, rad."""
    if angle == 0.0:
        return truth
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])
    return replace(truth, ecef_from_eci=turn @ truth.ecef_from_eci, sun_ecef=truth.sun_ecef @ turn.T)


def _sun_always_up(truth: Truth) -> Array:
    """Return unit vectors (M, 3) to a Sun that stands ahead of the satellite at a fixed elevation."""
    lat, lon, _ = lla_from_ecef(truth.r_ecef)
    up = geodetic_up(lat, lon)
    ahead = truth.v_inertial_ecef - np.sum(truth.v_inertial_ecef * up, axis=1)[:, None] * up
    ahead /= np.linalg.norm(ahead, axis=1)[:, None]
    elevation = np.radians(SUN_WITHOUT_NIGHT_DEG)
    return np.asarray(np.sin(elevation) * up + np.cos(elevation) * ahead)


def _attitude(scenario: Scenario, seed: int, truth: Truth, camera: Camera) -> Array:
    """Return the true cam_from_ecef (M, 3, 3)."""
    rng = np.random.default_rng([seed, POINTING_STREAM])
    about = scenario.attitude
    errors = PointingErrors(
        constant_deg=scenario.pointing_offset_max_deg,
        slow_deg=about.slow_deg,
        slow_s=about.slow_s,
        jitter_deg=scenario.jitter_deg,
    )
    body = rotation_from_vector(errors.sampled(truth.t_s, rng))
    if about.tumble_deg_s > 0.0:
        axis = rng.standard_normal(3)
        axis /= np.linalg.norm(axis)
        left_s = np.maximum(60.0 * about.tumble_min - truth.t_s, 0.0)
        body = rotation_from_vector(np.radians(about.tumble_deg_s) * left_s[:, None] * axis) @ body
    nadir = body_from_ecef_nadir(truth.r_ecef, truth.v_inertial_ecef)
    return np.asarray(camera.cam_from_body @ body @ nadir)
