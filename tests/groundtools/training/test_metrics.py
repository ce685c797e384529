"""Figures of merit against values worked out by hand."""

import numpy as np
import pytest

from groundtools.training.metrics import Share, best_thresholds, bootstrap_macro_f1, f1_per_class


def test_wilsons_interval_of_eight_in_ten() -> None:
    low, high = Share(8, 10).interval
    assert (low, high) == pytest.approx((0.4902, 0.9433), abs=1e-4)  # Wilson 1927
    assert Share(0, 0).interval == (0.0, 1.0)


def test_f1_counts_misses_and_false_claims() -> None:
    truth = np.array([[1, 0], [1, 0], [0, 0], [1, 0]], bool)
    claimed = np.array([[1, 0], [0, 0], [1, 0], [1, 0]], bool)
    f1 = f1_per_class(truth, claimed)
    assert f1[0] == pytest.approx(2 * 2 / (3 + 3))
    assert np.isnan(f1[1])


def test_the_best_threshold_parts_what_can_be_parted(rng: np.random.Generator) -> None:
    truth = rng.uniform(size=(400, 1)) < 0.3
    probability = np.where(truth, rng.uniform(0.3, 0.6, (400, 1)), rng.uniform(0.0, 0.25, (400, 1)))
    threshold = best_thresholds(truth, probability)[0]
    assert 0.25 <= threshold <= 0.31
    low, high = bootstrap_macro_f1(truth, probability >= threshold, rng, draws=50)
    assert low > 0.97
    assert high == pytest.approx(1.0)
