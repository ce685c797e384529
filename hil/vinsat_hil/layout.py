"""What a payload finds in its folder: configuration, camera, keys, the detector's table."""

import hashlib
import json
import tempfile
from pathlib import Path

from flightsw.runtime.known_case import CAMERA
from flightsw.runtime.link.keys import KEY_BYTES, Keys, keys_text
from flightsw.runtime.tables import ObservationRow, write_observations
from flightsw.vision.preprocess import MODEL_CAMERA
from vinsat_hil.rig import Rig
from vinsat_hil.scenario import Scenario
from vinsat_hil.target import PAYLOAD, Target

CAMERA_TOML = """width_px = {c.width_px}
height_px = {c.height_px}
fx_px = {c.fx_px}
fy_px = {c.fy_px}
cx_px = {c.cx_px}
cy_px = {c.cy_px}
distortion = [0.0, 0.0, 0.0, 0.0, 0.0]
cam_from_body = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
"""
PAYLOAD_TOML = """[paths]
store = "store"
frames = "frames"
products = "products"
models = {models}
camera = "camera.toml"
keys = "keys"
[clock]
{clock}
[camera]
kind = "folder"
folder = "taken"
retry_s = 5.0
[inference]
kind = "{inference}"
observations = "{table}"
timeout_s = {worker_s}
memory_mb = {worker_mb}
[limits]
log_mb = 16.0
memory_mb = {memory_mb}
ping_s = {worker_s}
scrub_period_s = 8000.0
[link]
{link}
[boot]
healthy_after_s = 120.0
safe_after = 3
safe_retry_s = 120.0
"""


def make_keys(seed: int) -> Keys:
    """Return the two keys of a trial."""
    first, second = (hashlib.sha256(f"{seed} {slot}".encode()).digest()[:KEY_BYTES] for slot in (0, 1))
    return Keys((first, second))


def lay_out(
    target: Target,
    scenario: Scenario,
    rig: Rig,
    *,
    keys: Keys,
    table: list[ObservationRow],
    clock: str,
    link: str,
    model_sets: tuple[Path, ...],
) -> None:
    """Write everything but frames. clock, link : the lines of these tables; model_sets : folders to copy."""
    camera = CAMERA if scenario.inference == "observations" else MODEL_CAMERA
    names = [f"models/{letter}" for letter in "ab"[: max(len(model_sets), 1)]]
    text = PAYLOAD_TOML.format(
        models=json.dumps(names), clock=clock, link=link, inference=scenario.inference,
        table="observations.csv" if scenario.inference == "observations" else "",
        worker_s=rig.worker_s, worker_mb=scenario.worker_mb + rig.extra_mb,
        memory_mb=rig.memory_mb + rig.extra_mb,
    )  # fmt: skip
    target.put(f"{PAYLOAD}/payload.toml", text.encode())
    target.put(f"{PAYLOAD}/camera.toml", CAMERA_TOML.format(c=camera).encode())
    target.put(f"{PAYLOAD}/keys", keys_text(keys).encode(), mode=0o600)
    target.put(f"{PAYLOAD}/taken/.folder", b"")
    if scenario.inference == "observations":
        with tempfile.TemporaryDirectory() as folder:
            write_observations(Path(folder) / "observations.csv", table)
            target.put(f"{PAYLOAD}/observations.csv", (Path(folder) / "observations.csv").read_bytes())
    for name, source in zip(names, model_sets):
        for path in sorted(source.iterdir()):
            target.put(f"{PAYLOAD}/{name}/{path.name}", path.read_bytes())
