"""Reproductions f8.2 to f8.10 and f8.12, made of runs.

`full` trains what is not stored yet (a run each, resumable) and judges. `quick` judges
what is stored, said by the check `stored runs`, and trains one short run anew.
Class of a figure: R a ratio that should hold here, S a trend; each check's name says it.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from groundtools.registry import Check, Reproduction, Scale, at_least, at_most, noted
from vinsat_sim.experiments.mpc.tasks import TASKS
from vinsat_sim.experiments.mpc.training import ITERATIONS, Run

SEEDS = (1, 2, 3)
ANEW = Run(task="pendulum", policy="deq", network="deq", seed=0, steps=20)
PAIRS = (("deq", "deq"), ("diff", "nn"))
FOUR = (("deq", "deq"), ("deq", "nn"), ("diff", "deq"), ("diff", "nn"))
Runs = dict[Run, dict]
SHORT = 60  # training steps of the quadrotors, whose step costs ten of the pendulum's


def runs(task: str, pairs: Iterable[tuple[str, str]] = PAIRS, **changed: object) -> list[Run]:
    """Return the runs of a task over the seeds, with options changed."""
    steps = {} if task in ("pendulum", "cartpole") else {"steps": SHORT}
    base = [Run(task=task, policy=p, network=n, seed=s, **steps) for p, n in pairs for s in SEEDS]
    return [replace(run, **changed) for run in base]


def collect(wanted: list[Run], scale: Scale) -> tuple[Runs, list[Check]]:
    """Return the results there are, and what is said about them."""
    if scale == "full":
        found = {run: run.result() for run in wanted}
    else:
        found = {run: result for run in wanted if (result := run.stored()) is not None}
    said = [
        at_least(
            "stored runs of this recipe, hashes checked", len(found), len(wanted), unit=f"of {len(wanted)}"
        )
    ]
    if scale == "quick":
        from vinsat_sim.experiments.mpc.training import train

        first = train(ANEW)
        said.append(at_most("a run of 20 steps anew: validation error", first["validation"][-1], 1.0))
    said.append(noted("runs that diverged", sum(r["diverged"] for r in found.values())))
    return found, said


def mean(found: Runs, chosen: Callable[[Run], bool], figure: Callable[[dict], float]) -> float:
    """Return the mean figure over runs that were measured; NaN of none."""
    values = [figure(result) for run, result in found.items() if chosen(run) and "validation" in result]
    return float(np.mean(values)) if values else math.nan


def spread(
    found: Runs, chosen: Callable[[Run], bool], figure: Callable[[dict], float]
) -> tuple[float, float] | None:
    """Return the range over seeds."""
    values = [figure(result) for run, result in found.items() if chosen(run) and "validation" in result]
    return (min(values), max(values)) if values else None


def returned(iterations: int) -> Callable[[dict], float]:
    """Return the figure: normalised return with so many iterations a step."""
    at = ITERATIONS.index(iterations)
    return lambda result: result["return"][at]["mean"]


def error(result: dict) -> float:
    """Return the validation error after six iterations."""
    return result["validation"][-1]


def of(policy: str, network: str, **options: object) -> Callable[[Run], bool]:
    """Return the choice of one variant with options as given."""
    return lambda run: (
        run.policy == policy
        and run.network == network
        and all(getattr(run, k) == v for k, v in options.items())
    )


def f8_2(scale: Scale) -> tuple[Check, ...]:
    """Normalised returns on six tasks, one iteration a step, warm."""
    wanted = [run for task in TASKS for run in runs(task, FOUR if task == "pendulum" else PAIRS)]
    found, checks = collect(wanted, scale)
    better = 0
    for task in TASKS:
        values = {}
        for policy, network in FOUR:
            choice = of(policy, network, task=task)
            value = mean(found, choice, returned(1))
            if not math.isnan(value):
                values[policy, network] = value
                name = f"{task}: {policy}-{network}, return over the expert's (S)"
                checks.append(noted(name, value, interval=spread(found, choice, returned(1))))
        deq = max((v for (p, _), v in values.items() if p == "deq"), default=math.nan)
        diff = max((v for (p, _), v in values.items() if p == "diff"), default=math.nan)
        better += deq >= diff
    return (
        *checks,
        at_least(
            "tasks where DEQ-MPC's return is at least Diff-MPC's", better, 5, unit="of 6", thesis="6 of 6"
        ),
    )


def f8_8(scale: Scale) -> tuple[Check, ...]:
    """The gap with fewer iterations a step."""
    checks: list[Check] = []
    found, checks = collect([run for task in ("pendulum", "cartpole") for run in runs(task)], scale)
    for task in ("pendulum", "cartpole"):
        gaps = []
        for count in ITERATIONS:
            deq, diff = (mean(found, of(p, n, task=task), returned(count)) for p, n in PAIRS)
            gaps.append(deq - diff)
            checks.append(noted(f"{task}: gap in return, {count} iterations (R)", deq - diff))
        checks.append(at_least(f"{task}: gap at 1 over |gap at 6|", gaps[0] / max(abs(gaps[-1]), 1e-6), 1.5))
        one, six = (
            mean(found, of("diff", "nn", task=task), lambda r, k=k: r["validation"][k])
            - mean(found, of("deq", "deq", task=task), lambda r, k=k: r["validation"][k])
            for k in (0, 5)
        )
        checks.append(noted(f"{task}: gap in validation error, 1 iteration", one))
        checks.append(noted(f"{task}: gap in validation error, 6 iterations", six))
    return tuple(checks)


def f8_10(scale: Scale) -> tuple[Check, ...]:
    """Validation error after 1 to 6 iterations."""
    found, checks = collect(runs("pendulum") + runs("cartpole"), scale)
    for task in ("pendulum", "cartpole"):
        for policy, network in PAIRS:
            for k in range(6):
                value = mean(found, of(policy, network, task=task), lambda r, k=k: r["validation"][k])
                checks.append(noted(f"{task}: {policy}-{network}, {k + 1} iterations (S)", value))
        deq, diff = (mean(found, of(p, n, task=task), lambda r: r["validation"][0]) for p, n in PAIRS)
        checks.append(at_most(f"{task}: DEQ-MPC's error over Diff-MPC's, 1 iteration", deq / diff, 1.0))
    return tuple(checks)


def f8_12(scale: Scale) -> tuple[Check, ...]:
    """Residuals of cold plans after six iterations."""
    wanted = [run for task in TASKS for run in runs(task, PAIRS[:1])]
    found, checks = collect(wanted, scale)
    for task in TASKS:
        for figure in ("equality", "inequality", "gap"):
            values = [r[figure] for run, r in found.items() if run.task == task and figure in r]
            worst = max(values, default=math.nan)
            checks.append(at_most(f"{task}: worst {figure} residual (R)", worst, 1e-3, thesis="< 1e-3"))
        medians = [r["gap_median"] for run, r in found.items() if run.task == task and "gap_median" in r]
        checks.append(noted(f"{task}: median gap", max(medians, default=math.nan)))
    return tuple(checks)


def _trend(
    option: str, values: tuple, figure: Callable[[dict], float], words: str
) -> Callable[[Scale], tuple[Check, ...]]:
    """Return an entry that varies one option on the pendulum and notes both policies' figure."""

    def run(scale: Scale) -> tuple[Check, ...]:
        wanted = [run for value in values for run in runs("pendulum", PAIRS, **{option: value})]
        found, checks = collect(wanted, scale)
        won = 0
        for value in values:
            pair = []
            for policy, network in PAIRS:
                choice = of(policy, network, **{option: value})
                pair.append(mean(found, choice, figure))
                name = f"{option} {value}: {policy}-{network}, {words} (S)"
                checks.append(noted(name, pair[-1], interval=spread(found, choice, figure)))
            won += pair[0] <= pair[1]
        checks.append(
            at_least(
                "settings where DEQ-MPC is no worse",
                won,
                math.ceil(len(values) / 2),
                unit=f"of {len(values)}",
            )
        )
        return tuple(checks)

    return run


def f8_6(scale: Scale) -> tuple[Check, ...]:
    """Stability with tight control limits: the validation curve's rises, and diverged runs."""
    found, checks = collect(runs("pendulum") + runs("pendulum", setting=3.0), scale)
    for setting in (None, 3.0):
        rough = []
        for policy, network in PAIRS:
            choice = of(policy, network, setting=setting)
            rough.append(
                mean(
                    found, choice, lambda r: sum(max(b - a, 0.0) for a, b in zip(r["curve"], r["curve"][1:]))
                )
            )
            name = f"limit {setting or 5.0} N m: {policy}-{network}, rises of the validation error (S)"
            checks.append(noted(name, rough[-1]))
        if setting is not None:
            checks.append(at_most("DEQ-MPC's rises less Diff-MPC's, tight limit", rough[0] - rough[1], 0.0))
    return tuple(checks)


def f8_5(scale: Scale) -> tuple[Check, ...]:
    """Return as obstacles grow, no warm start in the thesis; here streamed."""
    radii = (0.1, None, 0.3)  # None: the task's own, 0.2
    found, checks = collect([run for radius in radii for run in runs("qpole-obs", setting=radius)], scale)
    for radius in radii:
        for policy, network in PAIRS:
            value = mean(found, of(policy, network, setting=radius), returned(1))
            checks.append(
                noted(f"radius {radius} m: {policy}-{network}, return over the expert's (S)", value)
            )
    return tuple(checks)


def _entry(id_: str, title: str, run: Callable[[Scale], tuple[Check, ...]]) -> Reproduction:
    return Reproduction(id=id_, title=title, run=run, seeds=lambda scale: SEEDS)


F8_2 = _entry("f8.2", "S: normalised return of DEQ-MPC and Diff-MPC on six tasks", f8_2)
F8_3 = _entry(
    "f8.3",
    "S: validation error over the number of training trajectories",
    _trend("samples", (5, 20, None), error, "validation error"),
)
F8_4 = _entry(
    "f8.4",
    "S: validation error over the network's width",
    _trend("hidden", (16, 64, 128), error, "validation error"),
)
F8_5 = _entry("f8.5", "S: return as obstacles grow", f8_5)
F8_6 = _entry("f8.6", "S: stability of training under tight control limits", f8_6)
F8_7 = _entry(
    "f8.7",
    "S: validation error as the cost's velocity weights shrink",
    _trend("velocity", (1.0, 0.1, 0.01), error, "validation error"),
)
F8_8 = _entry("f8.8", "R: the gap between the policies with fewer solver iterations", f8_8)
F8_9 = _entry(
    "f8.9", "S: validation error over the horizon", _trend("horizon", (3, 5, 10), error, "validation error")
)
F8_10 = _entry("f8.10", "S: validation error after each iteration", f8_10)
F8_12 = _entry("f8.12", "R: residuals of the joint fixed point within six iterations", f8_12)
