import json
import warnings
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest

from flightsw.astro.time import Epoch
from flightsw.errors import InputError
from groundtools.products import omm, tle
from groundtools.products.mean_elements import REV_PER_DAY, MeanElements

from .conftest import around_a_leap_second, draw_elements

ORBITS = 1000
FIELDS = (
    "mean_motion_rev_day", "eccentricity", "inclination_deg", "raan_deg", "argument_of_perigee_deg",
    "mean_anomaly_deg", "bstar", "mean_motion_dot", "mean_motion_ddot",
)  # fmt: skip
READ_BACK = {
    "kvn": lambda e: omm.read_kvn(omm.write_kvn(e, created=e.epoch)),
    "json": lambda e: omm.read_json(omm.write_json((e,))),
    "csv": lambda e: omm.read_csv(omm.write_csv((e,))),
    "xml": lambda e: omm.read_xml(omm.write_xml((e,), created=e.epoch)),
}


def spaceborne_fields(elements: MeanElements) -> dict[str, str]:
    """Return the JSON notation's fields as text, with an id that sgp4's own limit allows."""
    (fields,) = json.loads(omm.write_json((elements,)))
    return {**{key: str(value) for key, value in fields.items()}, "NORAD_CAT_ID": "1"}


@pytest.mark.verifies("PRD-002")
@pytest.mark.parametrize("notation", READ_BACK)
def test_an_omm_says_the_same_when_read_back(notation, rng):
    for _ in range(ORBITS):
        elements = draw_elements(rng)
        assert READ_BACK[notation](elements) == (elements,)


@pytest.mark.verifies("PRD-002")
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
def test_sgp4_reads_every_omm_to_the_last_digits(rng):
    from sgp4 import omm as theirs
    from sgp4.api import Satrec

    for index in range(ORBITS):
        elements = draw_elements(rng)
        if index % 2:
            xml = omm.write_xml((replace(elements, body=replace(elements.body, catalog_id="1")),),
                                created=elements.epoch)  # fmt: skip
            (fields,) = theirs.parse_xml(StringIO(xml))
        else:
            fields = spaceborne_fields(elements)
        record = Satrec()
        theirs.initialize(record, fields)
        read = [
            record.no_kozai * REV_PER_DAY, record.ecco,
            *np.degrees([record.inclo, record.nodeo, record.argpo, record.mo]), record.bstar,
        ]  # fmt: skip
        np.testing.assert_allclose(
            read, [getattr(elements, name) for name in FIELDS[:7]], rtol=1e-8, atol=1e-14
        )
        ours = elements.satrec()
        away = (record.jdsatepoch - ours.jdsatepoch) + (record.jdsatepochF - ours.jdsatepochF)
        assert abs(away) * 86_400.0 < 2e-6  # s


@pytest.mark.verifies("PRD-002")
@pytest.mark.filterwarnings("ignore")  # skyfield warns of its own NumPy usage
def test_skyfield_puts_an_omm_where_we_do(elements):
    api = pytest.importorskip("skyfield.api")
    timescale = api.load.timescale(builtin=True)
    satellite = api.EarthSatellite.from_omm(timescale, spaceborne_fields(elements))
    t_s = np.array([0.0, 3600.0, 86_400.0])
    tt = (elements.epoch.tt_seconds + t_s) / 86_400.0
    at = satellite.at(timescale.tt_jd(2_451_545.0, tt))
    ours = elements.states(elements.epoch, t_s)
    np.testing.assert_allclose(at.position.m.T, ours[:, :3], atol=0.05)  # m: of skyfield's own nutation
    np.testing.assert_allclose(at.velocity.m_per_s.T, ours[:, 3:], atol=1e-4)  # m/s


@pytest.mark.verifies("PRD-002")
@pytest.mark.parametrize("catalog_id", ["100000", "339999", "340000", "799501234"])
@pytest.mark.parametrize("year", [1999, 2026, 2057])
def test_a_strict_ccsds_reader_accepts_every_id_and_year(elements, catalog_id, year):
    ndm = pytest.importorskip("ccsds_ndm")
    one = replace(
        elements, epoch=Epoch.from_utc(f"{year}-12-31T23:59:59.5Z"),
        body=replace(elements.body, catalog_id=catalog_id),
    )  # fmt: skip
    for text in (omm.write_kvn(one, created=one.epoch), omm.write_xml((one,), created=one.epoch)):
        read = ndm.from_str(text)
        message = read.messages[0] if hasattr(read, "messages") else read
        data = message.segment.data
        assert data.mean_elements.mean_motion == one.mean_motion_rev_day
        assert str(data.tle_parameters.norad_cat_id) == catalog_id
        assert str(data.mean_elements.epoch).startswith(str(year))


@pytest.mark.verifies("PRD-002")
@pytest.mark.parametrize("epoch", around_a_leap_second(), ids=str)
def test_epochs_beside_a_leap_second_survive_every_notation(elements, epoch):
    one = replace(elements, epoch=epoch)
    for read_back in READ_BACK.values():
        assert read_back(one)[0].epoch == epoch
    assert abs(tle.read_tle(tle.write_tle(one))[0].epoch - epoch) <= 0.5e-8 * 86_400.0  # s: a TLE's digit


def test_across_a_leap_second_sgp4_gets_the_seconds_that_went_by(elements):
    before = replace(elements, epoch=Epoch.from_utc("2016-12-31T23:59:59Z"))
    plain = replace(elements, epoch=Epoch.from_utc("2016-12-30T23:59:59Z"))
    t_s = np.array([0.0, 1.0, 2.0, 3.0])
    speed = np.linalg.norm(np.diff(before.states(before.epoch, t_s)[:, :3], axis=0), axis=1)
    expected = np.linalg.norm(np.diff(plain.states(plain.epoch, t_s)[:, :3], axis=0), axis=1)
    np.testing.assert_allclose(speed, expected, rtol=1e-4)  # a lost second would double one of them


def test_an_epoch_within_a_leap_second_is_refused(elements):
    with pytest.raises(InputError, match="leap second"):
        replace(elements, epoch=Epoch.from_utc("2016-12-31T23:59:60.5Z"))


@pytest.mark.verifies("PRD-003")
def test_a_tle_holds_to_its_last_printed_digit(rng):
    from sgp4.api import Satrec

    for _ in range(ORBITS):
        drawn = draw_elements(rng)
        if int(drawn.body.catalog_id) > tle.LAST_ID:
            drawn = replace(drawn, body=replace(drawn.body, catalog_id="339999"))
        text = tle.write_tle(drawn)
        (read,) = tle.read_tle(text)
        assert read.epoch == tle.rounded_epoch(drawn.epoch)
        assert read.body == drawn.body
        units = (1e-8, 1e-7, 1e-4, 1e-4, 1e-4, 1e-4)
        for name, unit in zip(FIELDS[:6], units, strict=True):
            away = abs(getattr(read, name) - getattr(drawn, name))
            assert min(away, abs(away - 360.0)) <= 0.5001 * unit, name
        assert read.bstar == pytest.approx(drawn.bstar, rel=1e-4, abs=tle._LEAST_BSTAR)
        assert tle.write_tle(read) == text
        record = Satrec.twoline2rv(*text.splitlines()[-2:])
        assert record.satnum == int(drawn.body.catalog_id)
        assert record.no_kozai * REV_PER_DAY == pytest.approx(drawn.mean_motion_rev_day, abs=5.1e-9)


@pytest.mark.verifies("PRD-003")
@pytest.mark.parametrize(
    ("catalog_id", "shown"), [("99999", "99999"), ("100000", "A0000"), ("339999", "Z9999")]
)
def test_a_tle_writes_large_ids_in_alpha_5(elements, catalog_id, shown):
    one = replace(elements, body=replace(elements.body, catalog_id=catalog_id))
    text = tle.write_tle(one)
    assert text.splitlines()[1][2:7] == shown
    assert tle.read_tle(text)[0].body.catalog_id == catalog_id


@pytest.mark.verifies("PRD-003")
@pytest.mark.parametrize("catalog_id", ["340000", "799501234"])
def test_a_tle_refuses_ids_without_room_and_points_to_omm(elements, catalog_id):
    with pytest.raises(InputError, match="omm"):
        tle.write_tle(replace(elements, body=replace(elements.body, catalog_id=catalog_id)))


@pytest.mark.verifies("PRD-003")
def test_a_tle_refuses_the_year_2057_and_points_to_omm(elements):
    last = replace(elements, epoch=Epoch.from_utc("2056-12-31T12:00:00Z"))
    assert tle.read_tle(tle.write_tle(last))[0].epoch == last.epoch
    with pytest.raises(InputError, match=r"2057.*omm"):
        tle.write_tle(replace(elements, epoch=Epoch.from_utc("2057-01-01T00:00:00Z")))


def test_a_wrong_checksum_is_named_with_its_line(elements):
    text = tle.write_tle(elements)
    with pytest.raises(InputError, match=r"line 2.*checksum"):
        tle.read_tle(text.replace("97.6000", "97.6001"))


def test_a_catalogue_of_many_notations_reads_alike(elements):
    sets = tuple(replace(elements, mean_anomaly_deg=float(k)) for k in range(5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert omm.read_json(omm.write_json(sets)) == sets
        assert omm.read_csv(omm.write_csv(sets)) == sets
        assert omm.read_xml(omm.write_xml(sets, created=sets[0].epoch)) == sets
        assert omm.read_kvn("".join(omm.write_kvn(e, created=e.epoch) for e in sets)) == sets
        assert len(tle.read_tle("".join(tle.write_tle(e) for e in sets))) == len(sets)
