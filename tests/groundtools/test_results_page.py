"""The page of results says of every stored check what was found and whether it was asked for."""

import json
from pathlib import Path

from groundtools.results_page import results_page

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def test_every_stored_check_is_on_the_page_as_it_was_printed():
    page = results_page(RESULTS)
    for name in ("fit-tle", "identify", "plan", "grace-a"):
        entry = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        section = page.partition(f"## {entry['id']}\n")[2].partition("\n## ")[0]
        assert entry["command"] in section
        for check in entry["checks"]:
            row = next(line for line in section.splitlines() if line.startswith(f"| {check['name']} |"))
            value = check["value"]
            shown = f"{value:.4g}" if isinstance(value, int | float) else str(value or "nothing to measure")
            assert shown in row
            assert ("**no**" in row) == (not check["passed"])


def test_a_missed_threshold_is_shown_as_missed(tmp_path):
    check = {"name": "a | b", "value": 2.0, "low": 1.0, "high": 3.0, "threshold": "<= 1 km", "passed": False}
    (tmp_path / "x.json").write_text(json.dumps({"id": "x", "passed": False, "checks": [check]}))
    page = results_page(tmp_path)
    assert "| a \\| b | 2 | 1 to 3 | <= 1 km | **no** |" in page
    assert "1 stored results; 0 meet" in page
