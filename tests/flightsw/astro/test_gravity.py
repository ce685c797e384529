"""Gravity: J2 against its potential and closed forms, harmonics against J2, gradients."""

import numpy as np
import pytest

from flightsw.astro.gravity import (
    GM_EARTH,
    J2,
    R_EARTH,
    gravity_acceleration,
    gravity_field,
    gravity_gradient,
    gravity_with_gradient,
    j2_acceleration,
    j2_gradient,
    load_gravity,
)


@pytest.fixture
def points(rng):
    r = rng.normal(size=(60, 3))
    return r / np.linalg.norm(r, axis=1, keepdims=True) * rng.uniform(6.63e6, 7.6e6, (60, 1))


def j2_potential(r):
    """Return GM/r [1 - J2 (R/r)^2 (3 (z/r)^2 - 1)/2]."""
    d = np.linalg.norm(r)
    return GM_EARTH / d * (1.0 - J2 * (R_EARTH / d) ** 2 * (1.5 * (r[2] / d) ** 2 - 0.5))


@pytest.mark.verifies("AST-006")
def test_j2_is_the_gradient_of_its_potential(points, finite_difference):
    for r in points[:10]:
        numeric = finite_difference(j2_potential, r, 20.0)
        np.testing.assert_allclose(j2_acceleration(r), numeric, atol=2e-8)  # m/s^2 of 9


@pytest.mark.verifies("AST-006")
def test_the_factors_of_j2_act_on_z_and_not_on_x():
    r = 6.9e6
    k = J2 * (R_EARTH / r) ** 2
    central = GM_EARTH / r**2
    for axis, factor in ((0, 1.5), (1, 1.5), (2, -3.0)):
        at = np.zeros(3)
        at[axis] = r
        expected = np.zeros(3)
        expected[axis] = -central * (1.0 + factor * k)
        np.testing.assert_allclose(j2_acceleration(at), expected, atol=1e-13)


@pytest.mark.verifies("AST-006")
def test_a_permuted_j2_would_be_seen(points):
    wrong = j2_acceleration(points[:, [2, 1, 0]])[:, [2, 1, 0]]
    assert np.abs(wrong - j2_acceleration(points)).max() > 1e-2  # m/s^2


def test_j2_about_a_tilted_pole_is_j2_in_turned_axes(points):
    tilt = 0.3
    turn = np.array([[np.cos(tilt), 0, np.sin(tilt)], [0, 1, 0], [-np.sin(tilt), 0, np.cos(tilt)]])
    about_pole = j2_acceleration(points, turn[2])
    np.testing.assert_allclose(about_pole, j2_acceleration(points @ turn.T) @ turn, atol=1e-14)


@pytest.mark.verifies("AST-006")
def test_harmonics_with_only_c20_are_j2(points):
    c = np.zeros((3, 3))
    c[0, 0], c[2, 0] = 1.0, -J2 / np.sqrt(5.0)
    field = gravity_field(GM_EARTH, R_EARTH, c, np.zeros((3, 3)))
    np.testing.assert_allclose(gravity_acceleration(field, points), j2_acceleration(points), atol=1e-14)
    np.testing.assert_allclose(gravity_gradient(field, points), j2_gradient(points), atol=1e-20)


@pytest.mark.verifies("AST-006")
@pytest.mark.parametrize("degree", [0, 2, 7, 20])
def test_gradients_are_the_derivatives_of_the_accelerations(points, finite_difference, degree):
    field = load_gravity(degree)
    for r in points[:8]:
        numeric = finite_difference(lambda r: gravity_acceleration(field, r[None])[0], r, 10.0)
        scale = GM_EARTH / np.linalg.norm(r) ** 3
        np.testing.assert_allclose(gravity_gradient(field, r[None])[0], numeric, atol=2e-9 * scale)


@pytest.mark.verifies("AST-006")
def test_gravity_has_no_sources_outside_the_earth(points):
    gradient = gravity_gradient(load_gravity(20), points)
    np.testing.assert_allclose(np.trace(gradient, axis1=1, axis2=2), 0.0, atol=1e-18)  # 1/s^2 of 1e-6
    np.testing.assert_allclose(gradient, np.swapaxes(gradient, 1, 2), atol=1e-18)


def test_together_and_apart_are_the_same_in_any_number(points):
    many = np.tile(points, (20, 1))  # more than one chunk
    field = load_gravity(20)
    acceleration, gradient = gravity_with_gradient(field, many)
    np.testing.assert_allclose(acceleration[-60:], gravity_acceleration(field, points), atol=1e-14)
    np.testing.assert_allclose(gradient[:60], gravity_gradient(field, points), atol=1e-20)
    assert gravity_acceleration(field, np.empty((0, 3))).shape == (0, 3)


def test_a_degree_that_is_not_bundled_is_refused():
    with pytest.raises(ValueError, match="0 to 20"):
        load_gravity(21)
