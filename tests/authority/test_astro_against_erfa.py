"""Frames and the Sun against ERFA (the IAU's SOFA)."""

import numpy as np
import pytest

from flightsw.astro.eop import default_earth_orientation
from flightsw.astro.rotation import celestial_pole, ecef_from_eci
from flightsw.astro.sun import moon_position_eci, sun_direction_eci, sun_position_eci
from flightsw.astro.time import Epoch

erfa = pytest.importorskip("erfa")

J2000 = 2_451_545.0
AU = 149_597_870_700.0  # m
START = Epoch.from_utc("2000-01-01T00:00:00Z")
TIMES = np.arange(0.0, 27.8 * 365.25, 17.3) * 86_400.0  # s, to the end of the table


@pytest.mark.verifies("AST-004")
def test_the_celestial_pole_is_that_of_iau_2006_2000a_within_a_milliarcsecond():
    days = (START.tt_seconds + TIMES) / 86_400.0
    theirs = np.stack(erfa.xys06a(J2000, days), axis=1)
    milliarcsecond = 4.85e-9  # rad, 3.4 cm at 600 km altitude
    np.testing.assert_allclose(celestial_pole(days / 36_525.0)[:, :2], theirs[:, :2], atol=milliarcsecond)
    np.testing.assert_allclose(celestial_pole(days / 36_525.0)[:, 2], theirs[:, 2], atol=1e-10)


@pytest.mark.verifies("AST-004")
def test_the_whole_rotation_is_erfas_within_4_centimetres():
    rotation = ecef_from_eci(START, TIMES)
    for k in range(0, len(TIMES), 10):
        epoch = START + TIMES[k]
        at = default_earth_orientation().at(epoch)
        tt_days = epoch.tt_seconds / 86_400.0
        ut1_days = (epoch.tai_ns / 1e9 - epoch.tai_minus_utc_s + at.ut1_utc_s) / 86_400.0
        theirs = erfa.c2t06a(J2000, tt_days, J2000, ut1_days, at.xp_rad, at.yp_rad)
        assert np.linalg.norm(rotation[k] - theirs, ord=2) * 6.978e6 < 0.04  # m


@pytest.mark.verifies("AST-012")
def test_the_sun_is_within_two_hundredths_of_a_degree_and_the_moon_within_a_tenth():
    times = np.arange(0.0, 31 * 365.25, 3.1) * 86_400.0
    days = (START.tt_seconds + times) / 86_400.0
    heliocentric, _ = erfa.epv00(J2000, days)
    sun = -heliocentric["p"] * AU
    distance = np.linalg.norm(sun, axis=1)
    angle = np.arcsin(np.linalg.norm(np.cross(sun_direction_eci(START, times), sun), axis=1) / distance)
    assert np.degrees(angle).max() < 0.02  # deg
    ours = np.linalg.norm(sun_position_eci(START, times), axis=1)
    np.testing.assert_allclose(ours, distance, rtol=2e-4)

    moon = erfa.moon98(J2000, days)["p"] * AU
    theirs = moon / np.linalg.norm(moon, axis=1, keepdims=True)
    low = moon_position_eci(START, times)
    low /= np.linalg.norm(low, axis=1, keepdims=True)
    assert np.degrees(np.arcsin(np.linalg.norm(np.cross(low, theirs), axis=1))).max() < 0.1  # deg
