"""Faults by name: lines, files, and what is drawn."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flightsw.errors import InputError, UsageError
from vinsat_hil.composition import draw_faults, line_of, read_faults
from vinsat_hil.faults import KINDS
from vinsat_hil.scenario import load_scenario

ASKED = {  # of a payload's test bench: each must have its fault
    "dropped, duplicated, reordered, late frame": "frame_drop frame_duplicate frame_reorder frame_late",
    "truncated or bit-flipped JPEG": "jpeg_truncate jpeg_flip",
    "black, saturated, cloud": "frame_black frame_saturated frame_cloud",
    "wrong region, outliers": "wrong_region outliers",
    "packet loss, bit errors, bursts": "link_loss link_errors link_burst",
    "SIGKILL, at any sync, hang": "kill kill_at power_cut hang kill_worker hang_worker",
    "disk full, read-only, failing": "disk_full read_only disk_error",
    "clock step, drift, rollover": "clock_step clock_drift clock_rollover",
    "bit flips in model, parameters, state": "flip_model flip_state flip_log",
    "memory, processor, brown-out": "memory_pressure slow_cpu brown_out",
}


def drawn(seed: int, **options):
    scenario = load_scenario("brief")
    busy_s = [float(t) for t in scenario.frame_times_s()]
    return draw_faults(
        seed, rung=options.get("rung", "process"), inference=scenario.inference,
        busy_s=busy_s, until_s=scenario.faults_until_s(),
    )  # fmt: skip


@pytest.mark.verifies("HIL-001")
def test_every_fault_that_is_asked_for_has_a_name_and_an_expectation():
    for names in ASKED.values():
        for name in names.split():
            assert KINDS[name].does
            assert KINDS[name].expected


@pytest.mark.verifies("HIL-001")
def test_a_drawn_composition_is_its_seeds_and_reads_back_from_its_line():
    for seed in range(200):
        faults = drawn(seed)
        assert 1 <= len(faults) <= 4
        assert faults == drawn(seed)
        assert read_faults(line_of(faults)) == faults


def test_no_fault_is_on_after_the_last_pass_begins():
    scenario = load_scenario("brief")
    for seed in range(200):
        for fault in drawn(seed):
            assert fault.at_s + fault.duration_s <= scenario.passes_s[-1]


def test_a_rung_is_given_only_what_it_can_play():
    for seed in range(200):
        assert not {"hang"} & {fault.name for fault in drawn(seed, rung="in-process")}


@pytest.mark.parametrize(
    "line",
    ["kil@3", "kill", "kill@", "disk_full@3", "outliers@0+10*7", "kill@3,,", "kill@3 kill@4", "kill@x"],
)
def test_a_line_that_is_none_is_refused_by_name(line):
    with pytest.raises(UsageError):
        read_faults(line)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_faults_or_a_usage_error(text):
    try:
        faults = read_faults(text)
    except (UsageError, InputError):
        return
    assert all(fault.name in KINDS and math.isfinite(fault.at_s) for fault in faults)


def test_a_file_of_faults_says_what_is_wrong_with_it(tmp_path):
    path = tmp_path / "f.toml"
    path.write_text('[[fault]]\nname = "disk_full"\nat_s = 3.0\nduration_s = 60.0\n', encoding="utf-8")
    assert line_of(read_faults(str(path))) == "disk_full@3+60"
    path.write_text('[[fault]]\nname = "disk_fool"\nat_s = 3.0\n', encoding="utf-8")
    with pytest.raises(InputError, match="disk_fool"):
        read_faults(str(path))
