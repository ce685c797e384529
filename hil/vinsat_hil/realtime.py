"""The real-time rung: the clock runs by itself, and deadlines that are missed are counted.

A frame's deadline is the moment the next one is due: its record must have been committed
by then, or the program falls behind. Read from the records' own times. The flight program
and its configuration are those of flight but for the clock (accelerated) and the camera
(a folder's files again and again).
"""

import json
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from flightsw.runtime.fly.parameters import NAME as PARAMETERS
from flightsw.runtime.known_case import CAMERA, EPOCH
from flightsw.runtime.link.keys import keys_text
from flightsw.runtime.store.disk import FolderDisk
from flightsw.runtime.store.store import Store
from flightsw.vision.preprocess import MODEL_CAMERA
from vinsat_hil import medium
from vinsat_hil.fixture import fixture_models, fixture_picture
from vinsat_hil.layout import CAMERA_TOML, make_keys
from vinsat_hil.medium import LogReader
from vinsat_hil.target import children_of, cpu_s

NS = 1_000_000_000
STARTING = 10  # frames, that may have waited for the worker to start
LEAD_S = 3.0  # of real time, before the simulated clock begins to matter
TOML = """[paths]
store = "store"
frames = "frames"
products = "products"
models = ["{models}"]
camera = "camera.toml"
keys = "keys"
[clock]
kind = "scaled"
epoch_utc = "{epoch}"
boottime_s = {zero:.3f}
rate = {rate}
[camera]
kind = "cycle"
folder = "taken"
[inference]
kind = "{inference}"
observations = "{table}"
"""
TABLE = "time_utc,landmark_id,lon_deg,lat_deg,height_m,u_px,v_px,confidence\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class RealTime:
    """What was found. missed : frames not looked at by the next one's time; never : not at all;
    late_s : median, 99 % and most of the time from exposure to record, in the clock's s;
    cpu_s_a_frame : of all processes; bottleneck : what took longest where any was missed.
    """

    frames: int
    cadence_s: float
    rate: float
    inference: str
    missed: int
    never: int
    late_s: tuple[float, float, float]
    cpu_s_a_frame: float
    wall_s: float
    bottleneck: str

    def sentence(self) -> str:
        """Return all of it in a line."""
        late = ", ".join(f"{value:.2f}" for value in self.late_s)
        how = f"{self.cadence_s:g} s, {self.rate:g} times faster"
        return (
            f"{self.missed} of {self.frames} deadlines missed ({how}); from exposure to record {late} s"
            f" (median, 99 %, most); {self.cpu_s_a_frame:.3f} s of processor a frame. {self.bottleneck}"
        )


def run_realtime(*, frames: int, cadence_s: float, rate: float, inference: str) -> RealTime:
    """Fly so many frames. inference : "observations", "fixture", or a models folder.

    Raises UsageError without onnx (fixture).
    """
    with tempfile.TemporaryDirectory(prefix="vinsat-realtime-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        _lay_out(folder, rate=rate, inference=inference)
        _set_cadence(folder, cadence_s)
        began = time.monotonic()
        command = [sys.executable, "-P", "-m", "flightsw.cli", "fly", "--config", "payload.toml"]
        with open(folder / "stderr", "wb") as errors:
            process = subprocess.Popen(command, cwd=folder, stderr=errors, start_new_session=True)
        try:
            time.sleep(frames * cadence_s / rate + 2 * LEAD_S)
            used_s = cpu_s([process.pid, *children_of(process.pid)])
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
        wall_s = time.monotonic() - began
        return _counted(folder, frames, cadence_s, rate, inference, used_s, wall_s)


def _lay_out(folder: Path, *, rate: float, inference: str) -> None:
    is_table = inference == "observations"
    models = "models" if is_table else str(Path(inference).resolve())
    if inference == "fixture":
        models = str(fixture_models())
    camera = MODEL_CAMERA if inference == "fixture" else CAMERA
    text = TOML.format(
        models=models, epoch=EPOCH.utc_iso(), zero=time.clock_gettime(time.CLOCK_BOOTTIME), rate=rate,
        inference="observations" if is_table else "models", table="observations.csv" if is_table else "",
    )  # fmt: skip
    (folder / "payload.toml").write_text(text, encoding="utf-8")
    (folder / "camera.toml").write_text(CAMERA_TOML.format(c=camera), encoding="utf-8")
    (folder / "observations.csv").write_text(TABLE, encoding="utf-8")
    (folder / "keys").write_text(keys_text(make_keys(0)), encoding="utf-8")
    (folder / "keys").chmod(0o600)
    (folder / "taken").mkdir()
    for k in range(2):
        size = (camera.width_px, camera.height_px)
        picture = fixture_picture(20.0 * k)[0] if inference == "fixture" else _grey(*size)
        (folder / "taken" / f"{k}.jpg").write_bytes(simplejpeg.encode_jpeg(picture, quality=85))


def _grey(width: int, height: int) -> NDArray[np.uint8]:
    """Return a picture without landmarks and with texture, so that decoding costs what it costs."""
    size = (height // 16 + 1, width // 16 + 1, 3)
    coarse = np.random.default_rng(0).integers(40, 200, size, dtype=np.uint8)
    return np.ascontiguousarray(np.kron(coarse, np.ones((16, 16, 1), np.uint8))[:height, :width])


def _set_cadence(folder: Path, cadence_s: float) -> None:
    """Have the payload find the cadence as it would after SET_PARAMETER and a restart."""
    store = Store(FolderDisk(folder / "store"))
    store.save(PARAMETERS, json.dumps({"image_period_s": cadence_s}).encode())
    store.close()


def _counted(
    folder: Path, frames: int, cadence_s: float, rate: float, inference: str, used_s: float, wall_s: float
) -> RealTime:
    """Read the log: when each frame was taken, and when what was found in it was recorded."""
    entries = list(LogReader(folder / "store").read().values())
    taken = {e.content()["frame"]: e.content()["tai_ns"] for e in entries if e.kind == medium.FRAME}
    found = {e.content()["frame"]: e.tai_ns for e in entries if e.kind == medium.OBSERVATIONS}
    names = sorted(taken, key=lambda name: taken[name])[:frames]
    late_s = np.array([(found[name] - taken[name]) / NS for name in names if name in found])
    never = sum(name not in found for name in names) + frames - len(names)
    missed = int(np.sum(late_s > cadence_s)) + never
    median, tail = (float(np.percentile(late_s, q)) for q in (50, 99)) if len(late_s) else (np.inf, np.inf)
    late = [
        k
        for k, name in enumerate(names)
        if found.get(name, taken[name] + 10**18) - taken[name] > cadence_s * NS
    ]
    slow = "inference"
    if len(names) < frames:
        slow = "the loop takes frames more slowly than they are due"
    elif late and late[-1] < STARTING:
        slow = f"the start of the inference worker, for which {len(late)} frames wait"
    return RealTime(
        frames=frames, cadence_s=cadence_s, rate=rate, inference=inference, missed=missed, never=never,
        late_s=(round(median, 3), round(tail, 3), round(float(late_s.max(initial=0.0)), 3)),
        cpu_s_a_frame=round(used_s / max(len(names), 1), 4), wall_s=round(wall_s, 1),
        bottleneck=f"bottleneck: {slow}" if missed else "",
    )  # fmt: skip
