"""Are the invariants awake? Each seeded defect is flown and must be caught by one of its invariants.

The same compositions are flown without a defect too: there every invariant must hold, or
catching says nothing. What shows only in a mean (a sigma that is half of what it should
be) is flown with as many seeds as the mean needs.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vinsat_hil.composition import read_faults
from vinsat_hil.mutants import MUTANTS, Mutant
from vinsat_hil.rig import load_rig
from vinsat_hil.scenario import load_scenario
from vinsat_hil.trial import Outcome, run_trial
from vinsat_hil.trials import consistency

RIG, SCENARIO = "process", "brief"
SEEDS = (1, 2, 3)  # tried in turn until it is caught
SEEDS_OF_A_MEAN = tuple(range(1, 13))
OF_A_MEAN = "covariance_is_honest"


def check_mutants(*, only: str = "", out: Path | None = None) -> list[dict[str, Any]]:
    """Return a row for each mutant: name, defect, faults, the invariants that caught it, seeds flown.

    out : rows are stored there one by one, and not flown again.
    """
    rows = []
    for mutant in MUTANTS.values():
        if only and mutant.name != only:
            continue
        path = None if out is None else out / f"{mutant.name}.json"
        if path is not None and path.is_file():
            rows.append(json.loads(path.read_text(encoding="utf-8")))
            continue
        row = _checked(mutant)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(row, indent=1) + "\n", encoding="utf-8")
        rows.append(row)
    return rows


def _checked(mutant: Mutant) -> dict[str, Any]:
    seen: dict[str, str] = {}
    flown: list[Outcome] = []
    for outcome in _flights(mutant):
        flown.append(outcome)
        seen |= {verdict.name: verdict.problem for verdict in outcome.violated}
        if not consistency([outcome.as_json() for outcome in flown])["held"]:
            seen[OF_A_MEAN] = "errors are larger than sigma says"
        if set(seen) & set(mutant.caught_by):
            break
    return {
        "name": mutant.name, "defect": mutant.defect, "faults": mutant.provoked_by,
        "caught_by": sorted(set(seen) & set(mutant.caught_by)), "problems": seen,
        "seeds": [outcome.seed for outcome in flown], "replay": flown[-1].replay,
    }  # fmt: skip


def _flights(mutant: Mutant) -> Iterator[Outcome]:
    seeds = SEEDS_OF_A_MEAN if OF_A_MEAN in mutant.caught_by else SEEDS
    for seed in seeds:
        yield run_trial(
            load_scenario(SCENARIO), load_rig(RIG), read_faults(mutant.provoked_by), seed, mutant=mutant.name
        )
