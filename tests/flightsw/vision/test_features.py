import numpy as np

from flightsw.vision.features import box_sum, grey_from_rgb, local_features, merge_sources


def fractal(rng: np.random.Generator, size: int = 96) -> np.ndarray:
    frequency = np.hypot(*np.meshgrid(np.fft.rfftfreq(size), np.fft.fftfreq(size))) + 1e-3
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((size, size))) / frequency)
    return (120.0 + 40.0 * field / field.std()).astype(np.float32)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def test_box_sums_are_sums_over_squares_cut_at_the_borders(rng):
    image = rng.normal(size=(23, 31))
    ours = box_sum(image, 3)
    for i, j in ((0, 0), (10, 15), (22, 30), (2, 29)):
        expected = image[max(0, i - 3) : i + 4, max(0, j - 3) : j + 4].sum()
        np.testing.assert_allclose(ours[i, j], expected, atol=1e-12)


def test_another_exposure_leaves_the_features_nearly_as_they_are(rng):
    image = fractal(rng)
    before, _ = local_features(image)
    after, _ = local_features(0.6 * image + 30.0)
    assert correlation(before, after) > 0.99


def test_inverted_contrast_leaves_the_edge_channels_and_turns_the_other_round(rng):
    image = fractal(rng)
    before, _ = local_features(image)
    after, _ = local_features(255.0 - image)
    np.testing.assert_allclose(after[..., 0], -before[..., 0], atol=1e-5)
    np.testing.assert_allclose(after[..., 1:], before[..., 1:], atol=1e-5)


def test_an_edge_has_the_direction_of_its_gradient_doubled():
    ramp = np.arange(60.0, dtype=np.float32)[None, :].repeat(60, axis=0)  # brighter to the east
    features, _ = local_features(3.0 * ramp)
    assert (features[10:-10, 10:-10, 1] > 0.8).all()
    assert np.abs(features[10:-10, 10:-10, 2]).max() < 1e-6
    southward, _ = local_features(3.0 * ramp.T)
    assert (southward[10:-10, 10:-10, 1] < -0.8).all()


def test_flat_sea_and_faint_noise_say_almost_nothing(rng):
    sea = (30.0 + rng.normal(0.0, 0.5, (80, 80))).astype(np.float32)
    features, usable = local_features(sea)
    assert np.sqrt(np.square(features[usable]).mean()) < 0.35
    land, _ = local_features(fractal(rng))
    assert np.square(features).sum() < 0.1 * np.square(land).sum()


def test_what_is_masked_has_no_say(rng):
    image = fractal(rng)
    valid = np.ones(image.shape, bool)
    valid[30:50, 20:60] = False
    painted = np.where(valid, image, 255.0).astype(np.float32)
    ours, usable = local_features(image, valid)
    other, _ = local_features(painted, valid)
    np.testing.assert_allclose(ours, other, atol=1e-5)
    assert not usable[29:51, 19:61][1:-1, 1:-1].any()
    assert not ours[~usable].any()


def test_sources_that_disagree_lose_their_say(rng):
    one, two = fractal(rng), fractal(rng)
    agreed = np.square(merge_sources([one, one])).sum()
    assert np.square(merge_sources([one, two])).sum() < 0.65 * agreed


def test_grey_is_the_luminance():
    np.testing.assert_allclose(grey_from_rgb(np.full((2, 2, 3), 80, np.uint8)), 80.0, rtol=1e-5)
    assert (
        grey_from_rgb(np.array([[0, 255, 0]], np.uint8))[0]
        > grey_from_rgb(np.array([[255, 0, 0]], np.uint8))[0]
    )
