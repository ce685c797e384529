import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flightsw.astro.elements import elements_from_state
from flightsw.errors import EXIT_NOT_DETERMINED, EXIT_OK, EXIT_USAGE, InputError
from groundtools import cli
from groundtools.products import omm
from groundtools.products.ephemeris import Body
from groundtools.products.identify import (
    Verdict,
    element_jacobian,
    polar_axes,
    rank,
    relative_elements,
)

from .test_convert import SOLUTION

OWN = np.diag([50.0, 200.0, 100.0, 0.2, 0.05, 0.1]) ** 2  # m, m/s


def apart(elements, along_deg):
    """Return objects on one orbit, shifted along it."""
    return tuple(
        replace(
            elements, mean_anomaly_deg=(elements.mean_anomaly_deg + shift) % 360.0,
            body=Body(f"SAT {k}", "", str(k + 1)),
        )
        for k, shift in enumerate(along_deg)
    )  # fmt: skip


def states_of(sets):
    return np.array([one.states(one.epoch, np.zeros(1))[0] for one in sets])


@pytest.mark.verifies("PRD-008")
@pytest.mark.parametrize("inclination_deg", [0.0, 51.6, 97.6, 179.9])
@pytest.mark.parametrize("eccentricity", [0.0, 0.01])
def test_relative_elements_are_distances_in_metres(elements, inclination_deg, eccentricity):
    mother = replace(elements, inclination_deg=inclination_deg, eccentricity=eccentricity)
    state, shifted = states_of(apart(mother, [0.0, 1.0]))
    axes = polar_axes(state)
    away = relative_elements(axes, state, shifted[None])[0]
    a = elements_from_state(state).a
    assert away[1] == pytest.approx(
        a * np.radians(1.0), rel=4e-3
    )  # J2 turns a mean angle into a slightly different one
    assert np.abs(away[[2, 3, 4, 5]]).max() < 500.0  # m: J2's short periods
    faster = state + np.concatenate([np.zeros(3), 1e-3 * state[3:]])
    higher = relative_elements(axes, state, faster[None])[0]
    expected = elements_from_state(faster).a - a
    assert higher[0] == pytest.approx(expected, rel=1e-9)
    tilted = relative_elements(axes, state, (state + np.concatenate([np.zeros(3), 7.0 * axes[0]]))[None])[0]
    assert np.hypot(tilted[4], tilted[5]) == pytest.approx(np.linalg.norm(state[:3]) * 7.0 / 7560.0, rel=0.03)


def test_the_jacobian_is_that_of_the_elements(elements, finite_difference):
    state = states_of((elements,))[0]
    axes = polar_axes(state)
    steps = np.array([30.0, 30.0, 30.0, 0.03, 0.03, 0.03])
    numeric = finite_difference(lambda x: relative_elements(axes, state, x[None])[0], state, steps)
    np.testing.assert_allclose(element_jacobian(axes, state), numeric, rtol=1e-5, atol=1e-3)


@pytest.mark.verifies("PRD-008")
def test_the_right_one_of_a_string_of_objects_is_identified(elements, rng):
    listed = states_of(apart(elements, 0.2 * np.arange(60.0)))  # 24 km apart
    for ours in (0, 17, 59):
        state = listed[ours] + np.sqrt(np.diag(OWN)) * rng.normal(size=6)
        ranking = rank(state, OWN, listed, catalog_sigma=1000.0)
        assert ranking.verdict is Verdict.IDENTIFIED
        assert ranking.order[0] == ours
        assert ranking.probability.sum() + ranking.missing == pytest.approx(1.0)


@pytest.mark.verifies("PRD-008")
def test_two_objects_too_close_are_ambiguous(elements):
    listed = states_of(apart(elements, [0.0, 0.002, 0.5, 0.9]))  # 0.24 km
    ranking = rank(listed[0], OWN, listed, catalog_sigma=1000.0)
    assert ranking.verdict is Verdict.AMBIGUOUS
    assert set(ranking.order[:2]) == {0, 1}
    assert ranking.probability[[0, 1]].min() > 0.3


@pytest.mark.verifies("PRD-008")
def test_a_missing_object_is_none_of_these(elements):
    listed = states_of(apart(elements, 0.2 * np.arange(60.0)))
    state = states_of(apart(elements, [0.1]))[0]
    for candidates in (listed, listed[:1], listed + np.array([3e6, 0.0, 0.0, 0.0, 0.0, 0.0])):
        assert rank(state, OWN, candidates, catalog_sigma=1000.0).verdict is Verdict.NONE


def test_elements_that_sgp4_gives_up_are_nobody(elements):
    listed = states_of(apart(elements, 0.2 * np.arange(9.0)))
    listed[4] = np.nan
    ranking = rank(listed[2], OWN, listed, catalog_sigma=1000.0)
    assert ranking.order[0] == 2
    assert ranking.probability[4] == 0.0


def test_an_empty_catalogue_is_refused():
    with pytest.raises(InputError):
        rank(np.ones(6), OWN, np.zeros((0, 6)), catalog_sigma=1000.0)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "solution.json").write_text(json.dumps(SOLUTION))
    return tmp_path


@pytest.fixture
def fitted(run, capsys):
    """Return elements of the run's own orbit."""
    assert cli.main(["fit-tle", str(run), "--hours", "6"]) == EXIT_OK
    capsys.readouterr()
    (one,) = omm.read_json((run / "elements.json").read_text())
    return one


@pytest.mark.verifies("PRD-008")
def test_the_command_names_the_object_and_says_when_rivals_part(run, fitted, capsys):
    rival = replace(fitted, mean_motion_rev_day=fitted.mean_motion_rev_day + 2e-3)  # 80 km a day
    catalogue = run / "catalogue.json"
    listed = (*apart(fitted, [2.0, 1.0, 0.0]), replace(rival, body=Body("RIVAL", "", "99")))
    catalogue.write_text(omm.write_json(listed))
    assert cli.main(["identify", str(run), str(catalogue), "--json"]) == EXIT_NOT_DETERMINED
    printed = json.loads(capsys.readouterr().out)
    assert printed["verdict"] == "AMBIGUOUS"
    first, second = printed["objects"][:2]
    assert {first["name"], second["name"]} == {"SAT 2", "RIVAL"}
    assert first["apart_days"] is None
    assert second["apart_days"] == 1
    catalogue.write_text(omm.write_json(listed[:3]))
    assert cli.main(["identify", str(run), str(catalogue)]) == EXIT_OK
    assert "IDENTIFIED" in capsys.readouterr().out
    assert cli.main(["identify", str(run), str(catalogue), "--missing", "1"]) == EXIT_USAGE
