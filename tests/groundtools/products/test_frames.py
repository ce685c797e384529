import numpy as np
import pytest

from flightsw.astro.time import Epoch
from groundtools.products.frames import ecef_states, eci_states, eme2000_from_eci, teme_from_eci

TIMES = ("2009-06-01T03:00:00Z", "2016-12-31T23:59:59Z", "2026-03-01T12:00:00Z")
AWAY_S = np.array([0.0, 1.0, 2.0, 40_000.0])


@pytest.mark.verifies("PRD-001")
@pytest.mark.filterwarnings("ignore")  # skyfield warns of its own NumPy usage
@pytest.mark.parametrize("text", TIMES)
def test_teme_is_where_skyfield_has_it(text):
    api = pytest.importorskip("skyfield.api")
    from skyfield.sgp4lib import TEME

    timescale = api.load.timescale(builtin=True)
    epoch = Epoch.from_utc(text)
    theirs = [
        TEME.rotation_at(timescale.tt_jd(2_451_545.0, (epoch.tt_seconds + t) / 86_400.0)) for t in AWAY_S
    ]
    assert np.abs(teme_from_eci(epoch, AWAY_S) - theirs).max() * 7e6 < 0.02  # m; 0.011 measured


@pytest.mark.verifies("PRD-001")
def test_the_frame_bias_is_that_of_an_independent_program():
    brahe = pytest.importorskip("brahe")
    theirs = np.array(brahe.rotation_gcrf_to_eme2000())
    assert np.abs(eme2000_from_eci() - theirs).max() * 7e6 < 1e-6  # m


@pytest.mark.parametrize("frame", ["GCRF", "ICRF"])
def test_gcrf_and_icrf_have_one_set_of_axes(frame, rng):
    states = rng.normal(size=(4, 6)) * 7e6
    np.testing.assert_array_equal(eci_states(frame, Epoch.from_utc(TIMES[0]), AWAY_S, states), states)


def test_a_state_goes_to_the_earth_and_back(rng):
    epoch = Epoch.from_utc(TIMES[2])
    states = rng.normal(size=(4, 6)) * [7e6, 7e6, 7e6, 7e3, 7e3, 7e3]
    back = eci_states("ITRF", epoch, AWAY_S, ecef_states(epoch, AWAY_S, states))
    np.testing.assert_allclose(back, states, atol=1e-7)  # m, m/s
