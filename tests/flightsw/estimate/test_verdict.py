from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from flightsw.astro.propagate import Forces
from flightsw.astro.time import Epoch
from flightsw.estimate.batch import estimate_orbit
from flightsw.estimate.solution import PassStatistics, Solution, Status, force_noise
from flightsw.estimate.verdict import judge

GOOD = PassStatistics(
    start_s=0.0, end_s=100.0, frames=10, detections=50, landmarks=20, used=45, share=0.9,
    rms_px=3.0, mean_u_px=0.0, mean_v_px=0.0, agrees=True,
)  # fmt: skip
REFUSED = replace(GOOD, used=0, share=0.0, agrees=False)


def solution(*passes: PassStatistics, sigma: float = 300.0) -> Solution:
    """Return a solution with this many metres of sigma per axis and these passes."""
    return Solution(
        status=Status.NOT_CONVERGED,
        epoch=Epoch.from_utc("2026-03-01T12:00:00Z"),
        used=np.ones(3, dtype=bool),
        attitude_mode="given",
        forces=Forces.j2(),
        r_eci=np.array([6.9e6, 0.0, 0.0]),
        v_eci=np.array([0.0, 5.4e3, 5.4e3]),
        covariance_full=np.diag([sigma] * 3 + [1e-3 * sigma] * 3 + [0.0] * 6) ** 2,
        pointing_offset_rad=np.zeros(3),
        last_used_s=600.0,
        passes=passes,
    )


@pytest.mark.parametrize(
    ("passes", "sigma", "expected"),
    [
        ((GOOD, GOOD), 300.0, Status.DETERMINED),
        ((GOOD,), 300.0, Status.ONE_PASS),
        ((GOOD, REFUSED), 300.0, Status.INCONSISTENT_PASSES),
        ((GOOD, replace(REFUSED, detections=4)), 300.0, Status.ONE_PASS),
        ((GOOD, GOOD), 3_000.0, Status.WEAK_GEOMETRY),
        ((GOOD, replace(GOOD, rival=12)), 300.0, Status.INCONSISTENT_PASSES),
        ((GOOD, GOOD, replace(GOOD, rival=12)), 300.0, Status.DETERMINED),
        ((), 300.0, Status.ONE_PASS),
    ],
)
@pytest.mark.verifies("EST-007")
def test_the_verdict_follows_from_the_passes(
    passes: tuple[PassStatistics, ...], sigma: float, expected: Status
) -> None:
    assert judge(solution(*passes, sigma=sigma), True, None) is expected


def test_a_fit_that_did_not_settle_is_never_believed() -> None:
    assert judge(solution(GOOD, GOOD), False, None) is Status.NOT_CONVERGED


def test_a_determined_prior_counts_as_a_pass_and_another_does_not() -> None:
    prior = replace(solution(GOOD, GOOD), status=Status.DETERMINED)
    assert judge(solution(GOOD), True, prior) is Status.DETERMINED
    assert judge(solution(GOOD), True, replace(prior, status=Status.ONE_PASS)) is Status.ONE_PASS


def test_every_status_is_a_sentence_and_only_one_is_determined() -> None:
    assert [status for status in Status if status.is_determined] == [Status.DETERMINED]
    assert all(len(status.value.split()) > 3 for status in Status)


def test_a_solution_without_a_state_says_so() -> None:
    empty = replace(solution(), r_eci=None, v_eci=None, covariance_full=None)
    assert not empty.has_state
    assert np.isnan(empty.position_sigma)
    with pytest.raises(ValueError, match="no state"):
        empty.predict(np.zeros(1))


def test_force_errors_reach_forty_metres_in_six_hours_beyond_the_arc() -> None:
    noise = force_noise(np.array([-100.0, 0.0, 21_600.0]))
    assert not noise[:2].any()
    assert np.sqrt(noise[2, 0, 0]) == pytest.approx(40.0, rel=1e-6)  # m
    assert np.linalg.eigvalsh(noise[2]).min() > 0.0


def shifted(case, frames: np.ndarray, shift: np.ndarray):
    """Return the observations with the detections of some frames all moved alike."""
    o = case.observations
    return replace(o, uv_px=o.uv_px + np.isin(o.frame_index, frames)[:, None] * shift)


@pytest.mark.verifies("EST-007")
def test_a_pass_mostly_shifted_alike_is_no_confirmation(
    synthetic: Callable, rng: np.random.Generator
) -> None:
    """Along the track, two passes cannot tell 200 px from a slightly longer period."""
    case = synthetic(rng, nadir=False, windows=((0.0, 150.0), (6_000.0, 6_150.0)))
    spoiled = shifted(case, np.arange(16, 26), np.array([200.0, 0.0]))  # ten of the second sixteen
    result = estimate_orbit(spoiled, case.camera, attitude=case.attitude)
    wrong = case.error(result, case.t_s[-1]) > 5e3
    assert not (wrong and result.status.is_determined)
    assert max(p.rival for p in result.passes) >= 5


@pytest.mark.verifies("EST-007")
def test_a_run_of_shifted_frames_between_good_ones_is_no_rival(
    synthetic: Callable, rng: np.random.Generator
) -> None:
    case = synthetic(rng, nadir=False, windows=((0.0, 150.0), (6_000.0, 6_150.0)))
    spoiled = shifted(case, np.arange(21, 26), np.array([200.0, 0.0]))
    result = estimate_orbit(spoiled, case.camera, attitude=case.attitude)
    assert result.status is Status.DETERMINED
    assert case.error(result, case.t_s[-1]) < 3e3  # m
