"""Light, air, clouds and noise, in grey levels."""

import numpy as np
import pytest

from vinsat_sim.scene.radiometry import (
    Radiometry,
    exposure,
    light,
    noise_cut,
    random_radiometry,
    tone_table,
    with_clouds,
)


def test_light_grows_with_the_sun_and_ends_six_degrees_below_the_horizon():
    sines = np.sin(np.deg2rad(np.arange(-90.0, 90.1, 1.0)))
    values = light(sines)
    assert (np.diff(values) >= 0.0).all()
    assert values[-1] == pytest.approx(1.0)
    assert not values[sines < np.sin(np.deg2rad(-6.1))].any()
    assert 0.05 < float(light(np.array(0.0))) < 0.4


def test_the_reference_camera_is_the_centre_of_the_random_ones(rng):
    plain = random_radiometry(rng, strength=0.0)
    assert plain.tone == pytest.approx(Radiometry().tone)
    assert plain.gain_rgb == (1.0, 1.0, 1.0)
    tones = [random_radiometry(rng).tone for _ in range(200)]
    assert min(tones) < 0.7
    assert max(tones) > 1.0


def test_the_tone_curve_keeps_black_and_order():
    table = tone_table(Radiometry(tone=0.6, gain_rgb=(1.0, 0.9, 1.1))).astype(int)
    assert table.shape == (256, 1, 3)
    assert not table[0].any()
    assert (np.diff(table, axis=0) >= 0).all()


def test_exposure_makes_up_for_part_of_the_light(rng):
    radiometry = Radiometry(exposure_sigma=0.0)
    noon, low = (exposure(radiometry, s, rng) for s in (1.0, 0.1))
    assert noon == pytest.approx(1.0)
    assert 1.0 < low <= radiometry.max_gain
    assert low * float(light(np.array(0.1))) < noon


def test_a_thick_cloud_hides_the_ground_and_its_shadow_darkens_it():
    p, q = np.ones((1, 3, 3), np.float32), np.zeros((1, 3, 3), np.float32)
    opacity = np.array([[0.0, 1.0, 0.0]], np.float32)
    shadow = np.array([[0.0, 1.0, 1.0]], np.float32)
    lit = np.ones((1, 3), np.float32)
    new_p, new_q = with_clouds(opacity, shadow, lit, p, q, Radiometry())
    np.testing.assert_allclose(new_p[0, :, 0], [1.0, 0.0, 1.0 - Radiometry().shadow], atol=1e-6)
    np.testing.assert_allclose(new_q[0, :, 0], [0.0, Radiometry().cloud_value, 0.0], atol=0.01)


def test_noise_has_the_sigma_asked_for(rng):
    noise = noise_cut(rng, 400, 1000, sigma=2.0)
    assert noise.std() == pytest.approx(2.0, abs=0.1)
    assert abs(noise.mean()) < 0.02
