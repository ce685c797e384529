"""The Sun where the calendar puts it. Against an ephemeris: tests/authority."""

import numpy as np
import pytest

from flightsw.astro.sun import moon_position_eci, sun_direction_eci, sun_position_eci
from flightsw.astro.time import Epoch

DAY = 86_400.0


@pytest.mark.verifies("AST-012")
def test_the_sun_stands_over_the_equator_at_the_equinox():
    # 2026-03-20 14:46 UTC (equator of date; J2000's differs by 0.15 deg by now)
    declination = np.degrees(np.arcsin(sun_direction_eci(Epoch.from_utc("2026-03-20T14:46:00Z"))[2]))
    assert declination == pytest.approx(-0.146, abs=0.02)  # deg


@pytest.mark.verifies("AST-012")
def test_the_sun_reaches_the_obliquity_at_the_solstice():
    t = np.arange(0.0, 366.0) * DAY
    declination = np.degrees(np.arcsin(sun_direction_eci(Epoch.from_utc("2026-01-01T00:00:00Z"), t)[:, 2]))
    assert declination.max() == pytest.approx(23.436, abs=0.01)  # deg
    assert declination.min() == pytest.approx(-23.436, abs=0.01)


def test_directions_are_units_and_scalars_give_one():
    epoch = Epoch.from_utc("2026-03-01T00:00:00Z")
    assert sun_direction_eci(epoch).shape == (3,)
    directions = sun_direction_eci(epoch, np.arange(5) * DAY)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1.0, atol=1e-15)
    np.testing.assert_allclose(sun_direction_eci(epoch, 2 * DAY), directions[2], atol=1e-15)


def test_perihelion_is_in_january_and_the_moon_comes_round_in_27_days():
    epoch = Epoch.from_utc("2026-01-01T00:00:00Z")
    distance = np.linalg.norm(sun_position_eci(epoch, np.arange(365) * DAY), axis=1)
    assert np.argmin(distance) in (2, 3)
    moon = moon_position_eci(epoch, np.array([0.0, 27.3217 * DAY]))
    cosine = moon[0] @ moon[1] / np.prod(np.linalg.norm(moon, axis=1))
    assert np.degrees(np.arccos(cosine)) < 8.0  # deg: the anomaly shifts it
