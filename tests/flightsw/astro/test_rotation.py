"""The rotation to the Earth-fixed frame: its own properties. Authorities: tests/authority."""

import numpy as np
import pytest

from flightsw.astro.eop import EarthOrientation
from flightsw.astro.rotation import EARTH_RATE, OMEGA_EARTH, ecef_from_eci
from flightsw.astro.time import Epoch

EPOCH = Epoch.from_utc("2026-03-01T12:00:00Z")


def test_it_is_a_rotation():
    rotation = ecef_from_eci(EPOCH, np.linspace(-1e6, 1e6, 40))
    np.testing.assert_allclose(
        rotation @ np.swapaxes(rotation, 1, 2), np.eye(3)[None].repeat(40, 0), atol=1e-14
    )
    np.testing.assert_allclose(np.linalg.det(rotation), 1.0, atol=1e-14)


def test_a_scalar_time_gives_one_matrix_and_the_same_as_an_array():
    one = ecef_from_eci(EPOCH, 1234.5)
    assert one.shape == (3, 3)
    np.testing.assert_array_equal(one, ecef_from_eci(EPOCH, np.array([0.0, 1234.5]))[1])
    np.testing.assert_allclose(one, ecef_from_eci(EPOCH + 1234.5), atol=1e-13)


def test_it_does_not_depend_on_what_else_is_asked_for():
    t = np.array([0.0, 5000.0, 21_600.0, 9e7])
    together = ecef_from_eci(EPOCH, t)
    for k in range(4):
        np.testing.assert_array_equal(together[k], ecef_from_eci(EPOCH, t[k : k + 1])[0])


def test_the_earth_turns_at_its_rate_about_its_own_pole():
    before, after = ecef_from_eci(EPOCH, np.array([-0.5, 0.5]))
    turn = after @ before.T
    rate = 0.5 * np.array([turn[1, 2] - turn[2, 1], turn[2, 0] - turn[0, 2], turn[0, 1] - turn[1, 0]])
    np.testing.assert_allclose(rate, OMEGA_EARTH, atol=3e-10)  # rad/s; the pole is 2e-6 rad off
    assert pytest.approx(7.292_115e-5, rel=1e-7) == EARTH_RATE


def test_the_table_given_is_the_table_used():
    mjd = np.arange(61_090.0, 61_110.0)
    zero = np.zeros(20)
    late = EarthOrientation(mjd, zero + 1.0, zero, zero, zero + 1e-5)
    early = EarthOrientation(mjd, zero, zero, zero, zero + 1e-5)
    turn = ecef_from_eci(EPOCH, eop=late) @ ecef_from_eci(EPOCH, eop=early).T
    assert np.arctan2(turn[0, 1], turn[0, 0]) == pytest.approx(EARTH_RATE, rel=1e-6)  # 1 s of UT1
