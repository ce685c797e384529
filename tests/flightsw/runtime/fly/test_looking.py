"""The inference desk: whose fault a lost worker is, and what goes on after a restart."""

import json
import os
import signal
import time

import pytest

from flightsw.runtime.fly.assembly import assemble, open_store
from flightsw.runtime.fly.config import load_payload_config
from flightsw.runtime.fly.looking import ATTEMPTS
from flightsw.runtime.store.records import Kind


@pytest.fixture
def payload(rig, monkeypatch):
    """Return a payload that is not running, with one frame that waits."""
    rig.write()
    monkeypatch.chdir(rig.folder)
    config = load_payload_config(rig.folder / "payload.toml")
    payload, _ = assemble(config, open_store(config), {"number": 1, "unhealthy": 0})
    (rig.folder / "frames" / "frame.jpg").write_bytes(b"not looked at by this worker")
    payload.imaging._ring._sizes["frame.jpg"] = 1
    payload.looking.add([("frame.jpg", rig.case.observations.epoch.tai_ns, 1)])
    yield payload
    payload.close()


def records(payload, kind):
    payload.journal.commit()
    return [json.loads(record.payload) for record in payload.journal.store.records(kind)]


def lose(looking, *, may_start=True) -> None:
    """Kill the worker and wait until that is noticed."""
    pid, lost = looking.worker.pid, looking.worker.restarts
    os.kill(pid, signal.SIGKILL)
    while looking.worker.restarts == lost:
        looking.step(may_start=may_start)
        time.sleep(0.005)


@pytest.mark.verifies("PAY-032")
def test_a_worker_killed_while_it_starts_is_not_the_frames_fault(payload):
    looking = payload.looking
    for _ in range(ATTEMPTS + 1):
        looking.step(may_start=True)
        lose(looking)
        assert not looking.worker.was_at_task
    end = time.monotonic() + 30.0
    while not records(payload, Kind.OBSERVATIONS):
        assert time.monotonic() < end
        looking.step(may_start=True)
        time.sleep(0.01)
    (found,) = records(payload, Kind.OBSERVATIONS)
    assert (found["frame"], found["status"]) == ("frame.jpg", "FIX")


@pytest.mark.verifies("PAY-032")
def test_a_frame_at_which_the_worker_is_lost_again_and_again_is_put_aside(payload):
    looking = payload.looking
    for _ in range(ATTEMPTS):
        assert not records(payload, Kind.OBSERVATIONS)
        looking.worker.start()
        while looking.worker._waiting is not None:  # until it has said that it is ready
            looking.step(may_start=False)
            time.sleep(0.005)
        os.kill(looking.worker.pid, signal.SIGSTOP)
        looking.step(may_start=True)
        lose(looking, may_start=False)
        assert looking.worker.was_at_task
    (found,) = records(payload, Kind.OBSERVATIONS)
    assert (found["frame"], found["status"], found["rows"]) == ("frame.jpg", "FAILED", [])
