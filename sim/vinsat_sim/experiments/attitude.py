"""Reproduction `attitude`: what an orbit is worth when the attitude is not known.

Night, clouds, confidence, an image every 5 s, six hours, white noise of 2 px, 500 landmarks
a region. `CASES` is the table: how the satellite truly points, what the estimator is told,
and what is asked. `free` is tilted by 2.5 deg (1 sigma per axis, 1000 s) and turned by any
yaw: only passes in which three frames show 15 landmarks count. `late` and `drift` have a
wrong clock. `ignored` is the same
satellite as `slow`, the pointing error taken for none, fitted to the detections of the
slow case's solution from there, so that it shows what the belief costs, not what a search does.
"""

import functools
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from flightsw.astro.propagate import propagate
from flightsw.estimate.batch import EstimatorOptions, estimate_orbit
from flightsw.estimate.chain import GyroNoise
from flightsw.estimate.orbit_fit import fit_orbit
from flightsw.estimate.sightings import prepare_sightings
from flightsw.estimate.solver import SolverOptions
from groundtools.registry import Check, at_least, at_most, noted
from groundtools.statistics import median_interval, wilson_interval
from vinsat_sim.measurement.bound import bound_km, known_of
from vinsat_sim.measurement.conditions import (
    ALL_VISIBLE,
    CAMERA,
    Conditions,
    Landmarks,
    draw_landmarks,
)
from vinsat_sim.measurement.detector import white
from vinsat_sim.measurement.figures import column, endings, not_tried, of_case, ratio_of_rms, solvability
from vinsat_sim.measurement.late_clock import drift_row, offset_row
from vinsat_sim.measurement.satellite import PointingErrors, Satellite, fly_arc, look_down
from vinsat_sim.measurement.study import Row, Study, Task
from vinsat_sim.measurement.trial import arc_rms_km, estimate, options
from vinsat_sim.truth import Truth

NOMINAL = Conditions(cadence_s=5.0)
EVERYTHING = replace(ALL_VISIBLE, cadence_s=5.0)
ERRORS = white(2.0)
SLOW = PointingErrors(slow_deg=0.5, slow_s=1000.0)
COARSE = GyroNoise(white=1.1e-3, bias=0.087, walk=1.1e-4)  # MEMS; rad/sqrt(s), rad/s, rad/s/sqrt(s)
GOOD = GyroNoise(white=1.5e-5, bias=1e-3, walk=1e-8)  # 0.05 deg/sqrt(h)
DRIFT = 1e-4  # s/s
RICH = 15  # landmarks of a frame that tells its attitude
SLOW_TOLD: dict[str, Any] = {"slow_pointing_sigma": float(np.radians(0.5)), "slow_pointing_s": 1000.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row of the table.

    pointing : the truth; told : the estimator's options beside the defaults; given : the
    attitude is; gyro : what one says; late_s, drift : of the clock; ignored : see the
    module; limits_km : of the median RMS, by usable passes (2
    means exactly two, 3 three or more, 0 all that have two or more); satellites : how many.
    """

    pointing: PointingErrors
    conditions: Conditions = NOMINAL
    told: dict[str, Any] = field(default_factory=dict)
    given: bool = False
    gyro: GyroNoise | None = None
    late_s: float = 0.0
    drift: float = 0.0
    ignored: bool = False
    limits_km: dict[int, float] = field(default_factory=dict)
    satellites: int = 300

    def options(self) -> EstimatorOptions:
        """Return the estimator's options; it is told that this detector has no bias per pass."""
        return options(pass_bias_fraction=0.0, **self.told)


CASES = {
    "given": Case(pointing=PointingErrors(), given=True),
    "constant": Case(pointing=PointingErrors(constant_deg=0.5)),
    "slow": Case(pointing=SLOW, told=SLOW_TOLD, limits_km={2: 1.6, 3: 0.35}),
    "coarse-gyro": Case(
        pointing=SLOW,
        told={**SLOW_TOLD, "gyro": COARSE},
        gyro=COARSE,
        limits_km={2: 1.6, 3: 0.35},
        satellites=150,
    ),
    "good-gyro": Case(pointing=SLOW, told={**SLOW_TOLD, "gyro": GOOD}, gyro=GOOD, satellites=150),
    "free": Case(
        pointing=PointingErrors(slow_deg=2.5, any_yaw=True),
        told={"free_tilt_sigma": float(np.radians(2.5))},
        satellites=150,
    ),
    "late": Case(pointing=SLOW, told={**SLOW_TOLD, "clock_offset_sigma": 10.0}, late_s=10.0, satellites=150),
    "drift": Case(pointing=SLOW, told={**SLOW_TOLD, "clock_drift_sigma": DRIFT}, drift=DRIFT, satellites=150),
    "ignored": Case(pointing=SLOW, told=SLOW_TOLD, ignored=True),
    "slow-all-visible": Case(
        pointing=SLOW, conditions=EVERYTHING, told=SLOW_TOLD, limits_km={0: 0.2}, satellites=64
    ),
}
INSIDE_99 = 11.345  # chi-square of 3 degrees
PASSES = {0: "all", 2: "two passes", 3: "three or more"}


@functools.cache
def _landmarks() -> Landmarks:
    return draw_landmarks(500)


@functools.lru_cache(maxsize=1)
def _arc(seed: int) -> Truth:
    return fly_arc(seed, NOMINAL)


def solve(task: Task) -> Row:
    """Run one case of one satellite."""
    case = CASES[task.case]
    satellite = look_down(task.seed, _arc(task.seed), case.conditions, _landmarks(), case.pointing)
    passes = _rich_passes(satellite) if case.pointing.any_yaw else satellite.usable_passes
    if passes < 2:
        return not_tried(passes)
    if case.ignored:
        return _ignored(satellite, case)
    if case.late_s:
        return offset_row(satellite, ERRORS, case.options(), case.late_s)
    if case.drift:
        return drift_row(satellite, ERRORS, case.options(), case.drift)
    if case.gyro or case.pointing.any_yaw:  # the bound knows neither
        gyro = satellite.gyro(case.gyro) if case.gyro else None
        row = estimate(satellite, ERRORS, attitude_given=False, how=case.options(), gyro=gyro).as_json()
        return {**row, "usable_passes": passes}
    bound = bound_km(satellite, ERRORS, attitude_given=case.given, how=case.options())
    return estimate(
        satellite, ERRORS, attitude_given=case.given, how=case.options(), bound_km=bound
    ).as_json()


def _rich_passes(satellite: Satellite) -> int:
    """Return how many passes show at least RICH landmarks in three frames or more."""
    _, first, count = np.unique(satellite.image, return_index=True, return_counts=True)
    rich = satellite.one_pass[first[count >= RICH]]
    return int(np.sum(np.bincount(rich) >= 3)) if len(rich) else 0


def _ignored(satellite: Satellite, case: Case) -> Row:
    """Return the row of a fit that takes the nadir for exact."""
    how = case.options()
    seen = satellite.observations(ERRORS)
    solution = estimate_orbit(seen, CAMERA, options=how)
    row = {
        "status": solution.status.name, "usable_passes": satellite.usable_passes,
        "determined": False, "solved": False, "wrong": False,
    }  # fmt: skip
    if not solution.has_state:
        return row
    sightings = prepare_sightings(seen, CAMERA, None)
    used = solution.used[sightings.row]
    setup = known_of(replace(how, pointing_sigma=0.0, slow_pointing_sigma=0.0), attitude_given=False)
    t_s = solution.epoch - sightings.epoch
    x = solution.parameters()
    x[7:] = 0.0
    x = fit_orbit(sightings.select(used), t_s, x, setup, SolverOptions(tolerance=2e-3)).x
    rms = arc_rms_km(
        satellite.truth,
        lambda t: propagate(setup.forces, sightings.epoch + t_s, x[:6], float(x[6]), t - t_s).state,
    )
    return {**row, "rms_km": rms}


def judge(rows: list[Row]) -> tuple[Check, ...]:
    """Return the checks of every case, by passes."""
    checks: list[Check] = []
    for name, case in CASES.items():
        tried = of_case(rows, name)
        checks += [renamed(solvability([r for r in rows if r["case"] == name]), name), endings(name, tried)]
        for least, words in PASSES.items():
            part = [r for r in tried if r.get("rms_km") is not None and _belongs(r["usable_passes"], least)]
            checks += _figures(f"{name}, {words}", part, case.limits_km.get(least), case)
    checks.append(at_least("satellites of `slow`", len(of_case(rows, "slow")), 60))
    return (*checks, *_free(of_case(rows, "free")), *_clock(of_case(rows, "late"), of_case(rows, "drift")))


def _free(rows: list[Row]) -> tuple[Check, ...]:
    """Return the checks of attitude unknown."""
    n, solved = len(rows), sum(row["solved"] for row in rows)
    share = solved / n if n else float("nan")
    return (
        at_least("free: solved", share, 0.9, interval=wilson_interval(solved, max(n, 1))),
        at_most("free: wrong", sum(row["wrong"] for row in rows), 0),
    )


def _clock(late: list[Row], drift: list[Row]) -> tuple[Check, ...]:
    """Return the checks of a clock that is late or drifts."""
    late = [row for row in late if row["determined"] and row.get("exact_km")]
    found = np.array([row["drift_sigmas"] for row in drift if row.get("drift_sigmas") is not None])
    larger = column(late, "rms_km") / column(late, "exact_km") if late else np.array([np.nan])
    covered = np.mean(column(late, "true_time2") < INSIDE_99) if late else np.nan
    within = float(np.mean(np.abs(found) < 3.0)) if len(found) else float("nan")
    return (
        at_most(f"late by 10 s: median of error at the label over that of a right clock, {len(late)}",
                float(np.median(larger)), 1.05),
        at_least("late by 10 s: inside the 99 % ellipsoid of true time", float(covered), 0.98),
        at_least(f"drift: found within 3 sigma, of {len(found)}", within, 0.98),
    )  # fmt: skip


def renamed(check: Check, name: str) -> Check:
    """Return a check with a case before its name."""
    return replace(check, name=f"{name}: {check.name}")


def _belongs(passes: int, least: int) -> bool:
    return passes == 2 if least == 2 else passes >= least


def _figures(name: str, part: list[Row], limit: float | None, case: Case) -> list[Check]:
    label = f"{name}: median RMS of {len(part)}"
    if not part:
        return [noted(label, None)] if limit is None else [at_most(label, float("nan"), limit, unit="km")]
    rms = column(part, "rms_km")
    middle, interval = float(np.median(rms)), median_interval(rms)
    first = (
        noted(f"{label}, km", middle, interval=interval)
        if limit is None
        else at_most(label, middle, limit, unit="km", interval=interval)
    )
    part = [row for row in part if row.get("bound_km")]
    if not part:
        return [first]
    ratio, around = ratio_of_rms(part)
    return [
        first,
        noted(f"{name}: median bound, km", float(np.median(column(part, "bound_km")))),
        noted(f"{name}: RMS of error / bound", ratio, interval=around),
    ]


TASKS = tuple(
    Task(name, seed)
    for seed in range(1, max(case.satellites for case in CASES.values()) + 1)
    for name, case in CASES.items()
    if seed <= case.satellites
)
STUDY = Study(
    id="attitude",
    title="orbits under a known, constant, slowly varying and ignored pointing error",
    tasks=TASKS,
    solve=solve,
    judge=judge,
    anew=tuple(task for task in TASKS if task.seed in (5, 9)),
    recipe=f"{NOMINAL} {EVERYTHING} {ERRORS} 500",
)
REPRODUCTION = STUDY.reproduction()
