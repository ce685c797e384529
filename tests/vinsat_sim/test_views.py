"""Training views: random within their bounds, repeatable, crops of one another."""

import numpy as np
import pytest

from flightsw.astro.geodesy import geodetic_up, lla_from_ecef
from groundtools.imagery import open_imagery
from vinsat_sim.views import ViewSampler, render_view

BOUNDS_DEG = (12.0, 40.0, 18.0, 48.0)


@pytest.fixture(scope="module")
def sampler():
    return ViewSampler(open_imagery("embedded"), BOUNDS_DEG)


@pytest.mark.verifies("SIM-006")
def test_views_lie_within_their_bounds(sampler, rng):
    views = [sampler.draw(rng) for _ in range(200)]
    lat, lon, height = lla_from_ecef(np.array([view.r_ecef for view in views]))
    west, south, east, north = np.deg2rad(BOUNDS_DEG)
    assert ((lon > west) & (lon < east) & (lat > south) & (lat < north)).all()
    assert height.min() > 370e3 - 1.0
    assert height.max() < 650e3 + 1.0
    attitudes = np.array([view.cam_from_ecef for view in views])
    np.testing.assert_allclose(
        attitudes @ np.swapaxes(attitudes, 1, 2), np.eye(3) + 0 * attitudes, atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(attitudes), 1.0)
    down = -geodetic_up(lat, lon)
    tilt_deg = np.rad2deg(np.arccos(np.sum(attitudes[:, 2] * down, axis=1)))
    assert 4.0 < tilt_deg.max() < 5.001
    assert 0.7 < np.mean([view.scene.clouds is not None for view in views]) < 0.9
    sines = np.sum(geodetic_up(lat, lon) * [view.sun_ecef for view in views], axis=1)
    assert np.rad2deg(np.arcsin(sines)).min() > 9.99


@pytest.mark.verifies("SIM-006")
def test_the_same_seed_gives_the_same_view(sampler):
    window = (256, 192, 128, 128)
    first = render_view(sampler.draw(np.random.default_rng(3)), window)
    assert np.array_equal(first, render_view(sampler.draw(np.random.default_rng(3)), window))
    assert first.shape == (128, 128, 3)


def test_a_crop_is_cut_from_the_whole_view(sampler):
    view = sampler.draw(np.random.default_rng(5))
    whole, part = render_view(view), render_view(view, (320, 160, 256, 256))
    assert whole.shape == (648, 1152, 3)
    apart = np.abs(whole[160:416, 320:576].astype(int) - part)
    assert apart.mean() < 3.0  # grey levels: the noise of either


def test_a_crop_off_the_grid_is_refused(sampler, rng):
    with pytest.raises(ValueError, match="aligned"):
        render_view(sampler.draw(rng), (3, 0, 256, 256))
