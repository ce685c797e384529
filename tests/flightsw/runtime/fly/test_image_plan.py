"""Frames are taken when the ground planned it, and by the payload's own rules otherwise."""

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig import make_rig

from flightsw.astro.time import NS
from flightsw.errors import InputError
from flightsw.runtime.fly.assembly import assemble, open_store
from flightsw.runtime.fly.config import load_payload_config
from flightsw.runtime.fly.image_plan import COLUMNS, ImagePlan, Window, read_plan
from flightsw.runtime.known_case import EPOCH
from flightsw.runtime.link.commands import Outcome
from flightsw.runtime.store.records import Kind
from groundtools.link.transfer import put_file
from groundtools.products import plan as ground_plan

HEAD = "start_utc,end_utc,cadence_s\n"


def schedule(*windows: tuple[float, float, float]) -> str:
    """Return a file of windows: first and last frame, s past EPOCH, and the cadence, s."""
    rows = [f"{(EPOCH + a).utc_iso(0)},{(EPOCH + b).utc_iso(0)},{c}\n" for a, b, c in windows]
    return HEAD + "".join(rows)


def test_what_the_ground_writes_is_what_the_payload_reads():
    assert {column.name for column in COLUMNS} == set(ground_plan.COLUMNS)


def test_a_window_is_open_from_its_first_frame_to_half_a_step_after_its_last():
    plan = ImagePlan((Window(1000 * NS, 1100 * NS, 20.0), Window(0, 10 * NS, 5.0)))
    assert plan.window(-1) is None
    assert plan.window(12 * NS).cadence_s == 5.0
    assert plan.window(13 * NS) is None
    assert plan.window(1109 * NS).cadence_s == 20.0
    assert plan.window(1110 * NS) is None
    assert plan.holds(-5)
    assert plan.holds(500 * NS)
    assert not plan.holds(1110 * NS)
    assert not ImagePlan().holds(0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("start_utc,end_utc\n", "column cadence_s"),
        (HEAD + "2026-03-01T12:00:00Z,2026-03-01T11:00:00Z,10\n", "line 2, end_utc"),
        (HEAD + "2026-03-01T12:00:00Z,2026-03-01T12:10:00Z,0\n", "line 2, cadence_s"),
        (HEAD + "2026-03-01T12:00:00Z,2026-03-01T12:10:00Z,10\n" * 1001, "1001 windows"),
        (HEAD + " " * 500_000, "bytes"),
    ],
)
def test_a_plan_that_cannot_be_meant_is_refused_by_name(tmp_path, text, says):
    path = tmp_path / "schedule.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=says):
        read_plan(path)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 150), st.booleans())
def test_any_bytes_are_a_plan_or_an_error(tmp_path_factory, noise, at, keep):
    path = tmp_path_factory.getbasetemp() / "noise.csv"
    good = schedule((0.0, 100.0, 10.0), (500.0, 600.0, 10.0)).encode()
    path.write_bytes(good[:at] + noise + (good[at:] if keep else b""))
    try:
        assert isinstance(read_plan(path), ImagePlan)
    except InputError:
        pass


def times_of_frames(rig) -> list[float]:
    """Return when frames were taken, s past EPOCH, as the store has it."""
    config = load_payload_config(rig.folder / "payload.toml")
    store = open_store(config)
    found = [json.loads(record.payload)["tai_ns"] for record in store.records(Kind.FRAME)]
    store.close()
    return [(tai_ns - EPOCH.tai_ns) / NS for tai_ns in found]


def with_schedule(rig, text: str) -> None:
    (rig.folder / "schedule.csv").write_text(text, encoding="utf-8")
    path = rig.folder / "payload.toml"
    config = path.read_text(encoding="utf-8").replace(
        'keys = "keys"', 'keys = "keys"\nschedule = "schedule.csv"'
    )
    path.write_text(config, encoding="utf-8")


@pytest.mark.verifies("PAY-039")
def test_frames_are_taken_in_the_windows_alone_and_freely_when_the_plan_is_over(rig, host):
    rig.write(clock=host.table(), camera="cycle")
    with_schedule(rig, schedule((100.0, 160.0, 20.0), (300.0, 330.0, 30.0)))
    rig.start()
    host.accept()
    for second in range(0, 405, 5):
        host.tick(EPOCH + float(second))
    assert rig.end() == 0
    taken = times_of_frames(rig)
    assert [t for t in taken if t < 345.0] == [100.0, 120.0, 140.0, 160.0, 300.0, 330.0]
    assert len([t for t in taken if t >= 345.0]) >= 5  # every 10 s, by its own rules


def open_payload(rig):
    config = load_payload_config(rig.folder / "payload.toml")
    payload, _ = assemble(config, open_store(config), {"number": 1, "unhealthy": 0})
    payload.plans.start()
    return payload


@pytest.mark.verifies("PAY-039")
def test_a_kept_plan_outlives_damage_to_its_file_and_a_new_file_replaces_it(tmp_path):
    rig = make_rig(tmp_path / "rig")
    with_schedule(rig, schedule((0.0, 100.0, 10.0)))
    path = rig.folder / "schedule.csv"
    payload = open_payload(rig)
    first = payload.plans.plan.windows
    payload.close()
    stamp = path.stat().st_mtime_ns
    path.write_text(schedule((7.0, 100.0, 10.0)), encoding="utf-8")  # as a flipped bit would
    os.utime(path, ns=(stamp, stamp))
    payload = open_payload(rig)
    assert payload.plans.plan.windows == first
    payload.close()
    path.write_text("damaged", encoding="utf-8")
    payload = open_payload(rig)
    assert payload.plans.plan.windows == first
    events = b"".join(record.payload for record in payload.journal.store.records(Kind.EVENT))
    assert b'"event":27' in events
    payload.close()
    path.write_text(schedule((7.0, 100.0, 10.0), (200.0, 300.0, 5.0)), encoding="utf-8")
    payload = open_payload(rig)
    assert len(payload.plans.plan.windows) == 2
    payload.close()


@pytest.mark.verifies("PAY-039")
def test_a_plan_is_uplinked_taken_and_refused(rig, tmp_path):
    rig.write(camera="none")
    path = rig.folder / "payload.toml"
    text = path.read_text(encoding="utf-8").replace('models = ["models"]', 'models = ["models", "spare"]')
    path.write_text(text, encoding="utf-8")
    rig.start()
    ground = rig.ground()
    assert ground.command("USE_SCHEDULE").outcome is Outcome.REFUSED
    file = tmp_path / "schedule.csv"
    file.write_text(schedule((0.0, 100.0, 10.0)), encoding="utf-8")
    put_file(ground, file)
    assert ground.command("USE_SCHEDULE").outcome is Outcome.DONE
    assert not (rig.folder / "spare" / "schedule.csv").exists()
    file.write_text("start_utc\n", encoding="utf-8")
    put_file(ground, file)
    answer = ground.command("USE_SCHEDULE")
    assert answer.outcome is Outcome.REFUSED
    assert "end_utc" in answer.text
    assert rig.end() == 0
