"""Geodetic coordinates and rays against the ellipsoid."""

import numpy as np
import pytest

from flightsw.astro.geodesy import (
    WGS84_A,
    WGS84_B,
    ecef_from_lla,
    ellipsoid_intersection,
    geodetic_up,
    lla_from_ecef,
)


@pytest.mark.verifies("AST-005")
def test_there_and_back_is_exact_from_the_deep_to_ten_thousand_kilometres(rng):
    lat = np.concatenate([np.arcsin(rng.uniform(-1, 1, 2000)), [np.pi / 2, -np.pi / 2, 0.0]])
    lon = rng.uniform(-np.pi, np.pi, 2003)
    height = rng.uniform(-1e4, 1e7, 2003)
    r_ecef = ecef_from_lla(lat, lon, height)
    lat_back, lon_back, height_back = lla_from_ecef(r_ecef)
    np.testing.assert_allclose(lat_back, lat, atol=2e-12)  # rad: 13 um
    np.testing.assert_allclose(height_back, height, atol=1e-5)  # m
    np.testing.assert_allclose(ecef_from_lla(lat_back, lon_back, height_back), r_ecef, atol=3e-5)  # m


@pytest.mark.verifies("AST-005")
def test_geodetic_is_not_geocentric():
    r_ecef = ecef_from_lla(np.radians(45.0), 0.0, 0.0)
    geocentric = np.degrees(np.arctan2(r_ecef[2], r_ecef[0]))
    assert 45.0 - geocentric == pytest.approx(0.1924, abs=1e-4)  # deg: 21 km on the ground


def test_up_is_the_gradient_of_height(rng, finite_difference):
    r_ecef = ecef_from_lla(0.6, -1.3, 5e5)
    lat, lon, _ = lla_from_ecef(r_ecef)
    gradient = finite_difference(lambda r: lla_from_ecef(r)[2], r_ecef, 10.0)
    np.testing.assert_allclose(gradient, geodetic_up(lat, lon), atol=1e-8)


@pytest.mark.verifies("AST-005")
def test_rays_meet_the_ellipsoid_on_the_near_side(rng):
    r_ecef = ecef_from_lla(rng.uniform(-1.5, 1.5, 200), rng.uniform(-3, 3, 200), 5.5e5)
    target = ecef_from_lla(*lla_from_ecef(r_ecef + rng.normal(0, 2e5, (200, 3)))[:2], 0.0)
    hit = ellipsoid_intersection(r_ecef, target - r_ecef)
    np.testing.assert_allclose(lla_from_ecef(hit)[2], 0.0, atol=1e-6)  # m
    np.testing.assert_allclose(hit, target, atol=1e-5)  # m


def test_rays_that_miss_or_look_away_are_nan():
    r_ecef = np.array([WGS84_A + 5e5, 0.0, 0.0])
    directions = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 3.0], [-1.0, 0.0, 0.0]])
    hit = ellipsoid_intersection(r_ecef, directions)
    assert np.isnan(hit[:3]).all()
    np.testing.assert_allclose(hit[3], [WGS84_A, 0.0, 0.0], atol=1e-6)  # m


def test_the_raised_ellipsoid_is_nearly_the_surface_of_that_height():
    r_ecef = ecef_from_lla(np.radians(45.0), 0.3, 6e5)
    up = geodetic_up(np.radians(45.0), 0.3)
    hit = ellipsoid_intersection(r_ecef, -up, height=2000.0)
    assert lla_from_ecef(hit)[2] == pytest.approx(2000.0, abs=8.0)  # m, 0.4 %
    assert WGS84_A - WGS84_B == pytest.approx(21_384.7, abs=0.1)  # m
