import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from groundtools import cli
from groundtools.statistics import wilson_interval
from vinsat_sim.montecarlo.campaign import Plan, fly_campaign

BROWSER = runpy.run_path(str(Path(__file__).parents[2] / "browser.py"))
TRIALS = 120


@pytest.fixture
def folder(stub, short_text, tmp_path) -> Path:
    stub.fails = {7}
    fly_campaign(tmp_path / "c", short_text, "stub", Plan(trials=TRIALS, workers=1))
    return tmp_path / "c"


def numbers(page: str) -> list[dict]:
    (text,) = re.findall(r'<script type="application/json" id="numbers">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


@pytest.mark.verifies("SIM-207")
def test_the_numbers_of_a_report_are_those_of_the_shards(folder, capsys):
    assert cli.main(["sim", "report", str(folder)]) == 0
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert len(page) < 5e6
    (said,) = numbers(page)
    lines = (folder / "trials.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row["outcome"] for line in lines if "outcome" in (row := json.loads(line))]
    assert said["trials"] == len(rows) == TRIALS - 1
    for name, key in (
        ("ever", "error_ever_km"),
        ("last image", "error_last_image_km"),
        ("end", "error_end_km"),
    ):
        for km in (1, 2, 3, 4, 5):
            count = sum(row[key] is not None and row[key] < km for row in rows)
            share = said["within_km"][name][str(km)]
            assert (share["count"], share["trials"]) == (count, len(rows))
            low, high = wilson_interval(count, len(rows))
            assert f"{100 * count / len(rows):.1f} % [{100 * low:.1f}, {100 * high:.1f}]" in page
    assert said["wrong"]["count"] == sum(row["wrong"] for row in rows) > 0
    assert sum(said["solvability"].values()) == len(rows)
    solved = [row["nees"] for row in rows if row["solved"]]
    assert said["nees"]["mean"] == pytest.approx(np.mean(solved))
    for row in said["by_passes"][:1]:
        assert (row["passes"], row["trials"], row["median_km"]) == ("0", TRIALS // 4, None)
    two = [row["error_last_image_km"] for row in rows if row["usable_passes"] == 2]
    assert said["by_passes"][2]["median_km"] == pytest.approx(np.median(two))


def test_the_worst_are_the_wrong_ones_with_the_line_that_flies_them_again(folder):
    cli.main(["sim", "report", str(folder)])
    page = (folder / "report.html").read_text(encoding="utf-8")
    (said,) = numbers(page)
    assert all(seed % 20 == 1 for seed in said["worst_seeds"][: said["wrong"]["count"]])
    assert f"vinsat sim trial {folder}/scenario.toml --level stub --seed {said['worst_seeds'][0]}" in page
    assert "ValueError: seed 7 is poison" in page


def test_curves_count_from_the_first_image_on_and_never_fall(folder):
    from vinsat_sim.montecarlo.store import open_campaign
    from vinsat_sim.montecarlo.summary import summarise

    summary = summarise(open_campaign(folder).trials())
    assert (summary.ever[:, summary.curve_min < 12.0] == 0.0).all()
    assert (np.diff(summary.ever, axis=1) >= 0.0).all()
    assert (summary.at <= summary.ever).all()
    assert (summary.ever[0] <= summary.ever[-1]).all()
    assert summary.ever[-1, -1] > 0.0


def test_a_campaign_without_trials_has_a_report(stub, short_text, tmp_path):
    stub.fails = set(range(1, 6))
    fly_campaign(tmp_path / "c", short_text, "stub", Plan(trials=5, workers=1))
    assert cli.main(["sim", "report", str(tmp_path / "c")]) == 0


@pytest.mark.verifies("SIM-207")
@pytest.mark.parametrize(("width", "scheme", "count"), [(400, "dark", 1), (1400, "light", 2)])
@pytest.mark.slow
def test_the_report_opens_without_an_outside_request(
    folder, stub, short_text, tmp_path, width, scheme, count
):
    stub.fails = set()
    fly_campaign(tmp_path / "d", short_text, "stub", Plan(trials=30, workers=1))
    page = tmp_path / "page.html"
    both = [str(folder), str(tmp_path / "d")][:count]
    assert cli.main(["sim", "report", *both, "--out", str(page)]) == 0
    ready = f"document.querySelectorAll('figure svg').length === {3 * count}"
    seen = BROWSER["visit"](page.as_uri(), tmp_path / "p.png", width=width, scheme=scheme, wait_for=ready)
    assert seen.ready
    assert not seen.hosts
    assert not seen.console
    assert seen.overflow_px <= 0


def test_three_are_too_many_and_a_folder_without_a_campaign_is_named(folder, tmp_path, capsys):
    assert cli.main(["sim", "report", str(folder), str(folder), str(folder)]) == 3
    assert cli.main(["sim", "report", str(tmp_path)]) == 3
    assert "is no campaign" in capsys.readouterr().err
