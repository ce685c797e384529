"""Build data sets from recipes: plan, build, resume, status, verify, view.

`vinsat dataset build datasets/recipes/embedded.toml --out DIR` needs no network and no
account. Exit codes: 0 ok, 2 usage, 3 bad recipe or damaged files, 5 some pictures could
not be made, 6 a service refused or the budget is spent (then `vinsat dataset resume DIR`).
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from flightsw.errors import EXIT_INPUT, InputError, UsageError
from groundtools import models_folder
from groundtools.imagery.errors import EXIT_PARTIAL, EXIT_REMOTE

HELP = """Build data sets from recipes: plan, build, resume, status, verify, view.

For example:

`vinsat dataset plan datasets/recipes/embedded.toml`

`vinsat dataset build datasets/recipes/embedded.toml --out runs/italy`

`vinsat dataset verify runs/italy`
"""
app = App(name="dataset", help=HELP)

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object.")]
Models = Annotated[Path | None, Parameter(help="Where the landmark catalogues are; default: our own.")]
Workers = Annotated[int, Parameter(help="Processes at work; 1 is this one.")]


@app.command
def plan(recipe: Path, *, workers: Workers = 2, as_json: Json = False) -> int:
    """Say what a recipe will take: requests, bytes, EECU, hours. Nothing is opened or asked."""
    from groundtools.dataset.plan import plan as plan_of
    from groundtools.dataset.recipe import load_recipe

    result = plan_of(load_recipe(recipe), workers=_at_least_one(workers))
    _show({**asdict(result), "count": result.count}, result.lines(), as_json)
    return 0


@app.command
def build(
    recipe: Path,
    *,
    out: Path,
    workers: Workers = 2,
    scheduler: Annotated[str, Parameter(help="A dask scheduler's address, tcp://HOST:PORT.")] = "",
    dry_run: Annotated[bool, Parameter(negative="", help="Only print the plan.")] = False,
    models: Models = None,
    as_json: Json = False,
) -> int:
    """Build a data set into a folder; where it was stopped, the same command goes on."""
    if dry_run:
        return plan(recipe, workers=workers, as_json=as_json)
    from groundtools.dataset.build import start

    start(recipe, out)
    return _build(out, models, as_json, workers=_at_least_one(workers), scheduler=scheduler)


@app.command
def resume(
    out: Path,
    *,
    workers: Workers = 2,
    scheduler: Annotated[str, Parameter(help="A dask scheduler's address, tcp://HOST:PORT.")] = "",
    retry_quarantined: Annotated[bool, Parameter(negative="", help="Try those set aside again.")] = False,
    budget_eecu_h: Annotated[float | None, Parameter(help="In place of the recipe's budget.")] = None,
    models: Models = None,
    as_json: Json = False,
) -> int:
    """Go on with a build that was stopped by anything; nothing finished is made again."""
    return _build(
        out,
        models,
        as_json,
        workers=_at_least_one(workers),
        scheduler=scheduler,
        retry_quarantined=retry_quarantined,
        budget_eecu_h=budget_eecu_h,
    )


@app.command
def status(out: Path, *, as_json: Json = False) -> int:
    """Say how far a data set is: made, missing, quarantined with reasons."""
    from groundtools.dataset.status import status_of

    result = status_of(out)
    _show(asdict(result), result.lines(), as_json)
    return 0 if result.complete else EXIT_PARTIAL


@app.command
def verify(out: Path, *, as_json: Json = False) -> int:
    """Find every file that is missing, cut or altered, and scenes or days that splits share."""
    from groundtools.dataset.verify import verify as verify_of

    faults = verify_of(out)
    _show(
        {"ok": not faults, "faults": faults}, faults or [f"{out}: all files are as they were made"], as_json
    )
    return EXIT_INPUT if faults else 0


@app.command
def view(
    out: Path,
    *,
    thumbs: Annotated[int, Parameter(help="Pictures shown at most.")] = 48,
    models: Models = None,
) -> int:
    """Write view.html into a data set: thumbnails with labels, counts, map, clouds."""
    from groundtools.dataset.view import write_view

    if not (out / "recipe.toml").is_file():
        raise InputError("is no data set (no recipe.toml in it)", file=out)
    sys.stdout.write(f"{write_view(out, models or models_folder(), thumbs=thumbs)}\n")
    return 0


def _build(out: Path, models: Path | None, as_json: bool, **options: Any) -> int:
    from groundtools.dataset.build import build as build_now

    with _progress() as report:
        result = build_now(out, report=report, **options)
    words = f"{out}: {result.made} made, {result.kept} kept, {result.quarantined} quarantined"
    if result.stopped:
        sys.stderr.write(f"vinsat: {result.stopped}\n")
        _show(asdict(result), [words], as_json)
        return EXIT_REMOTE
    from groundtools.dataset.finish import finish

    finish(out, models or models_folder())
    _show(asdict(result), [words], as_json)
    return EXIT_PARTIAL if result.quarantined else 0


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Give a function that draws a bar on stderr, where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("pictures"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _at_least_one(workers: int) -> int:
    if not 1 <= workers <= 40:
        raise UsageError(f"--workers: must lie in 1..40, got {workers}")
    return workers


def _show(data: object, lines: list[str], as_json: bool) -> None:
    text = json.dumps(data, indent=1) if as_json else "\n".join(lines)
    sys.stdout.write(text + "\n")
