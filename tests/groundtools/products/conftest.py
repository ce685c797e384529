"""Random orbits of the kind that fly, and tables of states along them."""

from dataclasses import replace

import numpy as np
import pytest

from flightsw.astro.time import Epoch
from groundtools.products.ephemeris import Body, Ephemeris
from groundtools.products.mean_elements import MeanElements
from groundtools.products.tle import rounded_epoch

DAY_S = 86_400.0
FIRST = Epoch.from_utc("1972-01-02T00:00:00Z")
YEARS = 84  # to 2056: what a TLE can hold
IDS = ("1", "25544", "99999", "100000", "270000", "339999", "340000", "799501234")


def draw_elements(rng: np.random.Generator) -> MeanElements:
    """Return one random low orbit, any angles, any time of those years."""
    epoch = FIRST + float(rng.uniform(0.0, YEARS * 365.0 * DAY_S))
    a_km = 6378.0 + rng.uniform(300.0, 1500.0)
    return MeanElements(
        epoch=rounded_epoch(epoch) if rng.random() < 0.5 else Epoch(epoch.tai_ns // 1000 * 1000),
        mean_motion_rev_day=float(86_400.0 / (2.0 * np.pi * np.sqrt(a_km**3 / 398_600.44))),
        eccentricity=float(rng.choice([0.0, rng.uniform(0.0, 0.02)])),
        inclination_deg=float(rng.uniform(0.0, 180.0)),
        raan_deg=float(rng.uniform(0.0, 360.0)),
        argument_of_perigee_deg=float(rng.uniform(0.0, 360.0)),
        mean_anomaly_deg=float(rng.choice([359.99997, rng.uniform(0.0, 360.0)])),
        bstar=float(rng.choice([-1.0, 1.0]) * 10.0 ** rng.uniform(-12.0, -1.5)),
        mean_motion_dot=float(rng.normal() * 1e-4),
        mean_motion_ddot=float(rng.normal() * 10.0 ** rng.uniform(-13.0, -7.0)),
        element_set_number=int(rng.integers(0, 9999)),
        revolution_number=int(rng.integers(0, 99_999)),
        body=Body("TEST SAT", "2026-014C", str(rng.choice(IDS))),
    )


def around_a_leap_second() -> list[Epoch]:
    """Return instants one second either side of the last two leap seconds."""
    texts = [f"{day}T23:59:59Z" for day in ("2015-06-30", "2016-12-31")]
    return [Epoch.from_utc(text) + shift for text in texts for shift in (0.0, 2.0)]


def table(elements: MeanElements, *, step_s: float = 30.0, count: int = 41) -> Ephemeris:
    """Return states along an orbit, with covariances at its ends."""
    t_s = step_s * np.arange(count)
    made = elements.ephemeris(elements.epoch, t_s)
    half = np.random.default_rng(count).normal(size=(2, 6, 6)) * ([100.0] * 3 + [0.1] * 3)
    covariance = np.swapaxes(half, 1, 2) @ half
    return replace(made, covariance_t_s=t_s[[0, -1]], covariance=covariance)


@pytest.fixture
def elements() -> MeanElements:
    return MeanElements(
        epoch=Epoch.from_utc("2026-03-01T12:00:00.000864Z"),
        mean_motion_rev_day=15.05,
        eccentricity=0.0012,
        inclination_deg=97.6,
        raan_deg=120.0,
        argument_of_perigee_deg=80.0,
        mean_anomaly_deg=280.0,
        bstar=3.1e-5,
        body=Body("VINSAT 1", "2026-014C", "100042"),
    )
