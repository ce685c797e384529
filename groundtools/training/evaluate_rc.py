"""How good the region classifier is, on views it has not seen, along the flight path.

Whole model frames are rendered, passed through JPEG and the flight preprocessing, and
labelled like training views: one of three shows no region on purpose.
"""

from dataclasses import dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from flightsw.vision.preprocess import MODEL_CAMERA, model_frame_from_rgb, rc_input
from groundtools.landmarks.regions import REGION_IDS, REGIONS
from groundtools.training.clouds import add_clouds, cloud_thickness, draw_cover
from groundtools.training.metrics import best_thresholds, bootstrap_macro_f1, f1_per_class
from groundtools.training.radiometry import develop
from groundtools.training.rc_samples import (
    NORTHMOST_DEG,
    SOUTHMOST_DEG,
    RcSource,
    RegionLandmarks,
    frame_label,
    landmarks_seen,
)
from groundtools.training.rendered import landmarks_clear, picture, renderer, sample_view
from groundtools.training.views import Pose, cut_view, near_nadir_pose, pose_looking_at, random_attitude

VALIDATION_SEED = 80_001  # of thresholds and sigmas; the commands judge on other seeds
ELSEWHERE_PART = 0.4  # of the frames are drawn anywhere on Earth
JPEG_QUALITY = 90


@dataclass(frozen=True, slots=True)
class RcFrames:
    """inputs (N, 3, 160, 288) float32; labels (N, 17) bool."""

    inputs: NDArray[np.float32]
    labels: NDArray[np.bool_]


def draw_pose(rng: np.random.Generator) -> tuple[Pose, float]:
    """Return a pose over a region (60 %) or anywhere (half of it ocean), and its altitude, m."""
    attitude = random_attitude(rng)
    if rng.uniform() < ELSEWHERE_PART:
        lat = float(np.arcsin(rng.uniform(np.sin(np.deg2rad(-56.0)), np.sin(np.deg2rad(68.0)))))
        return near_nadir_pose(float(rng.uniform(-np.pi, np.pi)), lat, *attitude), attitude[0]
    region = REGIONS[rng.integers(len(REGIONS))]
    lon = float(np.deg2rad(rng.uniform(region.west_deg, region.east_deg)))
    lat = float(np.deg2rad(rng.uniform(region.south_deg, region.north_deg)))
    centre = np.array([MODEL_CAMERA.cx_px, MODEL_CAMERA.cy_px])
    return pose_looking_at(MODEL_CAMERA, lon, lat, centre, attitude), attitude[0]


def draw_frames(
    seed: int, count: int, landmarks: RegionLandmarks, source: RcSource, *, rendered: bool
) -> RcFrames:
    """Draw frames of one imagery, by the simulator's renderer or the quick one."""
    draw = _rendered_frame if rendered else _quick_frame
    inputs, labels = [], []
    for k in range(count):
        rgb, seen = draw(np.random.default_rng([seed, k]), landmarks, source)
        jpeg = simplejpeg.encode_jpeg(rgb, JPEG_QUALITY)
        frame = model_frame_from_rgb(simplejpeg.decode_jpeg(jpeg))
        inputs.append(rc_input(frame)[0])
        labels.append(frame_label(seen, landmarks))
    return RcFrames(np.stack(inputs), np.stack(labels) > 0.5)


def _quick_frame(
    rng: np.random.Generator, landmarks: RegionLandmarks, source: RcSource
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    pose, altitude = draw_pose(rng)
    size = (MODEL_CAMERA.height_px, MODEL_CAMERA.width_px)
    rgb = cut_view(source.sharp, MODEL_CAMERA, pose, (0, 0, size[1], size[0])).astype(np.float32)
    cover, thickness = draw_cover(rng), None
    if cover > 0.0:
        gsd_km = altitude / MODEL_CAMERA.fx_px / 1e3
        thickness = cloud_thickness(rng, size, cover, gsd_km)
        rgb = add_clouds(rng, rgb, thickness, gsd_km)
    pixels = np.clip(develop(rng, rgb) + 0.5, 0, 255).astype(np.uint8)
    return pixels, landmarks_seen(pose, landmarks, thickness)


def _rendered_frame(
    rng: np.random.Generator, landmarks: RegionLandmarks, source: RcSource
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    whole = (-180.0, SOUTHMOST_DEG, 180.0, NORTHMOST_DEG)
    elsewhere = rng.uniform() < ELSEWHERE_PART
    bounds = whole if elsewhere else REGIONS[rng.integers(len(REGIONS))].bounds_deg
    view = sample_view(renderer(), rng, source.imagery, bounds)
    seen = landmarks_clear(view, MODEL_CAMERA, landmarks.p_ecef)[2]
    return picture(renderer(), view, MODEL_CAMERA), seen


@dataclass(frozen=True, slots=True)
class RcScore:
    """Macro F1 over the 16 regions with its interval, per class, and accuracy."""

    frames: int
    elsewhere: int
    macro_f1: float
    interval: tuple[float, float]
    f1: dict[str, float]
    accuracy: float


def score(
    labels: NDArray[np.bool_], probability: NDArray[np.float64], thresholds: NDArray[np.float64]
) -> RcScore:
    """Return the figures of probabilities (N, 17) against labels (N, 17)."""
    truth, claimed = labels[:, :-1], probability[:, :-1] >= thresholds[:-1]
    f1 = f1_per_class(truth, claimed)
    return RcScore(
        frames=len(labels),
        elsewhere=int(labels[:, -1].sum()),
        macro_f1=float(np.nanmean(f1)),
        interval=bootstrap_macro_f1(truth, claimed, np.random.default_rng(0)),
        f1=dict(zip(REGION_IDS, (round(float(value), 4) for value in f1), strict=True)),
        accuracy=float((truth == claimed).all(axis=1).mean()),
    )


__all__ = ["RcFrames", "RcScore", "best_thresholds", "draw_frames", "score"]
