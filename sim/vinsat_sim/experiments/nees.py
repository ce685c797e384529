"""Is the covariance honest? The normalised error of many orbits, mode by mode.

Satellites without night, with clouds and confidence: whoever gets two usable passes is
estimated in each of the modes
    given      the attitude is exact and given
    constant   nadir with a constant offset of up to 0.5 deg and no jitter
    slow       nadir with an error of 0.5 deg (1 sigma per axis, 1000 s)
once with white noise of 2 px, the estimator told that the detector has no bias per pass,
and once with the detector error model and the estimator's defaults. Of n solved cases
the mean NEES of [r, v] is compared with 6, its 99.9 % interval being that of a chi-square
of 6 n degrees, and the share of positions inside the 99 % ellipsoid with .99.
"""

import functools
import math

import numpy as np

from groundtools.registry import Check, at_least, at_most, noted
from vinsat_sim.measurement.conditions import Conditions, Landmarks, draw_landmarks
from vinsat_sim.measurement.detector import PUBLISHED, DetectorErrors, white
from vinsat_sim.measurement.satellite import PointingErrors, fly
from vinsat_sim.measurement.study import Row, Study, Task
from vinsat_sim.measurement.trial import estimate, options

CONDITIONS = Conditions(sun_elevation_min_deg=None)
POINTING = {
    "given": PointingErrors(),
    "constant": PointingErrors(constant_deg=0.5),
    "slow": PointingErrors(slow_deg=0.5, slow_s=1000.0),
}
DETECTORS: dict[str, DetectorErrors] = {"white": white(2.0), "detector": PUBLISHED}
SATELLITES = 420  # three in four get two usable passes
INSIDE_99 = 11.345  # chi-square of 3 degrees
NORMAL_9995 = 3.290_527  # quantile of the normal for a two-sided 99.9 % interval


@functools.cache
def _landmarks() -> Landmarks:
    return draw_landmarks(500)


def solve(task: Task) -> Row:
    """Run one case, "mode-detector", of one satellite."""
    mode, detector = task.case.split("-")
    satellite = fly(task.seed, CONDITIONS, _landmarks(), POINTING[mode])
    if satellite.usable_passes < 2:
        return {"status": "NOT_TRIED", "usable_passes": satellite.usable_passes}
    slow = float(np.radians(0.5)) if mode == "slow" else 0.0
    bias = 0.0 if detector == "white" else 0.2
    how = options(slow_pointing_sigma=slow, pass_bias_fraction=bias)
    return estimate(satellite, DETECTORS[detector], attitude_given=mode == "given", how=how).as_json()


def judge(rows: list[Row]) -> tuple[Check, ...]:
    """Return the checks of every mode and detector."""
    checks: list[Check] = []
    for mode in POINTING:
        for detector in DETECTORS:
            case = f"{mode}-{detector}"
            tried = [row for row in rows if row["case"] == case and row["status"] != "NOT_TRIED"]
            checks += _of_case(case, tried, is_white=detector == "white")
    return tuple(checks)


def _of_case(case: str, tried: list[Row], *, is_white: bool) -> list[Check]:
    solved = [row for row in tried if row["solved"]]
    n = len(solved)
    if n == 0:
        return [Check(name=f"{case}: solved", value=0, passed=False, threshold=">= 300")]
    nees = np.array([row["nees"] for row in solved])
    mean, sigma = float(nees.mean()), math.sqrt(12.0 / n)
    low, high = (6.0 - NORMAL_9995 * sigma, 6.0 + NORMAL_9995 * sigma) if is_white else (4.5, 7.5)
    spread = 1.96 * float(nees.std()) / math.sqrt(n)
    inside = float(np.mean([row["nees_position"] < INSIDE_99 for row in solved]))
    return [
        at_least(f"{case}: solved", n, 300, unit=f"of {len(tried)} with two usable passes"),
        Check(
            name=f"{case}: mean NEES of 6", value=mean, low=mean - spread, high=mean + spread,
            threshold=f"{low:.2f} to {high:.2f}", passed=low <= mean <= high,
        ),
        noted(f"{case}: median NEES (5.35)", float(np.median(nees))),
        at_least(f"{case}: inside the 99 % ellipsoid", inside, 0.98),
        at_most(f"{case}: wrong", sum(row["wrong"] for row in tried), 0),
    ]  # fmt: skip


TASKS = tuple(
    Task(f"{mode}-{detector}", seed)
    for seed in range(1, SATELLITES + 1)
    for mode in POINTING
    for detector in DETECTORS
)
STUDY = Study(
    id="nees",
    title="the covariance against the truth, in every attitude mode",
    tasks=TASKS,
    solve=solve,
    judge=judge,
    anew=tuple(task for task in TASKS if task.seed in (2, 3)),
    recipe=f"{CONDITIONS} {POINTING} {DETECTORS} 500",
)
REPRODUCTION = STUDY.reproduction()
