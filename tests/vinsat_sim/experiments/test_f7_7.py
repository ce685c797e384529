import json
from pathlib import Path

import numpy as np
import pytest

from vinsat_sim.experiments import f7_7
from vinsat_sim.experiments.detector_realism import Errors, fit, joined, student_of
from vinsat_sim.measurement.detector import ERRORS, DetectorErrors, detected, student
from vinsat_sim.montecarlo.outcome import Outcome
from vinsat_sim.montecarlo.store import Trial

CASE = f7_7.Case("thesis", "shipped", "measurement", 4, (0.95, 0.90), 0.85)


def outcome(seed: int, error_km: float, **changes: object) -> Outcome:
    about = {"seed": seed, "status": "DETERMINED", "determined": True, "usable_passes": 2, "sightings": 9}
    errors = dict.fromkeys(("error_ever_km", "error_last_image_km", "error_end_km"), error_km)
    return Outcome(**(about | errors | changes))  # type: ignore[arg-type]


def passed(done: list[Outcome]) -> dict[str, bool]:
    return {check.name.partition(": ")[2]: check.passed for check in f7_7.judge(CASE, done)}


def test_a_case_asks_for_its_number_its_shares_and_no_wrong_one() -> None:
    good = [outcome(seed, 0.2) for seed in range(1, 5)]
    assert all(passed(good).values())
    assert not passed(good[:3])["satellites"]
    far = passed([*good[:3], outcome(4, 9.0, wrong=True)])
    assert not far["under 5 km, ever"]
    assert not far["under 5 km, last image"]
    assert not far["two or more passes, under 1 km at the end"]
    assert not far["wrong"]
    assert not any(ok for name, ok in passed([]).items() if "satellites" in name or "last image" in name[:23])


def test_the_campaign_of_a_case_differs_from_the_library_in_the_detector_alone() -> None:
    assert CASE.campaign.scenario.detector.errors == "shipped"
    other = f7_7.Case("thesis", "published", "measurement", 4).campaign
    assert other.text.replace("published", "shipped") == CASE.campaign.text.replace("published", "shipped")
    assert {case.errors for case in f7_7.CASES} == set(ERRORS)


def test_altered_trials_are_told_from_those_of_the_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f7_7, "RESULTS", tmp_path)
    assert not f7_7.index_is_whole()
    campaign = f7_7.CASES[0].campaign
    campaign.folder.mkdir()
    campaign.put(Trial(1, outcome(1, 0.2)))
    campaign.pack()
    f7_7.write_index()
    assert f7_7.index_is_whole()
    path = campaign.folder / "trials.jsonl"
    row = json.loads(path.read_text(encoding="utf-8"))
    row["outcome"]["error_last_image_km"] = 0.1
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    assert not f7_7.index_is_whole()


def test_scale_and_tails_of_a_student_t_are_found_again(rng: np.random.Generator) -> None:
    radius = np.linalg.norm(1.7 * student(200_000, 4.0, rng), axis=1)
    assert student_of(radius) == pytest.approx((1.7, 4.0), rel=0.05)


def test_the_fit_finds_the_model_that_made_the_errors(rng: np.random.Generator) -> None:
    true = DetectorErrors(noise_px=0.8, tails=3.0, landmark_px=3.0, landmark_tails=6.0, pass_px=1.0)
    flights = []
    for _ in range(6):  # five passes of 40 frames, 40 of 200 landmarks each
        frame = np.repeat(np.arange(200), 40)
        one_pass = frame // 40
        landmark = (frame * 7 + np.tile(np.arange(40), 200) * 5) % 200 + 200 * one_pass
        error, _ = detected(np.zeros((8000, 2)), frame, landmark, one_pass, true, rng)
        flights.append(Errors(error, frame, landmark, one_pass))
    found = fit(joined(flights))
    assert found.noise_px == pytest.approx(true.noise_px, rel=0.2)  # heavy tails move a mean of eight
    assert found.tails == pytest.approx(true.tails, rel=0.25)
    assert found.landmark_px == pytest.approx(true.landmark_px, rel=0.1)
    assert found.pass_px == pytest.approx(true.pass_px, rel=0.35)
    assert found.bad_share == 0.0
