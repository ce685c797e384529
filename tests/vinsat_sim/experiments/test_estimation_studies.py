"""The studies of the estimator: their tables, their stored rows, and how they read real orbits."""

import numpy as np
import pytest

from groundtools.registry import Check
from vinsat_sim.experiments import (
    ablations,
    anywhere,
    attitude,
    bench_od,
    confidence_threshold,
    density,
    pixel_noise,
    real_orbits,
)
from vinsat_sim.measurement.study import Study, Task

STUDIES = [
    pixel_noise.STUDY,
    confidence_threshold.STUDY,
    density.STUDY,
    ablations.DYNAMICS_STUDY,
    ablations.KERNEL_STUDY,
    attitude.STUDY,
    anywhere.STUDY,
    real_orbits.STUDY,
]


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.id)
def test_a_study_judges_what_there_is_even_nothing(study: Study) -> None:
    checks = study.judge([])
    assert not all(check.passed for check in checks)
    stored = list(study.stored().values())
    if stored:
        assert all(isinstance(check, Check) for check in study.judge(stored))


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.id)
def test_tasks_of_a_seed_follow_each_other_and_are_named_once(study: Study) -> None:
    assert len(set(study.tasks)) == len(study.tasks)
    assert set(study.anew) <= set(study.tasks)
    if study is not real_orbits.STUDY:
        seeds = [task.seed for task in study.tasks]
        assert seeds == sorted(seeds)


def test_a_pixel_noise_trial_has_its_bound_and_a_poor_satellite_is_not_tried() -> None:
    row = pixel_noise.solve(Task("2px", 5))
    assert row["usable_passes"] == 2
    assert 0.0 < row["bound_km"] < 1.0
    assert row["rms_km"] < 4.0 * row["bound_km"]
    assert pixel_noise.solve(Task("2px", 2))["status"] == "NOT_TRIED"


def test_tracking_on_any_land_adds_observations_and_ends_nearer_than_the_regions_alone() -> None:
    row = anywhere.solve(Task("measurement", 1))
    assert row["detections"] > 5 * row["without"]["detections"]
    assert row["error_end_km"] < row["without"]["error_end_km"]
    assert not row["wrong"]


def test_patches_lie_on_land_and_the_regions_hold_some() -> None:
    patches = anywhere.land_patches()
    assert 15_000 < len(patches.lon_deg) < 30_000  # 135 million km^2 at 75 km
    share = np.mean(anywhere.in_regions(patches))
    assert 0.01 < share < 0.1


def test_interpolation_of_an_orbit_is_good_to_millimetres() -> None:
    t = np.arange(0.0, 3_600.0 + 1.0, 60.0)
    fine = np.arange(0.0, 3_600.0 + 1.0, 10.0)

    def orbit(t: np.ndarray) -> np.ndarray:
        return 7.2e6 * np.column_stack([np.cos(1.03e-3 * t), np.sin(1.03e-3 * t)])

    error = real_orbits.interpolated(orbit(t), 6) - orbit(fine)
    assert np.abs(error[30:-30]).max() < 1e-3  # m
    assert np.abs(error).max() < 0.1  # m, at the ends


def test_an_absent_peer_fails_its_check() -> None:
    checks = bench_od._beside("gtsam", None, 1.0, {"cpu_s": 1.0}, float("nan"))
    assert [check.passed for check in checks] == [False]
    assert "make_peers.py" in str(checks[0].threshold)
