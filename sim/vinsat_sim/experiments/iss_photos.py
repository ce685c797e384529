"""Reproduction `iss-photos`: real photographs from the International Space Station.

38 photographs of one pass (Raspberry Pi HQ camera, focal length from its data sheet, no
calibration, mounting unknown), a map of Patagonia made from the tiles, no training. The
station's element set is the judge, and nothing else sees it:
    blind       mounting level, its tilt left free (10 deg): which photographs are found at all
    one mount   the mounting those fixes imply themselves, all photographs again, with neighbours
    calibrated  the mounting from the true positions of every second right photograph: where
                does it put the station in the others?
Right: with the station at its true position and the camera turned freely, the frame's
observations fit to 3 km on the ground (median).
"""

import csv
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import ecef_from_lla, lla_from_ecef
from flightsw.astro.rotation import OMEGA_EARTH
from flightsw.camera.model import Camera
from flightsw.camera.nadir import body_from_ecef_nadir
from flightsw.camera.pose_fit import Fit, Pose, Prior
from flightsw.camera.project import ray_from_pixel
from flightsw.errors import InputError
from flightsw.runtime.csv_cells import parse_time
from flightsw.runtime.frame_times import read_frame_times
from flightsw.runtime.tracking import Fix, beside
from flightsw.vision.finder import ALL_FINDERS, FrameResult, find_landmarks
from flightsw.vision.models import Models
from flightsw.vision.preprocess import MODEL_CAMERA
from flightsw.vision.settle import mounting_of
from groundtools.imagery import open_imagery
from groundtools.imagery.shared import shared_data_dir
from groundtools.registry import Check, Reproduction, Scale, at_least, at_most, noted
from vinsat_sim.experiments.matching import models_of
from vinsat_sim.experiments.unseen_source import TILES

Array = NDArray[np.float64]

CAMERA = Camera(2028, 1520, 1613.0, 1613.0, 1014.0, 760.0)  # 5 mm lens, 1.55 um pixels, halved
PATAGONIA_DEG = (-77.0, -52.0, -62.0, -41.0)
LAND_FROM = "2026-04-30T16:38:00Z"  # before it there is only the sea
RIGHT_M = 3e3
LEAST_RIGHT = 5
SUBPOINT_KM = 10.0
TIGHT = float(np.deg2rad(0.05))  # rad: a calibrated mounting


@dataclass(frozen=True, slots=True)
class Photo:
    """One photograph: file name, time (s past the first), JPEG, and the true state, ecef, m, m/s."""

    name: str
    t_s: float
    jpeg: bytes
    r_true: Array
    v_true: Array
    is_sea: bool


def run(scale: Scale) -> tuple[Check, ...]:
    """Look at all photographs in the ways of the module's head."""
    folder = _folder()
    photos = read_photos(folder)
    tiles = open_imagery(str(folder.parent.joinpath(*TILES)))
    with models_of({"PATAGON": (PATAGONIA_DEG, [tiles])}) as models:
        blind = sweep(models, photos, CAMERA)
        found = {k: one for k, one in blind.items() if one.pose is not None}
        mounted = replace(CAMERA, cam_from_body=implied_mounting(photos, found)) if len(found) > 1 else CAMERA
        mount = sweep(models, photos, mounted)
    fixed = {k: one for k, one in mount.items() if one.pose is not None}
    miss = {k: ground_miss(photos[k], one) for k, one in fixed.items()}
    right = sorted(k for k, value in miss.items() if value <= RIGHT_M)
    off_km = calibrated_misses(photos, fixed, right)
    tilt = float(np.degrees(np.arccos(np.clip(mounted.cam_from_body[2, 2], -1.0, 1.0))))
    return (
        at_least("photographs_located_right", len(right), LEAST_RIGHT),
        at_most("photographs_located_wrong", len(fixed) - len(right), 0),
        at_most("fixes_over_the_sea", sum(photos[k].is_sea for k in fixed), 0),
        at_most(
            "subpoint_error_calibrated_km", float(np.median(off_km)) if off_km else float("nan"), SUBPOINT_KM
        ),
        noted("photographs", len(photos)),
        noted("found_blind", len(found)),
        noted("implied_mounting_off_nadir_deg", tilt),
        noted(
            "largest_miss_of_a_right_photograph_km", max((miss[k] for k in right), default=float("nan")) / 1e3
        ),
        *_motion(photos, fixed, right),
    )


def _motion(photos: list[Photo], fixed: dict[int, FrameResult], right: list[int]) -> tuple[Check, ...]:
    """Return altitude, ground-fixed speed and the truth's, from the fixes alone."""
    poses = [(k, fixed[k].pose) for k in right]
    if len(poses) < 2:
        return ()
    (a, first), (b, last) = poses[0], poses[-1]
    assert first is not None
    assert last is not None
    speed = float(np.linalg.norm(last.r_ecef - first.r_ecef)) / (photos[b].t_s - photos[a].t_s)
    true = float(np.linalg.norm(photos[b].r_true - photos[a].r_true)) / (photos[b].t_s - photos[a].t_s)
    altitude = float(np.median([pose.altitude for _, pose in poses if pose is not None])) / 1e3
    true_altitude = float(np.median([lla_from_ecef(photos[k].r_true)[2] for k in right])) / 1e3
    return (
        noted("altitude_km", altitude),
        noted("true_altitude_km", true_altitude),
        noted("speed_over_ground_km_s", speed / 1e3),
        noted("true_speed_over_ground_km_s", true / 1e3),
    )


def sweep(models: Models, photos: list[Photo], camera: Camera) -> dict[int, FrameResult]:
    """Return what is found in every photograph, forwards, then beside fixes backwards."""
    results: dict[int, FrameResult] = {}
    for order in (range(len(photos)), range(len(photos) - 1, -1, -1)):
        fixes = [Fix(photos[k].t_s, one.pose) for k, one in results.items() if one.pose is not None]
        for k in order:
            if k in results and results[k].pose is not None:
                continue
            expected = beside(fixes, photos[k].t_s, camera)
            if k in results and expected is None:
                continue
            results[k] = find_landmarks(
                models, photos[k].jpeg, camera, finders=ALL_FINDERS, expected=expected
            )
            pose = results[k].pose
            if pose is not None:
                fixes.append(Fix(photos[k].t_s, pose))
    return results


def implied_mounting(photos: list[Photo], found: dict[int, FrameResult]) -> Array:
    """Return cam_from_body (3, 3) that the fixes themselves imply: nadir below, motion between them."""
    keys = sorted(found)
    poses = [found[k].pose for k in keys]
    r = np.array([pose.r_ecef for pose in poses if pose is not None])
    span = photos[keys[-1]].t_s - photos[keys[0]].t_s
    velocity = (r[-1] - r[0]) / span + np.cross(OMEGA_EARTH, r.mean(axis=0))
    return _mean_rotation(
        [pose.cam_from_ecef @ body_from_ecef_nadir(pose.r_ecef, velocity).T for pose in poses if pose]
    )


def calibrated_misses(photos: list[Photo], fixed: dict[int, FrameResult], right: list[int]) -> list[float]:
    """Return how far, km, the sub-satellite points of every second right photograph lie from the
    truth when the mounting comes from the true positions of the others.
    """
    if len(right) < 2:
        return []
    mounting = _mean_rotation(
        [
            turned_freely(photos[k], fixed[k]) @ body_from_ecef_nadir(photos[k].r_true, photos[k].v_true).T
            for k in right[::2]
        ]
    )
    camera = replace(CAMERA, cam_from_body=mounting)
    misses = []
    for k in right[1::2]:
        pose = _held(fixed[k], camera)
        (lat, lon, _), (true_lat, true_lon, _) = lla_from_ecef(pose.r_ecef), lla_from_ecef(photos[k].r_true)
        below = ecef_from_lla(np.array([lat, true_lat]), np.array([lon, true_lon]))
        misses.append(float(np.linalg.norm(below[0] - below[1])) / 1e3)
    return misses


def _held(result: FrameResult, camera: Camera) -> Pose:
    """Return the pose of a fix when the mounting is known: tilt held, the rest fitted."""
    uv_px, p_ecef = _seen(result)
    assert result.pose is not None
    start = result.pose
    prior = Prior(pixel_sigma=1.0, tilt_sigma=TIGHT, down_cam=mounting_of(camera).down_cam)
    fit = Fit(MODEL_CAMERA, uv_px, p_ecef, start.r_ecef[None], start.cam_from_ecef[None])
    for _ in range(12):
        fit.step(fit.residual_px() < 12.0, prior)
    return Pose(fit.r_ecef[0], fit.cam_from_ecef[0])


def ground_miss(photo: Photo, result: FrameResult) -> float:
    """Return the median miss, m, on the ground with the station at its true position."""
    uv_px, p_ecef = _seen(result)
    rays = ray_from_pixel(MODEL_CAMERA, uv_px) @ turned_freely(photo, result)
    towards = p_ecef - photo.r_true
    distance = np.linalg.norm(towards, axis=1)
    angle = np.linalg.norm(np.cross(rays, towards / distance[:, None]), axis=1)
    return float(np.median(angle * distance))


def turned_freely(photo: Photo, result: FrameResult) -> Array:
    """Return cam_from_ecef that fits a frame's observations from the station's true position (Kabsch)."""
    uv_px, p_ecef = _seen(result)
    rays = ray_from_pixel(MODEL_CAMERA, uv_px)
    towards = p_ecef - photo.r_true
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    weight = np.ones(len(rays))
    rotation = np.eye(3)
    for _ in range(5):  # reweighted: relief and clouds leave outliers
        u, _, vt = np.linalg.svd((rays * weight[:, None]).T @ towards)
        rotation = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
        off = np.linalg.norm(rays - towards @ rotation.T, axis=1)
        weight = 1.0 / np.maximum(off, 1e-3)
    return rotation


def _seen(result: FrameResult) -> tuple[Array, Array]:
    """Return the observations' pixels in the model frame (N, 2) and ground points (N, 3)."""
    found = result.detections
    assert found is not None
    uv_px = (found.uv_px - [CAMERA.cx_px, CAMERA.cy_px]) * (MODEL_CAMERA.fx_px / CAMERA.fx_px)
    uv_px += [MODEL_CAMERA.cx_px, MODEL_CAMERA.cy_px]
    return uv_px, ecef_from_lla(np.deg2rad(found.lat_deg), np.deg2rad(found.lon_deg), found.height)


def _mean_rotation(rotations: list[Array]) -> Array:
    u, _, vt = np.linalg.svd(np.sum(rotations, axis=0))
    return np.asarray(u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt)


def read_photos(folder: Path) -> list[Photo]:
    """Return the photographs of the folder with the station's true states beside them."""
    files = read_frame_times(folder)
    with open(folder / "telemetry.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    start = files[0].epoch
    t = np.array([parse_time(row["time_utc"]) - start for row in rows])
    lat, lon, height = (
        np.array([float(row[f"iss_{key}"]) for row in rows]) for key in ("lat_deg", "lon_deg", "alt_km")
    )
    r = ecef_from_lla(np.deg2rad(lat), np.deg2rad(lon), height * 1e3)
    land = parse_time(LAND_FROM) - start

    def at(t_s: float) -> Array:
        return np.array([np.interp(t_s, t, axis) for axis in r.T])

    photos = []
    for file in files:
        t_s = file.epoch - start
        here = at(t_s)
        over_ground = (at(t_s + 10.0) - at(t_s - 10.0)) / 20.0
        inertial = over_ground + np.cross(OMEGA_EARTH, here)
        photos.append(Photo(file.path.name, t_s, file.path.read_bytes(), here, inertial, t_s < land))
    return photos


def _folder() -> Path:
    shared = shared_data_dir()
    folder = None if shared is None else shared / "iss"
    if folder is None or not (folder / "frames.csv").is_file():
        raise InputError("the photographs are not at hand: skipped", fix="name their folder by VINSAT_DATA")
    return folder


REPRODUCTION = Reproduction(
    id="iss-photos",
    title="Real photographs from the Space Station: where was the camera?",
    run=run,
    seeds=lambda scale: (),
)
