"""The Earth-orientation table: interpolation, its end, and files that are not one."""

import logging

import numpy as np
import pytest

from flightsw.astro.eop import ARCSEC, EarthOrientation, default_earth_orientation
from flightsw.astro.time import Epoch
from flightsw.errors import InputError

HEADER = "mjd_utc,ut1_utc_s,xp_arcsec,yp_arcsec,sigma_ut1_s\n"


@pytest.fixture
def table():
    mjd = np.arange(57_750.0, 57_760.0)
    leap = np.where(mjd >= 57_754, 1.0, 0.0)
    linear = 1e-3 * (mjd - 57_750)
    return EarthOrientation(mjd, leap - 0.4 - linear, linear * ARCSEC, -linear * ARCSEC, np.full(10, 1e-5))


@pytest.mark.verifies("AST-003")
def test_interpolation_does_not_smear_a_leap_second(table):
    before = table.at(Epoch.from_utc("2016-12-31T12:00:00Z"))
    after = table.at(Epoch.from_utc("2017-01-01T12:00:00Z"))
    assert before.ut1_utc_s == pytest.approx(-0.4035, abs=1e-7)  # s
    assert after.ut1_utc_s == pytest.approx(0.5955, abs=1e-7)
    assert after.xp_rad == pytest.approx(4.5e-3 * ARCSEC, rel=1e-4)


@pytest.mark.verifies("AST-003")
def test_past_the_end_values_are_held_the_sigma_grows_and_one_warning_is_given(table, caplog):
    with caplog.at_level(logging.WARNING):
        soon, later = (table.at(Epoch.from_utc(f"2017-01-{day}T00:00:00Z")) for day in ("07", "16"))
        table.at(Epoch.from_utc("2017-02-01T00:00:00Z"))
    assert soon.is_extrapolated
    assert soon.ut1_utc_s == later.ut1_utc_s == pytest.approx(0.591, abs=1e-9)
    assert later.sigma_ut1_s - soon.sigma_ut1_s == pytest.approx(9 * 1.5e-3)
    assert len(caplog.records) == 1
    assert "57750 to 57759" in caplog.text


@pytest.mark.verifies("AST-003")
def test_the_bundled_table_covers_2000_to_its_stated_end():
    eop = default_earth_orientation()
    for text in ("2000-01-01T00:00:00Z", "2026-03-01T00:00:00Z", "2027-10-28T00:00:00Z"):
        assert not eop.at(Epoch.from_utc(text)).is_extrapolated
    assert eop.last_mjd == 61_707  # 2027-10-29


def test_a_table_given_by_path_replaces_the_bundled_one(tmp_path):
    file = tmp_path / "eop.csv"
    file.write_text("# mine\n" + HEADER + "".join(f"{d},0.25,0.1,0.2,0.001\n" for d in range(61_000, 61_010)))
    values = EarthOrientation.from_csv(file).at(Epoch.from_utc("2025-11-25T00:00:00Z"))
    assert values.ut1_utc_s == pytest.approx(0.25, abs=1e-12)
    assert values.yp_rad == pytest.approx(0.2 * ARCSEC)


@pytest.mark.parametrize(
    ("content", "lesson"),
    [
        (b"mjd,ut1\n1,2\n", "wrong header"),
        (HEADER.encode() + b"61000,0.2,0.1,nope,0.1\n", "line 2"),
        (HEADER.encode() + b"61000,0.2,0.1\n", "line 2"),
        (HEADER.encode() + b"61000,0.2,0.1,0.2,0.1\n", "four rows"),
        (HEADER.encode() + b"".join(b"%d,nan,0.1,0.2,0.1\n" % d for d in range(61_000, 61_005)), "finite"),
        (HEADER.encode() + b"61000,0.2,0.1,0.2,0.1\n" * 5, "increasing"),
        (HEADER.encode() + b"1,0.2,0.1,0.2,0.1\n2,0,0,0,0\n3,0,0,0,0\n4,0,0,0,0\n", "whole, MJD 41317"),
        (HEADER.encode() + b"".join(b"%de300,0,0,0,0\n" % d for d in range(1, 6)), "whole, MJD"),
        (b"\xff\xfe\x00", "text"),
        (b"", "wrong header"),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_one_line(tmp_path, content, lesson):
    file = tmp_path / "eop.csv"
    file.write_bytes(content)
    with pytest.raises(InputError, match=lesson) as caught:
        EarthOrientation.from_csv(file)
    assert "eop.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"absent\.csv"):
        EarthOrientation.from_csv(tmp_path / "absent.csv")
