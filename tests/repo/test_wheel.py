"""The wheel holds four packages at its top level, and the scenarios they read."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOP_LEVEL = {"flightsw", "groundtools", "vinsat_sim", "vinsat_hil"}


@pytest.fixture(scope="module")
def names(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    (wheel,) = folder.glob("*.whl")
    return zipfile.ZipFile(wheel).namelist()


def test_the_top_level_is_the_four_packages(names):
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == TOP_LEVEL


def test_the_wheel_carries_the_data_its_code_reads(names):
    assert "vinsat_sim/scenarios/demo.toml" in names
    assert "vinsat_sim/demo/page.html" in names
    assert {"groundtools/products/report.html", "groundtools/products/globe.html"} <= set(names)
    assert any(name.startswith("flightsw/astro/data/") for name in names)
