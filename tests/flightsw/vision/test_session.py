"""The networks' runtime keeps to itself."""

import os
import subprocess
import sys

import pytest

LOOK = """
import os, sys
before = len(os.listdir("/proc/self/task"))
import flightsw.vision.session
print(len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.verifies("PAY-054")
def test_loading_the_networks_runtime_starts_no_reporting(tmp_path):
    kept = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    kept |= {"HOME": str(tmp_path), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    kept |= {"XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", LOOK], env=kept, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == 0
    assert not list(tmp_path.iterdir())
