import csv
import io
import json
import re
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flightsw.astro.propagate import propagate
from flightsw.errors import EXIT_INPUT, EXIT_OK, EXIT_USAGE, InputError
from flightsw.estimate.batch import estimate_orbit
from flightsw.runtime.known_case import CAMERA, known_case
from flightsw.runtime.products import write_solution
from groundtools import cli
from groundtools.products.omm import write_json
from groundtools.products.planning import (
    LEAST_IN_VIEW,
    Places,
    Window,
    least_frames,
    looks,
    make_plan,
    spread,
    windows_ahead,
    windows_of,
)

BROWSER = runpy.run_path(str(Path(__file__).parents[2] / "browser.py"))


@pytest.fixture(scope="module")
def solution():
    case = known_case(landmarks=30)
    return estimate_orbit(case.observations, case.camera)


@pytest.fixture(scope="module")
def places():
    """Return landmarks all along one meridian and its neighbours: something is seen on every pass."""
    lon, lat = np.meshgrid(np.arange(-180.0, 180.0, 2.0), np.arange(20.0, 60.0, 2.0))
    return Places.of_degrees(lon.ravel(), lat.ravel(), np.full(lon.size, "belt"))


def window(start, end, margin=0.0, chance=0.5):
    made = Window(start - margin, end + margin, end - start, "17R", 20, margin, chance, np.zeros(0))
    return replace(made, frames_s=spread(made, least_frames(made)))


@pytest.mark.verifies("PRD-012")
@pytest.mark.parametrize("margin", [0.0, 15.0, 120.0, 300.0])
def test_wherever_the_satellite_is_enough_frames_fall_onto_the_landmarks(margin, rng):
    made = window(1000.0, 1100.0, margin)
    for early in rng.uniform(-margin, margin, 50):
        over = (made.frames_s >= 1000.0 + early) & (made.frames_s <= 1100.0 + early)
        assert over.sum() >= LEAST_IN_VIEW - 1  # two make a pass


@pytest.mark.verifies("PRD-012")
def test_a_plan_keeps_to_its_budget_and_gives_what_is_left_to_the_earliest(solution):
    windows = [window(1000.0 * k, 1000.0 * k + 120.0) for k in range(1, 9)]
    fewest = len(windows[0].frames_s)
    for budget in (fewest, 3 * fewest, 20, 60, 500):
        plan = make_plan(solution.epoch, windows, frames=budget)
        assert plan.frames <= budget
        counts = [len(one.frames_s) for one in plan.windows]
        assert counts == sorted(counts, reverse=True)
    assert all(np.diff(one.frames_s).min() >= 10.0 - 1.0 for one in plan.windows)
    assert plan.chance_by(3200.0) == pytest.approx(1.0 - 0.5**3)
    assert plan.chance_by(0.0) == 0.0


@pytest.mark.verifies("PRD-012")
def test_windows_lie_in_daylight_over_landmarks(solution, places):
    windows = windows_ahead(solution, CAMERA, places, start=solution.epoch, hours=12.0, sun_min_deg=10.0)
    assert len(windows) >= 4
    start = np.concatenate([solution.r_eci, solution.v_eci])
    for one in windows:
        t_s = np.array([one.middle_s])
        state = propagate(solution.forces, solution.epoch, start, solution.drag_scale, t_s).state
        seen = looks(solution.epoch, t_s, state, CAMERA, places, sun_min_deg=10.0)
        assert seen.count[0] >= 4
        assert one.start_s + one.margin_s < one.middle_s < one.end_s - one.margin_s


def test_a_poorly_known_orbit_gets_wider_windows(solution, places):
    worse = replace(solution, covariance_full=1e4 * solution.covariance_full)
    t_s = np.arange(0.0, 6 * 3600.0, 10.0)
    start = np.concatenate([solution.r_eci, solution.v_eci])
    state = propagate(solution.forces, solution.epoch, start, solution.drag_scale, t_s).state
    seen = looks(solution.epoch, t_s, state, CAMERA, places, sun_min_deg=10.0)
    for good, bad in zip(
        windows_of(solution, seen, clear={}), windows_of(worse, seen, clear={}), strict=True
    ):
        assert bad.margin_s > 5.0 * good.margin_s
        assert len(bad.frames_s) >= len(good.frames_s)


def test_nothing_to_see_is_said(solution):
    with pytest.raises(InputError, match="daylight"):
        make_plan(solution.epoch, [], frames=10)


@pytest.fixture
def run(solution, tmp_path: Path) -> Path:
    write_solution(tmp_path, solution)
    return tmp_path


@pytest.mark.verifies("PRD-012")
def test_the_command_writes_a_schedule_of_the_shipped_places(run, capsys):
    arguments = ["plan", str(run), "--frames", "80", "--hours", "48", "--json"]
    assert cli.main(arguments) == EXIT_OK
    printed = json.loads(capsys.readouterr().out)
    rows = list(csv.DictReader(io.StringIO((run / "schedule.csv").read_text())))
    assert len(rows) == len(printed["windows"])
    assert sum(int(row["frames"]) for row in rows) == printed["frames"] == len(printed["frames_utc"]) <= 80
    assert [row["start_utc"] for row in rows] == sorted(row["start_utc"] for row in rows)
    by_then = [float(row["chance_by_then"]) for row in rows]
    assert by_then == sorted(by_then)


def test_cloud_lowers_the_chance_and_mistakes_are_named(run, capsys):
    cloud = run / "cloud.csv"
    cloud.write_text("place,clear\n,0.01\n")
    assert (
        cli.main(["plan", str(run), "--hours", "48", "--clear", str(cloud), "--json", "--dry-run"]) == EXIT_OK
    )
    assert json.loads(capsys.readouterr().out)["chance"] < 0.3
    cloud.write_text("place,clear\n17R,often\n")
    assert cli.main(["plan", str(run), "--clear", str(cloud)]) == EXIT_INPUT
    assert "line 2, clear" in capsys.readouterr().err
    assert cli.main(["plan", str(run), "--hours", "0"]) == EXIT_USAGE
    assert cli.main(["plan", str(run), "--place", "99Z"]) == EXIT_INPUT
    assert "99Z" in capsys.readouterr().err


def test_an_element_set_of_the_launcher_will_do_and_wider_errors_widen_the_windows(
    tmp_path, elements, capsys
):
    path = tmp_path / "launch.json"
    path.write_text(write_json((elements,)))
    margins = []
    for sigma in ("1", "20"):
        assert cli.main(["plan", str(path), "--hours", "48", "--sigma-km", sigma, "--json"]) == EXIT_OK
        windows = json.loads(capsys.readouterr().out)["windows"]
        margins.append(max(window["margin_s"] for window in windows))
    assert margins[1] > 5.0 * margins[0]
    path.write_text(write_json((elements, elements)))
    assert cli.main(["plan", str(path)]) == EXIT_INPUT


@pytest.mark.verifies("PRD-011")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_of_a_plan_asks_for_nothing_and_complains_of_nothing(run, width, scheme, capsys):
    page = run / "plan.html"
    assert cli.main(["plan", str(run), "--hours", "48", "--page", str(page)]) == EXIT_OK
    text = page.read_text()
    assert text.count("<svg") == 2
    assert not re.findall(r"""(?:src|href)=["']([^"'#][^"']*)""", text)
    seen = BROWSER["visit"](page.as_uri(), run / "page.png", width=width, scheme=scheme)
    assert seen.hosts == set()
    assert seen.console == []
    assert seen.overflow_px <= 0
    assert seen.picture.stat().st_size > 20_000  # bytes: it is not empty
    capsys.readouterr()
