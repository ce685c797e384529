"""A study: many trials at measurement level, stored as they are made, judged together.

`full` runs what is not stored yet, one line of JSON per trial in docs/results/ID.jsonl,
on all cores, and can be interrupted at any moment. `quick` judges what is stored (it says
how many trials there are, and whether all are of the present recipe) and runs a few anew:
they must end as the stored ones did.
"""

import hashlib
import itertools
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from groundtools.registry import Check, Reproduction, Scale, at_least, at_most, noted
from vinsat_sim.demo.progress import Ticker

Row = dict[str, Any]
RESULTS = Path(__file__).resolve().parents[3] / "docs" / "results"
AGREE = 0.1  # share of the stored RMS by which a trial run anew may differ (another machine's arithmetic)


@dataclass(frozen=True, slots=True, order=True)
class Task:
    """One trial: which case of the study, and which seed."""

    case: str
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What is tried and how it is judged.

    Tasks of one seed that follow each other run in one process, so that they may share what
    the seed alone decides (a cached flight, say).

    tasks : all trials of the full study; solve(task) : runs one, returns a row that JSON can
    carry (it must be a function of a module, for it runs in other processes); judge(rows) :
    the checks; anew : the tasks that `quick` runs again; recipe : in words, what all rows
    have in common: a change of it makes stored rows void.
    """

    id: str
    title: str
    tasks: Sequence[Task]
    solve: Callable[[Task], Row]
    judge: Callable[[list[Row]], tuple[Check, ...]]
    anew: Sequence[Task]
    recipe: str

    @property
    def path(self) -> Path:
        """Where rows are stored."""
        return RESULTS / f"{self.id}.jsonl"

    def digest(self) -> str:
        """Return what stored rows must carry to count."""
        return hashlib.sha256(self.recipe.encode()).hexdigest()[:16]

    def stored(self) -> dict[Task, Row]:
        """Return the stored rows of the present recipe; a torn last line is left out."""
        rows: dict[Task, Row] = {}
        if self.path.is_file():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                try:
                    row = json.loads(line)
                except ValueError:
                    continue
                if row["recipe"] == self.digest():
                    rows[Task(row["case"], row["seed"])] = row
        return {task: rows[task] for task in self.tasks if task in rows}

    def run(self, scale: Scale) -> tuple[Check, ...]:
        """Run or check, then judge."""
        rows = self.stored()
        if scale == "full":
            missing = [task for task in self.tasks if task not in rows]
            self._keep_only(list(rows.values()))
            with self.path.open("a", encoding="utf-8") as file:
                for task, row in self._solved(missing):
                    rows[task] = row
                    file.write(json.dumps(row) + "\n")
                    file.flush()
            return self.judge(list(rows.values()))
        again = dict(self._solved(list(self.anew)))
        return (
            at_least("stored_trials_of_this_recipe", len(rows), len(self.tasks)),
            *self.judge(list(rows.values())),
            *(self._compared(task, row, rows.get(task)) for task, row in again.items()),
        )

    def _keep_only(self, rows: list[Row]) -> None:
        """Write the rows that count, so that nothing is appended to a torn line."""
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        temporary.replace(self.path)

    def _solved(self, tasks: list[Task]) -> Iterator[tuple[Task, Row]]:
        """Yield (task, row) of every task, in any order."""
        about = {"recipe": self.digest()}
        shared = [list(group) for _, group in itertools.groupby(tasks, key=lambda task: task.seed)]
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # the pool's processes are the parallelism
        spawn = multiprocessing.get_context("spawn")
        with Ticker() as ticker, ProcessPoolExecutor(_cores(), mp_context=spawn) as pool:
            ticker.stage(f"{self.id}: trials", len(tasks))
            for group, rows in zip(shared, pool.map(partial(_solve_all, self.solve), shared), strict=True):
                for task, row in zip(group, rows, strict=True):
                    ticker.step()
                    yield task, {"case": task.case, "seed": task.seed, **about, **row}

    @staticmethod
    def _compared(task: Task, now: Row, then: Row | None) -> Check:
        """Return whether a trial run anew ended as the stored one."""
        name = f"anew_{task.case}_{task.seed}"
        if then is None or then["status"] != now["status"]:
            return Check(name=name, value=now["status"], passed=False, threshold="as stored")
        if not now.get("rms_km"):
            return noted(name, now["status"])
        return at_most(name, abs(now["rms_km"] / then["rms_km"] - 1.0), AGREE, unit="of the RMS")

    def reproduction(self) -> Reproduction:
        """Return the entry for the registry."""
        seeds = tuple(sorted({task.seed for task in self.tasks}))
        few = tuple(sorted({task.seed for task in self.anew}))
        return Reproduction(
            id=self.id, title=self.title, run=self.run, seeds=lambda scale: seeds if scale == "full" else few
        )


def _solve_all(solve: Callable[[Task], Row], tasks: list[Task]) -> list[Row]:
    return [solve(task) for task in tasks]


def _cores() -> int:
    """Return the cores this process may use (`taskset` limits them where the system has it)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
