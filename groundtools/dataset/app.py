"""Build data sets from recipes: plan, build, resume, status, verify, view.

`vinsat dataset build datasets/recipes/embedded.toml --out DIR` needs no network and no
account. Exit codes: 0 ok, 2 usage, 3 bad recipe or damaged files, 5 some pictures could
not be made, 6 a service refused or the budget is spent (then `vinsat dataset resume DIR`).
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from flightsw.errors import UsageError

app = App(name="dataset", help="Build data sets from recipes: plan, build, resume, status, verify, view.")

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object.")]
Workers = Annotated[int, Parameter(help="Processes at work; 1 is this one.")]


@app.command
def plan(recipe: Path, *, workers: Workers = 2, as_json: Json = False) -> int:
    """Say what a recipe will take: requests, bytes, EECU, hours. Nothing is opened or asked."""
    from groundtools.dataset.plan import plan as plan_of
    from groundtools.dataset.recipe import load_recipe

    result = plan_of(load_recipe(recipe), workers=_at_least_one(workers))
    _show({**asdict(result), "count": result.count}, result.lines(), as_json)
    return 0


def _at_least_one(workers: int) -> int:
    if not 1 <= workers <= 40:
        raise UsageError(f"--workers: must lie in 1..40, got {workers}")
    return workers


def _show(data: object, lines: list[str], as_json: bool) -> None:
    text = json.dumps(data, indent=1) if as_json else "\n".join(lines)
    sys.stdout.write(text + "\n")
