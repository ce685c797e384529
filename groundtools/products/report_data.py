"""What a report shows of a run: read from its files, none of them needed but solution.json."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flightsw.camera.load import load_camera
from flightsw.camera.model import Camera
from flightsw.errors import InputError
from flightsw.estimate.observations import Observations
from flightsw.estimate.orbit_fit import residual_and_jacobian
from flightsw.estimate.sightings import prepare_sightings
from flightsw.estimate.solution import Solution
from flightsw.files import MB, read_text
from flightsw.runtime.products import SOLUTION
from flightsw.runtime.solution_file import read_solution
from flightsw.runtime.tables import read_attitude, read_observations
from groundtools.products.comparison import rtn_axes

Array = NDArray[np.float64]

REFUSED_SIGMA = 5.0  # sightings further off than this, in sigmas of the fit, do not agree
HOURS_AHEAD = (0.0, 6.0, 24.0, 72.0)


@dataclass(frozen=True, slots=True, eq=False)
class Sighted:
    """Sightings beside the orbit: t_s (N,) past the solution's epoch, residual_px (N, 2), agrees (N,),
    place_deg (N, 2) lon, lat."""

    t_s: Array
    residual_px: Array
    agrees: NDArray[np.bool_]
    place_deg: Array


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A run's files: fields of solution.json as written, the solution, sightings where there are any."""

    fields: dict[str, Any]
    solution: Solution
    observations: Observations | None = None
    sighted: Sighted | None = None
    missing: tuple[str, ...] = field(default_factory=tuple)

    @property
    def sigma_px(self) -> float:
        """1 sigma of a sighting per axis, px."""
        value = self.fields.get("sigma_px")
        return float(value) if isinstance(value, int | float) else 1.0

    @property
    def passes(self) -> list[dict[str, Any]]:
        """The statistics of each pass, as in solution.json."""
        listed = self.fields.get("passes")
        return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def read_run(run: Path, *, camera: Path | None, attitude: Path | None) -> Run:
    """Return the run of a folder or solution.json. InputError without a state, or for broken files.

    With observations.csv beside it and a camera (`camera`, else camera.toml beside it), each
    sighting's residual is computed again.
    """
    file = run / SOLUTION if run.is_dir() else run
    solution = read_solution(file)
    fields = json.loads(read_text(file, max_bytes=4 * MB))
    beside = file.parent / "observations.csv"
    observations = read_observations(beside) if beside.is_file() else None
    lens = camera or next((p for p in (file.parent / "camera.toml",) if p.is_file()), None)
    missing = []
    if observations is None:
        missing.append("no observations.csv beside it: landmarks and residuals are left out")
    elif lens is None:
        missing.append("no camera file: give --camera to see residuals")
    if observations is None or lens is None or len(observations) == 0:
        return Run(fields, solution, observations, None, tuple(missing))
    table = read_attitude(attitude) if attitude else None
    sighted = sight(solution, observations, load_camera(lens), table)
    if fields.get("attitude", {}).get("mode") in ("given", "mixed") and table is None:
        missing.append("the run was given attitude: give --attitude to see true residuals")
    return Run(fields, solution, observations, sighted, tuple(missing))


def sight(solution: Solution, observations: Observations, camera: Camera, attitude: Any = None) -> Sighted:
    """Return the residuals of sightings beside a solution."""
    if not solution.has_state:
        raise InputError("has no state", field="r_gcrf_m")
    sightings = prepare_sightings(observations, camera, attitude)
    since = solution.epoch - observations.epoch
    residual, _ = residual_and_jacobian(sightings, solution.forces, since, solution.parameters())
    sigma = 1.4826 * float(np.nanmedian(np.abs(residual))) if np.isfinite(residual).any() else 1.0
    agrees = np.isfinite(residual).all(axis=1)
    agrees &= np.nan_to_num(np.abs(residual), nan=np.inf).max(axis=1) < REFUSED_SIGMA * max(sigma, 0.3)
    place = np.column_stack([observations.lon_deg, observations.lat_deg])[sightings.row]
    return Sighted(sightings.t_s[sightings.frame] - since, np.nan_to_num(residual), agrees, place)


def sigmas_ahead(solution: Solution) -> list[tuple[str, list[float]]]:
    """Return 1 sigma radial, along, cross and 3-D, m, at the last sighting and later."""
    times = solution.last_used_s + 3600.0 * np.array(HOURS_AHEAD)
    states, covariance = solution.predict(times)
    rows = []
    for hours, state, matrix in zip(HOURS_AHEAD, states, covariance, strict=True):
        if not np.isfinite(state).all():
            continue
        axes = rtn_axes(state[None])[0]
        turned = axes @ matrix[:3, :3] @ axes.T
        sigma = np.sqrt(np.maximum(np.diag(turned), 0.0))
        label = "at the last sighting" if hours == 0.0 else f"{hours:g} h later"
        rows.append((label, [*sigma.tolist(), float(np.sqrt(np.sum(sigma**2)))]))
    return rows
