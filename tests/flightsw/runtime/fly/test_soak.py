"""Long runs: memory flat, file descriptors constant, telemetry without gaps; and what it all costs."""

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import simplejpeg

from flightsw.runtime.fly.health import memory_mb
from flightsw.runtime.known_case import EPOCH
from flightsw.runtime.store.records import Kind, scan

REAL_S = float(os.environ.get("VINSAT_SOAK_S", "180"))  # of the slow real-time soak
SIMULATED_H = float(os.environ.get("VINSAT_SOAK_H", "24"))  # of the slow lock-step one
MODELS = Path(__file__).parents[4] / "models"
FLAT = 1.02  # last quarter over the second


def rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def lock_step_soak(rig, host, *, hours: float) -> dict:
    """Fly simulated hours with a frame every 10 s; return memory, descriptors and gaps."""
    rig.write(clock=host.table(), camera="cycle", more="[limits]\nframes_mb = 0.05\nlog_mb = 1.0")
    rig.start()
    host.accept()
    host.tick(EPOCH)
    ground = rig.ground()
    ticks = round(hours * 360)
    memory, files = [], []
    for k in range(1, ticks + 1):
        host.tick(EPOCH + 10.0 * k)
        ground.listen(0.0)
        list(ground.packets(0.0))
        if k % max(ticks // 200, 1) == 0:
            memory.append(rss_mb(rig.process.pid))
            files.append(descriptors(rig.process.pid))
    list(ground.packets(0.2))
    half = len(memory) // 2
    quarter = len(memory) // 4
    return {
        "hours": hours,
        "rss_second_quarter_mb": round(float(np.mean(memory[quarter:half])), 2),
        "rss_last_quarter_mb": round(float(np.mean(memory[-quarter:])), 2),
        "descriptors": [max(files[quarter:half]), max(files[-quarter:])],  # second, last quarter
        "packets": sum(ground._last.values()) + len(ground._last),
        "gaps": ground.gaps,
        "broken": ground.broken,
    }


def check(result: dict) -> None:
    print(json.dumps(result))  # noqa: T201
    assert result["rss_last_quarter_mb"] <= FLAT * result["rss_second_quarter_mb"]
    assert result["descriptors"][0] == result["descriptors"][1]
    assert result["gaps"] == {}
    assert result["broken"] == 0


@pytest.mark.verifies("PAY-022")
def test_a_simulated_hour_leaves_memory_and_descriptors_as_they_were(rig, host):
    check(lock_step_soak(rig, host, hours=1.0))


@pytest.mark.slow
@pytest.mark.verifies("PAY-022")
def test_a_simulated_day_leaves_memory_and_descriptors_as_they_were(rig, host):
    check(lock_step_soak(rig, host, hours=SIMULATED_H))


@pytest.mark.slow
@pytest.mark.verifies("PAY-022")
def test_real_minutes_leave_memory_and_descriptors_as_they_were(rig):
    rig.write(camera="cycle", more="[limits]\nframes_mb = 0.05\nlog_mb = 1.0")
    rig.start()
    ground = rig.ground()
    ground.command("SET_PARAMETER", parameter=1, value=0.5)
    ground.command("SET_PARAMETER", parameter=2, value=1.0)
    samples = []
    began = time.monotonic()
    while (seconds := time.monotonic() - began) < REAL_S:
        list(ground.packets(1.0))
        workers = rig.children()
        samples.append((rss_mb(rig.process.pid), descriptors(rig.process.pid), worker_rss_mb(workers)))
        if len(samples) % 60 == 0 or seconds > REAL_S - 2.0:
            note(summary(seconds, samples, ground))
    check(summary(REAL_S, samples, ground))


def worker_rss_mb(workers: list[int]) -> float:
    """Return the memory of the oldest worker, the one that looks at frames; NaN without one."""
    try:
        return rss_mb(min(workers)) if workers else float("nan")
    except OSError:  # it has just ended
        return float("nan")


def summary(seconds: float, samples: list[tuple[float, int, float]], ground) -> dict:
    """Return quarters of a run's samples of (memory, descriptors, worker's memory)."""
    half, quarter = len(samples) // 2, max(len(samples) // 4, 1)
    second, last = np.array(samples[quarter:half] or samples), np.array(samples[-quarter:])
    return {
        "seconds": round(seconds),
        "rss_second_quarter_mb": round(float(np.mean(second[:, 0])), 2),
        "rss_last_quarter_mb": round(float(np.mean(last[:, 0])), 2),
        "worker_second_quarter_mb": round(float(np.nanmedian(second[:, 2])), 2),
        "worker_last_quarter_mb": round(float(np.nanmedian(last[:, 2])), 2),
        "descriptors": [int(np.median(second[:, 1])), int(np.median(last[:, 1]))],
        "descriptors_most": [int(second[:, 1].max()), int(last[:, 1].max())],
        "packets": sum(ground._last.values()) + len(ground._last),
        "gaps": ground.gaps,
        "broken": ground.broken,
    }


def note(result: dict) -> None:
    """Append to VINSAT_SOAK_LOG, so that a run that is cut is not lost."""
    if name := os.environ.get("VINSAT_SOAK_LOG"):
        with open(name, "a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")


def land_and_sea(blocks: int, rng) -> np.ndarray:
    """Return a frame of random coasts, on which classifier and detectors run in earnest."""
    field = rng.normal(size=(blocks, 2 * blocks))
    size = np.ones((1296 // blocks + 1, 2304 // (2 * blocks) + 1))
    is_land = np.kron(field, size)[:1296, :2304, None] > 0
    frame = np.where(is_land, [95, 105, 70], [20, 40, 75]) + rng.normal(0.0, 6.0, (1296, 2304, 1))
    return np.clip(frame, 0, 255).astype(np.uint8)


def statuses_in(folder: Path) -> set[str]:
    """Return what became of the frames that a store holds."""
    return {
        json.loads(record.payload)["status"]
        for path in folder.glob("store/log-*.seg")
        for record in scan(path.read_bytes()).records
        if record.kind == Kind.OBSERVATIONS
    }


def mapped(pid: int) -> str:
    return Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")


@pytest.mark.verifies("PAY-023")
def test_memory_and_time_are_within_their_budgets_with_the_flight_networks(rig, rng):
    for path in (rig.folder / "taken").iterdir():
        path.unlink()
    for blocks in (6, 12, 24):
        jpeg = simplejpeg.encode_jpeg(land_and_sea(blocks, rng), quality=90)
        (rig.folder / "taken" / f"{blocks}.jpg").write_bytes(jpeg)
    shutil.copytree(MODELS, rig.folder / "models", dirs_exist_ok=True)
    text = (MODELS.parent / "sim" / "scenarios" / "camera.toml").read_text(encoding="utf-8")
    (rig.folder / "camera.toml").write_text(text, encoding="utf-8")
    rig.write(camera="cycle")
    path = rig.folder / "payload.toml"
    text = path.read_text(encoding="utf-8").replace('kind = "observations"', 'kind = "models"')
    text = text.replace("timeout_s = 20.0", "timeout_s = 120.0")  # the tests' machine may be busy
    path.write_text(text, encoding="utf-8")
    began = time.monotonic()
    rig.start()
    ground = rig.ground()
    while "IDLE IMAGING" not in rig.log():
        time.sleep(0.01)
    ready_s = time.monotonic() - began
    ground.command("SET_PARAMETER", parameter=1, value=0.2)
    peak = 0.0
    end = time.monotonic() + 10.0
    asked = False
    while time.monotonic() < end or (not statuses_in(rig.folder) and time.monotonic() < end + 60.0):
        peak = max(peak, memory_mb([rig.process.pid, *rig.children()]))
        list(ground.packets(0.02))
        if not asked and time.monotonic() > end - 5.0:
            asked = ground.command("ESTIMATE").outcome.name == "DONE"  # both workers at once
    assert asked
    while len(rig.children()) > 1:
        time.sleep(0.05)
    for child in rig.children():
        assert "/scipy/" not in mapped(child)
    assert "/onnxruntime/" not in mapped(rig.process.pid)
    assert "/scipy/" not in mapped(rig.process.pid)
    ground.command("SET_MODE", mode="SAFE")
    time.sleep(0.5)
    idle = memory_mb([rig.process.pid, *rig.children()])
    print(json.dumps({"ready_s": round(ready_s, 2), "peak_mb": round(peak, 1), "idle_mb": round(idle, 1)}))  # noqa: T201
    # Classifier, matching and detectors have run.
    assert statuses_in(rig.folder) & {"NO_POSE", "FAILED_CHECK"}
    assert ready_s < 5.0
    assert idle < 60.0
    assert 60.0 < peak < 350.0
