"""Bench `od`: orbit determination beside its peers, each in an environment of its own.

One satellite, six hours, 5,000 detections with white noise of 2 px, attitude known. First
the whole way from nothing to a covariance (the peers have no such start). Then the same
refinement by all: the same residuals, 20x20 gravity, six unknowns, from the orbit that our
search found, to the same minimum (compared by the plain sum of squares: 1e-3 apart at
most). Every time is processor time of the solve alone, in a process of its own, the least
of three. Peers: scipy.optimize.least_squares without and with the analytic Jacobian, GTSAM
(a custom factor), and brahe's batch least squares with brahe's own propagator.

The environments are made by `python benchmarks/od/make_peers.py`; a peer that is absent
fails its check.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import flightsw
from flightsw.estimate.batch import thinned
from flightsw.estimate.initial import find_orbit
from flightsw.estimate.orbit_fit import moved
from flightsw.estimate.sightings import prepare_sightings
from groundtools.registry import Bench, Check, at_least, at_most, noted
from vinsat_sim.measurement.bound import known_of
from vinsat_sim.measurement.conditions import ALL_VISIBLE, CAMERA, draw_landmarks
from vinsat_sim.measurement.detector import white
from vinsat_sim.measurement.satellite import PointingErrors, fly
from vinsat_sim.measurement.trial import options

Array = NDArray[np.float64]

ROOT = Path(flightsw.__file__).resolve().parents[1]
SCRIPTS, ENVIRONMENTS = ROOT / "benchmarks" / "od", ROOT / "build" / "peers"
SEED, DETECTIONS, NOISE_PX = 5, 5_000, 2.0
REPEATS = 3
PEERS = {  # its script's name: its environment, and how many times faster we shall be
    "scipy": ("scipy", 10.0),
    "scipy_jacobian": ("scipy", 2.0),
    "gtsam": ("gtsam", 1.0),
    "brahe": ("brahe", None),
}
WHOLE_S, WHOLE_MB, UPDATE_S, SAME_COST = 2.0, 150.0, 0.3, 1e-3


def bench() -> tuple[Check, ...]:
    """Pose the problem, let everybody solve it, compare."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problem.npz"
        pose(path)
        whole = _least(Path(sys.executable), "vinsat", path, "whole")
        ours = _least(Path(sys.executable), "vinsat", path, "refine")
        theirs = {name: _least(_python(environment), name, path) for name, (environment, _) in PEERS.items()}
        costs = {name: _cost(path, found) for name, found in {"vinsat": ours, **theirs}.items() if found}
    best = min(costs.values())
    checks = [
        at_least("from nothing: determined", whole["determined"], 1.0),
        at_most("from nothing to covariance", whole["cpu_s"], WHOLE_S, unit="s of one core"),
        at_most("from nothing: peak memory", whole["peak_mb"], WHOLE_MB, unit="MB"),
        at_least("one frame added to an orbit in hand: detections used", whole["updated"], 1.0),
        at_most("one frame added to an orbit in hand", whole["update_s"], UPDATE_S, unit="s"),
        noted("refinement: vinsat, s", ours["cpu_s"]),
        at_most("refinement: vinsat, cost over the least", costs["vinsat"] / best - 1.0, SAME_COST),
    ]
    for name, (_, faster) in PEERS.items():
        checks += _beside(name, theirs[name], faster, ours, costs.get(name, float("nan")) / best - 1.0)
    return tuple(checks)


def _beside(
    name: str, found: dict[str, Any] | None, faster: float | None, ours: dict[str, Any], excess: float
) -> list[Check]:
    if found is None:
        fix = f"python benchmarks/od/make_peers.py {PEERS[name][0]}"
        return [Check(name=f"{name}: found", value=False, passed=False, threshold=fix)]
    ratio = found["cpu_s"] / ours["cpu_s"]
    label = f"{name}: its time over ours"
    return [
        noted(label, ratio) if faster is None else at_least(label, ratio, faster),
        noted(f"{name}: s, and its steps", f"{found['cpu_s']:.3f}, {found['steps']}"),
        at_most(f"{name}: cost over the least", excess, SAME_COST),
    ]


def pose(path: Path) -> None:
    """Write the problem: what one satellite saw, and where our search begins the fit."""
    satellite = fly(SEED, ALL_VISIBLE, draw_landmarks(500), PointingErrors())
    keep = np.zeros(len(satellite.image), dtype=bool)
    keep[np.linspace(0, len(keep) - 1, DETECTIONS).astype(int)] = True
    satellite = satellite.subset(keep)
    seen, attitude = satellite.observations(white(NOISE_PX)), satellite.attitude()
    sightings = prepare_sightings(seen, CAMERA, attitude)
    rng = np.random.default_rng(SEED)
    part = thinned(sightings, rng)
    orbit = find_orbit(part, known_of(options(), attitude_given=True), rng)
    if orbit is None:
        raise RuntimeError("the search found no orbit to start the peers from")
    begin = moved(orbit.belief, sightings, options().forces, 0.0)
    np.savez(
        path,
        epoch_utc=np.str_(seen.epoch.utc_iso(digits=9)),
        t_s=seen.t_s,
        landmark_id=seen.landmark_id,
        lon_deg=seen.lon_deg,
        lat_deg=seen.lat_deg,
        height_m=seen.height_m,
        uv_px=seen.uv_px,
        attitude_t_s=attitude.t_s,
        attitude_q=attitude.q,
        camera=np.array(
            [CAMERA.width_px, CAMERA.height_px, CAMERA.fx_px, CAMERA.fy_px, CAMERA.cx_px, CAMERA.cy_px]
        ),
        start=begin.x[:6],
        sigma_px=NOISE_PX,
    )


def _python(environment: str) -> Path | None:
    path = ENVIRONMENTS / environment / "bin" / "python"
    return path if path.is_file() else None


def _least(python: Path | None, name: str, problem: Path, *how: str) -> dict[str, Any] | None:
    """Return what a peer printed in the quickest of its runs; None where it is not there."""
    if python is None:
        return None
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    runs = []
    for _ in range(REPEATS):
        command = [str(python), str(SCRIPTS / f"peer_{name}.py"), str(problem), *how]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{name}: {done.stderr.strip().splitlines()[-1]}")
        runs.append(json.loads(done.stdout.strip().splitlines()[-1]))
    return min(runs, key=lambda run: float(run["cpu_s"]))


def _cost(path: Path, found: dict[str, Any]) -> float:
    """Return the sum of squares, whitened, at the state a peer ended at."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        import problem as posed
    finally:
        sys.path.remove(str(SCRIPTS))
    one = posed.load(str(path))
    e = posed.whitened_alone(one, one.sightings)(np.array(found["state"]) / posed.STATE_UNIT)
    return float(e @ e)


OD = Bench(id="od", title="orbit determination beside scipy, GTSAM and brahe", run=bench)
