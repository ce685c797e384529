"""The bookkeeping of the 20 demos: what is stored, what counts, what a quick run relies on."""

import json
from pathlib import Path

import pytest

from vinsat_sim.experiments import demo_20


def result(seed: int, **changes) -> dict:
    """Return the stored result of a good flight, with changes."""
    good = {
        "seed": seed, "recipe": demo_20.recipe(), "draws": 4, "status": "DETERMINED", "error_ever_km": 0.1,
        "error_last_image_km": 0.5, "error_end_km": 1.5, "sigma_last_image_km": 0.6,
    }  # fmt: skip
    return {**good, **changes}


def named(checks) -> dict:
    return {check.name: check for check in checks}


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """Let results be stored in a folder of their own, with a recipe that needs no models."""
    monkeypatch.setattr(demo_20, "RESULTS", tmp_path)
    monkeypatch.setattr(demo_20, "recipe", lambda: "the recipe")
    monkeypatch.setattr(demo_20, "_flown", flown)
    monkeypatch.setattr(demo_20, "estimated_anew", lambda seed: result(seed))
    return tmp_path


def flown(seed: int, keep: Path | None = None) -> dict:
    """Stand in for a flight: leave observations where they are wanted, return its result."""
    if keep is not None:
        keep.write_text("time_utc\n", encoding="utf-8")
    return result(seed)


@pytest.mark.verifies("SIM-108")
def test_17_of_20_under_five_km_passes_and_16_does_not(shelf):
    far = {"error_last_image_km": 7.0, "sigma_last_image_km": 4.0}
    for misses, passed in ((3, True), (4, False)):
        results = [result(seed, **(far if seed <= misses else {})) for seed in range(1, 21)]
        check = named(demo_20.judge(results))["share_under_5_km_at_the_last_image"]
        assert check.passed is passed
        assert check.value == pytest.approx(1.0 - misses / 20)


@pytest.mark.verifies("SIM-108")
def test_one_claim_outside_five_sigma_fails_the_whole(shelf):
    results = [result(seed) for seed in range(1, 20)] + [result(20, sigma_last_image_km=0.09)]
    assert named(demo_20.judge(results))["determined_but_outside_5_sigma"].passed is False
    unsure = [*results[:-1], result(20, status="ONE_PASS", sigma_last_image_km=0.09)]
    assert named(demo_20.judge(unsure))["determined_but_outside_5_sigma"].passed is True


@pytest.mark.verifies("SIM-108")
def test_ever_at_the_last_image_and_at_the_end_are_all_printed(shelf):
    results = [result(1), result(2, error_end_km=900.0), result(3, status="NO_LANDMARKS", error_ever_km=None,
               error_last_image_km=None, error_end_km=None, sigma_last_image_km=None)]  # fmt: skip
    checks = named(demo_20.judge(results))
    assert checks["share_under_5_km_ever"].value == pytest.approx(2 / 3)
    assert checks["share_under_5_km_at_the_last_image"].value == pytest.approx(2 / 3)
    assert checks["share_under_5_km_at_the_end"].value == pytest.approx(1 / 3)
    assert checks["share_called_determined"].value == pytest.approx(2 / 3)


def test_nothing_flown_passes_nothing(shelf):
    assert not all(check.passed for check in demo_20.judge([]))


@pytest.mark.verifies("SIM-108")
def test_full_flies_what_is_not_stored_and_resumes(shelf, monkeypatch):
    seeds = []
    monkeypatch.setattr(demo_20, "_flown", lambda seed, keep=None: seeds.append(seed) or flown(seed, keep))
    demo_20.fly(3)
    seeds.clear()
    demo_20.run("full")
    assert sorted(seeds) == [seed for seed in demo_20.SEEDS if seed != 3]
    assert demo_20.index_is_whole()


@pytest.mark.verifies("SIM-108")
def test_quick_refuses_results_that_were_changed_or_belong_to_another_recipe(shelf, monkeypatch):
    demo_20.run("full")
    assert all(check.passed for check in demo_20.run("quick"))
    path = shelf / "seed-07.json"
    kept = path.read_text(encoding="utf-8")
    path.write_text(kept.replace("0.5", "0.4"), encoding="utf-8")
    assert named(demo_20.run("quick"))["stored_results_are_whole"].passed is False
    path.write_text(kept, encoding="utf-8")
    monkeypatch.setattr(demo_20, "recipe", lambda: "another")
    assert named(demo_20.run("quick"))["stored_results_of_this_recipe"].passed is False


@pytest.mark.verifies("SIM-108")
def test_quick_compares_what_it_flies_anew_with_what_is_stored(shelf, monkeypatch):
    demo_20.run("full")
    monkeypatch.setattr(demo_20, "_flown", lambda seed: result(seed, error_last_image_km=2.0))
    checks = named(demo_20.run("quick"))
    assert checks[f"seed_{demo_20.FLOWN_ANEW[0]}_differs_from_stored_km"].passed is False


def test_stored_results_are_json_a_person_can_read(shelf):
    demo_20.fly(1)
    text = (shelf / "seed-01.json").read_text(encoding="utf-8")
    assert json.loads(text)["seed"] == 1
    assert len(text.splitlines()) > 5
