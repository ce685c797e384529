"""The bundle's wheels and code on emulated 64-bit ARM, against this machine.

Slow, and needs a Debian arm64 root: named by VINSAT_ARM64_ROOT, e.g. made by
`debootstrap --foreign --arch arm64 --variant=minbase --include=python3 bookworm ROOT` with
every package of ROOT/var/cache/apt/archives unpacked by `dpkg-deb -x`, and
qemu-aarch64-static copied to ROOT/usr/bin. Needs root's rights (chroot).
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from groundtools.flash import install
from groundtools.flash.bundle import make_bundle

MODELS = Path(__file__).parents[3] / "models"
AGREE = 1e-5  # relative, of states, logits and heat maps
WORK = """
import json, sys
import numpy as np
from pathlib import Path
from flightsw.estimate.batch import estimate_orbit
from flightsw.runtime.known_case import known_case
from flightsw.vision.landmarks import detect
from flightsw.vision.models import load_models
from flightsw.vision.preprocess import MODEL_CAMERA, model_frame_from_rgb
from flightsw.vision.regions import classify
case = known_case()
solution = estimate_orbit(case.observations, case.camera)
models = load_models(Path(sys.argv[1]))
v, u = np.mgrid[0 : MODEL_CAMERA.height_px, 0 : MODEL_CAMERA.width_px]
wave = 90 + 40 * np.sin(u / 37.0) * np.cos(v / 23.0)
frame = model_frame_from_rgb(np.repeat(wave[..., None], 3, axis=2).astype(np.uint8))
found = detect(models.detector("17R"), frame, threshold=0.0)
print(json.dumps({
    "state": [*solution.r_eci, *solution.v_eci],
    "classes": classify(models.classifier, frame).tolist(),
    "score": found.score.tolist()[:200],
    "status": solution.status.name,
}))
"""


@pytest.mark.slow
@pytest.mark.verifies("PAY-048")
def test_the_bundle_on_emulated_arm_agrees_with_this_machine(tmp_path):
    root = Path(os.environ.get("VINSAT_ARM64_ROOT", "/nowhere"))
    if not (root / "usr/bin/qemu-aarch64-static").exists() or os.geteuid() != 0:
        pytest.skip("needs VINSAT_ARM64_ROOT with qemu-aarch64-static, and root's rights")
    wheels = os.environ.get("VINSAT_ARM64_WHEELS")
    bundle = make_bundle(tmp_path, models=MODELS, wheels=Path(wheels) if wheels else None)
    shutil.rmtree(root / "opt/vinsat", ignore_errors=True)
    install.install(bundle, root, trusted=None)
    (root / "tmp/work.py").write_text(WORK, encoding="utf-8")
    base = "/opt/vinsat/current"
    environment = {"PATH": "/usr/sbin:/usr/bin:/bin", "QEMU_CPU": "cortex-a72", "OPENBLAS_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = f"{base}/app:{base}/lib"
    command = [shutil.which("chroot") or "/usr/sbin/chroot", str(root), "/usr/bin/qemu-aarch64-static"]
    command += ["/usr/bin/python3", "-P", "-W", "ignore", "/tmp/work.py", f"{base}/models"]
    there = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    here = subprocess.run(
        [sys.executable, "-P", "-c", WORK, str(MODELS)], capture_output=True, text=True, check=True
    )
    a, b = (json.loads(done.stdout.splitlines()[-1]) for done in (there, here))
    assert a["status"] == b["status"] == "DETERMINED"
    worst = {}
    for name in ("state", "classes", "score"):
        x, y = np.array(a[name]), np.array(b[name])
        assert x.shape == y.shape
        worst[name] = float(np.abs(x - y).max() / np.abs(y).max())
    print(json.dumps(worst))  # noqa: T201
    assert max(worst.values()) < AGREE
