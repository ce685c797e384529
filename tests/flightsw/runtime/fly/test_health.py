"""Schedule, heat, memory, models: limits that hold."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from flightsw.runtime.fly import payload as payload_module
from flightsw.runtime.fly.assembly import assemble, open_store
from flightsw.runtime.fly.config import load_payload_config
from flightsw.runtime.fly.health import NO_SENSOR, memory_mb, temperature
from flightsw.runtime.fly.modes import TRANSITIONS, Mode, may_follow
from flightsw.runtime.fly.schedule import Schedule
from flightsw.runtime.store.records import Kind, Stamp
from flightsw.vision.manifest import read_manifest, write_manifest

NS = 1_000_000_000
MODELS = Path(__file__).parents[4] / "models"


def at(seconds: float) -> Stamp:
    return Stamp(1, round(seconds * NS), round(seconds * NS))


def may(schedule, seconds, **options):
    given = {"on_s": 100.0, "off_s": 50.0, "sun_min_deg": 5.0} | options
    return schedule.may_image(at(seconds), **given)


@pytest.mark.verifies("PAY-038")
def test_a_duty_cycle_pauses_and_goes_on():
    schedule = Schedule(imaging_w=1.0, computing_w=1.0, charge_w=1.0)
    allowed = []
    mode = Mode.IDLE
    for second in range(0, 400, 10):
        schedule.advance(at(second), mode, energy_j=1e9)
        image = may(schedule, second)
        mode = Mode.IMAGING if image else Mode.IDLE
        allowed.append(image)
    assert allowed[:10] == [True] * 10
    assert 3 <= allowed[:20].count(False) <= 6
    assert allowed[-1] in (True, False)
    assert allowed[20:].count(True) > 5


@pytest.mark.verifies("PAY-038")
def test_spent_energy_waits_until_half_is_charged_again():
    schedule = Schedule(imaging_w=3.0, computing_w=3.0, charge_w=1.0)
    schedule.advance(at(0), Mode.IMAGING, energy_j=100.0)
    schedule.advance(at(60), Mode.IMAGING, energy_j=100.0)
    assert not schedule.has_energy()
    assert not may(schedule, 60)
    schedule.advance(at(100), Mode.IDLE, energy_j=100.0)
    assert not schedule.has_energy()
    schedule.advance(at(140), Mode.IDLE, energy_j=100.0)
    assert schedule.has_energy()


@pytest.mark.verifies("PAY-038")
def test_where_the_orbit_is_known_imaging_waits_for_the_sun():
    schedule = Schedule(imaging_w=1.0, computing_w=1.0, charge_w=1.0)
    schedule.set_forecast([[0, -20.0], [60 * NS, 30.0]])
    assert not may(schedule, 10)
    assert may(schedule, 70)
    assert may(schedule, 1000)  # past the forecast nothing is known


def test_every_mode_can_come_to_safe_and_none_to_boot():
    for mode in Mode:
        assert Mode.BOOT not in TRANSITIONS[mode]
        assert mode in (Mode.SAFE,) or may_follow(mode, Mode.SAFE)


def test_memory_and_heat_are_read_or_said_to_be_unknown(tmp_path):
    import os

    assert 5.0 < memory_mb([os.getpid()]) < 2000.0
    assert memory_mb([2**22 + 1]) == 0.0
    assert temperature(tmp_path / "absent") == NO_SENSOR
    (tmp_path / "temp").write_text("48312\n", encoding="ascii")
    assert temperature(tmp_path / "temp") == pytest.approx(48.312)


@pytest.fixture
def payload(rig):
    """Return a payload in this process, not running, with two sets of one place."""
    whole = read_manifest(MODELS)
    place = next(region for region in whole.region if region.detector is None)
    for name in ("models", "spare"):
        folder = rig.folder / name
        folder.mkdir(exist_ok=True)
        for entry in (place.catalog, place.map):
            shutil.copy(MODELS / entry.file, folder / entry.file)
        write_manifest(folder, replace(whole, region=(place,), rc=None))
    rig.write(camera="none")
    path = rig.folder / "payload.toml"
    text = path.read_text(encoding="utf-8").replace('models = ["models"]', 'models = ["models", "spare"]')
    path.write_text(text, encoding="utf-8")
    config = load_payload_config(path)
    payload, _ = assemble(config, open_store(config), {"number": 1, "unhealthy": 0})
    yield payload
    payload.close()


def events(payload) -> str:
    return " ".join(record.payload.decode() for record in payload.journal.store.records(Kind.EVENT))


@pytest.mark.verifies("PAY-037")
def test_a_damaged_model_is_mended_from_the_other_set(payload, rig):
    files = sorted((rig.folder / "models").iterdir())
    for path in files:
        good = path.read_bytes()
        for hurt in (good[:10], bytes([good[0] ^ 1]) + good[1:], b""):
            path.write_bytes(hurt)
            payload.models.check_all()
            assert payload.models.problem == ""
            assert path.read_bytes() == good
    assert payload.models.mended == 3 * len(files)
    path.unlink()
    assert any(payload.models.scrub_one() for _ in range(10)) or path.exists()


@pytest.mark.verifies("PAY-037")
def test_with_both_sets_damaged_there_are_no_models_and_that_is_said(payload, rig):
    for name in ("models", "spare"):
        next((rig.folder / name).glob("*.map")).write_bytes(b"x")
    payload.models.check_all()
    assert "is altered" in payload.models.problem
    assert payload.models.activate() != ""


@pytest.mark.verifies("PAY-037")
def test_a_set_on_trial_that_fails_is_left(payload, rig):
    assert payload.models.active.name == "models"
    assert payload.models.activate() == ""
    assert payload.models.active.name == "spare"
    assert payload.models.failed()
    assert payload.models.active.name == "models"
    assert payload.models.activate() == ""
    for _ in range(20):
        payload.models.frame_passed()
    assert not payload.models.failed()
    assert payload.models.active.name == "spare"


@pytest.mark.verifies("PAY-038")
def test_heat_ends_imaging_until_it_is_cooler(payload, monkeypatch):
    payload.change_mode(Mode.IDLE)
    heat = [40.0]
    monkeypatch.setattr(payload_module, "temperature", lambda: heat[0])
    payload.parameters.set(2, 0.5)

    def step_once():
        payload.look_after_heat_and_memory()
        payload.step()
        return payload.mode

    assert step_once() is Mode.IMAGING
    heat[0] = 90.0
    assert step_once() is Mode.IDLE
    heat[0] = 72.0  # within 5 degrees of the limit
    assert step_once() is Mode.IDLE
    heat[0] = 60.0
    assert step_once() is Mode.IMAGING


def test_a_worker_over_its_memory_is_ended(payload, monkeypatch):
    monkeypatch.setattr(payload_module, "memory_mb", lambda pids: 0.0)  # not that of all tests so far
    payload.change_mode(Mode.IDLE)
    payload.step()
    assert payload.looking.worker.is_running
    monkeypatch.setattr(payload_module, "memory_mb", lambda pids: 1000.0)
    payload.look_after_heat_and_memory()
    assert not payload.looking.worker.is_running
    assert '"event":16' in events(payload)
