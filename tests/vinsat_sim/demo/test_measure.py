import json
import subprocess
import sys

import pytest

from vinsat_sim.demo import measure

MB = 2**20


def measured(*command: str) -> dict:
    result = subprocess.run(
        [sys.executable, "-P", measure.__file__, *command], capture_output=True, text=True, check=True
    )
    return json.loads(result.stdout)


@pytest.mark.verifies("SIM-105")
def test_the_peak_memory_of_a_command_is_measured():
    record = measured(sys.executable, "-c", f"block = b'x' * {200 * MB}")
    assert 200.0 < record["peak_rss_mb"] < 260.0  # MB, the interpreter included


@pytest.mark.verifies("SIM-105")
def test_the_memory_of_the_simulator_is_not_counted():
    block = b"x" * (400 * MB)  # held while the command is started
    record = measured(sys.executable, "-c", "pass")
    assert record["peak_rss_mb"] < 100.0  # MB
    assert len(block) == 400 * MB


def test_the_exit_code_is_reported_and_what_it_prints_is_dropped():
    record = measured(sys.executable, "-c", "print('noise'); raise SystemExit(4)")
    assert record["exit_code"] == 4
