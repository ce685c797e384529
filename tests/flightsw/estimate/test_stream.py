"""A solution that follows new frames, beside the full solve of all of them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from flightsw.estimate.batch import estimate_orbit
from flightsw.estimate.solution import Solution, Status
from flightsw.estimate.stream import follow

WINDOWS = ((0.0, 150.0), (6_000.0, 6_150.0), (11_800.0, 11_950.0))


def sigma_at(solution: Solution, case, t_s: float) -> float:
    _, covariance = solution.predict(np.array([t_s - (solution.epoch - case.observations.epoch)]))
    return float(np.sqrt(np.trace(covariance[0, :3, :3])))


@pytest.mark.verifies("EST-025")
@pytest.mark.parametrize("nadir", [True, False])
def test_frame_by_frame_comes_near_the_full_solve(
    nadir: bool, synthetic: Callable, rng: np.random.Generator
) -> None:
    case = synthetic(rng, nadir=nadir, windows=WINDOWS)
    o, attitude = case.observations, case.attitude
    before = o.t_s < 10_000.0
    solution = estimate_orbit(o.subset(before), case.camera, attitude=attitude)
    last = case.t_s[-1]
    predicted = sigma_at(solution, case, last)
    for t_s in o.frame_t_s[o.frame_t_s > 10_000.0]:
        followed = follow(solution, o.subset(o.t_s == t_s), case.camera, attitude=attitude)
        assert followed.is_accepted
        solution = followed.solution
        assert solution.epoch - o.epoch == pytest.approx(t_s)
    assert solution.status is Status.DETERMINED
    sigma = sigma_at(solution, case, last)
    whole = estimate_orbit(o, case.camera, attitude=attitude)
    assert sigma_at(whole, case, last) < 1.2 * sigma < predicted  # cautious, and better than nothing
    assert case.error(solution, last) < 3.0 * sigma


@pytest.mark.verifies("EST-025")
def test_a_frame_of_elsewhere_leaves_the_solution_as_it_was(
    synthetic: Callable, rng: np.random.Generator
) -> None:
    case = synthetic(rng, windows=WINDOWS)
    o = case.observations
    solution = estimate_orbit(o.subset(o.t_s < 10_000.0), case.camera)
    frame = o.subset(o.t_s == o.frame_t_s[-3])
    for shift in (np.array([500.0, 300.0]), rng.uniform(-400.0, 400.0, (len(frame), 2))):
        followed = follow(solution, replace(frame, uv_px=frame.uv_px + shift), case.camera)
        assert not followed.is_accepted
        assert followed.solution is solution
    assert not follow(solution, frame.subset(np.zeros(len(frame), dtype=bool)), case.camera).is_accepted
