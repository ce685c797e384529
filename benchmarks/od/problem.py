"""The orbit problem that all peers of `vinsat bench od` solve, read from one file.

A peer is a script of this folder, run by the interpreter of its own environment as
`python PEER.py PROBLEM.npz`. It prints one JSON object: the state it ends at, the processor
time of the solve alone, its iterations or evaluations. Residuals, forces and start are the
same for all: whitened pixels of landmarks, 20x20 gravity, six unknowns [r; v] at the
epoch, in km and m/s so that each is of order one.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.forces import Forces
from flightsw.astro.propagate import propagate
from flightsw.astro.time import Epoch
from flightsw.camera.model import Camera
from flightsw.estimate.observations import AttitudeTable, Observations
from flightsw.estimate.orbit_fit import SIZE, UNIT, residual_and_jacobian
from flightsw.estimate.residuals import camera_residual
from flightsw.estimate.sightings import Sightings, prepare_sightings

Array = NDArray[np.float64]

FORCES = Forces(degree=20, drag=False)
STATE_UNIT = UNIT[:6]
ENOUGH = 1e-3  # everybody may stop where the cost will hardly fall by this share


@dataclass(frozen=True, slots=True)
class OdProblem:
    """What was seen, and where to start: start (6,) eci, m and m/s, at the epoch."""

    observations: Observations
    attitude: AttitudeTable
    camera: Camera
    start: Array
    sigma_px: float

    @property
    def sightings(self) -> Sightings:
        """The observations, ready for fitting."""
        return prepare_sightings(self.observations, self.camera, self.attitude)


def load(path: str) -> OdProblem:
    """Read a problem."""
    with np.load(path) as file:
        part = {name: file[name] for name in file.files}
    epoch = Epoch.from_utc(str(part["epoch_utc"]))
    observations = Observations.build(
        epoch=epoch,
        **{name: part[name] for name in ("t_s", "landmark_id", "lon_deg", "lat_deg", "height_m", "uv_px")},
    )
    table = AttitudeTable(
        epoch, part["attitude_t_s"], part["attitude_q"], np.full(len(part["attitude_q"]), np.nan)
    )
    width, height, fx, fy, cx, cy = part["camera"]
    camera = Camera(width_px=int(width), height_px=int(height), fx_px=fx, fy_px=fy, cx_px=cx, cy_px=cy)
    return OdProblem(observations, table, camera, part["start"], float(part["sigma_px"]))


def whitened(problem: OdProblem, sightings: Sightings) -> Callable[[Array], tuple[Array, Array]]:
    """Return a function of z (6,) that gives residuals (2 N,) and their Jacobian (2 N, 6)."""

    def at(z: Array) -> tuple[Array, Array]:
        e, by_x = residual_and_jacobian(sightings, FORCES, 0.0, _unknowns(z))
        rows = by_x[:, :, :6] * STATE_UNIT / problem.sigma_px
        return e.reshape(-1) / problem.sigma_px, rows.reshape(-1, 6)

    return at


def whitened_alone(problem: OdProblem, sightings: Sightings) -> Callable[[Array], Array]:
    """Return the same without a Jacobian, and without the work that one takes."""

    def at(z: Array) -> Array:
        state = propagate(FORCES, sightings.epoch, z * STATE_UNIT, 1.0, sightings.t_s).state
        found = camera_residual(
            sightings.camera, sightings.pointing, state, np.zeros(3), sightings.p_eci, sightings.uv_px,
            sightings.frame,
        )  # fmt: skip
        return np.asarray(found.e.reshape(-1) / problem.sigma_px)

    return at


def _unknowns(z: Array) -> Array:
    x = np.zeros(SIZE)
    x[:6], x[6] = z * STATE_UNIT, 1.0
    return x


def main(solve: Callable[[OdProblem, Sightings], tuple[Array, int]]) -> None:
    """Solve the problem named on the command line; print what came of it."""
    problem = load(sys.argv[1])
    sightings = problem.sightings
    start = time.process_time()
    state, steps = solve(problem, sightings)
    report(state, time.process_time() - start, steps)


def report(state: Array, cpu_s: float, steps: int, **more: float) -> None:
    """Print the JSON object of a peer; state (6,) m and m/s at the epoch."""
    print(json.dumps({"state": list(state), "cpu_s": cpu_s, "steps": steps, **more}))  # noqa: T201
