"""Every command that docs/products.md shows runs, on a run folder as the flight program leaves it."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from flightsw.errors import EXIT_NOT_DETERMINED, EXIT_OK
from flightsw.estimate.batch import estimate_orbit
from flightsw.runtime import golden
from flightsw.runtime.known_case import known_case
from flightsw.runtime.products import write_solution
from flightsw.runtime.tables import rows_of, write_observations
from groundtools import cli
from groundtools.products import formats
from groundtools.products.ephemeris import from_solution
from groundtools.products.fit_tle import Body, elements_of
from groundtools.products.omm import write_json
from groundtools.products.tle import write_tle

CAMERA = """width_px = 1152
height_px = 648
fx_px = 886.9625
fy_px = 886.9625
cx_px = 576.0
cy_px = 324.0
distortion = [0.0, 0.0, 0.0, 0.0, 0.0]
cam_from_body = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
"""  # of the golden frames
PAGE = Path(__file__).parents[3] / "docs" / "products.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINES = [line for block in BLOCK.findall(PAGE.read_text(encoding="utf-8")) for line in block.splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Return a folder with RUN, orbit.oem, catalogue.json, reference.csv, a frame and its camera in it."""
    base = tmp_path_factory.mktemp("docs")
    shutil.copyfile(Path(golden.__file__).with_name("florida.jpg"), base / "FRAME.jpg")
    (base / "cam.toml").write_text(CAMERA)
    case = known_case(landmarks=30)
    solution = estimate_orbit(case.observations, case.camera)
    write_solution(base / "RUN", solution)
    write_observations(base / "RUN" / "observations.csv", rows_of(case.observations))
    (base / "orbit.oem").write_text((base / "RUN" / "orbit.oem").read_text())
    (base / "reference.csv").write_text(formats.write_csv(from_solution(solution, 0.0, 3000.0, 60.0)))
    elements, _ = elements_of(solution, hours=6.0, arc=False, body=Body("X", "2026-014C", "100042"))
    (base / "catalogue.json").write_text(write_json((elements,)))
    (base / "elements.tle").write_text(write_tle(elements))
    return base


def test_the_page_shows_commands():
    assert len(LINES) >= 10
    assert all(line.startswith("vinsat ") for line in LINES)


@pytest.mark.parametrize("line", LINES)
def test_a_shown_command_runs(line, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    code = cli.main(shlex.split(line)[1:])
    assert code in (EXIT_OK, EXIT_NOT_DETERMINED), capsys.readouterr().err
