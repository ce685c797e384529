"""`vinsat reproduce calibrate`: the camera from 20 simulated passes, in 100 cases.

A case: arcs of 6 h of random satellites under full forces until 20 passes are seen; a camera
whose focal length is off by 0.3 %, its mounting by 0.2 deg per axis and its k1 by 0.01 (1
sigma); a star tracker of 0.003 deg; detections good to 2 px with 2 % of the frames bad; a
catalogue good to 20 m. The calibration is told the nominal camera, the attitude and the
detections. Cases are stored as they are made.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from flightsw.astro.geodesy import ecef_from_lla
from flightsw.camera.model import Camera
from flightsw.camera.pose_fit import rotation_from_vector
from flightsw.camera.quaternion import quaternion_from_rotation
from flightsw.estimate.observations import AttitudeTable, Observations
from groundtools.calibration.inputs import FORCES, ArcFile, landmarks_of, started
from groundtools.calibration.joint import Beliefs, calibrate
from groundtools.registry import Check, at_least, at_most, noted
from groundtools.statistics import wilson_interval
from vinsat_sim.measurement.conditions import CAMERA, Conditions, Landmarks, draw_landmarks
from vinsat_sim.measurement.detector import white
from vinsat_sim.measurement.satellite import PointingErrors, Satellite, fly
from vinsat_sim.measurement.study import Row, Study, Task

CASES, PASSES = 100, 20
TRACKER = float(np.radians(0.003))
NOISE_PX, BAD_SHARE, CATALOGUE_M = 2.0, 0.02, 20.0
FOCAL, MOUNTING, K1 = 3e-3, float(np.radians(0.2)), 0.01
CONDITIONS = Conditions()  # the defaults of all campaigns: 500 landmarks a region, an image every 10 s
BEFORE = Beliefs()


def true_camera(rng: np.random.Generator) -> tuple[Camera, np.ndarray]:
    """Return the camera as it is, and what the calibration is to find (5,)."""
    truth = np.concatenate(
        [MOUNTING * rng.standard_normal(3), FOCAL * rng.standard_normal(1), K1 * rng.standard_normal(1)]
    )
    turn = rotation_from_vector(truth[None, :3])[0]
    scale = 1.0 + truth[3]
    return replace(
        CAMERA, fx_px=CAMERA.fx_px * scale, fy_px=CAMERA.fy_px * scale,
        distortion=(truth[4], 0.0, 0.0, 0.0, 0.0), cam_from_body=CAMERA.cam_from_body @ turn,
    ), truth  # fmt: skip


def attitude_table(satellite: Satellite, camera: Camera, rng: np.random.Generator) -> AttitudeTable:
    """Return what the star tracker says, turned into the camera by the nominal mounting."""
    body = camera.cam_from_body.T @ satellite.cam_from_ecef @ satellite.truth.ecef_from_eci
    noise = rotation_from_vector(TRACKER * rng.standard_normal((len(body), 3)))
    q = quaternion_from_rotation(CAMERA.cam_from_body @ noise @ body)
    return AttitudeTable(satellite.truth.epoch, satellite.truth.t_s, q, np.full(len(q), TRACKER))


def published(landmarks: Landmarks, rng: np.random.Generator) -> Landmarks:
    """Return the catalogue: places that are off by CATALOGUE_M per axis."""
    lat, lon = np.radians(landmarks.lat_deg), np.radians(landmarks.lon_deg)
    off = CATALOGUE_M * rng.standard_normal((2, len(lat))) / 6.371e6
    lat, lon = lat + off[0], lon + off[1] / np.cos(lat)
    return Landmarks(np.degrees(lon), np.degrees(lat), ecef_from_lla(lat, lon))


def arc_file(satellite: Satellite, camera: Camera, catalogue: Landmarks, rng: np.random.Generator) -> ArcFile:
    """Return an arc's observations, by the catalogue, and attitude."""
    seen = satellite.observations(white(NOISE_PX, bad_share=BAD_SHARE))
    told = seen.landmark_id.astype(int)
    observations = Observations.build(
        epoch=seen.epoch, t_s=seen.t_s, landmark_id=seen.landmark_id, lon_deg=catalogue.lon_deg[told],
        lat_deg=catalogue.lat_deg[told], height_m=np.zeros(len(told)), uv_px=seen.uv_px,
        sigma_px=np.full(len(told), NOISE_PX),
    )  # fmt: skip
    return ArcFile(f"arc {satellite.seed}", observations, attitude_table(satellite, camera, rng))


def drawn(seed: int, passes: int = PASSES) -> tuple[list[ArcFile], np.ndarray]:
    """Return a case's arcs and the truth (5,)."""
    rng = np.random.default_rng([seed, 44])
    camera, truth = true_camera(rng)
    landmarks = draw_landmarks(CONDITIONS.landmarks_per_region, seed=seed)
    catalogue = published(landmarks, rng)
    files: list[ArcFile] = []
    left, k = passes, 0
    while left > 0:
        satellite = fly(100 * seed + k, CONDITIONS, landmarks, PointingErrors(constant_deg=0.3), camera)
        k += 1
        if satellite.usable_passes < 2:  # one pass alone determines no orbit
            continue
        satellite = satellite.subset(satellite.one_pass < left)
        left -= int(satellite.one_pass[-1]) + 1
        files.append(arc_file(satellite, camera, catalogue, rng))
    return files, truth


def solve(task: Task) -> Row:
    """Run one case."""
    files, truth = drawn(task.seed)
    landmarks = landmarks_of(files)
    arcs = [arc for file in files if (arc := started(file, CAMERA, landmarks, BEFORE)[0]) is not None]
    if not arcs:
        return {"status": "no arc has an orbit"}
    found = calibrate(arcs, landmarks.p_ecef, CAMERA, forces=FORCES, before=BEFORE)
    error, sigma = found.shared - truth, found.sigma
    row: dict[str, Any] = {
        "status": "CONVERGED" if found.converged else "NOT_CONVERGED",
        "passes": found.passes,
        "left_out": len(found.left_out),
        "mounting_error_deg": np.degrees(error[:3]).tolist(),
        "mounting_sigma_deg": np.degrees(sigma[:3]).tolist(),
        "focal_error_percent": 100.0 * error[3],
        "focal_sigma_percent": 100.0 * sigma[3],
        "k1_error": error[4],
        "k1_sigma": sigma[4],
        "within_3_sigma": bool(np.all(np.abs(error) < 3.0 * sigma)),
    }
    return row


def judge(rows: list[Row]) -> tuple[Check, ...]:
    """Return the checks of the stored cases."""
    done = [row for row in rows if "mounting_error_deg" in row]
    n = max(len(rows), 1)
    tilt = np.array([np.max(np.abs(row["mounting_error_deg"])) for row in done])
    focal = np.array([abs(row["focal_error_percent"]) for row in done])
    good = int(np.sum((tilt < 0.005) & (focal < 0.02))) if done else 0
    inside = sum(row["within_3_sigma"] for row in done)
    return (
        noted("cases", len(rows)),
        at_most("95th percentile of the mounting's error per axis", _p95(tilt), 0.005, unit="deg"),
        at_most("95th percentile of the focal length's error", _p95(focal), 0.02, unit="%"),
        noted("share of cases within both", good / n, interval=wilson_interval(good, n)),
        at_least("share inside 3 sigma, all five", inside / n, 0.97, interval=wilson_interval(inside, n)),
    )


def _p95(values: np.ndarray) -> float:
    return float(np.percentile(values, 95.0)) if values.size else float("nan")


STUDY = Study(
    id="calibrate",
    title="the camera from 20 passes: mounting, focal length, distortion",
    tasks=[Task("passes-20", seed) for seed in range(1, CASES + 1)],
    solve=solve,
    judge=judge,
    anew=[Task("passes-20", 1)],
    recipe=repr(
        (CASES, PASSES, TRACKER, NOISE_PX, BAD_SHARE, CATALOGUE_M, FOCAL, MOUNTING, K1, CONDITIONS, BEFORE)
    ),
)
REPRODUCTION = STUDY.reproduction()
