"""Reproduction `plan`: sooner determined, with fewer frames, than a fixed duty cycle.

Orbits of the demo's scenario, random landmarks in the places with a detector, the
reference camera at the nadir. A first pass over some of them, clear enough, leaves a
solution that is not determined; the truth is that solution plus an error drawn from its
covariance. From then on the satellite either images one minute in ten wherever the
ground is sunlit (the fixed duty cycle), or by the plan made from the solution: with as many
frames as the cycle would take in the time planned for, or with a fifth of what the
cycle took. Landmarks and sky: `landmark_world`; at most 20 a frame, 5 px. Determined is what the
flight program calls so: two passes more than 20 minutes apart, each of two frames, five
detections and three landmarks, and 1 sigma under 2.5 km; the covariance is that of the
exact linearised problem (state, drag, pointing offset), without running the search.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.sun import sun_direction_eci
from flightsw.runtime.known_case import CAMERA
from groundtools.products.planning import (
    SUN_MIN_DEG,
    make_plan,
    windows_ahead,
)  # fmt: skip
from groundtools.registry import Check, Reproduction, Scale, at_least, noted
from groundtools.statistics import median_interval
from vinsat_sim.experiments.landmark_world import (
    HOURS,
    PASS_GAP_S,
    STEP_S,
    Ending,
    World,
    draw_places,
    first_pass,
    fly,
    make_world,
    solution_of,
)  # fmt: skip
from vinsat_sim.orbits import draw_orbit

Array = NDArray[np.float64]

ON_S, OFF_S = 60.0, (540.0, 1140.0)  # one minute in ten; noted beside it: one in twenty
CLEAR_ENOUGH = 0.4  # what the plan is told of the sky: the share of visits that succeed
CASES = {"quick": 60, "full": 200}  # orbits with a first pass and a window after it
SAME_S = 600.0  # two endings closer than this are of one visit
FIRST_SEED = 6000
SOONER, FEWER = 0.25, 5.0


def duty_cycle(world: World, after_s: float, off_s: float, phase: float) -> Array:
    """Return when the fixed cycle images: ON_S in every ON_S + off_s, in daylight; phase 0 to 1."""
    t_s = np.arange(after_s + STEP_S, 3600.0 * HOURS, STEP_S)
    on = np.mod(t_s + phase * (ON_S + off_s), ON_S + off_s) < ON_S
    index = np.round(t_s / STEP_S).astype(int)
    return np.asarray(t_s[on & _daylit(world)[index]])


def _daylit(world: World) -> NDArray[np.bool_]:
    up = world.state[:, :3] / np.linalg.norm(world.state[:, :3], axis=1)[:, None]
    sun = sun_direction_eci(world.epoch, world.t_s)
    return np.asarray(np.sum(up * sun, axis=1) > np.sin(np.radians(SUN_MIN_DEG)))


@dataclass(frozen=True, slots=True)
class Case:
    """One orbit's endings, times from the end of the first pass."""

    cycle: Ending
    same: Ending
    fifth: Ending


def run_case(seed: int, off_s: float) -> Case | None:
    """Return the endings of one orbit; None where no first pass, or no window after it, is seen."""
    rng = np.random.default_rng(seed)
    epoch, state = draw_orbit(rng)
    world = make_world(epoch, state, draw_places(rng), seed)
    first = first_pass(world)
    if not first:
        return None
    solution = solution_of(world, first, rng)
    after = first[-1].t_s
    cycle_times = duty_cycle(world, after, off_s, float(rng.uniform(0.0, 1.0)))
    cycle = fly(world, cycle_times, first)
    begin = after + PASS_GAP_S
    windows = windows_ahead(
        solution, CAMERA, world.places, start=epoch + begin, hours=HOURS - begin / 3600.0,
        clear={"": CLEAR_ENOUGH},
    )  # fmt: skip
    if not windows:
        return None
    planned = []
    for budget in (len(cycle_times), int(cycle.frames / FEWER)):
        plan = make_plan(epoch + begin, windows, frames=budget)
        times = np.concatenate([np.zeros(0), *(window.frames_s for window in plan.windows)])
        planned.append(fly(world, np.round((times + begin) / STEP_S) * STEP_S, first))
    past = [Ending(e.t_s - after, e.frames) for e in (cycle, *planned)]
    return Case(*past)


def cases(scale: Scale, off_s: float, count: int) -> list[Case]:
    """Return the first `count` cases that are one."""
    found: list[Case] = []
    seed = FIRST_SEED
    while len(found) < count:
        case = run_case(seed, off_s)
        if case is not None:
            found.append(case)
        seed += 1
    return found


def run(scale: Scale) -> tuple[Check, ...]:
    """Measure both gains, and note them for a cycle half as busy."""
    checks: list[Check] = []
    for off_s, count in zip(OFF_S, (CASES[scale], CASES[scale] // 4), strict=True):
        found = cases(scale, off_s, count)
        label = "" if off_s == OFF_S[0] else f", cycle of one minute in {(ON_S + off_s) / 60.0:.0f}"
        checks += _checks(found, label, asked=off_s == OFF_S[0])
    return tuple(checks)


def _checks(found: list[Case], label: str, *, asked: bool) -> list[Check]:
    cycle, same, fifth = (
        np.array([getattr(case, name).t_s for case in found]) / 3600.0 for name in ("cycle", "same", "fifth")
    )
    sooner = 1.0 - float(np.median(same)) / float(np.median(cycle))
    interval = _sooner_interval(cycle, same)
    ratio = np.array([case.cycle.frames / max(case.fifth.frames, 1) for case in found])
    on_time = fifth <= cycle + SAME_S / 3600.0
    fewer = np.where(on_time & np.isfinite(cycle), ratio, 0.0)[np.isfinite(cycle)]
    many, value = median_interval(fewer), float(np.median(fewer))
    first, second = f"sooner with as many frames{label}", f"fewer frames at the same time, median{label}"
    gains = [noted(first, sooner, interval=interval), noted(second, value, interval=many)]
    if asked:
        gains = [
            at_least(first, sooner, SOONER, interval=interval),
            at_least(second, value, FEWER, unit="times", interval=many),
        ]
    return [
        noted(f"orbits{label}", len(found)),
        noted(f"fixed cycle: median hours to determined{label}", float(np.median(cycle))),
        noted(f"planned: median hours to determined{label}", float(np.median(same))),
        *gains,
        noted(f"share no later than the cycle with a fifth of its frames{label}", float(on_time.mean())),
        noted(f"not determined within 48 h, cycle{label}", int((~np.isfinite(cycle)).sum())),
        noted(f"not determined within 48 h, planned{label}", int((~np.isfinite(same)).sum())),
    ]


def _sooner_interval(cycle: Array, same: Array) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    pick = rng.integers(len(cycle), size=(2000, len(cycle)))
    gain = 1.0 - np.median(same[pick], axis=1) / np.median(cycle[pick], axis=1)
    low, high = np.nanpercentile(gain, [2.5, 97.5])
    return float(low), float(high)


def seeds(scale: Scale) -> tuple[int, ...]:
    """Return the first seed; the next whole numbers follow until there are enough cases."""
    return (FIRST_SEED,)


REPRODUCTION = Reproduction(
    id="plan",
    title="A planned schedule against a fixed duty cycle: sooner determined, fewer frames",
    run=run,
    seeds=seeds,
)
