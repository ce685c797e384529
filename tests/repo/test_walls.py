"""The import walls of pyproject.toml stand."""

import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.verifies("RUN-102")
def test_the_import_walls_stand():
    command = [Path(sysconfig.get_path("scripts")) / "lint-imports", "--no-cache"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
