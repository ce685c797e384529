"""vinsat itself: the same refinement, and beside it nothing to covariance, and one frame more."""

import sys
import time
from pathlib import Path

import numpy as np
from problem import FORCES, load, report

from flightsw.estimate.batch import estimate_orbit
from flightsw.estimate.orbit_fit import SIZE, STATE, FitSetup, fit_orbit
from flightsw.estimate.solver import SolverOptions

NO_PRIOR = np.zeros((SIZE, SIZE))
MEAN = np.eye(SIZE)[6]


def whole(path: str) -> None:
    """From observations to an orbit with covariance, then a pass added to an orbit in hand."""
    problem = load(path)
    start = time.process_time()
    solution = estimate_orbit(problem.observations, problem.camera, attitude=problem.attitude)
    cpu_s = time.process_time() - start
    peak_mb = _peak_mb()
    seen = problem.observations
    rich = np.flatnonzero(np.bincount(seen.frame_index) >= 10)[-1]  # the last frame worth an update
    earlier = estimate_orbit(seen.subset(seen.frame_index < rich), problem.camera, attitude=problem.attitude)
    frame = seen.subset(seen.frame_index == rich)
    start = time.process_time()
    updated = estimate_orbit(frame, problem.camera, attitude=problem.attitude, prior=earlier)
    update_s = time.process_time() - start
    report(
        solution.predict(np.array([problem.observations.epoch - solution.epoch]))[0][0], cpu_s, 1,
        peak_mb=peak_mb, update_s=update_s, updated=float(updated.used.sum()),
        determined=float(solution.status.is_determined),
    )  # fmt: skip


def _peak_mb() -> float:
    """Return the largest resident memory of this process (`getrusage` counts its parent's too)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return float(status.partition("VmHWM:")[2].split()[0]) / 1024.0


def refinement(path: str) -> None:
    """From the start of all peers to the minimum."""
    problem = load(path)
    sightings = problem.sightings
    x = MEAN.copy()
    x[STATE] = problem.start
    setup = FitSetup(FORCES, STATE, MEAN, NO_PRIOR)
    start = time.process_time()
    fit = fit_orbit(sightings, 0.0, x, setup, SolverOptions(first_iteration=8, tolerance=1e-2))
    report(fit.x[:6], time.process_time() - start, fit.solver.iterations)


if __name__ == "__main__":
    (whole if sys.argv[2] == "whole" else refinement)(sys.argv[1])
