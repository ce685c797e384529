"""The nadir frame: down along the plumb line, forward along the velocity."""

import numpy as np
import pytest

from flightsw.astro.geodesy import ecef_from_lla, geodetic_up, lla_from_ecef
from flightsw.camera.model import Camera
from flightsw.camera.nadir import body_from_ecef_nadir
from flightsw.camera.project import observe


@pytest.fixture
def states(rng):
    r_ecef = ecef_from_lla(rng.uniform(-1.4, 1.4, 50), rng.uniform(-3, 3, 50), rng.uniform(4e5, 7e5, 50))
    return r_ecef, rng.normal(size=(50, 3)) * 7e3


@pytest.mark.verifies("CAM-004")
def test_it_is_a_rotation_with_z_down_and_x_forward(states):
    r_ecef, v = states
    body_from_ecef = body_from_ecef_nadir(r_ecef, v)
    np.testing.assert_allclose(
        body_from_ecef @ np.swapaxes(body_from_ecef, 1, 2), np.tile(np.eye(3), (50, 1, 1)), atol=1e-14
    )
    np.testing.assert_allclose(np.linalg.det(body_from_ecef), 1.0, atol=1e-14)
    lat, lon, _ = lla_from_ecef(r_ecef)
    np.testing.assert_allclose(body_from_ecef[:, 2], -geodetic_up(lat, lon), atol=1e-14)
    in_body = np.einsum("nij,nj->ni", body_from_ecef, v)
    assert (in_body[:, 0] > 0.0).all()
    np.testing.assert_allclose(in_body[:, 1], 0.0, atol=1e-9)  # m/s


@pytest.mark.verifies("CAM-004")
def test_the_point_below_is_in_the_middle_and_what_lies_ahead_is_to_the_right():
    camera = Camera(4608, 2592, 3547.85, 3547.85, 2304.0, 1296.0)
    r_ecef = ecef_from_lla(np.radians(45.0), 0.3, 5.5e5)
    lat, lon, _ = lla_from_ecef(r_ecef)
    north = np.array([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)])
    body_from_ecef = body_from_ecef_nadir(r_ecef, 7.6e3 * north)
    ground = ecef_from_lla(lat + np.array([0.0, 0.01, 0.0]), lon + np.array([0.0, 0.0, 0.01]), 0.0)
    uv, _, _ = observe(camera, body_from_ecef, r_ecef, ground)
    np.testing.assert_allclose(uv[0], [2304.0, 1296.0], atol=1e-4)  # px
    assert uv[1, 0] > 2600.0  # ahead: right
    assert uv[2, 1] > 1500.0  # east of a northward track is starboard, body +y: down


@pytest.mark.verifies("CAM-004")
def test_geodetic_nadir_is_not_the_direction_to_the_centre():
    r_ecef = ecef_from_lla(np.radians(45.0), 0.0, 5.5e5)
    down = body_from_ecef_nadir(r_ecef, np.array([0.0, 7.6e3, 0.0]))[2]
    angle = np.degrees(np.arccos(-down @ r_ecef / np.linalg.norm(r_ecef)))
    assert angle == pytest.approx(0.177, abs=0.003)  # deg: 10 px


def test_one_state_gives_one_matrix(states):
    r_ecef, v = states
    np.testing.assert_allclose(
        body_from_ecef_nadir(r_ecef[0], v[0]), body_from_ecef_nadir(r_ecef, v)[0], atol=1e-15
    )
