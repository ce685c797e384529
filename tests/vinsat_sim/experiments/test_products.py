"""The studies of products measure what they say, in miniature."""

import numpy as np
import pytest

from groundtools.products.identify import Verdict
from vinsat_sim.experiments import fit_tle, identify, plan
from vinsat_sim.experiments.landmark_world import draw_places, first_pass, make_world, sight, solution_of
from vinsat_sim.orbits import draw_orbit


def test_a_fit_of_a_day_is_good_there_and_worse_after():
    epoch, state = draw_orbit(np.random.default_rng(4001))
    truth = fit_tle.truth_of(epoch, state, hours=48.0, zonal=False)
    outcome = fit_tle.fit_part(truth, 24.0)
    assert 100.0 < outcome.rms_m < 900.0  # m: SGP4 has no tesserals
    assert set(outcome.past_km) == {24}


def test_objects_of_one_release_drift_apart_along_the_track(monkeypatch):
    monkeypatch.setattr(identify, "OBJECTS", 8)
    sets = identify.deploy(5001)
    assert len(sets) == 8
    assert {one.epoch for one in sets} == {sets[0].epoch}
    day = identify.catalogue_states(sets, sets[0].epoch + 86_400.0)
    spread = np.linalg.norm(day[:, :3] - day[:, :3].mean(axis=0), axis=1)
    assert 20e3 < spread.max() < 400e3  # m: 3 x 1 m/s x a day is 260 km


def test_with_no_error_the_right_object_is_named(monkeypatch):
    monkeypatch.setattr(identify, "OBJECTS", 8)
    truth = identify.catalogue_states(identify.deploy(5001), identify.deploy(5001)[0].epoch + 86_400.0)
    tally = identify.Tally([], [], [], [])
    claim = identify.Claim(np.diag([1.0, 1.0, 1.0, 1e-6, 1e-6, 1e-6]), np.sqrt(3.0))
    rng = np.random.default_rng(1)
    kind = identify.Kind(day=1, rms_m=10.0, catalog_m=10.0, missing=False)
    for _ in range(20):
        identify._draw(rng, kind, truth, identify._maps(truth), [claim], tally)
    assert all(tally.right)
    assert set(tally.verdict) <= {Verdict.IDENTIFIED, Verdict.AMBIGUOUS}


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(6001)
    epoch, state = draw_orbit(rng)
    return make_world(epoch, state, draw_places(rng), 6001)


def test_the_same_frame_brings_the_same_whoever_takes_it(world):
    index = int(np.flatnonzero(world.seen.count > 0)[3])
    one, again = sight(world, index), sight(world, index)
    assert (one is None) == (again is None)
    if one is not None:
        np.testing.assert_array_equal(one.information, again.information)


def test_a_first_pass_leaves_a_solution_whose_error_fits_its_covariance(world):
    first = first_pass(world)
    assert len(first) >= 3
    distances = []
    for seed in range(40):
        solution = solution_of(world, first, np.random.default_rng(seed))
        error = world.state[0] - np.concatenate([solution.r_eci, solution.v_eci])
        distances.append(error @ np.linalg.pinv(solution.covariance, rcond=1e-16) @ error)
    assert 3.0 < np.mean(distances) < 9.0  # chi-square with 6 degrees of freedom


def test_the_fixed_cycle_images_its_share_of_the_daylight(world):
    times = plan.duty_cycle(world, 0.0, 540.0, 0.3)
    assert len(times) == pytest.approx(0.1 * plan._daylit(world).sum(), rel=0.05)


def test_one_case_ends_with_times_and_frames():
    case = plan.run_case(6001, 540.0)
    assert case is not None
    assert case.same.t_s <= case.cycle.t_s + plan.SAME_S
    assert case.fifth.frames <= case.cycle.frames / plan.FEWER
