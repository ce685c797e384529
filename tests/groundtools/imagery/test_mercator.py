"""Mercator pixels: inverse of each other, conformal, and the right level for a camera."""

import numpy as np
import pytest

from groundtools.imagery.mercator import (
    bounds_px,
    level_for,
    lonlat_from_pixel,
    metres_per_pixel,
    pixel_from_lonlat,
)


def test_pixels_and_longitude_latitude_are_inverse(rng):
    lon, lat = rng.uniform(-np.pi, np.pi, 200), rng.uniform(-1.5, 1.5, 200)
    back = lonlat_from_pixel(pixel_from_lonlat(lon, lat, level=8), level=8)
    np.testing.assert_allclose(back, (lon, lat), atol=1e-12)  # rad


def test_the_world_begins_at_the_north_west_corner():
    corner = pixel_from_lonlat(-np.pi, np.deg2rad(85.05112877980659), level=3)
    np.testing.assert_allclose(corner, (0.0, 0.0), atol=1e-6)  # px
    np.testing.assert_allclose(pixel_from_lonlat(0.0, 0.0, level=3), (1024.0, 1024.0), atol=1e-9)


def test_a_pixel_is_as_wide_as_it_is_tall(finite_difference):
    lat = 0.8
    slope = finite_difference(lambda x: pixel_from_lonlat(x[0], x[1], level=8), [0.3, lat])
    east, south = slope[0, 0] / (6_378_137.0 * np.cos(lat)), -slope[1, 1] / 6_378_137.0
    assert east == pytest.approx(south, rel=1e-6)
    assert 1.0 / east == pytest.approx(float(metres_per_pixel(lat, 8)), rel=1e-6)  # m


@pytest.mark.parametrize(
    ("gsd_m", "lat_deg", "level"), [(300, 0, 8), (300, 60, 8), (620, 60, 7), (5e3, 0, 5)]
)
def test_the_level_follows_the_ground_sample_distance(gsd_m, lat_deg, level):
    assert level_for(gsd_m, np.deg2rad(lat_deg), native_level=8) == level


def test_bounds_cover_the_place():
    x0, y0, x1, y1 = bounds_px((10.0, 40.0, 12.0, 42.0), level=8)
    west, north = np.rad2deg(lonlat_from_pixel([x0, y0], level=8))
    east, south = np.rad2deg(lonlat_from_pixel([x1, y1], level=8))
    assert west <= 10.0 < 12.0 <= east
    assert south <= 40.0 < 42.0 <= north
