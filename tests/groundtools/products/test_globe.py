import json
import os
import runpy
import shutil
import threading
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from flightsw.astro.rotation import ecef_from_eci
from flightsw.errors import EXIT_INPUT, InputError
from flightsw.estimate.batch import estimate_orbit
from flightsw.runtime.known_case import CAMERA, known_case
from flightsw.runtime.products import write_solution
from flightsw.runtime.tables import rows_of, write_observations
from groundtools import cli
from groundtools.products.ephemeris import from_solution
from groundtools.products.globe import Site, find_cesium, serve, site_of
from groundtools.products.globe_data import SIGMAS, ellipsoid_of, globe_czml

BROWSER = runpy.run_path(str(Path(__file__).parents[2] / "browser.py"))


@pytest.fixture(scope="module")
def made():
    case = known_case(landmarks=30)
    return case, estimate_orbit(case.observations, case.camera)


@pytest.fixture(scope="module")
def run(made, tmp_path_factory) -> Path:
    case, solution = made
    folder = tmp_path_factory.mktemp("run")
    write_solution(folder, solution)
    write_observations(folder / "observations.csv", rows_of(case.observations))
    return folder


@pytest.fixture
def serving():
    """Return `start(site) -> url`; every server is ended with the test."""
    running = []

    def start(site: Site) -> str:
        server = serve(site, 0)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.mark.verifies("PRD-013")
def test_the_ellipsoid_is_the_covariance(made):
    _, solution = made
    table = from_solution(solution, 0.0, 6000.0, 60.0)
    packet = ellipsoid_of(table)
    radii = np.array(packet["ellipsoid"]["radii"]["cartesian"]).reshape(-1, 4)[:, 1:]
    quaternion = np.array(packet["orientation"]["unitQuaternion"]).reshape(-1, 5)[:, 1:]
    to_ecef = ecef_from_eci(table.epoch, table.covariance_t_s)
    for k in range(len(radii)):
        x, y, z, w = quaternion[k]
        axes = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
        )
        rebuilt = axes @ np.diag((radii[k] / SIGMAS) ** 2) @ axes.T
        expected = to_ecef[k] @ table.covariance[k, :3, :3] @ to_ecef[k].T
        np.testing.assert_allclose(rebuilt, expected, atol=2e-3 * np.trace(expected))


def test_the_document_holds_satellite_footprints_and_landmarks(made):
    case, solution = made
    text = globe_czml(solution, from_solution(solution, 0.0, 6000.0, 60.0), case.observations, CAMERA, "X")
    packets = json.loads(text)
    assert packets[0]["id"] == "document"
    assert sum("polygon" in one for one in packets) == len(case.observations.frame_t_s)
    assert sum(one["id"].startswith("landmark-") for one in packets) == len(
        set(case.observations.landmark_id)
    )
    czml3 = pytest.importorskip("czml3")
    czml3.Document.model_validate({"packets": packets})


def test_a_missing_cesium_is_named_with_the_command_that_brings_it(run, tmp_path, capsys):
    assert cli.main(["globe", str(run), "--cesium", str(tmp_path), "--no-open"]) == EXIT_INPUT
    assert "npm install" in capsys.readouterr().err


@pytest.mark.verifies("PRD-013")
def test_nothing_beside_the_globe_is_served(tmp_path, serving):
    (tmp_path / "secret").write_text("s")
    (tmp_path / "cesium").mkdir()
    (tmp_path / "cesium" / "Cesium.js").write_text("1")
    url = serving(Site({"/": ("text/html", b"page")}, tmp_path / "cesium"))
    with urllib.request.urlopen(f"{url}/cesium/Cesium.js") as answer:
        assert answer.read() == b"1"
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    for path in ("/cesium/../secret", "/cesium/%2e%2e/secret", "/secret", "/cesium/none", "/cesium/"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(url + path)


@pytest.mark.slow  # a software renderer draws the Earth
@pytest.mark.verifies("PRD-011", "PRD-013")
@pytest.mark.parametrize(
    ("width", "scheme"), [(1280, "light"), (1280, "dark"), (400, "light"), (400, "dark")]
)
def test_the_globe_shows_the_orbit_and_asks_for_nothing_outside(run, made, tmp_path, serving, width, scheme):
    named = os.environ.get("VINSAT_CESIUM")
    try:
        cesium = find_cesium(Path(named) if named else None)
    except InputError as error:
        pytest.skip(str(error))
    url = serving(site_of(run, camera=None, hours_ahead=1.0, name="X", cesium=cesium))
    ready = "document.body.dataset.ready === 'yes'"
    seen = BROWSER["visit"](url, tmp_path / "globe.png", width=width, scheme=scheme, wait_for=ready)
    assert seen.ready
    assert seen.console == []
    assert seen.hosts == {url.removeprefix("http://")}
    assert seen.overflow_px <= 0


@pytest.mark.slow
@pytest.mark.verifies("PRD-005")
def test_cesium_itself_reads_the_positions_we_wrote(run, made, serving):
    api = pytest.importorskip("playwright.sync_api")
    browser_path = shutil.which("chromium")
    named = os.environ.get("VINSAT_CESIUM")
    try:
        cesium = find_cesium(Path(named) if named else None)
    except InputError as error:
        pytest.skip(str(error))
    if browser_path is None:
        pytest.skip("needs chromium")
    _, solution = made
    url = serving(site_of(run, camera=None, hours_ahead=1.0, name="X", cesium=cesium))
    with api.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=browser_path, args=BROWSER["ARGUMENTS"])
        page = browser.new_page(viewport={"width": 300, "height": 300})
        page.goto(url)
        page.wait_for_function("window.orbit !== undefined", timeout=BROWSER["WAIT_MS"])
        first = solution.epoch + solution.first_used_s
        read = page.evaluate(
            """(times) => times.map((t) => { const p = window.orbit.entities.getById("satellite").position
                .getValueInReferenceFrame(Cesium.JulianDate.fromIso8601(t), Cesium.ReferenceFrame.INERTIAL);
                return [p.x, p.y, p.z]; })""",
            [(first + 30.0 * k).utc_iso() for k in range(1, 40)],
        )
        browser.close()
    table = from_solution(solution, solution.first_used_s, solution.first_used_s + 1200.0, 30.0)
    assert np.linalg.norm(np.array(read) - table.state[1:40, :3], axis=1).max() < 2e-3  # m: mm are written
