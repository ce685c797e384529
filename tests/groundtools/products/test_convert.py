import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from flightsw.errors import EXIT_INPUT, EXIT_NOT_DETERMINED, EXIT_OK, EXIT_USAGE
from groundtools import cli
from groundtools.products import formats, omm

SOLUTION = {
    "format": "vinsat-solution-1",
    "status": "DETERMINED",
    "epoch_utc": "2026-03-01T12:00:00Z",
    "r_gcrf_m": [-2692685.77, 4114442.49, 4723243.64],
    "v_gcrf_m_s": [-3844.07, -5927.14, 2941.95],
    "covariance": np.diag([1e4, 1e4, 1e4, 0.01, 0.01, 0.01]).tolist(),
    "drag_scale": 1.0,
    "first_used_utc": "2026-03-01T11:50:00Z",
    "last_used_utc": "2026-03-01T12:10:00Z",
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return a run folder with a solution in it."""
    (tmp_path / "solution.json").write_text(json.dumps(SOLUTION))
    return tmp_path


@pytest.mark.verifies("PRD-004")
@pytest.mark.parametrize("name", [one.name for one in formats.FORMATS.values() if one.from_states])
def test_a_run_becomes_every_format_of_states(run, name, capsys):
    out = run / f"orbit{formats.FORMATS[name].suffix}"
    assert cli.main(["convert", str(run), "--to", name, "--out", str(out)]) == EXIT_OK
    assert out.stat().st_size > 500
    assert str(out) in capsys.readouterr().err


@pytest.mark.parametrize("name", ["oem", "sp3", "csv"])
def test_tables_of_one_run_agree_however_they_travelled(run, name, capsys):
    out = run / f"orbit{formats.FORMATS[name].suffix}"
    assert cli.main(["convert", str(run), "--out", str(out)]) == EXIT_OK
    states = formats.load_states(out)
    assert cli.main(["convert", str(out), "--to", "csv"]) == EXIT_OK
    direct = formats.read_csv(capsys.readouterr().out)
    np.testing.assert_allclose(states.state[:, :3], direct.state[:, :3], atol=1e-3)  # m
    assert len(states.t_s) == 121


def test_elements_become_states_and_other_notations(tmp_path, elements, capsys):
    catalogue = tmp_path / "catalogue.json"
    catalogue.write_text(omm.write_json((elements,)))
    out = tmp_path / "sat.tle"
    assert cli.main(["convert", str(catalogue), "--out", str(out), "--id", "A0042"]) == EXIT_OK
    assert cli.main(["convert", str(out), "--to", "oem", "--hours", "2", "--step-s", "60"]) == EXIT_OK
    capsys.readouterr()
    assert cli.main(["convert", str(catalogue), "--to", "tle", "--catalog-id", "799501234"]) == EXIT_INPUT
    assert "omm" in capsys.readouterr().err


def test_states_do_not_turn_into_elements_unasked_and_the_way_is_named(run, capsys):
    assert cli.main(["convert", str(run), "--to", "tle"]) == EXIT_INPUT
    message = capsys.readouterr().err
    assert "fit-tle" in message
    assert len(message.splitlines()) == 1


def test_an_orbit_that_is_not_determined_is_written_and_said_to_be_so(run, capsys):
    (run / "solution.json").write_text(json.dumps({**SOLUTION, "status": "ONE_PASS"}))
    assert cli.main(["convert", str(run), "--to", "oem"]) == EXIT_NOT_DETERMINED
    captured = capsys.readouterr()
    assert "COMMENT status ONE_PASS" in captured.out
    assert "one pass only" in captured.err


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["--to", "oem", "--start", "yesterday"], EXIT_USAGE, "--start"),
        (["--to", "oem", "--step-s", "0"], EXIT_USAGE, "--step-s"),
        (["--to", "oem", "--hours", "-1"], EXIT_USAGE, "--hours"),
        (["--to", "ome"], EXIT_INPUT, "oem"),
        ([], EXIT_INPUT, "--to"),
        (["--to", "oem", "--hours", "9999", "--step-s", "0.001"], EXIT_INPUT, "step"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(run, capsys, arguments, code, named):
    assert cli.main(["convert", str(run), *arguments]) == code
    message = capsys.readouterr().err
    assert named in message
    assert len(message.splitlines()) == 1


def test_a_missing_file_is_named(tmp_path, capsys):
    shutil.rmtree(tmp_path)
    assert cli.main(["convert", str(tmp_path), "--to", "oem"]) == EXIT_INPUT
    assert str(tmp_path) in capsys.readouterr().err
