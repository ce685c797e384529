"""Reproduction `t7.5`: pixel noise against the Cramer-Rao bound, attitude known.

The thesis adds white noise of 1 to 8 px to ten orbits (its table 7.5). Here: night, clouds
and confidence, an image every 5 s, six hours; all satellites with two usable passes or
more, estimated from nothing, beside the bound of the very same sightings. A satellite
with a state counts whether or not its orbit was called determined; the means are those
of the arc's RMS error.
"""

import functools

import numpy as np

from groundtools.registry import Check, at_least, at_most, noted
from groundtools.statistics import median_interval
from vinsat_sim.measurement.bound import bound_km
from vinsat_sim.measurement.conditions import Conditions, Landmarks, draw_landmarks
from vinsat_sim.measurement.detector import white
from vinsat_sim.measurement.figures import (
    column,
    endings,
    mean_interval,
    not_tried,
    of_case,
    ratio_of_rms,
    solvability,
    within,
)
from vinsat_sim.measurement.satellite import PointingErrors, Satellite, fly
from vinsat_sim.measurement.study import Row, Study, Task
from vinsat_sim.measurement.trial import estimate, options

CONDITIONS = Conditions(cadence_s=5.0)
NOISES_PX = (1, 2, 4, 8)
THESIS_KM = {1: (0.20, 0.09), 2: (0.38, 0.20), 4: (0.64, 0.37), 8: (1.35, 0.75)}  # mean, median
FORCES_DO_NOT_MATTER_KM = 0.04
ORBITS = 60
SATELLITES = 260  # nearly one in three has two usable passes


@functools.cache
def _landmarks() -> Landmarks:
    return draw_landmarks(500)


@functools.lru_cache(maxsize=1)
def _flown(seed: int) -> Satellite:
    return fly(seed, CONDITIONS, _landmarks(), PointingErrors())


def solve(task: Task) -> Row:
    """Run one case, the noise in px, of one satellite."""
    satellite = _flown(task.seed)
    if satellite.usable_passes < 2:
        return not_tried(satellite.usable_passes)
    errors = white(float(task.case.removesuffix("px")))
    # The estimator is told that this detector has no bias common to a pass.
    how = options(pass_bias_fraction=0.0)
    bound = bound_km(satellite, errors, attitude_given=True, how=how)
    return estimate(satellite, errors, attitude_given=True, how=how, bound_km=bound).as_json()


def judge(rows: list[Row]) -> tuple[Check, ...]:
    """Return the checks of every noise."""
    checks = [solvability(rows), at_least("orbits", len(of_case(rows, "1px")), ORBITS)]
    for px in NOISES_PX:
        tried = of_case(rows, f"{px}px")
        rms = column(tried, "rms_km")
        mean_bound = float(column(tried, "bound_km").mean()) if tried else float("nan")
        mean, median = THESIS_KM[px]
        limit = max(mean, 1.1 * mean_bound)
        ratio, interval = ratio_of_rms(tried)
        mean_rms = float(rms.mean()) if tried else float("nan")
        middle = float(np.median(rms)) if tried else float("nan")
        checks += [
            endings(f"{px} px", tried),
            at_most(
                f"{px} px: mean RMS", mean_rms, limit, unit="km", interval=mean_interval(rms), thesis=mean
            ),
            noted(
                f"{px} px: median RMS, km",
                middle,
                thesis=median,
                interval=median_interval(rms) if tried else None,
            ),
            noted(f"{px} px: mean bound, km", mean_bound),
            within(f"{px} px: RMS of error / bound", ratio, 0.85, 1.15, interval=interval),
            *_without_force_errors(px, tried),
        ]
    return tuple(checks)


def _without_force_errors(px: int, tried: list[Row]) -> list[Check]:
    """Return the ratio where the bound is well above the 5 to 13 m that the forces leave out."""
    weak = [row for row in tried if row["bound_km"] >= FORCES_DO_NOT_MATTER_KM]
    if len(weak) == len(tried):
        return []
    ratio, interval = ratio_of_rms(weak)
    where = f"where the bound is over {1e3 * FORCES_DO_NOT_MATTER_KM:.0f} m, {len(weak)} orbits"
    return [noted(f"{px} px: the same {where}", ratio, interval=interval)]


TASKS = tuple(Task(f"{px}px", seed) for seed in range(1, SATELLITES + 1) for px in NOISES_PX)
STUDY = Study(
    id="t7.5",
    title="pixel noise of 1 to 8 px against the Cramer-Rao bound, attitude known",
    tasks=TASKS,
    solve=solve,
    judge=judge,
    anew=tuple(task for task in TASKS if task.seed in (2, 5, 6)),
    recipe=f"{CONDITIONS} white {NOISES_PX} 500",
)
REPRODUCTION = STUDY.reproduction()
