"""Files of arcs to arcs ready for the joint fit: an orbit each, landmarks numbered together."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.propagate import Forces
from flightsw.camera.model import Camera
from flightsw.estimate.batch import EstimatorOptions, estimate_orbit
from flightsw.estimate.observations import AttitudeTable, Observations
from flightsw.estimate.sightings import prepare_sightings
from groundtools.calibration.joint import Arc, Beliefs

Array = NDArray[np.float64]

FORCES = Forces(third_body=True)


@dataclass(frozen=True, slots=True)
class ArcFile:
    """What an arc was read from."""

    name: str
    observations: Observations
    attitude: AttitudeTable


@dataclass(frozen=True, slots=True)
class Landmarks:
    """The landmarks of all arcs: landmark_id (L,), lon_deg, lat_deg, height_m (L,), p_ecef (L, 3)."""

    landmark_id: NDArray[np.str_]
    lon_deg: Array
    lat_deg: Array
    height_m: Array
    p_ecef: Array


def folder_files(folder: Path) -> tuple[Path, Path]:
    """Return the observations and attitude files of a folder."""
    return folder / "observations.csv", folder / "attitude.csv"


def landmarks_of(files: list[ArcFile]) -> Landmarks:
    """Return every landmark once. Raises ValueError, naming it, for one at two places."""
    seen: dict[str, tuple[float, float, float, Array]] = {}
    for file in files:
        o = file.observations
        for k, name in enumerate(o.landmark_id):
            place = (float(o.lon_deg[k]), float(o.lat_deg[k]), float(o.height_m[k]))
            if seen.setdefault(str(name), (*place, o.p_ecef[k]))[:3] != place:
                raise ValueError(f"landmark {name} lies at two places ({file.name})")
    names = sorted(seen)
    lon, lat, height = (np.array([seen[n][k] for n in names]) for k in range(3))
    return Landmarks(np.array(names, dtype=np.str_), lon, lat, height, np.array([seen[n][3] for n in names]))


def started(file: ArcFile, camera: Camera, landmarks: Landmarks, before: Beliefs) -> tuple[Arc | None, str]:
    """Return the arc with an orbit to start from, or None and why there is none.

    The orbit is the flight program's, told that the attitude is as bad as the mounting may be.
    Detections it rejects are left out.
    """
    table = file.attitude
    doubtful = replace(table, sigma_rad=np.full(len(table.t_s), before.mounting))
    options = EstimatorOptions(forces=FORCES, focal_sigma=before.focal)
    solution = estimate_orbit(file.observations, camera, attitude=doubtful, options=options)
    if not solution.has_state:
        return None, solution.status.value
    sightings = prepare_sightings(file.observations, camera, table)
    if sightings.pointing.is_nadir.all():
        return None, "no frame has an attitude"
    keep = solution.used[sightings.row] & ~sightings.pointing.is_nadir[sightings.frame]
    if not keep.any():
        return None, "no detection agrees with an orbit"
    sightings = sightings.select(keep)
    number = {name: k for k, name in enumerate(landmarks.landmark_id)}
    ids = file.observations.landmark_id[sightings.row]
    landmark = np.array([number[str(name)] for name in ids], dtype=np.intp)
    x = np.concatenate([solution.r_eci, solution.v_eci, [solution.drag_scale]])
    return Arc(file.name, sightings, solution.epoch - file.observations.epoch, x, landmark), ""
