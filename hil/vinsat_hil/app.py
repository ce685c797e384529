"""Drive the unchanged flight program on a rig, with faults, and judge what it did.

`run` flies one trial, `trials` thousands, `mutants` checks the checks, `faults` lists what
can be played, `doctor` says what a rig lacks. Exit codes: 0 ok, 2 usage, 3 bad input or a
rig that lacks something, 4 an invariant was violated, 5 trials are missing.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console
from rich.progress import Progress

from flightsw.errors import EXIT_INPUT, EXIT_OK, UsageError
from vinsat_hil.composition import draw_faults, line_of, read_faults
from vinsat_hil.faults import KINDS, Fault
from vinsat_hil.rig import Rig, load_rig, rig_names
from vinsat_hil.scenario import Scenario, load_scenario

EXIT_VIOLATED, EXIT_PARTIAL = 4, 5

HELP = """Drive the flight program on a rig, with faults.

For example:

`vinsat hil run --rig process --scenario quick --seed 7`

`vinsat hil faults`
"""
app = App(name="hil", help=HELP)
console = Console(highlight=False)

RigName = Annotated[str, Parameter(name="--rig", help="A rig's name, or a .toml file.")]
ScenarioName = Annotated[str, Parameter(name="--scenario", help="A scenario's name, or a .toml file.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object on stdout.")]


@app.command
def run(
    *,
    rig: RigName = "process",
    scenario: ScenarioName = "quick",
    faults: Annotated[
        str,
        Parameter(
            help="none, random (by the seed), a line NAME@AT_S[+DURATION_S][*AMOUNT], or a .toml file."
        ),
    ] = "none",
    seed: int = 7,
    mutant: Annotated[str, Parameter(help="A seeded defect; see `vinsat hil mutants`.")] = "",
    keep: Annotated[str, Parameter(help="Leave everything of the trial in this folder.")] = "",
    as_json: AsJson = False,
) -> int:
    """Fly one lock-step trial; where an invariant is violated, find the fewest faults that do it."""
    from vinsat_hil.mutants import MUTANTS
    from vinsat_hil.shrink import shrink
    from vinsat_hil.trial import run_trial

    if mutant and mutant not in MUTANTS:
        raise UsageError(f"{mutant!r} is no mutant; one of {', '.join(MUTANTS)}")
    where, what = load_rig(rig), load_scenario(scenario)
    played = _faults(faults, where, what, seed)
    outcome = run_trial(what, where, played, seed, mutant=mutant, keep=keep)
    smallest = outcome.replay
    if outcome.violated and played:
        names = [verdict.name for verdict in outcome.violated]
        few, again = shrink(played, names, lambda some: run_trial(what, where, some, seed, mutant=mutant))
        smallest = outcome.replay if again is None else again.replay
        played = few
    if as_json:
        shown = outcome.as_json() | {"smallest_faults": line_of(played), "smallest_replay": smallest}
        sys.stdout.write(json.dumps(shown, indent=1) + "\n")
    else:
        for verdict in outcome.invariants:
            console.print(f"{'held' if verdict.held else 'VIOLATED':<9}{verdict.name:<28}{verdict.problem}")
        console.print(f"digest   {outcome.digest}\nreplay   {outcome.replay}", soft_wrap=True, markup=False)
        if outcome.violated:
            console.print(f"smallest {smallest}", soft_wrap=True, markup=False)
    return EXIT_VIOLATED if outcome.violated else EXIT_OK


@app.command
def faults(*, as_json: AsJson = False) -> int:
    """List every fault: what it does, its amount, where it can be played, what the payload is to do."""
    if as_json:
        sys.stdout.write(json.dumps([asdict(kind) for kind in KINDS.values()], indent=1) + "\n")
        return EXIT_OK
    for kind in KINDS.values():
        amount = f" [{kind.amount}: {kind.low:g} to {kind.high:g}]" if kind.amount else ""
        lasts = " for a while" if kind.lasts else ""
        only = f" (only with {kind.needs})" if kind.needs else ""
        console.print(f"{kind.name:<17}{kind.does}{lasts}{amount}{only}", markup=False, soft_wrap=True)
        console.print(f"{'':<17}-> {kind.expected}; on {', '.join(kind.rungs)}", markup=False, soft_wrap=True)
    return EXIT_OK


@app.command
def invariants(*, as_json: AsJson = False) -> int:
    """List what must hold in every trial."""
    from vinsat_hil.invariants import INVARIANTS

    if as_json:
        rows = [{"name": one.name, "sentence": one.sentence} for one in INVARIANTS]
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
    else:
        for one in INVARIANTS:
            console.print(f"{one.name:<28}{one.sentence}", markup=False, soft_wrap=True)
    return EXIT_OK


@app.command
def trials(
    *,
    rig: RigName = "process",
    scenario: ScenarioName = "brief",
    first: int = 0,
    count: int = 1000,
    out: Path = Path("runs/hil-trials"),
    workers: int = 1,
    as_json: AsJson = False,
) -> int:
    """Fly drawn compositions of 1 to 4 faults, seed by seed; goes on where it was ended."""
    from vinsat_hil.trials import Plan, run_trials, summary

    plan = Plan(first=first, last=first + count, rig=rig, scenario=scenario, folder=out)
    with Progress(console=Console(stderr=True), disable=as_json) as progress:
        bar = progress.add_task("trials", total=len(plan.missing()))
        for trial in run_trials(plan, workers=workers):
            progress.advance(bar)
            if trial["violated"]:
                progress.console.print(
                    f"{trial['seed']}: {trial['faults']}: {trial['violated']}", markup=False
                )
    found = summary(out)
    if as_json:
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
    else:
        console.print(f"{found['trials']} trials, {found['violations']} violations, {found['consistency']}")
    held = not found["violations"] and found["consistency"]["held"]
    return EXIT_VIOLATED if not held else EXIT_PARTIAL if plan.missing() else EXIT_OK


@app.command
def mutants(
    *,
    only: str = "",
    out: Annotated[Path | None, Parameter(help="Write the results there, one by one; goes on there.")] = None,
    as_json: AsJson = False,
) -> int:
    """Seed defects into the flight program one by one: each must be caught by an invariant."""
    from vinsat_hil.mutation_check import check_mutants

    results = check_mutants(only=only, out=out)
    if as_json:
        sys.stdout.write(json.dumps(results, indent=1) + "\n")
    else:
        for row in results:
            caught = ", ".join(row["caught_by"]) or "NOT CAUGHT"
            console.print(f"{row['name']:<22}{row['defect']:<50}{caught}", markup=False, soft_wrap=True)
    return EXIT_OK if all(row["caught_by"] for row in results) else EXIT_VIOLATED


@app.command
def realtime(
    *,
    frames: int = 720,
    cadence_s: float = 5.0,
    rate: float = 10.0,
    inference: Annotated[str, Parameter(help="observations, fixture, or a models folder.")] = "observations",
    as_json: AsJson = False,
) -> int:
    """Run in (accelerated) real time and count missed deadlines: a frame is looked at before the next."""
    from vinsat_hil.realtime import run_realtime

    found = run_realtime(frames=frames, cadence_s=cadence_s, rate=rate, inference=inference)
    sys.stdout.write(json.dumps(asdict(found), indent=1) + "\n" if as_json else f"{found.sentence()}\n")
    return EXIT_OK if found.missed == 0 else EXIT_VIOLATED


@app.command
def agent(*, listen: str = "127.0.0.1:4711", folder: Path = Path("vinsat-hil")) -> int:
    """Serve a host from the board under test: files, starts, signals, switches. For a lab's network."""
    from vinsat_hil.agent import serve

    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit():
        raise UsageError(f"{listen!r} is no address; give HOST:PORT")
    serve(host, int(port), folder)
    return EXIT_OK


@app.command
def doctor(*, rig: RigName = "process", as_json: AsJson = False) -> int:
    """Say what a rig lacks, with the command that mends it."""
    from vinsat_hil.doctor import examine

    findings = examine(load_rig(rig))
    healthy = all(finding.state != "missing" for finding in findings)
    if as_json:
        sys.stdout.write(json.dumps({"ok": healthy, "findings": [asdict(f) for f in findings]}) + "\n")
    else:
        for finding in findings:
            fix = f"  ->  {finding.fix}" if finding.fix else ""
            console.print(f"{finding.state:<8}{finding.name:<20}{finding.detail}{fix}", markup=False)
        console.print(f"rigs: {', '.join(rig_names())}")
    return EXIT_OK if healthy else EXIT_INPUT


def _faults(text: str, rig: Rig, scenario: Scenario, seed: int) -> tuple[Fault, ...]:
    """Return the faults that are asked for. Raises UsageError where the rig cannot play one."""
    if text == "random":
        return draw_faults(
            seed, rung=rig.rung, inference=scenario.inference,
            busy_s=[float(t) for t in scenario.frame_times_s()], until_s=scenario.faults_until_s(),
        )  # fmt: skip
    played = read_faults(text)
    for fault in played:
        if rig.rung not in fault.kind.rungs:
            raise UsageError(
                f"{fault.name} cannot be played {rig.name}; it can on {', '.join(fault.kind.rungs)}"
            )
    return played
