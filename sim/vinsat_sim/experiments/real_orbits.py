"""Reproduction `real-orbits`: SPOT-5 and GRACE-A as they flew, attitude known.

The truths are precise orbits of the shared data, read when they are needed (SPOT-5: CNES
and IDS, ten days, interpolated from 60 s to 10 s; GRACE-A: University of Bern, CODE, one day). The
reference camera looks to the nadir, an image every 10 s, 500 random landmarks a region,
noise of Student's t with the tails of the published detector and a scale of 2 px.
`all`: every landmark in view is seen; `day`: night, clouds and confidence take theirs. Arcs
overlap where the files are short, so they are not independent; their number is printed.
"""

import functools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.rotation import ecef_from_eci
from flightsw.astro.sun import sun_direction_eci
from flightsw.astro.time import Epoch
from flightsw.estimate.batch import estimate_orbit
from groundtools.imagery.shared import shared_data_dir
from groundtools.products.sp3 import read_sp3
from groundtools.registry import Check, Reproduction, Scale, at_most, noted
from groundtools.statistics import median_interval
from vinsat_sim.experiments.grace_a import PreciseOrbit, cut_arc, read_precise_orbit
from vinsat_sim.measurement.bound import bound_km
from vinsat_sim.measurement.conditions import ALL_VISIBLE, CAMERA, Conditions, Landmarks, draw_landmarks
from vinsat_sim.measurement.detector import PUBLISHED, DetectorErrors
from vinsat_sim.measurement.figures import column, endings, not_tried, of_case, solvability
from vinsat_sim.measurement.satellite import PointingErrors, look_down
from vinsat_sim.measurement.study import Row, Study, Task
from vinsat_sim.measurement.trial import options, scored
from vinsat_sim.truth import Truth

Array = NDArray[np.float64]

FILES = {"spot": "orbits/spot5_2010.sp3", "grace": "orbits/grace_a_2010-07-27.csv"}
STEP = 10.0  # s, between images
HOUR = 3600.0
AHEAD_S = 24 * HOUR
ERRORS = DetectorErrors(noise_px=2.0, tails=PUBLISHED.tails)
BIASED = replace(ERRORS, pass_px=1.0)
DAY = Conditions(cadence_s=STEP)
EVERYTHING = replace(ALL_VISIBLE, cadence_s=STEP)
POINTS = 10  # of the interpolating polynomial


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Arcs of `hours` from every `every_h`; passes : exactly 2, or None for two and more.

    ahead : the error 24 h beyond the arc is what counts; limits_m : of the median, and of
    the 90th percentile.
    """

    orbit: str
    hours: float
    every_h: float
    conditions: Conditions
    limits_m: tuple[float, float | None]
    errors: DetectorErrors = ERRORS
    passes: int | None = None
    ahead: bool = False
    last_h: float = 0.0  # of the starts


ALL_LIMITS, AHEAD_LIMIT = (80.0, 170.0), (1000.0, None)
CASES = {
    "spot-all": Case(
        orbit="spot", hours=6, every_h=6, last_h=232, conditions=EVERYTHING, limits_m=ALL_LIMITS
    ),
    "grace-all": Case(
        orbit="grace", hours=6, every_h=1, last_h=17.9, conditions=EVERYTHING, limits_m=ALL_LIMITS
    ),
    "spot-day": Case(
        orbit="spot", hours=6, every_h=2, last_h=232, conditions=DAY, passes=2, limits_m=(400.0, None)
    ),
    "grace-day": Case(
        orbit="grace", hours=12, every_h=0.5, last_h=11.9, conditions=DAY, limits_m=(260.0, None)
    ),
    "spot-ahead": Case(
        orbit="spot", hours=12, every_h=4, last_h=203, conditions=DAY, ahead=True, limits_m=AHEAD_LIMIT
    ),
    "spot-ahead-biased": Case(
        orbit="spot", hours=12, every_h=4, last_h=203, conditions=DAY, ahead=True, errors=BIASED,
        limits_m=(2000.0, None),
    ),
}  # fmt: skip


@functools.cache
def _landmarks() -> Landmarks:
    return draw_landmarks(500)


def _path(orbit: str) -> Path | None:
    folder = shared_data_dir()
    path = None if folder is None else folder / FILES[orbit]
    return path if path is not None and path.is_file() else None


def interpolated(values: Array, per_step: int) -> Array:
    """Return values (N, d), equal steps apart, at per_step times as many instants.

    Lagrange's polynomial through the 10 nearest: of a low orbit every 60 s good to 1 mm.
    """
    fine = np.arange((len(values) - 1) * per_step + 1) / per_step
    first = np.clip(np.floor(fine).astype(int) - POINTS // 2 + 1, 0, len(values) - POINTS)
    at = fine - first
    nodes = np.arange(POINTS)
    out = np.zeros((len(fine), values.shape[1]))
    for k in nodes:
        others = nodes[nodes != k]
        weight = np.prod((at[:, None] - others) / (k - others), axis=1)
        out += weight[:, None] * values[first + k]
    return out


@functools.cache
def _spot() -> tuple[Epoch, Array]:
    """Return the epoch and the states (N, 6), eci, every 10 s."""
    path = _path("spot")
    assert path is not None
    table = read_sp3(path.read_text(encoding="utf-8"))
    per_step = round(float(table.t_s[1] - table.t_s[0]) / STEP)
    return table.epoch, interpolated(table.state, per_step)


def arc(orbit: str, start_s: float, duration_s: float) -> Truth:
    """Return a part of a precise orbit as a truth."""
    if orbit == "spot":
        epoch, state = _spot()
        first, count = round(start_s / STEP), round(duration_s / STEP) + 1
        t_s, state = STEP * np.arange(count), state[first : first + count]
    else:
        part = cut_arc(_grace(), start_s, duration_s)
        epoch, t_s, state = _grace().epoch, part.t_s, part.state
    epoch = epoch + start_s
    rotation = np.asarray(ecef_from_eci(epoch, t_s))
    sun = np.einsum("nij,nj->ni", rotation, sun_direction_eci(epoch, t_s))
    return Truth(epoch=epoch, t_s=t_s, state_eci=state, ecef_from_eci=rotation, sun_ecef=sun)


@functools.cache
def _grace() -> PreciseOrbit:
    path = _path("grace")
    assert path is not None
    return read_precise_orbit(path)


def solve(task: Task) -> Row:
    """Run one arc of a case; the seed tells the start."""
    case = CASES[task.case]
    start, duration = task.seed * case.every_h * HOUR, case.hours * HOUR
    truth = arc(case.orbit, start, duration)
    satellite = look_down(task.seed, truth, case.conditions, _landmarks(), PointingErrors())
    passes = satellite.usable_passes
    if passes < 2 or case.passes not in (None, passes):
        return not_tried(passes)
    seen, attitude = satellite.observations(case.errors), satellite.attitude()
    solution = estimate_orbit(seen, CAMERA, attitude=attitude, options=options())
    bound = bound_km(satellite, case.errors, attitude_given=True)
    row = scored(satellite, solution, wall_s=0.0, bound_km=bound).as_json()
    if case.ahead and solution.has_state:
        t = duration + AHEAD_S
        state, _ = solution.predict(np.array([t - (solution.epoch - truth.epoch)]))
        there = arc(case.orbit, start + t, STEP).state_eci[0]
        row["ahead_km"] = float(f"{np.linalg.norm(state[0, :3] - there[:3]) / 1e3:.6g}")
    return row


def judge(rows: list[Row]) -> tuple[Check, ...]:
    """Return the checks of every case."""
    checks: list[Check] = []
    for name, case in CASES.items():
        here, tried = [row for row in rows if row["case"] == name], of_case(rows, name)
        label = f"{name}, {len(tried)} arcs of {len(here)}"
        metres = 1e3 * column(tried, "ahead_km" if case.ahead else "rms_km")
        what = "24 h beyond" if case.ahead else "RMS"
        if not len(metres):
            checks.append(at_most(f"{label}: median {what}", float("nan"), case.limits_m[0], unit="m"))
            continue
        found = solvability(here)
        checks += [
            replace(found, name=f"{name}: arcs with no / one / two or more usable passes"),
            endings(name, tried),
            at_most(
                f"{label}: median {what}", float(np.median(metres)), case.limits_m[0], unit="m",
                interval=median_interval(metres),
            ),
            noted(f"{name}: median bound of the RMS, m", float(1e3 * np.median(column(tried, "bound_km")))),
        ]  # fmt: skip
        if case.limits_m[1] is not None:
            tail = float(np.percentile(metres, 90))
            checks.append(at_most(f"{label}: 90 % are below", tail, case.limits_m[1], unit="m"))
    return tuple(checks)


TASKS = tuple(
    Task(name, k) for name, case in CASES.items() for k in range(int(case.last_h / case.every_h) + 1)
)
STUDY = Study(
    id="real-orbits",
    title="SPOT-5 and GRACE-A, attitude known, 2 px Student's t",
    tasks=TASKS,
    solve=solve,
    judge=judge,
    anew=(Task("spot-all", 3), Task("grace-all", 5), Task("spot-ahead", 0)),
    recipe=f"{CASES} 500",
)


def run(scale: Scale) -> tuple[Check, ...]:
    """Run the study; without the shared data the check fails and says why."""
    missing = [file for orbit, file in FILES.items() if _path(orbit) is None]
    if missing:
        asked = f"{', '.join(missing)} in the shared data (VINSAT_DATA)"
        return (Check(name="precise orbits found", value=False, passed=False, threshold=asked),)
    return STUDY.run(scale)


REPRODUCTION = Reproduction(id=STUDY.id, title=STUDY.title, run=run, seeds=STUDY.reproduction().seeds)
