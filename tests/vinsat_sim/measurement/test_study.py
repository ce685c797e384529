"""What a study stores, what it resumes from, and what a quick run relies on."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundtools.registry import at_least
from vinsat_sim.measurement import study as study_module
from vinsat_sim.measurement.study import Row, Study, Task

TASKS = tuple(Task("plain", seed) for seed in range(1, 5))


def make(**changes: object) -> Study:
    given = {
        "id": "toy", "title": "toy", "tasks": TASKS, "anew": TASKS[:1], "recipe": "one",
        "solve": lambda task: {"status": "DETERMINED", "rms_km": 0.1 * task.seed},
        "judge": lambda rows: (at_least("trials", len(rows), len(TASKS)),),
    }  # fmt: skip
    return Study(**(given | changes))  # type: ignore[arg-type]


@pytest.fixture
def solved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Task]:
    """Store in a folder of its own and run in this process; return what was run."""
    ran: list[Task] = []

    def in_process(study: Study, tasks: list[Task]) -> Iterator[tuple[Task, Row]]:
        for task in tasks:
            ran.append(task)
            about = {"case": task.case, "seed": task.seed, "recipe": study.digest()}
            yield task, about | study.solve(task)

    monkeypatch.setattr(study_module, "RESULTS", tmp_path)
    monkeypatch.setattr(Study, "_solved", in_process)
    return ran


def named(study: Study, scale: str) -> dict[str, bool]:
    return {check.name: check.passed for check in study.run(scale)}  # type: ignore[arg-type]


def test_full_runs_what_is_missing_and_a_torn_line_is_missing(solved: list[Task]) -> None:
    study = make()
    assert named(study, "full") == {"trials": True}
    lines = study.path.read_text(encoding="utf-8").splitlines()
    study.path.write_text("\n".join([*lines[:2], lines[2][:20]]), encoding="utf-8")
    solved.clear()
    assert named(study, "full") == {"trials": True}
    assert solved == list(TASKS[2:])
    assert len(study.stored()) == len(TASKS)  # nothing was written onto the torn line


def test_rows_of_another_recipe_do_not_count(solved: list[Task]) -> None:
    make().run("full")
    assert len(make().stored()) == len(TASKS)
    assert make(recipe="two").stored() == {}
    assert named(make(recipe="two"), "quick")["stored_trials_of_this_recipe"] is False


def test_quick_notices_a_trial_that_ends_otherwise(solved: list[Task]) -> None:
    make().run("full")
    assert named(make(), "quick")["anew_plain_1"] is True
    for row in ({"status": "ONE_PASS", "rms_km": 0.1}, {"status": "DETERMINED", "rms_km": 0.2}):
        changed = make(solve=lambda task, row=row: row)
        assert named(changed, "quick")["anew_plain_1"] is False


def test_a_line_is_a_trial_with_its_recipe(solved: list[Task]) -> None:
    study = make()
    study.run("full")
    row = json.loads(study.path.read_text(encoding="utf-8").splitlines()[0])
    assert row == {
        "case": "plain", "seed": 1, "recipe": study.digest(), "status": "DETERMINED", "rms_km": 0.1,
    }  # fmt: skip
