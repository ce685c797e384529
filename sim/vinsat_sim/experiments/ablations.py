"""Reproductions `dynamics-ablation` and `kernel-ablation`: what hard dynamics and the kernel are worth.

Detector error model, night, clouds, confidence, an image every 5 s, six hours, attitude
known; satellites with two usable passes whose orbit was determined. Every rival starts
from our solution: what is compared is where a formulation ends, not how it begins.

dynamics : the detections our solution uses, the error (RMS over the frames with at least
three of them) of our orbit, of the thesis's eq. 7.4 (a state a frame and every 1000 s, 1 m
and 1 cm/s between them), and of every frame by itself; `span`: over all states of eq. 7.4,
those between the passes included; `grid`: there too, of eq. 7.4 with a state every 5 s.

kernel : all detections, no gate: the adaptive kernel against plain least squares, beside
the whole estimator with its gates; RMS over the arc.
"""

import functools

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.propagate import propagate
from flightsw.estimate.batch import estimate_orbit
from flightsw.estimate.orbit_fit import fit_orbit
from flightsw.estimate.sightings import Sightings, prepare_sightings
from flightsw.estimate.solution import Solution
from flightsw.estimate.solver import SolverOptions
from groundtools.registry import Check, at_least, noted
from vinsat_sim.measurement.ablations import Softness, frames_alone, least_squares, soft_dynamics
from vinsat_sim.measurement.bound import known_of
from vinsat_sim.measurement.conditions import CAMERA, Conditions, Landmarks, draw_landmarks
from vinsat_sim.measurement.detector import PUBLISHED
from vinsat_sim.measurement.figures import column, mean_interval, not_tried, of_case, solvability
from vinsat_sim.measurement.satellite import PointingErrors, Satellite, fly
from vinsat_sim.measurement.study import Row, Study, Task
from vinsat_sim.measurement.trial import arc_rms_km, options, scored

Array = NDArray[np.float64]

CONDITIONS = Conditions(cadence_s=5.0)
SOFTNESS, ON_A_GRID = Softness(), Softness(knot_s=5.0)
DYNAMICS_WORTH, KERNEL_WORTH = 3.0, 1.4
THESIS_DYNAMICS_KM = {
    "hard": None,
    "soft": 1.60,
    "alone": 6.11,
    "hard_span": None,
    "soft_span": None,
    "grid": None,
}
THESIS_KERNEL_KM = {"ours": None, "kernel": 1.60, "squares": 2.39}
ORBITS = 60
SATELLITES = 230


@functools.cache
def _landmarks() -> Landmarks:
    return draw_landmarks(500)


@functools.lru_cache(maxsize=1)
def _solved(seed: int) -> tuple[Satellite, Sightings, Solution] | int:
    """Return a satellite, what it saw and its solution; the number of usable passes where too few."""
    satellite = fly(seed, CONDITIONS, _landmarks(), PointingErrors())
    if satellite.usable_passes < 2:
        return satellite.usable_passes
    seen = satellite.observations(PUBLISHED)
    attitude = satellite.attitude()
    solution = estimate_orbit(seen, CAMERA, attitude=attitude, options=options())
    return satellite, prepare_sightings(seen, CAMERA, attitude), solution


def _row(satellite: Satellite, solution: Solution) -> Row:
    return scored(satellite, solution, wall_s=0.0, bound_km=None).as_json()


def solve_dynamics(task: Task) -> Row:
    """Run one satellite: errors at its frames by each formulation, km."""
    found = _solved(task.seed)
    if isinstance(found, int):
        return not_tried(found)
    satellite, sightings, solution = found
    row = _row(satellite, solution)
    if not solution.status.is_determined:
        return row
    sightings = sightings.select(solution.used[sightings.row])
    t_s, x = solution.epoch - sightings.epoch, solution.parameters()
    truth = satellite.truth
    times, soft = soft_dynamics(sightings, solution.forces, t_s, x, SOFTNESS)
    grid_times, grid = soft_dynamics(sightings, solution.forces, t_s, x, ON_A_GRID)
    hard = solution.predict(times - t_s)[0]
    true = truth.state_eci[np.searchsorted(truth.t_s, times - 1e-3)]
    at_frame = np.searchsorted(times, sightings.t_s)
    alone = frames_alone(sightings, hard[at_frame])
    fit = np.isfinite(alone).all(axis=1)
    errors = {
        "hard": (hard - true)[at_frame][fit],
        "soft": (soft - true)[at_frame][fit],
        "alone": alone[fit] - true[at_frame, :3][fit],
        "hard_span": hard - true,
        "soft_span": soft - true,
        "grid": (grid[np.searchsorted(grid_times, times - 1e-3)] - true),
    }
    return {**row, **{f"{name}_km": _rms_km(error[:, :3]) for name, error in errors.items()}}


def solve_kernel(task: Task) -> Row:
    """Run one satellite: errors over the arc with and without the kernel, all detections, km."""
    found = _solved(task.seed)
    if isinstance(found, int):
        return not_tried(found)
    satellite, sightings, solution = found
    row = _row(satellite, solution)
    if not solution.status.is_determined:
        return row
    t_s, x = solution.epoch - sightings.epoch, solution.parameters()
    setup = known_of(options(), attitude_given=True)
    kernel = fit_orbit(sightings, t_s, x, setup, SolverOptions(tolerance=2e-3)).x
    squares = least_squares(sightings, t_s, x, setup)
    errors = {
        f"{name}_km": arc_rms_km(
            satellite.truth,
            lambda t, x=y: propagate(setup.forces, sightings.epoch + t_s, x[:6], float(x[6]), t - t_s).state,
        )
        for name, y in (("kernel", kernel), ("squares", squares))
    }
    return {**row, "ours_km": row["rms_km"], **errors}


def _rms_km(error: Array) -> float:
    return float(f"{np.sqrt(np.mean(np.sum(error**2, axis=1))) / 1e3:.6g}")


def judge_dynamics(rows: list[Row]) -> tuple[Check, ...]:
    """Return the checks: each formulation's mean, and what dynamics are worth."""
    tried = [row for row in of_case(rows, "all") if row["determined"]]
    return (
        *_means(rows, tried, THESIS_DYNAMICS_KM),
        _worth("alone over soft (the thesis's ablation), means", tried, "alone", "soft"),
        _worth("soft over hard, means", tried, "soft", "hard"),
        _worth("soft over hard between the passes too, means", tried, "soft_span", "hard_span"),
        _worth("soft on a 5 s grid over hard, means", tried, "grid", "hard_span"),
        _worth("alone over hard, means", tried, "alone", "hard", least=DYNAMICS_WORTH),
    )


def judge_kernel(rows: list[Row]) -> tuple[Check, ...]:
    """Return the checks: each kernel's mean, and what the kernel is worth."""
    tried = [row for row in of_case(rows, "all") if row["determined"]]
    return (
        *_means(rows, tried, THESIS_KERNEL_KM),
        _worth("squares over ours, means", tried, "squares", "ours"),
        _worth("squares over kernel, means", tried, "squares", "kernel", least=KERNEL_WORTH),
    )


def _means(rows: list[Row], tried: list[Row], thesis_km: dict[str, float | None]) -> list[Check]:
    checks = [solvability(rows), at_least("determined orbits", len(tried), ORBITS)]
    for name, published in thesis_km.items():
        km = column(tried, f"{name}_km")
        mean, median = (float(f(km)) if len(km) else float("nan") for f in (np.mean, np.median))
        checks += [
            noted(f"{name}: mean RMS, km", mean, interval=mean_interval(km), thesis=published),
            noted(f"{name}: median RMS, km", median),
        ]
    return checks


def _worth(name: str, tried: list[Row], without: str, with_it: str, *, least: float | None = None) -> Check:
    """Return the ratio of the means of two columns, with its interval by resampling."""
    if not tried:
        return at_least(name, float("nan"), least or 0.0)
    above, below = column(tried, f"{without}_km"), column(tried, f"{with_it}_km")
    draws = np.random.default_rng(0).integers(len(tried), size=(2000, len(tried)))
    low, high = np.percentile(above[draws].mean(axis=1) / below[draws].mean(axis=1), [2.5, 97.5])
    ratio, interval = float(above.mean() / below.mean()), (float(low), float(high))
    if least is None:
        return noted(name, ratio, interval=interval)
    return at_least(name, ratio, least, interval=interval)


TASKS = tuple(Task("all", seed) for seed in range(1, SATELLITES + 1))
ANEW = tuple(task for task in TASKS if task.seed in (2, 5, 6))
DYNAMICS_STUDY = Study(
    id="dynamics-ablation",
    title="hard dynamics, the thesis's eq. 7.4, and no dynamics, on the same detections",
    tasks=TASKS,
    solve=solve_dynamics,
    judge=judge_dynamics,
    anew=ANEW,
    recipe=f"{CONDITIONS} {PUBLISHED} {SOFTNESS} {ON_A_GRID} 500",
)
KERNEL_STUDY = Study(
    id="kernel-ablation",
    title="the adaptive kernel against least squares, on all detections",
    tasks=TASKS,
    solve=solve_kernel,
    judge=judge_kernel,
    anew=ANEW,
    recipe=f"{CONDITIONS} {PUBLISHED} 500",
)
DYNAMICS = DYNAMICS_STUDY.reproduction()
KERNEL = KERNEL_STUDY.reproduction()
