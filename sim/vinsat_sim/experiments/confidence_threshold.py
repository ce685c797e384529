"""Reproduction `t7.3`: below which confidence should a detection be thrown away?

The thesis (table 7.3) finds 0.8 best: below, outliers disturb its fit, above, data are
scarce. The same draws under each of its thresholds, detector error model, night, clouds,
an image every 5 s, six hours, attitude known; satellites with two usable passes at every
threshold. How errors go with confidence is an assumption below 0.8: see
`measurement.confidence`. The bound at a threshold leaves the bad detections out, and takes
the rest for as good as those above 0.8: below 0.8 it is lower than what can be reached.
"""

import functools

import numpy as np

from groundtools.registry import Check, Interval, at_least, at_most, noted
from groundtools.statistics import median_interval
from vinsat_sim.measurement.bound import bound_km
from vinsat_sim.measurement.conditions import Conditions, Landmarks, draw_landmarks
from vinsat_sim.measurement.confidence import LEVEL, NOISE_AT_LEAST, SHARE_ABOVE, Detections, detect
from vinsat_sim.measurement.detector import PUBLISHED
from vinsat_sim.measurement.figures import (
    column,
    endings,
    mean_interval,
    not_tried,
    of_case,
    ratio_of_rms,
    solvability,
)
from vinsat_sim.measurement.satellite import PointingErrors, Satellite, fly
from vinsat_sim.measurement.study import Row, Study, Task
from vinsat_sim.measurement.trial import estimate_from

CONDITIONS = Conditions(cadence_s=5.0, kept=1.0)
THESIS_KM = {"0.3": (2.75, 2.50), "0.6": (2.14, 1.69), "0.8": (1.60, 1.53), "0.85": (2.06, 1.72)}
OF_THE_BEST, OF_THE_BOUND = 1.5, 1.15
ORBITS = 60
SATELLITES = 260


@functools.cache
def _landmarks() -> Landmarks:
    return draw_landmarks(500)


@functools.lru_cache(maxsize=1)
def _flown(seed: int) -> tuple[Satellite, Detections, int]:
    """Return a satellite, its detections, and the usable passes under the highest threshold."""
    satellite = fly(seed, CONDITIONS, _landmarks(), PointingErrors())
    found = detect(satellite, PUBLISHED)
    highest = max(float(case) for case in THESIS_KM)
    return satellite, found, satellite.subset(found.confidence >= highest).usable_passes


def solve(task: Task) -> Row:
    """Run one case, the threshold, of one satellite."""
    satellite, found, passes = _flown(task.seed)
    if passes < 2:
        return not_tried(passes)
    keep = found.confidence >= float(task.case)
    kept = satellite.subset(keep)
    bound = bound_km(kept, PUBLISHED, attitude_given=True, good=~found.is_bad[keep])
    seen = kept.reported(found.uv_px[keep])
    trial = estimate_from(kept, seen, attitude_given=True, bound_km=bound)
    return {
        **trial.as_json(),
        "usable_passes": passes,
        "bad_share": round(float(found.is_bad[keep].mean()), 4),
    }


def judge(rows: list[Row]) -> tuple[Check, ...]:
    """Return the checks of every threshold."""
    tried = {case: of_case(rows, case) for case in THESIS_KM}
    checks = [solvability(rows), at_least("orbits", min(len(part) for part in tried.values()), ORBITS)]
    if not any(tried.values()):
        return tuple(checks)
    means = {case: float(column(part, "rms_km").mean()) for case, part in tried.items()}
    best = min(means.values())
    for case, part in tried.items():
        rms = column(part, "rms_km")
        mean, median = THESIS_KM[case]
        ratio, interval = ratio_of_rms(part)
        checks += [
            endings(case, part),
            noted(f"{case}: bad detections, share", float(column(part, "bad_share").mean())),
            at_most(
                f"{case}: mean RMS", means[case], mean, unit="km", interval=mean_interval(rms), thesis=mean
            ),
            noted(
                f"{case}: median RMS, km", float(np.median(rms)), interval=median_interval(rms), thesis=median
            ),
            noted(f"{case}: mean bound, km", float(column(part, "bound_km").mean())),
            _of_the_bound(case, ratio, interval),
        ]
        if case != "0.85":
            checks.append(at_most(f"{case}: mean over the best mean", means[case] / best, OF_THE_BEST))
    return tuple(checks)


def _of_the_bound(case: str, ratio: float, interval: Interval) -> Check:
    """Return the ratio to the bound; the highest threshold alone is asked to reach it."""
    name = f"{case}: RMS of error / bound"
    if case == "0.85":
        return at_most(name, ratio, OF_THE_BOUND, interval=interval)
    return noted(name, ratio, interval=interval)


TASKS = tuple(Task(case, seed) for seed in range(1, SATELLITES + 1) for case in THESIS_KM)
STUDY = Study(
    id="t7.3",
    title="confidence thresholds of 0.3 to 0.85 at the detector error model",
    tasks=TASKS,
    solve=solve,
    judge=judge,
    anew=tuple(task for task in TASKS if task.seed in (2, 5, 6)),
    recipe=f"{CONDITIONS} {PUBLISHED} {LEVEL} {SHARE_ABOVE} {NOISE_AT_LEAST} 500",
)
REPRODUCTION = STUDY.reproduction()
