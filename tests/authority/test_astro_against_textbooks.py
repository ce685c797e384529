"""Worked examples of Vallado, Fundamentals of Astrodynamics and Applications (4th ed.)."""

import numpy as np
import pytest

from flightsw.astro.elements import elements_from_state
from flightsw.astro.eop import ARCSEC, EarthOrientation
from flightsw.astro.geodesy import lla_from_ecef
from flightsw.astro.rotation import OMEGA_EARTH, ecef_from_eci
from flightsw.astro.time import Epoch


@pytest.mark.verifies("AST-004")
def test_example_3_14_gcrf_to_itrf():
    epoch = Epoch.from_utc("2004-04-06T07:51:28.386009Z")
    days = np.arange(53_095.0, 53_105.0)
    same = np.ones(10)
    eop = EarthOrientation(
        days, -0.4399619 * same, -0.140682 * ARCSEC * same, 0.333309 * ARCSEC * same, 1e-5 * same
    )
    r_gcrf = np.array([5_102_508.958, 6_123_011.401, 6_378_136.928])
    v_gcrf = np.array([-4_743.220_16, 790.536_50, 5_533.755_73])
    rotation = ecef_from_eci(epoch, eop=eop)
    r_itrf = rotation @ r_gcrf
    np.testing.assert_allclose(r_itrf, [-1_033_479.3830, 7_901_295.2754, 6_380_356.5958], atol=0.1)  # m
    v_itrf = rotation @ v_gcrf - np.cross(OMEGA_EARTH, r_itrf)
    np.testing.assert_allclose(v_itrf, [-3_225.636_520, -2_872.451_450, 5_531.924_446], atol=1e-3)  # m/s


@pytest.mark.verifies("AST-005")
def test_example_3_3_geodetic_coordinates():
    lat, lon, height = lla_from_ecef(np.array([6_524_834.0, 6_862_875.0, 6_448_296.0]))
    assert np.degrees(lat) == pytest.approx(34.352_496, abs=1e-6)  # deg
    assert np.degrees(lon) == pytest.approx(46.4464, abs=1e-4)
    assert height == pytest.approx(5_085_219.0, abs=20.0)  # m; the book's ellipsoid is 1 m larger


@pytest.mark.verifies("AST-010")
def test_example_2_5_elements():
    state = np.array([6_524_834.0, 6_862_875.0, 6_448_296.0, 4_901.327, 5_533.756, -1_976.341])
    elements = elements_from_state(state, gm=3.986_004_418e14)
    assert elements.a == pytest.approx(36_127_343.0, abs=2e3)  # m
    assert elements.e == pytest.approx(0.832_853, abs=1e-6)
    assert np.degrees(elements.inclination) == pytest.approx(87.870, abs=1e-3)
    assert np.degrees(elements.raan) == pytest.approx(227.898, abs=1e-3)
    assert np.degrees(elements.argument_of_perigee) == pytest.approx(53.38, abs=1e-2)
    assert np.degrees(elements.true_anomaly) == pytest.approx(92.335, abs=1e-3)
