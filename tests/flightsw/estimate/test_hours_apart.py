"""Two short passes four hours apart, as the demo's seed 3 saw them: one orbit, not none."""

import json
from pathlib import Path

import pytest

from flightsw.cli import main

DATA = Path(__file__).parents[2] / "data"
CAMERA = """
width_px = 2304
height_px = 1296
fx_px = 1773.925
fy_px = 1773.925
cx_px = 1152.0
cy_px = 648.0
distortion = [0.0, 0.0, 0.0, 0.0, 0.0]
cam_from_body = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
"""
TRUTH_KM = (-5265.728, 1531.511, 4069.101)  # ITRF at the last image, 23:23:46


@pytest.mark.verifies("EST-005")
def test_a_pass_is_not_given_up_for_one_hours_later(tmp_path: Path) -> None:
    """Carried four hours on, the belief bent away from the first pass: there was no orbit."""
    camera = tmp_path / "camera.toml"
    camera.write_text(CAMERA, encoding="utf-8")
    arguments = ["--observations", str(DATA / "two_passes_hours_apart.csv"), "--camera", str(camera)]
    assert main(["od", *arguments, "--out", str(tmp_path / "out")]) == 0
    solution = json.loads((tmp_path / "out" / "solution.json").read_text(encoding="utf-8"))
    assert solution["status"] == "DETERMINED"
    assert solution["observations_used"] >= 190
    rows = (tmp_path / "out" / "ephemeris.csv").read_text(encoding="utf-8").splitlines()
    (last,) = [row for row in rows if row.startswith("2025-11-06T23:23:46")]
    found_km = [float(x) / 1e3 for x in last.split(",")[1:4]]
    assert sum((a - b) ** 2 for a, b in zip(found_km, TRUTH_KM, strict=True)) ** 0.5 < 3.0
