from dataclasses import replace

import numpy as np
import pytest

from flightsw.astro.sun import sun_direction_eci
from vinsat_sim.measurement.conditions import CAMERA
from vinsat_sim.montecarlo.measurement import detector_errors, estimator_options
from vinsat_sim.montecarlo.world import SUN_WITHOUT_NIGHT_DEG, World, draw_world
from vinsat_sim.scenario import Attitude, Scenario, Surprises, load_scenario, scenario_names


def short(name: str, **changes: object) -> Scenario:
    """Return a scenario of the library, cut to six minutes."""
    return replace(load_scenario(name), duration_h=0.1, **changes)  # type: ignore[arg-type]


def tilt_deg(world: World) -> np.ndarray:
    """Return how far the camera looks from straight down, at every instant."""
    down = -world.truth.r_ecef / np.linalg.norm(world.truth.r_ecef, axis=1)[:, None]
    return np.degrees(np.arccos(np.clip(np.sum(world.cam_from_ecef[:, 2] * down, axis=1), -1.0, 1.0)))


@pytest.mark.parametrize("name", scenario_names())
def test_every_scenario_of_the_library_can_be_drawn(name: str) -> None:
    world = draw_world(short(name), 3, CAMERA)
    assert np.isfinite(world.truth.state_eci).all()
    assert 0.0 <= world.cloud_cover <= 1.0
    assert estimator_options(world.scenario).focal_sigma >= 0.0


@pytest.mark.verifies("SIM-206")
def test_satellites_of_one_launch_start_together_and_drift_apart() -> None:
    swarm = [draw_world(short("deployment-swarm"), seed, CAMERA) for seed in (1, 2, 30, 31)]
    first = [world.truth.state_eci[0] for world in swarm]
    for other in first[1:3]:
        np.testing.assert_allclose(other[:3], first[0][:3], atol=1e-3)  # m
        assert 0.1 < np.linalg.norm(other[3:] - first[0][3:]) < 6.0  # m/s
    assert np.linalg.norm(first[3][:3] - first[0][:3]) > 1e5


def test_a_mid_morning_orbit_crosses_the_equator_in_the_morning() -> None:
    for seed in range(1, 6):
        truth = draw_world(short("sun-synchronous"), seed, CAMERA).truth
        r, v = truth.state_eci[0, :3], truth.state_eci[0, 3:]
        normal = np.cross(r, v)
        node = np.arctan2(normal[0], -normal[1])
        sun = sun_direction_eci(truth.epoch)
        hours = np.degrees(node - np.arctan2(sun[1], sun[0])) / 15.0 + 12.0
        assert 9.4 < hours % 24.0 < 11.1


def test_the_body_tumbles_and_then_points_down() -> None:
    calm = Attitude(tumble_deg_s=1.0, tumble_min=3.0)
    world = draw_world(short("tumbling-start", attitude=calm), 4, CAMERA)
    tilt = tilt_deg(world)
    assert tilt[world.truth.t_s > 181.0].max() < 1.0
    assert tilt[world.truth.t_s < 150.0].max() > 30.0


def test_without_night_the_sun_stands_high_everywhere() -> None:
    world = draw_world(short("thesis"), 1, CAMERA)
    up = world.truth.r_ecef / np.linalg.norm(world.truth.r_ecef, axis=1)[:, None]
    elevation = np.degrees(np.arcsin(np.sum(up * world.truth.sun_ecef, axis=1)))
    np.testing.assert_allclose(elevation, SUN_WITHOUT_NIGHT_DEG, atol=0.3)  # deg; geocentric up


@pytest.mark.verifies("SIM-206")
def test_surprises_are_in_the_truth_and_nowhere_else() -> None:
    told = draw_world(short("iss-like"), 2, CAMERA)
    surprises = Surprises(
        focal_error_percent=(0.2, 0.2), blur_px=(5.0, 5.0), ut1_error_s=(0.5, 0.5), drag_factor=(8.0, 8.0)
    )
    true = draw_world(short("iss-like", surprises=surprises), 2, CAMERA)
    assert true.camera == told.camera
    assert true.true_camera.fx_px == pytest.approx(1.002 * CAMERA.fx_px)
    shift = np.linalg.norm(true.truth.r_ecef[0] - told.truth.r_ecef[0])
    across = np.linalg.norm(told.truth.r_ecef[0, :2])
    assert shift == pytest.approx(0.5 * 7.292e-5 * across, rel=1e-3)  # m
    apart = np.linalg.norm(true.truth.state_eci[:, :3] - told.truth.state_eci[:, :3], axis=1)
    assert apart[0] < 1e-6
    assert apart[-1] > 1e-3  # m: the drag
    assert detector_errors(true).noise_px > detector_errors(told).noise_px
