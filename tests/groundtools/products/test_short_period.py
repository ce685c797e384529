"""Taking off the wobble of J2: what is left is steady where the osculating elements are not."""

import numpy as np

from flightsw.astro.forces import Forces
from flightsw.astro.propagate import propagate
from flightsw.astro.time import Epoch
from groundtools.products.short_period import mean_states

GM = 3.986004418e14


def semi_major_axis(states):
    return 1.0 / (2.0 / np.linalg.norm(states[:, :3], axis=1) - np.sum(states[:, 3:] ** 2, axis=1) / GM)


def flight(inclination_deg, eccentricity=0.001):
    a = 6_928_137.0
    r, v = a * (1.0 - eccentricity), np.sqrt(GM / a * (1.0 + eccentricity) / (1.0 - eccentricity))
    tilt = np.radians(inclination_deg)
    start = np.array([r, 0.0, 0.0, 0.0, v * np.cos(tilt), v * np.sin(tilt)])
    t_s = np.arange(0.0, 6000.0, 60.0)
    return propagate(
        Forces(degree=2, drag=False), Epoch.from_utc("2026-03-01T12:00:00Z"), start, 1.0, t_s
    ).state


def test_the_mean_semi_major_axis_is_steady_for_any_inclination():
    for inclination_deg in (1.0, 51.6, 97.6, 140.0):
        states = flight(inclination_deg)
        before, after = (np.ptp(semi_major_axis(one)) for one in (states, mean_states(states)))
        assert after < 200.0  # m: second order in J2, J2 times e, and the pole of GCRF
        assert inclination_deg < 2.0 or after < before / 50.0


def test_what_is_taken_off_is_some_kilometres():
    states = flight(97.6)
    moved = np.linalg.norm(mean_states(states)[:, :3] - states[:, :3], axis=1)
    assert moved.max() < 20e3  # m
    assert moved.max() > 1e3  # m
