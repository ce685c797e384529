"""The cloud field: as much of it as asked for, at all scales, without a seam."""

from itertools import pairwise

import numpy as np
import pytest

from flightsw.astro.geodesy import ecef_from_lla
from vinsat_sim.clouds import COVERED, cloud_field


def on_the_sphere(rng, count):
    points = rng.standard_normal((count, 3))
    return points * 6.371e6 / np.linalg.norm(points, axis=1, keepdims=True)


@pytest.mark.verifies("SIM-003")
@pytest.mark.parametrize("cover", [0.2, 0.5, 0.7])
def test_the_cover_is_what_was_asked_for(rng, cover):
    points = on_the_sphere(rng, 4000)
    shares = [
        (cloud_field(seed, cover=cover).thickness_at(points) >= COVERED).mean() for seed in range(100, 108)
    ]
    assert np.mean(shares) == pytest.approx(cover, abs=0.03)
    assert np.abs(np.array(shares) - cover).max() < 0.1


def test_a_seed_is_a_sky(rng):
    points = on_the_sphere(rng, 500)
    first = cloud_field(4).thickness_at(points)
    assert np.array_equal(first, cloud_field(4).thickness_at(points))
    assert not np.allclose(first, cloud_field(5).thickness_at(points))


@pytest.mark.parametrize(("lat_deg", "lon_deg"), [(0.0, 180.0), (89.99, 0.0), (35.26, 45.0), (-20.0, 90.0)])
def test_there_is_no_seam(lat_deg, lon_deg):
    field = cloud_field(2, cover=0.6)
    along = np.linspace(-40e3, 40e3, 801)  # m, every 100 m
    centre = ecef_from_lla(np.deg2rad(lat_deg), np.deg2rad(lon_deg))
    for direction in ([0.3, -0.2, 0.9], [-0.8, 0.5, 0.1]):
        step = np.cross(centre / np.linalg.norm(centre), direction)
        thickness = field.thickness_at(centre + along[:, None] * step / np.linalg.norm(step))
        assert np.abs(np.diff(thickness)).max() < 0.25  # in 100 m, where edges take about 1 km


@pytest.mark.verifies("SIM-003")
def test_there_are_clouds_of_all_sizes():
    """The structure function grows from 2 km to 1,000 km: no scale is missing."""
    field = cloud_field(8, cover=0.5)
    generator = np.random.default_rng(1)
    points = on_the_sphere(generator, 6000)
    here = field.thickness_at(points)
    steps = np.array([2e3, 8e3, 40e3, 1000e3])
    way = np.cross(points, generator.standard_normal((6000, 3)))
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    differences = [np.abs(field.thickness_at(points + step * way) - here).mean() for step in steps]
    assert differences[0] > 0.02
    assert all(b > 1.1 * a for a, b in pairwise(differences))


@pytest.mark.parametrize("cover", [0.0, 1.0, -1.0])
def test_a_cover_of_nothing_or_everything_is_refused(cover):
    with pytest.raises(ValueError, match="cover"):
        cloud_field(1, cover=cover)
