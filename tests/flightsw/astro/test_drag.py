"""Drag: its exact partials and its shape."""

import numpy as np
import pytest

from flightsw.astro.drag import drag_acceleration, harris_priester
from flightsw.astro.geodesy import ecef_from_lla

SUN = np.array([[1.0, 0.0, 0.0]])


def drag(r, v, scale=1.3):
    return drag_acceleration(r[None], v[None], SUN, ballistic_m2_kg=0.017, scale=scale)


@pytest.mark.verifies("AST-011")
def test_the_gradient_of_density_is_exact(rng, finite_difference):
    for height in (1.1e5, 2.55e5, 4.1e5, 5.5e5, 9e5, 1.15e6):
        r = ecef_from_lla(*rng.uniform(-1.4, 1.4, 2), height)
        numeric = finite_difference(lambda r: harris_priester(r[None], SUN)[0][0], r, 5.0)
        gradient = harris_priester(r[None], SUN)[1][0]
        np.testing.assert_allclose(gradient, numeric, atol=1e-6 * np.abs(gradient).max())


@pytest.mark.verifies("AST-011")
def test_partials_of_drag_are_exact(finite_difference):
    r = ecef_from_lla(0.5, 0.2, 4.1e5)
    v = np.array([2000.0, 5000.0, -5200.0])
    exact = drag(r, v)
    by_r = finite_difference(lambda r: drag(r, v).acceleration[0], r, 5.0)
    by_v = finite_difference(lambda v: drag(r, v).acceleration[0], v, 0.1)
    by_scale = finite_difference(lambda s: drag(r, v, s).acceleration[0], np.array([1.3]), 0.1)[:, 0]
    np.testing.assert_allclose(exact.d_position[0], by_r, atol=1e-6 * np.abs(by_r).max())
    np.testing.assert_allclose(exact.d_velocity[0], by_v, atol=1e-8 * np.abs(by_v).max())
    np.testing.assert_allclose(exact.d_scale[0], by_scale, rtol=1e-9)


def test_drag_opposes_the_motion_through_the_air():
    v = np.array([2000.0, 5000.0, -5200.0])
    acceleration = drag(ecef_from_lla(0.5, 0.2, 4.1e5), v).acceleration[0]
    np.testing.assert_allclose(np.cross(acceleration, v), 0.0, atol=1e-15)
    assert acceleration @ v < 0.0


def test_the_bulge_trails_the_sun_and_the_night_is_thinner():
    lon = np.radians(np.arange(-180, 180, 10))
    density = harris_priester(ecef_from_lla(0.0, lon, 5e5), np.repeat(SUN, 36, 0))[0]
    assert np.degrees(lon[np.argmax(density)]) == pytest.approx(30.0)  # deg east of the Sun
    assert density.max() == pytest.approx(2.042e-12, rel=1e-6)  # kg/m^3, the table's 500 km
    assert density.min() == pytest.approx(3.916e-13, rel=1e-6)


def test_density_is_finite_wherever_an_iteration_may_go():
    density, gradient = harris_priester(
        ecef_from_lla(0.0, 0.0, np.array([-5e5, 0.0, 9e4, 5e6])), SUN.repeat(4, 0)
    )
    assert np.isfinite(density).all()
    assert np.isfinite(gradient).all()
    assert density[0] == density[2]
