import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flightsw.astro.propagate import Forces, propagate
from flightsw.astro.rotation import ecef_from_eci
from flightsw.astro.time import Epoch
from flightsw.errors import InputError
from groundtools.products import kvn, oem, opm, sp3, writers
from groundtools.products.ephemeris import Ephemeris
from groundtools.products.formats import read_csv, write_csv

from .conftest import around_a_leap_second, draw_elements, table

ORBITS = 1000
MM = 1e-3  # m
EPOCHS = [*around_a_leap_second(), Epoch.from_utc("2057-03-01T00:00:00Z")]


def drawn_table(rng):
    """Return a short table of a random orbit: long enough to interpolate, cheap to write."""
    return table(draw_elements(rng), count=4)


@pytest.mark.verifies("PRD-004")
@pytest.mark.parametrize(
    ("write", "read"),
    [(opm.write_opm, opm.read_opm), (sp3.write_sp3, sp3.read_sp3), (write_csv, read_csv)],
    ids=["opm", "sp3", "csv"],
)
def test_states_of_random_orbits_read_back_within_a_millimetre(write, read, rng):
    for _ in range(ORBITS):
        made = drawn_table(rng)
        back = read(write(made))
        assert abs(back.epoch - made.epoch) < 1e-6  # s
        expected = made.at(back.epoch, back.t_s) if len(back.t_s) > 1 else made.state[:1]
        assert np.linalg.norm(back.state[:, :3] - expected[:, :3], axis=1).max() < MM
        assert np.abs(back.state[:, 3:] - expected[:, 3:]).max() < 1e-6  # m/s


@pytest.mark.verifies("PRD-004")
def test_oem_of_random_orbits_is_read_within_a_millimetre_by_two_strangers(rng):
    ndm = pytest.importorskip("ccsds_ndm")
    for index in range(ORBITS):
        made = drawn_table(rng)
        text = oem.write_oem(made, comments=("of a test",))
        read = ndm.from_str(text)
        (segment,) = read.segments
        theirs = segment.data.state_vector_numpy[:, :3] * 1e3
        assert np.linalg.norm(theirs - made.state[:, :3], axis=1).max() < MM
        if index % 20 == 0:  # the other one takes 20 ms
            back = oem.read_oem(text)
            at = made.at(back.epoch, back.t_s)
            assert np.linalg.norm(back.state[1:-1, :3] - at[1:-1, :3], axis=1).max() < MM
            np.testing.assert_allclose(back.covariance, made.covariance, rtol=1e-9, atol=1e-9)


@pytest.mark.verifies("PRD-004")
@pytest.mark.parametrize("epoch", EPOCHS, ids=str)
def test_oem_opm_and_sp3_hold_at_awkward_epochs(elements, epoch):
    made = table(replace(elements, epoch=epoch), step_s=1.0, count=6)
    for back in (
        oem.read_oem(oem.write_oem(made)),
        sp3.read_sp3(sp3.write_sp3(made)),
        read_csv(write_csv(made)),
    ):
        assert [one.utc_iso(6) for one in back.epochs] == [one.utc_iso(6) for one in made.epochs]
        np.testing.assert_allclose(back.state[:, :3], made.state[:, :3], atol=MM)
    assert opm.read_opm(opm.write_opm(made)).epoch == epoch


@pytest.mark.verifies("PRD-004")
def test_an_opm_is_accepted_by_a_strict_reader_with_its_covariance(elements):
    ndm = pytest.importorskip("ccsds_ndm")
    made = table(elements)
    message = ndm.from_str(opm.write_opm(made))
    data = message.segment.data
    theirs = [data.state_vector.x, data.state_vector.y, data.state_vector.z]
    np.testing.assert_allclose(np.array(theirs) * 1e3, made.state[0, :3], atol=MM)
    covariance = data.covariance_matrix
    assert covariance.cx_x == pytest.approx(made.covariance[0, 0, 0] * 1e-6, rel=1e-12)
    assert covariance.cz_dot_y == pytest.approx(made.covariance[0, 5, 1] * 1e-6, rel=1e-12)
    back = opm.read_opm(opm.write_opm(made))
    np.testing.assert_allclose(back.covariance, made.covariance[:1], rtol=1e-12)


@pytest.mark.verifies("PRD-004")
@pytest.mark.filterwarnings("ignore")  # of astropy, about years to come
def test_a_foreign_sp3_reader_finds_the_satellite_where_it_is(elements, tmp_path: Path):
    sp3_lib = pytest.importorskip("sp3")
    made = table(elements)
    path = tmp_path / "orbit.sp3"
    path.write_text(sp3.write_sp3(made))
    product = sp3_lib.Product.from_file(path)
    (satellite,) = product.satellites
    expected = ecef_from_eci(made.epoch, made.t_s) @ made.state[:, :3, None]
    theirs = np.array([record.position for record in satellite.records])
    np.testing.assert_allclose(theirs, expected[..., 0], atol=MM)
    first = satellite.records[0].time
    # The file says GPS time (its clock is 18 s ahead here); the reader turns it to UTC.
    assert "2026  3  1 12  0 18.00086400" in path.read_text()
    assert first.strftime("%Y-%m-%dT%H:%M:%S.%fZ") == made.epoch.utc_iso(6)


@pytest.mark.verifies("PRD-004")
@pytest.mark.parametrize("epoch", [None, *EPOCHS, Epoch.from_utc("2016-12-31T23:59:60.5Z")], ids=str)
def test_an_stk_file_holds_the_states_past_its_scenario_epoch(elements, epoch):
    made = table(elements)
    made = made if epoch is None else replace(made, epoch=epoch)
    lines = writers.write_stk(made).splitlines()
    head = dict(line.split(maxsplit=1) for line in lines[:12] if " " in line)
    day, month, year, clock = head["ScenarioEpoch"].split()
    number = writers.MONTHS.index(month) + 1
    base = Epoch.from_utc(f"{year}-{number:02d}-{int(day):02d}T{clock}Z")
    start = lines.index("EphemerisTimePosVel") + 2
    rows = np.array([line.split() for line in lines[start : start + len(made.t_s)]], dtype=float)
    assert head["NumberOfEphemerisPoints"] == str(len(rows))
    assert head["CoordinateSystem"] == "ICRF"
    np.testing.assert_allclose(rows[:, 0] + (base - made.epoch), made.t_s, atol=1e-9)  # s
    np.testing.assert_allclose(rows[:, 1:4], made.state[:, :3], atol=MM)


@pytest.mark.verifies("PRD-005")
def test_czml_is_accepted_by_czml3_in_the_inertial_frame(elements):
    czml3 = pytest.importorskip("czml3")
    made = table(elements)
    text = writers.write_czml(made)
    document = czml3.Document.model_validate({"packets": json.loads(text)})
    position = document.packets[1].position
    assert position.referenceFrame in ("INERTIAL", czml3.enums.ReferenceFrames.INERTIAL)
    samples = np.array(json.loads(text)[1]["position"]["cartesian"]).reshape(-1, 4)
    np.testing.assert_allclose(samples[:, 1:], made.state[:, :3], atol=MM)
    np.testing.assert_allclose(samples[:, 0], made.t_s, atol=1e-9)


@pytest.mark.verifies("PRD-005")
def test_a_ground_track_is_cut_at_the_date_line_and_nowhere_else(elements):
    made = table(elements, step_s=60.0, count=200)
    geometry = json.loads(writers.write_track(made))["features"][0]["geometry"]
    assert geometry["type"] == "MultiLineString"
    for line in geometry["coordinates"]:
        lon = np.array(line)[:, 0]
        assert np.abs(np.diff(lon)).max() < 180.0
    ends = [abs(line[0][0]) for line in geometry["coordinates"][1:]]
    assert set(ends) == {180.0}
    brahe = pytest.importorskip("brahe")
    lon, lat, _ = writers.ground_track(made)
    ecef = ecef_from_eci(made.epoch, made.t_s[5:6])[0] @ made.state[5, :3]
    theirs = brahe.position_ecef_to_geodetic(ecef, brahe.AngleFormat.DEGREES)
    np.testing.assert_allclose([lon[5], lat[5]], theirs[:2], atol=1e-7)  # deg


def test_an_oem_in_teme_time_gps_is_turned_to_gcrf(elements):
    made = table(elements, count=5)
    teme = elements.satrec()
    from groundtools.products.mean_elements import teme_states

    states = teme_states(teme, made.t_s)
    text = oem.write_oem(
        replace(made, state=states, covariance=made.covariance[:0], covariance_t_s=made.t_s[:0])
    )
    for epoch in made.epochs:
        utc = epoch.utc_iso(6).removesuffix("Z")
        text = text.replace(utc, kvn.scale_reading(epoch, "TAI", 6))
    text = text.replace("= UTC", "= TAI").replace("= GCRF", "= TEME")
    back = oem.read_oem(text)
    assert abs(back.epoch - made.epoch) < 1e-6
    np.testing.assert_allclose(back.state[:, :3], made.state[:, :3], atol=5 * MM)


def test_an_oem_without_a_frame_is_refused(elements):
    text = oem.write_oem(table(elements)).replace("REF_FRAME = GCRF\n", "")
    with pytest.raises(InputError):
        oem.read_oem(text)


def test_hermite_between_ten_second_samples_is_good_to_a_millimetre(elements):
    def fly(t_s):  # SGP4's own velocities are 1 cm/s beside its positions' slope
        return propagate(Forces(), elements.epoch, start, 1.0, t_s).state

    start = elements.states(elements.epoch, np.zeros(1))[0]
    made = Ephemeris(elements.epoch, 10.0 * np.arange(60.0), fly(10.0 * np.arange(60.0)))
    t_s = np.linspace(0.0, 590.0, 977)
    exact = fly(t_s)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        between = made.at(elements.epoch, t_s)
    assert np.linalg.norm(between[:, :3] - exact[:, :3], axis=1).max() < MM
    assert np.isnan(made.at(elements.epoch, np.array([-5.0, 700.0]))).all()
