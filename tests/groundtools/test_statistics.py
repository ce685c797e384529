import pytest

from groundtools.statistics import wilson_interval


def test_the_interval_of_a_share_equals_the_textbook_value():
    # 17 of 20: 0.640 to 0.948 (Brown, Cai & DasGupta, Stat. Sci. 16 (2001), by the formula).
    low, high = wilson_interval(17, 20)
    assert low == pytest.approx(0.640, abs=5e-4)
    assert high == pytest.approx(0.948, abs=5e-4)


def test_all_or_none_still_leaves_room():
    assert wilson_interval(20, 20)[0] == pytest.approx(0.8389, abs=5e-4)
    assert wilson_interval(0, 20)[0] == pytest.approx(0.0, abs=1e-12)


def test_of_nothing_there_is_no_interval():
    assert wilson_interval(0, 0) is None
