import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flightsw.astro.propagate import Forces, propagate
from flightsw.errors import EXIT_NOT_DETERMINED, EXIT_OK, InputError
from groundtools import cli
from groundtools.products import formats
from groundtools.products.ephemeris import Ephemeris
from groundtools.products.fit_elements import error_against, fit_elements

from .test_convert import SOLUTION

DAY_S = 86_400.0


@pytest.mark.verifies("PRD-007")
@pytest.mark.parametrize("inclination_deg", [0.0, 0.01, 51.6, 97.6, 134.9, 135.1, 179.95])
@pytest.mark.parametrize("eccentricity", [0.0, 1e-5, 0.02])
def test_elements_of_an_sgp4_orbit_are_found_again(elements, inclination_deg, eccentricity):
    true = replace(elements, inclination_deg=inclination_deg, eccentricity=eccentricity)
    truth = true.ephemeris(true.epoch, np.arange(0.0, DAY_S + 1.0, 120.0))
    fit = fit_elements(truth, bstar_sigma=1.0)
    assert fit.rms_m < 0.5  # m
    assert fit.elements.bstar == pytest.approx(true.bstar, abs=1e-6)
    assert error_against(fit.elements, truth).max() < 1.0  # m


def test_b_star_can_be_held(elements):
    truth = elements.ephemeris(elements.epoch, np.arange(0.0, DAY_S, 120.0))
    assert fit_elements(truth, bstar_prior=7e-5, bstar_sigma=0.0).elements.bstar == 7e-5


def test_elements_fitted_to_the_span_of_use_beat_those_of_a_short_arc(elements):
    start = elements.states(elements.epoch, np.zeros(1))[0]
    t_s = np.arange(0.0, 3.0 * DAY_S + 1.0, 120.0)
    truth = Ephemeris(elements.epoch, t_s, propagate(Forces(), elements.epoch, start, 1.0, t_s).state)
    short = Ephemeris(truth.epoch, t_s[:181], truth.state[:181])
    whole = fit_elements(truth)
    assert whole.rms_m < 1000.0  # m: SGP4 has no tesserals
    assert error_against(fit_elements(short).elements, truth).max() > 5.0 * whole.error_m.max()


def test_a_few_minutes_are_too_short(elements):
    with pytest.raises(InputError, match="too short"):
        fit_elements(elements.ephemeris(elements.epoch, np.arange(0.0, 600.0, 10.0)))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "solution.json").write_text(json.dumps(SOLUTION))
    return tmp_path


@pytest.mark.verifies("PRD-007")
def test_the_command_writes_elements_that_agree_and_says_how_far_they_reach(run, capsys):
    arguments = ["fit-tle", str(run), "--hours", "24", "--catalog-id", "100042", "--json"]
    assert cli.main(arguments) == EXIT_OK
    printed = json.loads(capsys.readouterr().out)
    assert [row["hours"] for row in printed["error"]] == [0.0, 3.0, 6.0, 12.0, 24.0]
    assert max(row["error_km"] for row in printed["error"]) < 3.0
    sets = [formats.load_elements(run / f"elements.{suffix}")[0] for suffix in ("omm", "json", "tle")]
    assert sets[0] == sets[1]
    assert sets[0].epoch == sets[2].epoch  # a TLE prints it to the last digit
    assert {one.body.catalog_id for one in sets} == {"100042"}
    away = sets[2].states(sets[0].epoch, np.zeros(1)) - sets[0].states(sets[0].epoch, np.zeros(1))
    assert np.linalg.norm(away[0, :3]) < 30.0  # m


def test_an_id_without_room_in_a_tle_leaves_the_omm_and_says_so(run, capsys):
    assert cli.main(["fit-tle", str(run), "--hours", "6", "--catalog-id", "799501234"]) == EXIT_OK
    assert "no TLE" in capsys.readouterr().out
    assert (run / "elements.omm").exists()
    assert not (run / "elements.tle").exists()


def test_elements_of_the_arc_alone_come_with_a_warning(run, capsys):
    assert cli.main(["fit-tle", str(run), "--arc", "--hours", "6", "--dry-run"]) == 3  # 20 min: too short
    longer = {**SOLUTION, "first_used_utc": "2026-03-01T08:00:00Z"}
    (run / "solution.json").write_text(json.dumps(longer))
    capsys.readouterr()
    assert cli.main(["fit-tle", str(run), "--arc", "--hours", "6", "--dry-run"]) == EXIT_OK
    assert "note: fitted to 4.2 h alone" in capsys.readouterr().out
    assert not (run / "elements.omm").exists()


def test_an_orbit_that_is_not_determined_ends_in_4(run, capsys):
    (run / "solution.json").write_text(json.dumps({**SOLUTION, "status": "WEAK_GEOMETRY"}))
    assert cli.main(["fit-tle", str(run), "--hours", "6", "--dry-run"]) == EXIT_NOT_DETERMINED
    assert "not to be relied on" in capsys.readouterr().out
