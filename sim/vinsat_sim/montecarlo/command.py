"""Fly a scenario many times, at any level: campaigns, single trials, reports.

`vinsat sim campaign sim/scenarios/thesis.toml --trials 500` goes on where it was stopped.
Exit codes: 0 ok, 2 usage, 3 a bad scenario, 5 some trials could not be flown, 6 the
scheduler does not answer.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from flightsw.errors import EXIT_OK, InputError
from groundtools.imagery.errors import EXIT_PARTIAL

HELP = """Fly a scenario many times, at any level: campaigns, single trials, reports.

For example:

`vinsat sim campaign thesis --trials 200`

`vinsat sim trial honest --seed 7`
"""
app = App(name="sim", help=HELP)

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object on stdout.")]
Level = Annotated[str, Parameter(help="measurement, images, or another that is installed (hardware).")]
Where = Annotated[str, Parameter(name="SCENARIO", help="A name of the library, or a TOML file.")]


@app.command
def campaign(
    scenario: Where,
    /,
    *,
    trials: Annotated[int, Parameter(help="How many seeds, at most.")] = 500,
    seed: Annotated[int, Parameter(help="The first.")] = 1,
    level: Level = "measurement",
    out: Annotated[Path | None, Parameter(help="Folder; default runs/campaigns/NAME-LEVEL.")] = None,
    half_width: Annotated[
        float, Parameter(help="Stop when the share under 5 km is known to this, to either side (95 %).")
    ] = 0.0,
    workers: Annotated[int, Parameter(help="Processes at work; 1 is this one.")] = 2,
    scheduler: Annotated[str, Parameter(help="A dask scheduler's address, tcp://HOST:PORT.")] = "",
    retry_quarantined: Annotated[bool, Parameter(negative="", help="Try those set aside again.")] = False,
    as_json: Json = False,
) -> int:
    """Fly a scenario's seeds and write a report; the same command goes on where it was stopped."""
    from vinsat_sim.montecarlo.campaign import Plan, counted_trials, fly_campaign
    from vinsat_sim.montecarlo.report import REPORT, write_report
    from vinsat_sim.montecarlo.store import open_campaign
    from vinsat_sim.montecarlo.summary import summarise

    text, name = _read(scenario)
    folder = out or Path("runs/campaigns") / f"{name}-{level}"
    plan = Plan(
        trials=trials, first_seed=seed, half_width=half_width, workers=workers, scheduler=scheduler,
        retry_quarantined=retry_quarantined,
    )  # fmt: skip
    with _progress() as report:
        flown = fly_campaign(folder, text, level, plan, report)
    there = open_campaign(folder)
    summary = summarise(counted_trials(there, plan, flown.counted))
    write_report(folder / REPORT, [(there, summary)])
    result = {
        "scenario": name, "level": level, "recipe": there.recipe, "out": str(folder),
        "made": flown.made, "kept": flown.kept, "sure": flown.sure,
        "report": str(folder / REPORT), **summary.as_json(),
    }  # fmt: skip
    last = summary.within["last image"][-1]
    words = (
        f"{folder}: {flown.made} flown, {flown.kept} kept, {len(summary.quarantined)} quarantined; "
        f"under 5 km at the last image: {last.count} of {last.trials}; wrong: {summary.wrong.count}"
    )
    _show(result, [words, f"Report: {folder / REPORT}"], as_json)
    return EXIT_PARTIAL if summary.quarantined else EXIT_OK


@app.command
def trial(scenario: Where, /, *, seed: int = 1, level: Level = "measurement") -> int:
    """Fly one seed and print its outcome as JSON: the replay of a line in a report."""
    from vinsat_sim.montecarlo.levels import find_level
    from vinsat_sim.scenario import load_scenario

    outcome = find_level(level)(load_scenario(scenario), seed)
    sys.stdout.write(json.dumps(outcome.as_json()) + "\n")
    return EXIT_OK


@app.command
def report(
    campaigns: Annotated[list[Path], Parameter(help="One folder, or two to be compared.")],
    /,
    *,
    out: Annotated[Path | None, Parameter(help="The file; default: report.html in the first folder.")] = None,
) -> int:
    """Write the report of a campaign, or of two side by side: one HTML file, no network."""
    from vinsat_sim.montecarlo.report import REPORT, write_report
    from vinsat_sim.montecarlo.store import open_campaign
    from vinsat_sim.montecarlo.summary import summarise

    if not 1 <= len(campaigns) <= 2:
        raise InputError("one or two campaigns are shown together", field="CAMPAIGNS")
    folders = [open_campaign(folder) for folder in campaigns]
    path = out or campaigns[0] / REPORT
    write_report(path, [(one, summarise(one.trials())) for one in folders])
    sys.stdout.write(f"{path}\n")
    return EXIT_OK


@app.command
def scenarios() -> int:
    """List the library's scenarios."""
    from vinsat_sim.scenario import load_scenario, scenario_names

    for name in scenario_names():
        sys.stdout.write(f"{name:<26} {load_scenario(name).title}\n")
    return EXIT_OK


def _read(scenario: str) -> tuple[str, str]:
    """Return the text and the name of a scenario, checked. Raises InputError."""
    from vinsat_sim.scenario import load_scenario, scenario_path

    path = scenario_path(scenario)
    load_scenario(path)
    return path.read_text(encoding="utf-8"), path.stem


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Give a function that draws a bar on stderr, where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("trials"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _show(result: dict[str, Any], lines: list[str], as_json: bool) -> None:
    sys.stdout.write((json.dumps(result) if as_json else "\n".join(lines)) + "\n")
