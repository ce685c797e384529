from collections.abc import Callable

import numpy as np
import pytest

from flightsw.estimate.hypotheses import candidate_states, heading_states, misfits, short_arcs
from flightsw.estimate.resection import fix_frame
from flightsw.estimate.sightings import prepare_sightings

ONE_WINDOW = ((0.0, 60.0),)


def fixes(case, gate_px: float = 15.0, spoil: float = 0.0):
    """Return the frame fixes of a case and the true positions of their frames."""
    rng = np.random.default_rng(1)
    observations = case.observations
    if spoil:
        bad = rng.random(len(observations)) < spoil
        observations.uv_px[bad] = rng.uniform(0, 1200, (int(bad.sum()), 2))
    sightings = prepare_sightings(observations, case.camera, case.attitude)
    found = []
    for frame in range(len(sightings.t_s)):
        rows = np.flatnonzero(sightings.frame == frame)
        fix = fix_frame(sightings, frame, rows, gate_px, rng)
        found += [] if fix is None else [fix]
    truth = np.array([case.state[np.argmin(np.abs(case.t_s - fix.t_s))] for fix in found])
    return sightings, found, truth


@pytest.mark.parametrize("nadir", [True, False])
@pytest.mark.verifies("EST-004")
def test_a_frame_of_perfect_detections_gives_the_position(
    nadir: bool, synthetic: Callable, rng: np.random.Generator
) -> None:
    case = synthetic(rng, nadir=nadir, windows=ONE_WINDOW, sigma_px=0.0, bias_px=0.0, offset_deg=0.0)
    _, found, truth = fixes(case)
    assert len(found) == 7
    error = np.linalg.norm(np.array([f.r_eci for f in found]) - truth[:, :3], axis=1)
    # m; with nadir pointing the jitter of 0.01 deg is worth 0.1 km, more at the edge
    assert error.max() < (500.0 if nadir else 0.1)


@pytest.mark.parametrize("nadir", [True, False])
@pytest.mark.verifies("EST-004")
def test_four_wrong_detections_in_ten_do_not_move_a_fix(
    nadir: bool, synthetic: Callable, rng: np.random.Generator
) -> None:
    _, found, truth = fixes(synthetic(rng, nadir=nadir, windows=ONE_WINDOW), spoil=0.4)
    assert len(found) >= 6
    error = np.linalg.norm(np.array([f.r_eci for f in found]) - truth[:, :3], axis=1)
    assert np.median(error) < 5e3  # m


@pytest.mark.parametrize("altitude", [250e3, 1_200e3])
def test_both_ends_of_the_altitude_range_are_resected(
    altitude: float, synthetic: Callable, rng: np.random.Generator
) -> None:
    case = synthetic(rng, windows=ONE_WINDOW, altitude=altitude, sigma_px=0.5)
    _, found, truth = fixes(case)
    assert len(found) == 7
    error = np.linalg.norm(np.array([f.r_eci for f in found]) - truth[:, :3], axis=1)
    assert np.median(error) < 0.02 * altitude


def test_one_landmark_seen_twice_is_no_fix(synthetic: Callable, rng: np.random.Generator) -> None:
    case = synthetic(rng, windows=((0.0, 0.0),), landmarks=1)
    assert len(case.observations) == 1
    twice = case.observations.subset(np.array([0, 0]))
    sightings = prepare_sightings(twice, case.camera, None)
    assert fix_frame(sightings, 0, np.array([0, 1]), 15.0, rng) is None


@pytest.mark.parametrize("nadir", [True, False])
def test_pairs_of_fixes_make_orbits_with_the_right_velocity(
    nadir: bool, synthetic: Callable, rng: np.random.Generator
) -> None:
    case = synthetic(rng, nadir=nadir, windows=ONE_WINDOW)
    _, found, _ = fixes(case)
    states, times = candidate_states(found)
    truth = np.array([case.state[np.argmin(np.abs(case.t_s - t))] for t in times])
    error = np.linalg.norm(states[:, 3:] - truth[:, 3:], axis=1)
    assert np.median(error) < 150.0  # m/s


def test_short_arcs_follow_the_truth(synthetic: Callable, rng: np.random.Generator) -> None:
    case = synthetic(rng, windows=((0.0, 400.0),), landmarks=1)
    middle = len(case.t_s) // 2
    paths = short_arcs(case.state[middle : middle + 1], case.t_s[middle : middle + 1], case.t_s)
    assert np.abs(paths[0, :, :3] - case.state[:, :3]).max() < 20.0  # m: J2 against 20x20 in 200 s


@pytest.mark.parametrize("nadir", [True, False])
def test_one_detection_is_seen_where_it_is_by_all_its_heading_states(
    nadir: bool, synthetic: Callable, rng: np.random.Generator
) -> None:
    case = synthetic(rng, nadir=nadir, windows=((0.0, 0.0),), landmarks=1, sigma_px=0.0, bias_px=0.0)
    sightings = prepare_sightings(case.observations, case.camera, case.attitude)
    states = heading_states(sightings, 0)
    misfit = misfits(sightings, states[:, None, :])[:, 0]
    assert np.median(misfit) < 100.0  # px: a grid to start from, curvature is not in it
