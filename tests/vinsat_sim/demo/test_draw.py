from dataclasses import replace

import numpy as np
import pytest

from flightsw.astro.geodesy import ecef_from_lla
from flightsw.camera.load import load_camera
from flightsw.errors import InputError
from vinsat_sim.demo.arc import quick_arc, true_arc
from vinsat_sim.demo.draw import daylit_passes, draw
from vinsat_sim.demo.frames import exposures, frame_name, true_attitude
from vinsat_sim.scenario import SCENARIOS, load_scenario

CAMERA = load_camera(SCENARIOS / "camera.toml")
SCENARIO = replace(load_scenario("demo"), duration_h=2.0, cadence_s=20.0)


def grid(west: float, south: float, east: float, north: float, *, every: float = 0.8) -> np.ndarray:
    """Return a grid of landmarks over a rectangle, all in degrees."""
    lon, lat = np.meshgrid(np.arange(west, east, every), np.arange(south, north, every))
    return ecef_from_lla(np.radians(lat).ravel(), np.radians(lon).ravel())


LANDMARKS = {f"band {w}": grid(w, 24, w + 30, 48) for w in (-130, -90, 0, 120)}


@pytest.fixture(scope="module")
def drawn():
    scenario = replace(SCENARIO, passes=replace(SCENARIO.passes, required=1))
    return draw(5, scenario, CAMERA, LANDMARKS)


@pytest.mark.verifies("SIM-102")
def test_the_same_seed_draws_the_same_and_another_draws_something_else(drawn):
    scenario = replace(SCENARIO, passes=replace(SCENARIO.passes, required=1))
    same, other = draw(5, scenario, CAMERA, LANDMARKS), draw(6, scenario, CAMERA, LANDMARKS)
    assert same.elements == drawn.elements
    assert same.cloud_seed == drawn.cloud_seed
    np.testing.assert_array_equal(same.arc.state_eci, drawn.arc.state_eci)
    assert other.arc.epoch != drawn.arc.epoch
    assert other.cloud_cover != drawn.cloud_cover


@pytest.mark.verifies("SIM-102")
def test_a_draw_stays_within_the_scenario(drawn):
    family = next(family for family in SCENARIO.orbit if family.name == drawn.family)
    low, high = family.altitude_km
    assert low <= (drawn.elements.a - 6_378_137.0) / 1e3 <= high
    assert drawn.elements.e <= family.eccentricity_max
    assert np.degrees(np.linalg.norm(drawn.offset_rad)) <= 0.5
    assert 0.2 <= drawn.cloud_cover <= 0.6
    assert drawn.passes >= 1
    assert drawn.draws >= 1


@pytest.mark.verifies("SIM-102")
def test_frames_are_taken_over_every_sunlit_part_of_the_arc_and_nowhere_else(drawn):
    frames = exposures(drawn, SCENARIO, CAMERA)
    taken = {frame.index for frame in frames}
    for index, elevation in enumerate(drawn.arc.sun_elevation):
        assert (index in taken) == (elevation > np.radians(5.0))
    np.testing.assert_allclose(np.diff(drawn.arc.t_s), 20.0)


def test_the_true_attitude_is_the_nadir_within_offset_and_jitter(drawn):
    attitude = true_attitude(drawn, SCENARIO, CAMERA)
    nadir = np.array([drawn.arc.nadir_cam_from_ecef(CAMERA, i) for i in range(len(attitude))])
    turn = np.einsum("nij,nkj->nik", attitude, nadir)
    angle_deg = np.degrees(np.arccos(np.clip((np.trace(turn, axis1=1, axis2=2) - 1.0) / 2.0, -1.0, 1.0)))
    offset_deg = np.degrees(np.linalg.norm(drawn.offset_rad))
    np.testing.assert_allclose(angle_deg, offset_deg, atol=0.06)  # deg, 6 sigma of the jitter


def test_the_quick_arc_stays_within_a_kilometre_of_the_true_one(drawn):
    quick = quick_arc(drawn.arc.epoch, drawn.arc.state_eci[0], SCENARIO)
    error = np.linalg.norm(quick.r_ecef - drawn.arc.r_ecef, axis=1)
    assert error.max() < 1000.0  # m
    np.testing.assert_allclose(quick.sun_elevation, drawn.arc.sun_elevation, atol=5e-3)  # rad


@pytest.mark.verifies("SIM-102")
def test_a_pass_at_night_does_not_count(drawn):
    night = replace(drawn.arc, sun_elevation=np.full_like(drawn.arc.sun_elevation, -0.5))
    assert daylit_passes(night, CAMERA, LANDMARKS, SCENARIO.passes) == 0


def test_passes_are_told_apart_by_twenty_minutes(drawn):
    everywhere = {"all": grid(-180, -80, 180, 80, every=2.0)}
    rule = replace(SCENARIO.passes, landmarks=1)
    lit = replace(drawn.arc, sun_elevation=np.full_like(drawn.arc.sun_elevation, 1.0))
    assert daylit_passes(lit, CAMERA, everywhere, rule) == 1
    gap = (lit.t_s > 2000.0) & (lit.t_s < 2000.0 + 1260.0)  # 21 minutes of night
    parted = replace(lit, sun_elevation=np.where(gap, -0.5, lit.sun_elevation))
    assert daylit_passes(parted, CAMERA, everywhere, rule) == 2


def test_an_impossible_scenario_is_refused(monkeypatch):
    monkeypatch.setattr("vinsat_sim.demo.draw.MAX_DRAWS", 2)
    with pytest.raises(InputError, match="none of 2 orbits"):
        draw(1, SCENARIO, CAMERA, {"the pole": grid(0, 89, 360, 90)})


def test_a_frame_is_named_by_its_time(drawn):
    name = frame_name(true_arc(drawn.arc.epoch, drawn.arc.state_eci[0], SCENARIO).epoch)
    assert name == drawn.arc.epoch.utc_iso(6).replace(":", "-").replace("Z", "") + ".jpg"
