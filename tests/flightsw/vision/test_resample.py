import numpy as np
import pytest

from flightsw.vision.resample import area_resample, bilinear_resample, block_mean


def test_whole_blocks_give_their_means(rng):
    image = rng.integers(0, 256, (24, 36, 3), dtype=np.uint8)
    for step in (2, 4, 12):
        expected = image.astype(float).reshape(24 // step, step, 36 // step, step, 3).mean(axis=(1, 3))
        np.testing.assert_allclose(block_mean(image, step), expected, atol=1e-3)
        edges = np.arange(0, 37, step, dtype=float)
        ours = area_resample(image, edges[: 24 // step + 1], edges)
        assert np.abs(ours - expected).max() <= 0.51  # grey level: rounding


def test_a_saturated_block_does_not_overflow():
    assert (block_mean(np.full((32, 32, 3), 255, np.uint8), 16) == 255.0).all()


@pytest.mark.parametrize("factor", [0.7, 1.0, 1.37, 2.6])
def test_a_slope_is_reproduced_at_any_scale(factor):
    image = (2.0 * np.arange(100))[None, :, None].repeat(60, 0).repeat(3, 2).astype(np.uint8)
    columns = 20.0 + factor * np.arange(11)
    out = area_resample(image, 10.0 + factor * np.arange(9), columns)
    expected = 2.0 * (0.5 * (columns[1:] + columns[:-1]) - 0.5)
    assert np.abs(out[3, :, 0] - expected).max() < 1.1  # grey levels


def test_outside_the_image_the_border_repeats():
    image = np.full((8, 8, 3), 77, np.uint8)
    assert (area_resample(image, np.arange(-5.0, 14.0), np.arange(-5.0, 14.0)) == 77).all()
    far = np.array([[[-50.0, 3.0], [60.0, 900.0]]], np.float32)
    assert (bilinear_resample(image, far) == 77).all()


def test_bilinear_look_up_at_pixel_centres_is_the_pixel(rng):
    image = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    u, v = np.meshgrid(np.arange(48) + 0.5, np.arange(38) + 0.5)
    out = bilinear_resample(image, np.stack([u, v], axis=2).astype(np.float32))
    assert np.array_equal(out, image[:38, :48])
