import json
import re
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flightsw.errors import EXIT_INPUT, EXIT_NOT_DETERMINED, EXIT_OK
from flightsw.estimate.batch import estimate_orbit
from flightsw.runtime.known_case import CAMERA, known_case
from flightsw.runtime.products import write_solution
from flightsw.runtime.tables import rows_of, write_observations
from groundtools import cli
from groundtools.products import formats
from groundtools.products.comparison import difference, rtn_axes
from groundtools.products.ephemeris import from_solution
from groundtools.products.report_data import sight

BROWSER = runpy.run_path(str(Path(__file__).parents[2] / "browser.py"))
CAMERA_TOML = f"""
width_px = {CAMERA.width_px}
height_px = {CAMERA.height_px}
fx_px = {CAMERA.fx_px}
fy_px = {CAMERA.fy_px}
cx_px = {CAMERA.cx_px}
cy_px = {CAMERA.cy_px}
distortion = [0.0, 0.0, 0.0, 0.0, 0.0]
cam_from_body = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
"""


@pytest.fixture(scope="module")
def made():
    case = known_case(landmarks=30)
    return case, estimate_orbit(case.observations, case.camera)


@pytest.fixture
def run(made, tmp_path: Path) -> Path:
    """Return a run folder as the flight program leaves it, with the camera beside it."""
    case, solution = made
    write_solution(tmp_path, solution, inputs={"frames_by_status": {"FIX": 12, "ELSEWHERE": 3}})
    write_observations(tmp_path / "observations.csv", rows_of(case.observations))
    (tmp_path / "camera.toml").write_text(CAMERA_TOML)
    return tmp_path


def test_rtn_axes_are_radial_along_and_cross():
    axes = rtn_axes(np.array([[7e6, 0.0, 0.0, 0.0, 7e3, 0.0]]))[0]
    np.testing.assert_allclose(axes, np.eye(3), atol=1e-12)


@pytest.mark.verifies("PRD-009")
def test_a_known_shift_is_found_in_its_own_axis(made):
    _, solution = made
    truth = from_solution(solution, 0.0, 6000.0, 60.0)
    axes = rtn_axes(truth.state)
    shifted = truth.state.copy()
    shifted[:, :3] += 30.0 * axes[:, 1] - 4.0 * axes[:, 2]
    result = difference(replace(truth, state=shifted), truth)
    np.testing.assert_allclose(result.rtn, np.tile([0.0, 30.0, -4.0], (len(truth.t_s), 1)), atol=1e-6)
    own = difference(solution, truth)
    assert own.distance.max() < 1e-3  # m: its own propagation
    assert (own.sigma > 0.0).all()


@pytest.mark.verifies("PRD-009")
def test_compare_prints_the_differences_and_draws_them(run, made, capsys):
    _, solution = made
    reference = run / "truth.csv"
    reference.write_text(formats.write_csv(from_solution(solution, 0.0, 3000.0, 30.0)))
    plot = run / "error.svg"
    assert cli.main(["compare", str(run), str(reference), "--plot", str(plot), "--json"]) == EXIT_OK
    printed = json.loads(capsys.readouterr().out)
    assert printed["rms_m"]["3d"] < 1e-3
    assert printed["inside_3_sigma"] == 1.0
    assert plot.read_text().startswith("<svg")
    late = run / "late.csv"
    later = from_solution(solution, 9e5, 9.1e5, 100.0)
    late.write_text(formats.write_csv(later))
    assert cli.main(["compare", str(run / "orbit.oem"), str(late)]) == EXIT_INPUT
    assert "no time in common" in capsys.readouterr().err


def test_residuals_of_a_report_are_those_of_the_fit(made):
    case, solution = made
    sighted = sight(solution, case.observations, case.camera)
    assert sighted.agrees.mean() > 0.97
    assert np.sqrt(np.mean(sighted.residual_px[sighted.agrees] ** 2)) == pytest.approx(1.0, abs=0.15)  # px


@pytest.mark.verifies("PRD-010")
def test_a_report_is_one_file_in_plain_words(run, capsys):
    assert cli.main(["report", str(run), "--name", "VINSAT <1>"]) == EXIT_OK
    text = (run / "report.html").read_text()
    assert "VINSAT &lt;1&gt;" in text
    assert "two or more passes agree" in text
    assert text.count("<svg") == 3
    assert "ELSEWHERE" in text
    links = re.findall(r"""(?:src|href)=["']([^"'#][^"']*)""", text)
    assert not links, links
    first = text
    assert cli.main(["report", str(run), "--name", "VINSAT <1>"]) == EXIT_OK
    assert (run / "report.html").read_text() == first  # equal inputs, equal bytes
    capsys.readouterr()


@pytest.mark.verifies("PRD-010")
def test_a_report_warns_where_the_orbit_is_not_determined_and_needs_no_other_file(run, capsys):
    fields = json.loads((run / "solution.json").read_text())
    alone = run / "alone"
    alone.mkdir()
    (alone / "solution.json").write_text(json.dumps({**fields, "status": "ONE_PASS"}))
    assert cli.main(["report", str(alone)]) == EXIT_NOT_DETERMINED
    text = (alone / "report.html").read_text()
    assert "Do not point an antenna by this orbit" in text
    assert "no observations.csv" in text
    capsys.readouterr()


def test_a_run_without_a_state_has_no_report(tmp_path, capsys):
    (tmp_path / "solution.json").write_text('{"status": "NO_LANDMARKS", "r_gcrf_m": null}')
    assert cli.main(["report", str(tmp_path)]) == EXIT_INPUT
    assert str(tmp_path) in capsys.readouterr().err


@pytest.mark.verifies("PRD-011")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_report_asks_for_nothing_and_complains_of_nothing(run, width, scheme, capsys):
    cli.main(["report", str(run)])
    page = (run / "report.html").as_uri()
    seen = BROWSER["visit"](page, run / "page.png", width=width, scheme=scheme)
    assert seen.hosts == set()
    assert seen.console == []
    assert seen.overflow_px <= 0  # wide figures and tables scroll in their own boxes
    assert seen.picture.stat().st_size > 20_000  # bytes: it is not empty
