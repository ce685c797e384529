from dataclasses import replace

import numpy as np
import pytest

from vinsat_sim.measurement.detector import PUBLISHED, Bursts, detected, white


def test_three_frames_in_ten_are_bad_and_bursts_hold_together() -> None:
    bursts = Bursts(np.random.default_rng(7), bad_share=0.3)
    moves = [bursts.spoil(np.zeros((4, 2))) for _ in range(20_000)]
    bad = np.array([m.any() for m in moves])
    assert bad.mean() == pytest.approx(0.3, abs=0.03)
    shifted = np.array([m.any() and np.ptp(m, axis=0).max() == 0.0 for m in moves])
    assert shifted.sum() / bad.sum() == pytest.approx(0.5, abs=0.06)
    assert np.mean(bad[1:] == bad[:-1]) > 0.8


def layout(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return frames of 40, landmarks seen three times, passes of 100 frames."""
    row = np.arange(n)
    return row // 40, row // 3, row // 4000


def test_the_published_errors_come_out_as_published(rng: np.random.Generator) -> None:
    """Median 6.2, p99 34 px and 2 to 11 % beyond 30 px: 120,000 published detections."""
    n = 120_000
    errors = [
        np.linalg.norm(detected(np.zeros((n, 2)), *layout(n), model, rng)[0], axis=1)
        for model in (replace(PUBLISHED, bad_share=0.0), PUBLISHED)
    ]
    assert np.median(errors[0]) == pytest.approx(6.2, rel=0.05)
    assert np.percentile(errors[0], 99) == pytest.approx(34.0, rel=0.15)
    assert 0.02 < np.mean(errors[1] > 30.0) < 0.11


def test_white_noise_has_the_stated_sigma_and_biases_are_shared_by_whom_they_belong_to(
    rng: np.random.Generator,
) -> None:
    n = 12_000
    frame, landmark, one_pass = layout(n)
    assert detected(np.zeros((n, 2)), frame, landmark, one_pass, white(2.0), rng)[0].std() == pytest.approx(
        2.0, rel=0.02
    )
    biased = detected(np.zeros((n, 2)), frame, landmark, one_pass, replace(white(0.0), pass_px=3.0), rng)[0]
    assert len(np.unique(biased[:, 0])) == one_pass.max() + 1
    again = detected(np.zeros((n, 2)), frame, landmark, one_pass, replace(white(0.0), landmark_px=3.0), rng)[
        0
    ]
    assert len(np.unique(again[:, 0])) == landmark.max() + 1


def test_nothing_in_view_is_nothing_detected(rng: np.random.Generator) -> None:
    none = np.zeros(0, dtype=np.intp)
    assert detected(np.zeros((0, 2)), none, none, none, PUBLISHED, rng)[0].shape == (0, 2)
