"""Reproduction `t7.4`: how many of the landmarks must be seen?

The thesis (table 7.4) takes 10 to 80 % of the detections of three-hour orbits. Here the
subsets are nested: the first 10, 20, 40 and 80 % of every region's 500 landmarks, with the
same errors, so that more is more of the same. Detector error model, no night, clouds, an
image every 5 s, three hours, attitude known; satellites with two usable passes at 80 %.
The sample does not change with the density: an orbit that 10 % do not determine counts
with the error it has; one that has no state at some density is left out of all, and
counted. Solved: determined and below 5 km.
"""

import functools

import numpy as np

from groundtools.registry import Check, at_least, at_most, noted
from groundtools.statistics import median_interval
from vinsat_sim.measurement.bound import bound_km
from vinsat_sim.measurement.conditions import Conditions, Landmarks, draw_landmarks
from vinsat_sim.measurement.detector import PUBLISHED
from vinsat_sim.measurement.figures import column, endings, mean_interval, not_tried, of_case, solvability
from vinsat_sim.measurement.satellite import PointingErrors, Satellite, fly
from vinsat_sim.measurement.study import Row, Study, Task
from vinsat_sim.measurement.trial import estimate_from

PER_REGION = 500
CONDITIONS = Conditions(cadence_s=5.0, duration_s=10_800.0, sun_elevation_min_deg=None, kept=1.0)
THESIS_KM = {"0.1": (6.67, 6.26), "0.2": (6.92, 3.64), "0.4": (2.32, 1.68), "0.8": (1.80, 1.69)}
ORBITS = 60
SATELLITES = 150


@functools.cache
def _landmarks() -> Landmarks:
    return draw_landmarks(PER_REGION)


@functools.lru_cache(maxsize=1)
def _flown(seed: int) -> Satellite:
    return fly(seed, CONDITIONS, _landmarks(), PointingErrors())


def solve(task: Task) -> Row:
    """Run one case, the density, of one satellite."""
    satellite = _flown(task.seed)
    rank = satellite.landmark % PER_REGION
    passes = satellite.subset(rank < round(0.8 * PER_REGION)).usable_passes
    if passes < 2:
        return not_tried(passes)
    uv_px, is_bad = satellite.detected(PUBLISHED)
    keep = rank < round(float(task.case) * PER_REGION)
    kept = satellite.subset(keep)
    bound = bound_km(kept, PUBLISHED, attitude_given=True, good=~is_bad[keep])
    trial = estimate_from(kept, kept.reported(uv_px[keep]), attitude_given=True, bound_km=bound)
    return {**trial.as_json(), "usable_passes": passes}


def judge(rows: list[Row]) -> tuple[Check, ...]:
    """Return the checks: one median per density, each below the one before."""
    tried = {case: of_case(rows, case) for case in THESIS_KM}
    whole = set.intersection(
        *({row["seed"] for row in part if row["rms_km"] is not None} for part in tried.values())
    )
    checks = [solvability(rows), at_least("orbits with a state at every density", len(whole), ORBITS)]
    before = None
    for case, part in tried.items():
        same = [row for row in part if row["seed"] in whole]
        rms = column(same, "rms_km")
        if not same:
            continue
        mean, median = THESIS_KM[case]
        middle, interval = float(np.median(rms)), median_interval(rms)
        name = f"{case}: median RMS"
        checks += [
            endings(case, part),
            noted(f"{name}, km", middle, interval=interval, thesis=median)
            if before is None
            else at_most(name, middle, before, unit="km", interval=interval, thesis=median),
            noted(f"{case}: mean RMS, km", float(rms.mean()), interval=mean_interval(rms), thesis=mean),
            noted(f"{case}: median bound, km", float(np.median(column(same, "bound_km")))),
        ]
        before = middle
    return tuple(checks)


TASKS = tuple(Task(case, seed) for seed in range(1, SATELLITES + 1) for case in THESIS_KM)
STUDY = Study(
    id="t7.4",
    title="10 to 80 % of the landmarks, nested, at the detector error model",
    tasks=TASKS,
    solve=solve,
    judge=judge,
    anew=tuple(task for task in TASKS if task.seed in (1, 2, 3)),
    recipe=f"{CONDITIONS} {PUBLISHED} {PER_REGION} nested",
)
REPRODUCTION = STUDY.reproduction()
