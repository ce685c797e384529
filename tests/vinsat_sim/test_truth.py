"""The truth: brahe's arc, in brahe's frames, at the instants asked for."""

import brahe
import numpy as np
import pytest

from flightsw.astro.forces import Forces
from flightsw.astro.propagate import propagate
from flightsw.astro.rotation import ecef_from_eci
from flightsw.astro.sun import sun_direction_eci
from flightsw.astro.time import Epoch
from vinsat_sim.truth import TruthForces, brahe_epoch, fly_truth

EPOCH = Epoch.from_utc("2026-03-01T12:00:05.25Z")
STATE = np.array([6.92e6, 0.0, 0.0, 0.0, 1.0e3, 7.5e3])
T_S = np.array([0.0, 12.345, 600.0, 3600.0])


@pytest.fixture(scope="module")
def truth():
    return fly_truth(EPOCH, STATE, T_S)


def test_it_starts_at_the_state_given(truth):
    np.testing.assert_allclose(truth.state_eci[0], STATE, atol=1e-6)  # m, m/s


@pytest.mark.verifies("SIM-004")
def test_with_the_same_forces_it_is_the_flight_programs_arc():
    truth = fly_truth(EPOCH, STATE, T_S, TruthForces(degree=20, drag=False, third_body=False))
    ours = propagate(Forces(drag=False), EPOCH, STATE, 1.0, T_S).state
    np.testing.assert_allclose(truth.state_eci[:, :3], ours[:, :3], atol=0.05)  # m


@pytest.mark.verifies("SIM-004")
def test_it_knows_forces_the_flight_program_does_not(truth):
    ours = propagate(Forces(), EPOCH, STATE, 1.0, T_S).state
    assert 0.2 < np.linalg.norm(truth.state_eci[-1, :3] - ours[-1, :3]) < 200.0  # m after an hour


def test_its_frames_agree_with_the_flight_programs(truth):
    rotation = ecef_from_eci(EPOCH, T_S)
    np.testing.assert_allclose(truth.ecef_from_eci, rotation, atol=2.0 / 7e6)  # 2 m at 600 km
    sun = np.einsum("nij,nj->ni", rotation, sun_direction_eci(EPOCH, T_S))
    assert np.arccos(np.clip((sun * truth.sun_ecef).sum(axis=1), -1, 1)).max() < np.deg2rad(0.1)


def test_its_velocity_is_the_slope_of_its_position():
    truth = fly_truth(EPOCH, STATE, np.array([99.5, 100.0, 100.5]))
    slope = truth.r_ecef[2] - truth.r_ecef[0]  # over one second
    np.testing.assert_allclose(truth.state_ecef[1, 3:], slope, atol=2e-3)  # m/s; third derivative / 24


@pytest.mark.parametrize(
    "text", ["2026-03-01T12:00:05.123456789Z", "2016-12-31T23:59:60.5Z", "2005-01-01T00:00:00Z"]
)
def test_epochs_are_the_same_instant(text):
    epoch = Epoch.from_utc(text)
    base = brahe.Epoch.from_date(2000, 1, 1, brahe.TimeSystem.TAI) + 43_200.0
    assert brahe_epoch(epoch) - base == pytest.approx(epoch.tai_ns / 1e9, abs=2e-7)  # s, of a float


@pytest.mark.parametrize("t_s", [[], [10.0, 5.0], [-1.0, 5.0]])
def test_instants_must_be_sorted_and_not_before_the_epoch(t_s):
    with pytest.raises(ValueError, match="sorted"):
        fly_truth(EPOCH, STATE, np.array(t_s))
