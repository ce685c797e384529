"""Time and frames against skyfield, with the same UT1 and polar motion, 2000 to 2030."""

import numpy as np
import pytest

from flightsw.astro.eop import ARCSEC, default_earth_orientation
from flightsw.astro.geodesy import lla_from_ecef
from flightsw.astro.rotation import ecef_from_eci
from flightsw.astro.time import Epoch

api = pytest.importorskip("skyfield.api")
framelib = pytest.importorskip("skyfield.framelib")

DATES = [
    "2000-01-01T00:00:00Z", "2003-08-17T06:30:00Z", "2005-12-31T23:59:60.5Z", "2008-02-29T18:45:30.125Z",
    "2012-06-30T12:00:00Z", "2016-12-31T23:59:60.25Z", "2017-01-01T00:00:00Z", "2021-05-05T05:05:05Z",
    "2026-03-01T12:00:05.25Z", "2027-10-28T23:00:00Z", "2029-12-31T23:59:59Z",
]  # fmt: skip


def skyfield_time(epoch):
    """Return skyfield's Time for the same TT, with our UT1 and pole."""
    orientation = default_earth_orientation().at(epoch)
    delta_t = 32.184 + epoch.tai_minus_utc_s - orientation.ut1_utc_s
    timescale = api.load.timescale(delta_t=delta_t)
    pole = orientation.xp_rad / ARCSEC, orientation.yp_rad / ARCSEC
    timescale.polar_motion_table = ([0.0], [pole[0]], [pole[1]])
    whole, fraction = divmod(epoch.tt_seconds, 86_400.0)
    return timescale.tt_jd(2_451_545.0 + whole, fraction / 86_400.0)


@pytest.mark.verifies("AST-004")
@pytest.mark.parametrize("text", DATES)
@pytest.mark.filterwarnings("ignore")  # skyfield warns of its own NumPy usage
def test_a_satellite_at_600_km_is_within_10_centimetres(text, rng):
    epoch = Epoch.from_utc(text)
    r_eci = rng.normal(size=(50, 3))
    r_eci *= 6.978e6 / np.linalg.norm(r_eci, axis=1, keepdims=True)
    theirs = r_eci @ framelib.itrs.rotation_at(skyfield_time(epoch)).T
    error = np.linalg.norm(r_eci @ ecef_from_eci(epoch).T - theirs, axis=1)
    assert error.max() < 0.1  # m; 2 m is required


@pytest.mark.verifies("AST-001")
@pytest.mark.parametrize("text", DATES)
def test_utc_and_leap_seconds_are_skyfields(text):
    epoch = Epoch.from_utc(text)
    second = float(text[17:-1])
    timescale = api.load.timescale(builtin=True)
    numbers = [int(part) for part in (text[:4], text[5:7], text[8:10], text[11:13], text[14:16])]
    time = timescale.utc(*numbers, second)
    seconds = (time.whole - 2_451_545.0) * 86_400.0 + time.tt_fraction * 86_400.0
    assert epoch.tt_seconds == pytest.approx(seconds, abs=2e-6)  # s
    assert timescale.tt_jd(time.whole, time.tt_fraction).utc_iso(places=2)[:19] == epoch.utc_iso(2)[:19]


@pytest.mark.verifies("AST-003")
@pytest.mark.parametrize("text", DATES[:8])
def test_ut1_is_that_of_the_observed_table_skyfield_bundles(text):
    epoch = Epoch.from_utc(text)
    timescale = api.load.timescale(builtin=True)
    whole, fraction = divmod(epoch.tt_seconds, 86_400.0)
    time = timescale.tt_jd(2_451_545.0 + whole, fraction / 86_400.0)
    ut1_utc = 32.184 + epoch.tai_minus_utc_s - float(time.delta_t)
    assert default_earth_orientation().at(epoch).ut1_utc_s == pytest.approx(ut1_utc, abs=1e-3)  # s


@pytest.mark.verifies("AST-005")
def test_geodetic_coordinates_are_skyfields(rng):
    for lat, lon, height in zip(
        rng.uniform(-89, 89, 20), rng.uniform(-179, 179, 20), rng.uniform(0, 1e6, 20), strict=True
    ):
        place = api.wgs84.latlon(lat, lon, elevation_m=height)
        ours = lla_from_ecef(place.itrs_xyz.m)
        np.testing.assert_allclose(np.degrees(ours[:2]), [lat, lon], atol=1e-10)  # deg
        assert ours[2] == pytest.approx(height, abs=1e-4)  # m
