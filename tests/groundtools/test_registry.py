import json

import numpy as np
import pytest

from groundtools.registry import Bench, Check, Report, Reproduction, at_least, at_most, noted

REPORT_KEYS = ["id", "passed", "checks", "seeds", "command", "machine"]
CHECK_KEYS = ["name", "value", "low", "high", "threshold", "thesis", "passed"]


@pytest.mark.verifies("SIM-101")
def test_a_report_has_exactly_the_promised_keys():
    checks = (at_most("rms_m", 61.0, 80.0, unit="m", interval=(55.0, 70.0)),)
    entry = Reproduction(id="x", title="t", run=lambda scale: checks, seeds=lambda scale: (1, 2))
    printed = json.loads(json.dumps(entry.report("quick").as_json()))
    assert list(printed) == REPORT_KEYS
    assert list(printed["checks"][0]) == CHECK_KEYS
    assert printed["passed"] is True
    assert printed["command"] == "vinsat reproduce x --scale quick"
    assert printed["seeds"] == [1, 2]


@pytest.mark.verifies("SIM-101")
def test_one_missed_threshold_fails_the_whole_report():
    checks = (at_most("a", 1.0, 2.0), at_least("b", 1.0, 2.0))
    assert not Report(id="x", checks=checks, seeds=(), command="c").passed


def test_a_report_without_checks_does_not_pass():
    assert not Report(id="x", checks=(), seeds=(), command="c").passed


@pytest.mark.parametrize("check", [at_most("a", float("nan"), 1.0), at_least("a", float("nan"), 1.0)])
def test_a_value_that_is_not_a_number_never_passes(check):
    assert check.passed is False
    assert check.as_json()["value"] is None


def test_numpy_values_become_plain_json():
    check = Check(name="n", value=np.float64(1.5), passed=np.bool_(True), low=np.float32(1.0), high=np.inf)
    assert json.loads(json.dumps(check.as_json()))["value"] == 1.5
    assert check.as_json()["high"] is None


def test_a_noted_figure_carries_the_published_one_and_passes():
    check = noted("found_by_the_end", 0.1, thesis=0.85)
    assert check.passed
    assert check.as_json()["thesis"] == 0.85


def test_a_bench_reports_its_command():
    assert Bench(id="b", title="t", run=lambda: (noted("s", 1.0),)).report().command == "vinsat bench b"
