import numpy as np
import pytest

from flightsw.estimate.robust import (
    absolute_scale,
    annealed_shape,
    barron_loss,
    barron_slope,
    barron_weight,
    sigma_from_norms,
)

SHAPES = [2.0, 1.0, 0.5, 0.0, -1.0, -2.0]


@pytest.mark.verifies("EST-001")
@pytest.mark.parametrize("shape", SHAPES)
def test_the_weight_is_the_slope_of_the_loss_over_the_residual(shape: float) -> None:
    e = np.linspace(0.1, 20.0, 50)
    h = 1e-5
    slope = (barron_loss(e + h, shape=shape, scale=2.0) - barron_loss(e - h, shape=shape, scale=2.0)) / (
        2.0 * h
    )
    np.testing.assert_allclose(barron_weight(e, shape=shape, scale=2.0), slope / e, rtol=1e-6)


@pytest.mark.parametrize("limit", [2.0, 0.0])
def test_weight_and_loss_are_continuous_at_the_special_shapes(limit: float) -> None:
    e = np.linspace(0.0, 5.0, 20)
    for function in (barron_weight, barron_loss):
        np.testing.assert_allclose(
            function(e, shape=limit, scale=1.5),
            function(e, shape=limit - 1e-7, scale=1.5),
            rtol=1e-4,
        )


def test_the_printed_r_of_the_thesis_is_the_inverse_of_the_weight() -> None:
    e, c, alpha = np.linspace(-8.0, 8.0, 21), 1.7, -1.0
    printed = c**2 * ((e / c) ** 2 / abs(alpha - 2.0) + 1.0) ** (1.0 - alpha / 2.0)
    np.testing.assert_allclose(barron_weight(e, shape=alpha, scale=c), 1.0 / printed, rtol=1e-12)


def test_weights_never_rise_with_the_residual_and_the_loss_saturates() -> None:
    e = np.geomspace(1e-3, 1e6, 200)
    assert np.all(np.diff(barron_weight(e, shape=-1.0, scale=1.0)) <= 0.0)
    assert barron_loss(np.array([1e9]), shape=-1.0, scale=1.0)[0] == pytest.approx(3.0, abs=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_slope_is_half_the_trace_of_the_hessian(shape: float) -> None:
    h = 1e-4
    for radius in (0.3, 1.0, 4.0):
        point = np.array([radius * 0.6, radius * 0.8])

        def loss(x: np.ndarray) -> float:
            return float(barron_loss(np.array([np.hypot(*x)]), shape=shape, scale=1.3)[0])

        trace = sum(
            (loss(point + h * axis) - 2.0 * loss(point) + loss(point - h * axis)) / h**2 for axis in np.eye(2)
        )
        slope = barron_slope(np.array([radius]), shape=shape, scale=1.3)[0]
        assert slope == pytest.approx(0.5 * trace, abs=1e-5)


def test_the_shape_anneals_from_least_squares_to_minus_one() -> None:
    shapes = [annealed_shape(i) for i in range(12)]
    assert shapes[0] == 2.0
    assert shapes[5] == pytest.approx(0.0)
    assert shapes[8:] == [-1.0] * 4


def test_the_scale_is_the_median_of_sizes_not_of_signed_values() -> None:
    assert absolute_scale(np.array([-3.0, -2.0, 2.0, 3.0, np.nan]), floor=0.1) == 2.5
    assert absolute_scale(np.zeros(5), floor=0.1) == 0.1
    assert absolute_scale(np.array([]), floor=0.1) == 0.1


def test_sigma_of_two_dimensional_noise_is_recovered() -> None:
    noise = np.random.default_rng(7).normal(size=(20_000, 2)) * 3.0
    assert sigma_from_norms(np.hypot(*noise.T), floor=0.1) == pytest.approx(3.0, rel=0.02)


def test_impossible_shapes_and_scales_are_refused() -> None:
    for shape, scale in ((2.5, 1.0), (1.0, 0.0), (1.0, -1.0), (float("nan"), 1.0)):
        with pytest.raises(ValueError, match="must be"):
            barron_weight(np.ones(1), shape=shape, scale=scale)


def test_one_fifth_of_outliers_hardly_moves_a_robust_mean() -> None:
    """The toy fit of facts: literal R as a weight is pulled from 10 to 38; 1/R is not."""
    rng = np.random.default_rng(7)
    data = np.concatenate([rng.normal(10.0, 1.0, 80), rng.normal(150.0, 20.0, 20)])
    mean = float(np.mean(data))
    for i in range(30):
        scale = absolute_scale(data - mean, floor=1e-3)
        weight = barron_weight(data - mean, shape=annealed_shape(i), scale=scale)
        mean = float(np.sum(weight * data) / np.sum(weight))
    assert mean == pytest.approx(10.0, abs=0.5)
