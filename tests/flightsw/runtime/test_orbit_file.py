import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flightsw.astro.time import Epoch
from flightsw.runtime.orbit_file import Ephemeris, ephemeris_csv, orbit_oem, sample, sample_times


@pytest.mark.verifies("RUN-008")
@pytest.mark.parametrize(
    ("first", "last", "until", "expected"),
    [
        (-5.0, 20.0, None, [-5.0, 5.0, 15.0, 20.0]),
        (0.0, 20.0, None, [0.0, 10.0, 20.0]),
        (0.0, 20.0, 15.0, [0.0, 10.0, 20.0]),  # an end inside the data changes nothing
        (0.0, 24.0, 37.0, [0.0, 10.0, 20.0, 24.0, 30.0, 37.0]),
        (3.0, 3.0, None, [3.0]),
    ],
)
def test_samples_are_ten_seconds_apart_with_both_ends(first, last, until, expected) -> None:
    assert sample_times(first, last, until).tolist() == expected


@pytest.mark.verifies("RUN-008")
def test_the_ephemeris_follows_the_truth_within_its_sigma(case_files) -> None:
    solution, case = case_files.solution, case_files.case
    ephemeris = sample(solution, None)
    frames = case.observations.frame_t_s - (solution.epoch - case.observations.epoch)
    index = np.searchsorted(ephemeris.t_s, frames - 1e-6)
    np.testing.assert_allclose(ephemeris.t_s[index], frames, atol=1e-6)  # s: frames are on the grid
    error = np.linalg.norm(ephemeris.state[index, :3] - case.state[:, :3], axis=1)
    sigma = np.sqrt(np.trace(solution.predict(frames)[1][:, :3, :3], axis1=1, axis2=2))
    assert np.all(error < 4.0 * sigma)
    assert error.max() < 500.0  # m; 110 m measured


@pytest.mark.verifies("RUN-008")
def test_ephemeris_csv_has_the_promised_columns_and_ends(case_files) -> None:
    solution = case_files.solution
    until = solution.epoch + solution.last_used_s + 123.4
    lines = ephemeris_csv(sample(solution, until)).splitlines()
    assert lines[0] == "time_utc,x_m,y_m,z_m,vx_m_s,vy_m_s,vz_m_s"
    times = [line.split(",")[0] for line in lines[1:]]
    assert all(time.endswith("Z") for time in times)
    epochs = [Epoch.from_utc(time) for time in times]
    assert epochs == sorted(set(epochs))
    assert epochs[0] == case_files.case.observations.epoch
    assert epochs[-1] == until
    assert solution.epoch + solution.last_used_s in epochs


@pytest.mark.verifies("RUN-008")
def test_the_oem_is_accepted_by_a_strict_parser_and_says_the_same(case_files, tmp_path: Path) -> None:
    oem = pytest.importorskip("oem")
    solution = case_files.solution
    ephemeris = sample(solution, solution.epoch + solution.last_used_s + 1000.0)
    path = tmp_path / "orbit.oem"
    path.write_text(orbit_oem(solution, ephemeris))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # astropy's own, about leap seconds to come
        message = oem.OrbitEphemerisMessage.open(path)
        states, covariances = list(message.states), list(message.covariances)
        segment = next(iter(message))
        between = segment(segment.useable_start_time + (states[1].epoch - states[0].epoch) / 2)
    assert message.version == "2.0"
    assert (segment.metadata["REF_FRAME"], segment.metadata["TIME_SYSTEM"]) == ("GCRF", "UTC")
    assert len(states) == len(ephemeris.t_s)
    ours = np.hstack([ephemeris.state[:, :3], ephemeris.state[:, 3:]]) / 1e3
    theirs = np.array([state.vector for state in states])
    np.testing.assert_allclose(theirs[:, :3], ours[:, :3], atol=1e-7)  # km, one in the last digit
    np.testing.assert_allclose(theirs[:, 3:], ours[:, 3:], atol=1e-10)  # km/s
    halfway = sample(replace(solution, first_used_s=float(ephemeris.t_s[0] + 5.0)), None).state[0]
    np.testing.assert_allclose(between.position * 1e3, halfway[:3], atol=0.01)  # m, interpolated
    assert len(covariances) >= 10
    first = solution.predict(ephemeris.t_s[:1])[1][0] * 1e-6
    np.testing.assert_allclose(covariances[0].matrix, first, rtol=1e-9, atol=1e-18)
    assert {c.frame for c in covariances} == {"GCRF"}
    assert covariances[-1].epoch == states[-1].epoch


def test_epochs_between_microseconds_move_the_state_along(case_files) -> None:
    solution = case_files.solution
    odd = replace(solution, epoch=solution.epoch + 4e-7, first_used_s=0.0, last_used_s=20.0)
    ephemeris = sample(odd, None)
    lines = [line for line in orbit_oem(odd, ephemeris).splitlines() if line.startswith("20")]
    stamp, x = lines[0].split()[0], float(lines[0].split()[1])
    moved_s = Epoch.from_utc(stamp) - (odd.epoch + 0.0)
    assert abs(moved_s) == pytest.approx(4e-7, abs=1e-12)
    expected = (ephemeris.state[0, 0] + moved_s * ephemeris.state[0, 3]) / 1e3
    assert x == pytest.approx(expected, abs=1e-7)  # km


def test_one_state_alone_makes_a_valid_oem(case_files, tmp_path: Path) -> None:
    oem = pytest.importorskip("oem")
    short = replace(case_files.solution, first_used_s=0.0, last_used_s=0.0)
    path = tmp_path / "orbit.oem"
    path.write_text(orbit_oem(short, sample(short, None)))
    assert len(list(oem.OrbitEphemerisMessage.open(path).states)) == 1


@pytest.mark.verifies("RUN-008")
def test_an_orbit_that_ends_cuts_the_ephemeris_short(case_files) -> None:
    s = case_files.solution
    falling = replace(s, v_eci=0.9 * s.v_eci, first_used_s=0.0, last_used_s=0.0)
    ephemeris = sample(falling, s.epoch + 6000.0)
    assert ephemeris.is_cut_short
    assert np.isfinite(ephemeris.state).all()
    whole = Ephemeris(s.epoch, np.array([0.0, 10.0]), np.zeros((2, 6)), 10.0)
    assert not whole.is_cut_short
