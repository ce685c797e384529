"""Is this payload computer fit to fly? Clock, camera, storage, memory, models, self-test."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from flightsw.astro.time import NS
from flightsw.errors import VinsatError
from flightsw.runtime.drivers.clocks import SystemClock
from flightsw.runtime.fly.assembly import open_camera
from flightsw.runtime.fly.config import PayloadConfig, load_payload_config
from flightsw.runtime.link.keys import read_keys
from flightsw.runtime.selftest import Check, selftest

BUILT = 820_497_637 * NS  # TAI of 2026-01-01: a clock before it was never set
SLOWEST_SYNC_S = 0.2
MEMORY_MB = 400.0  # free, for the payload's peak of 350
CAMERA_S = 15.0


def doctor(config_path: str | os.PathLike[str], *, with_selftest: bool = True) -> list[Check]:
    """Run every check on this computer. Raises InputError where the configuration cannot be read."""
    config = load_payload_config(config_path)
    checks = [_clock(), _keys(config), _camera(config), _memory(), *_storage(config)]
    models = next((m for m in config.paths.models if (Path(m) / "manifest.toml").exists()), None)
    if models is None:
        checks.append(Check("models", False, "none of the sets of models is there"))
    if with_selftest:
        try:
            checks += selftest(models=models)
        except VinsatError as error:
            checks.append(Check("models", False, str(error)))
    return checks


def _clock() -> Check:
    now = SystemClock(0).now()
    late = now.tai_ns < BUILT
    detail = f"TAI {now.tai_ns / NS:.3f} s past 2000-01-01T12:00:00" + (", never set" if late else "")
    return Check("clock", not late, detail)


def _keys(config: PayloadConfig) -> Check:
    try:
        read_keys(config.paths.keys)
    except VinsatError as error:
        return Check("keys", False, str(error))
    return Check("keys", True, "two command keys")


def _camera(config: PayloadConfig) -> Check:
    """Take one frame."""
    if config.camera.kind == "none":
        return Check("camera", True, "none is configured")
    clock = SystemClock(0)
    camera = open_camera(config, None)
    began = time.monotonic()
    try:
        camera.request(clock.now())
        while time.monotonic() - began < CAMERA_S:
            frame = camera.poll(clock.now())
            if frame is not None:
                taken = time.monotonic() - began
                return Check("camera", True, f"a frame of {len(frame.jpeg) / 1e6:.2f} MB in {taken:.1f} s")
            time.sleep(0.05)
    except VinsatError as error:
        return Check("camera", False, str(error))
    finally:
        camera.stop()
    return Check("camera", False, f"no frame within {CAMERA_S:g} s")


def _memory() -> Check:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024 / 1e6
            return Check("memory", free >= MEMORY_MB, f"{free:.0f} MB free, {MEMORY_MB:.0f} needed")
    return Check("memory", False, "/proc/meminfo does not say what is free")


def _storage(config: PayloadConfig) -> Iterator[Check]:
    """Write, sync and time a block where the payload will; and see that there is room."""
    needed_mb = {"store": config.limits.log_mb, "frames": config.limits.frames_mb, "products": 10.0}
    for name, mb in needed_mb.items():
        folder = Path(getattr(config.paths, name))
        while not folder.exists():  # made by the payload, as its user
            folder = folder.parent
        try:
            seconds = _sync_time(folder)
        except OSError as error:
            yield Check(f"storage, {name}", False, f"{folder}: {error.strerror}")
            continue
        there = sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) / 1e6
        free = shutil.disk_usage(folder).free / 1e6 + there
        passed = free >= mb and seconds < SLOWEST_SYNC_S
        yield Check(f"storage, {name}", passed, f"{free:.0f} MB of {mb:.0f}; sync {seconds * 1e3:.1f} ms")


def _sync_time(folder: Path) -> float:
    """Return the median time of a synced write of 4 KiB, s."""
    path = folder / ".doctor"
    times = []
    try:
        with open(path, "wb", buffering=0) as file:
            for _ in range(9):
                began = time.monotonic()
                file.write(bytes(4096))
                os.fdatasync(file.fileno())
                times.append(time.monotonic() - began)
    finally:
        path.unlink(missing_ok=True)
    return sorted(times)[len(times) // 2]
