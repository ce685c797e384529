"""Instants: exact, with leap seconds, never without a zone."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flightsw.astro.time import Epoch

NS_1972 = -883_655_990 * 10**9  # 1972-01-01T00:00:00Z
NS_2100 = 3_155_716_837 * 10**9


@pytest.mark.verifies("AST-001")
@given(st.integers(NS_1972, NS_2100))
def test_every_nanosecond_survives_writing_and_reading(tai_ns):
    epoch = Epoch(tai_ns)
    assert Epoch.from_utc(epoch.utc_iso()) == epoch


@pytest.mark.verifies("AST-001")
def test_the_leap_second_of_2016_is_an_instant_between_its_neighbours():
    before = Epoch.from_utc("2016-12-31T23:59:59.5Z")
    inside = Epoch.from_utc("2016-12-31T23:59:60.5Z")
    after = Epoch.from_utc("2017-01-01T00:00:00.5Z")
    assert inside - before == 1.0
    assert after - inside == 1.0
    assert before < inside < after
    assert inside.utc_iso(1) == "2016-12-31T23:59:60.5Z"
    assert inside.tai_minus_utc_s == 36
    assert after.tai_minus_utc_s == 37


@pytest.mark.verifies("AST-001")
def test_rounding_carries_into_a_leap_second():
    assert Epoch.from_utc("2016-12-31T23:59:59.999999999Z").utc_iso(3) == "2016-12-31T23:59:60.000Z"
    assert Epoch.from_utc("2015-12-31T23:59:59.999999999Z").utc_iso(0) == "2016-01-01T00:00:00Z"


@pytest.mark.verifies("AST-001")
def test_a_zone_is_taken_off():
    assert Epoch.from_utc("2017-01-01T08:59:60.25+09:00") == Epoch.from_utc("2016-12-31T23:59:60.25Z")
    assert Epoch.from_utc("2026-03-01T07:00:05-05:30") == Epoch.from_utc("2026-03-01T12:30:05Z")


@pytest.mark.verifies("AST-002")
@pytest.mark.parametrize(
    ("text", "lesson"),
    [
        ("2026-03-01T12:00:05", "no zone"),
        ("2026-03-01T12:00:60Z", "leap second that never was"),
        ("2016-12-31T22:59:60Z", "leap second that never was"),
        ("2017-12-31T23:59:60Z", "leap second that never was"),
        ("2026-02-30T12:00:00Z", "no date"),
        ("2026-03-01T24:00:00Z", "no time of day"),
        ("2026-03-01T12:00:00.1234567891Z", "nine decimals"),
        ("1971-12-31T23:59:59Z", "before 1972"),
        ("2026-03-01 12:00:00Z", "write it like"),
        ("2026-03-01T12:00:00+25:00", "write it like"),
        ("٢٠٢٦-03-01T12:00:00Z", "write it like"),
        ("1e9", "write it like"),
        ("", "write it like"),
    ],
)
def test_a_time_that_cannot_be_meant_is_refused_with_a_lesson(text, lesson):
    with pytest.raises(ValueError, match=lesson):
        Epoch.from_utc(text)


@given(st.text(max_size=40))
def test_any_text_gives_an_epoch_or_a_value_error(text):
    try:
        epoch = Epoch.from_utc(text)
    except ValueError:
        return
    assert Epoch.from_utc(epoch.utc_iso()) == epoch


@pytest.mark.verifies("AST-001")
def test_sums_and_differences_are_exact_to_the_nanosecond():
    epoch = Epoch.from_utc("2026-03-01T12:00:05.250000001Z")
    assert ((epoch + 21_600.000_000_002) - epoch) == pytest.approx(21_600.000_000_002, abs=1e-12)
    assert (epoch + 1e8 - epoch) == 1e8
    assert epoch - 0.5 == epoch + (-0.5)
    assert Epoch.from_tai_seconds(1.5).tai_ns == 1_500_000_000


def test_seconds_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="finite"):
        Epoch(0) + float("nan")


def test_epochs_are_frozen_ordered_and_hashable():
    a, b = Epoch(1), Epoch(2)
    assert a < b
    assert len({a, Epoch(1), b}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        a.tai_ns = 3


@pytest.mark.verifies("AST-001")
def test_the_scales_are_apart_as_defined():
    epoch = Epoch.from_utc("2000-01-01T12:00:00Z")
    assert epoch.tai_ns == 32 * 10**9
    assert epoch.tt_seconds == pytest.approx(64.184, abs=1e-12)  # s
    assert Epoch.from_utc("2000-01-01T11:58:55.816Z").tt_centuries == pytest.approx(0.0, abs=1e-18)
    assert epoch.utc_mjd == 51_544.5
    assert epoch.ut1_utc() == pytest.approx(0.3554, abs=1e-3)  # s, Bulletin B
