"""A clock that is wrong by a constant."""

from collections.abc import Callable

import numpy as np
import pytest

from flightsw.estimate.batch import EstimatorOptions, estimate_orbit
from flightsw.estimate.clock import (
    ClockTreatment,
    clock_offset_sigma,
    clock_treatment,
    covariance_at_true_time,
)
from flightsw.estimate.solution import Status

LATE = 8.0  # s
OPTIONS = EstimatorOptions(clock_offset_sigma=10.0)


@pytest.mark.verifies("EST-024")
def test_inertial_attitude_tells_the_offset(synthetic: Callable, rng: np.random.Generator) -> None:
    case = synthetic(rng, nadir=False, late_s=LATE)
    solution = estimate_orbit(case.observations, case.camera, attitude=case.attitude, options=OPTIONS)
    assert solution.status is Status.DETERMINED
    assert clock_treatment(solution) is ClockTreatment.ESTIMATED
    sigma = clock_offset_sigma(solution)
    assert sigma < 5.0
    assert abs(solution.clock_offset - LATE) < 3.5 * sigma
    _, covariance = solution.predict(np.array([case.t_s[-1] - (solution.epoch - case.observations.epoch)]))
    assert case.error(solution, case.t_s[-1]) < 3.5 * np.sqrt(np.trace(covariance[0, :3, :3]))


@pytest.mark.verifies("EST-024")
def test_the_nadir_does_not_tell_it_and_the_labels_do_not_mind(
    synthetic: Callable, rng: np.random.Generator
) -> None:
    case = synthetic(rng)
    exact = estimate_orbit(case.observations, case.camera)
    assert clock_treatment(exact) is ClockTreatment.EXACT
    considered = estimate_orbit(case.observations, case.camera, options=OPTIONS)
    assert clock_treatment(considered) is ClockTreatment.CONSIDERED
    np.testing.assert_array_equal(considered.r_eci, exact.r_eci)
    at_true_time = covariance_at_true_time(considered)
    assert at_true_time is not None
    assert considered.covariance is not None
    over_ground = np.sqrt(np.trace((at_true_time - considered.covariance)[:3, :3])) / 10.0  # m/s
    assert 6.9e3 < over_ground < 7.6e3
    np.testing.assert_array_equal(covariance_at_true_time(exact), exact.covariance)
