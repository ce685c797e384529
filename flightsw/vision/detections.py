"""What an accepted pose yields: the map's patches, and landmarks that agree with it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.camera.model import Camera
from flightsw.camera.pose_fit import Pose
from flightsw.camera.project import observe
from flightsw.vision.align import Alignment
from flightsw.vision.landmarks import Candidates
from flightsw.vision.models import RegionModels
from flightsw.vision.preprocess import MODEL_CAMERA, user_px_from_model

Array = NDArray[np.float64]

AGREEMENT_PX = 4.5  # model px: between a right candidate and an aligned pose (itself good to 0.3)
MAP_SIGMA_PX = 0.25  # model px: how far maps of different sources disagree about a patch


@dataclass(frozen=True, slots=True)
class Detections:
    """Accepted landmarks of a frame.

    landmark_id (N,) text: a patch is REGION/row-column of its map's blocks, the same as long
    as the region's bounds are; region (N,) text; lon_deg, lat_deg, height (N,) WGS 84, m; uv_px (N, 2)
    of the user's full-resolution frame; confidence (N,) 0..1; sigma_px (N,) per axis,
    of the same pixels, NaN where the detector's was not measured; a patch's height is its map's.
    """

    landmark_id: list[str]
    region: list[str]
    lon_deg: Array
    lat_deg: Array
    height: Array
    uv_px: Array
    confidence: Array
    sigma_px: Array

    def __len__(self) -> int:
        return len(self.landmark_id)


def detections_of(
    place: RegionModels,
    alignment: Alignment,
    seen: list[tuple[RegionModels, Candidates]],
    camera: Camera,
) -> Detections:
    """Return the patches of an alignment on a place's map, and the landmarks that agree with its pose.

    seen : what detectors claim, right or wrong; camera : whose pixels are given.
    """
    patches = alignment.patches
    ids = [f"{place.entry.id}/{i:02d}-{j:02d}" for i, j in zip(patches.row, patches.column)]
    regions = [place.entry.id] * len(ids)
    sigma = np.hypot(patches.sigma_px, MAP_SIGMA_PX)
    peak = np.clip(patches.peak, 0.0, 1.0)
    columns = [
        np.column_stack([patches.lon_deg, patches.lat_deg, patches.height, patches.uv_px, peak, sigma])
    ]
    for other, candidates in seen:
        catalog, detector = other.catalog, other.entry.detector
        agrees = _agree(alignment.pose, candidates.uv_px, catalog.p_ecef[candidates.label])
        label = candidates.label[agrees]
        names = catalog.ids
        ids += [names[k] for k in label]
        regions += [other.entry.id] * len(label)
        lla = [catalog.lon_deg[label], catalog.lat_deg[label], catalog.height[label]]
        stated = None if detector is None else detector.sigma_model_px
        sigma = np.full(len(label), stated or np.nan)
        columns.append(np.column_stack([*lla, candidates.uv_px[agrees], candidates.score[agrees], sigma]))
    table = np.concatenate(columns)
    scale = np.sqrt(camera.fx_px * camera.fy_px) / MODEL_CAMERA.fx_px
    uv_px = user_px_from_model(camera, table[:, 3:5])
    return Detections(
        ids, regions, table[:, 0], table[:, 1], table[:, 2], uv_px, table[:, 5], table[:, 6] * scale
    )


def _agree(pose: Pose, uv_px: Array, p_ecef: Array) -> NDArray[np.bool_]:
    """Tell which candidates lie where a pose puts their landmarks."""
    expected, _, _ = observe(MODEL_CAMERA, pose.cam_from_ecef, pose.r_ecef, p_ecef)
    return np.asarray(np.linalg.norm(uv_px - expected, axis=1) < AGREEMENT_PX)
