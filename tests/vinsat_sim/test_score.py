"""The scorer's words mean what they say: checked on a solution that is off by a known amount."""

from dataclasses import replace

import numpy as np
import pytest

from flightsw.astro.elements import Elements, state_from_elements
from flightsw.astro.forces import Forces
from flightsw.astro.propagate import propagate
from flightsw.astro.time import Epoch
from flightsw.estimate.solution import PassStatistics, Solution, Status
from flightsw.runtime.products import write_solution
from vinsat_sim.score import TrueArc, score

START = Epoch.from_utc("2025-06-01T00:00:00Z")
END_S = 7200.0
LAST_S = 4000.0  # the last used observation
STATE = state_from_elements(
    Elements(a=6_928_137.0, e=0.003, inclination=1.6, raan=1.0, argument_of_perigee=0.5, true_anomaly=0.1)
)


@pytest.fixture(scope="module")
def truth() -> TrueArc:
    t_s = np.arange(0.0, END_S + 5.0, 10.0)
    return TrueArc(START, t_s, propagate(Forces(), START, STATE, 1.0, t_s).state)


def solution(*, off_m: float, sigma_m: float = 200.0, status: Status = Status.DETERMINED) -> Solution:
    """Return a solution at 1000 s whose position is off by `off_m` across the orbit."""
    at = 1000.0
    state = propagate(Forces(), START, STATE, 1.0, np.array([at])).state[0]
    pole = np.cross(state[:3], state[3:])
    covariance = np.zeros((13, 13))
    covariance[:3, :3] = np.eye(3) * sigma_m**2 / 3.0
    covariance[3:6, 3:6] = np.eye(3) * 1e-6
    one = PassStatistics(-1000.0, -400.0, 5, 60, 20, 50, 0.8, 1.0, 0.0, 0.0, True)
    return Solution(
        status=status,
        epoch=START + at,
        used=np.arange(120) < 100,
        attitude_mode="nadir",
        forces=Forces(),
        r_eci=state[:3] + off_m * pole / np.linalg.norm(pole),
        v_eci=state[3:],
        covariance_full=covariance,
        first_used_s=0.0 - at,
        last_used_s=LAST_S - at,
        passes=(one, replace(one, start_s=2500.0, end_s=3000.0), replace(one, used=0, agrees=False)),
    )


def write(folder, found: Solution) -> None:
    write_solution(folder, found, until=START + END_S)
    (folder / "observations.csv").write_text(
        "time_utc,landmark_id\n2025-06-01T00:20:00Z,a\n2025-06-01T00:10:30Z,b\n", encoding="utf-8"
    )


@pytest.mark.verifies("SIM-103")
def test_errors_are_measured_at_the_last_image_at_the_end_and_at_their_best(tmp_path, truth):
    write(tmp_path, solution(off_m=300.0))
    found = score(tmp_path, truth)
    # An offset across the orbit swings with the orbit's period: 300 m cos(angle).
    turn = np.sqrt(3.986e14 / 6_928_137.0**3)
    expected_km = 0.3 * abs(np.cos(turn * (LAST_S - 1000.0)))
    assert found.error_last_image_km == pytest.approx(expected_km, abs=0.02)  # km
    assert found.error_end_km == pytest.approx(0.3 * abs(np.cos(turn * (END_S - 1000.0))), abs=0.02)  # km
    assert found.error_ever_km < 0.02  # km, where the two orbits cross
    assert found.t_s[0] == 0.0
    assert found.t_s[-1] == END_S
    assert found.last_image_s == LAST_S


@pytest.mark.verifies("SIM-103")
def test_counts_come_from_the_solution_and_the_first_fix_from_the_observations(tmp_path, truth):
    write(tmp_path, solution(off_m=0.0))
    found = score(tmp_path, truth)
    assert (found.passes, found.observations_used, found.observations_rejected) == (2, 100, 20)
    assert found.first_fix_min == pytest.approx(10.5)
    assert found.error_last_image_km < 1e-5  # km: the same orbit


@pytest.mark.verifies("SIM-103")
def test_sigma_is_the_root_of_the_trace_predicted_to_the_last_image(tmp_path, truth):
    found_solution = solution(off_m=0.0, sigma_m=200.0)
    write(tmp_path, found_solution)
    covariance = found_solution.predict(np.array([LAST_S - 1000.0]))[1][0]
    expected_km = np.sqrt(np.trace(covariance[:3, :3])) / 1e3
    assert score(tmp_path, truth).sigma_last_image_km == pytest.approx(expected_km, rel=1e-6)


@pytest.mark.verifies("SIM-103")
@pytest.mark.parametrize(
    ("off_m", "sigma_m", "status", "wrong"),
    [
        (300.0, 200.0, Status.DETERMINED, False),
        (3000.0, 1.0, Status.DETERMINED, True),  # under 5 km, but far outside 5 sigma
        (9000.0, 5000.0, Status.DETERMINED, True),  # inside 5 sigma, but over 5 km
        (9000.0, 1.0, Status.ONE_PASS, False),  # not called determined
    ],
)
def test_wrong_is_called_determined_and_off_by_five_km_or_five_sigma(
    tmp_path, truth, off_m, sigma_m, status, wrong
):
    write(tmp_path, solution(off_m=off_m, sigma_m=sigma_m, status=status))
    assert score(tmp_path, truth).wrong is wrong


def test_without_a_state_there_is_a_reason_and_no_error(tmp_path, truth):
    nothing = Solution(Status.NO_LANDMARKS, START, np.zeros(0, dtype=bool), "nadir", Forces())
    write_solution(tmp_path, nothing)
    found = score(tmp_path, truth)
    assert found.status == "NO_LANDMARKS"
    assert found.error_last_image_km is None
    assert found.first_fix_min is None
    assert not found.wrong


def test_truth_between_its_samples_is_smooth(truth):
    t_s = np.array([5.0, 1234.5, 7199.9])
    expected = propagate(Forces(), START, STATE, 1.0, t_s).state[:, :3]
    np.testing.assert_allclose(truth.r_eci(t_s), expected, atol=1e-3)  # m
    assert np.isnan(truth.r_eci(np.array([-1.0]))).all()
