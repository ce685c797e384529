"""One frame to landmarks: classifier, detectors, gate, dense check, in that order.

A frame ends at the first pose that passes both gate and check. Landmarks are then the
candidates of every detector already run that agree with that pose, so a second region
in view adds its own. "No fix" is a common and honest answer.
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from flightsw.camera.model import Camera
from flightsw.camera.project import observe
from flightsw.errors import InputError
from flightsw.vision.check import DenseScore, dense_score
from flightsw.vision.cloud import Refusal, quick_refusal
from flightsw.vision.landmarks import Candidates, detect
from flightsw.vision.models import Models, RegionModels
from flightsw.vision.pose import GateOptions, Pose, Proposal, propose_poses
from flightsw.vision.preprocess import MODEL_CAMERA, ModelFrame, decode_model_frame, user_px_from_model
from flightsw.vision.regions import classify, likely_regions

Array = NDArray[np.float64]


class FrameStatus(Enum):
    """What became of a frame; the value is the sentence for a human."""

    FIX = "landmarks found, and the whole frame agrees with the map"
    BLACK = Refusal.BLACK.value
    SATURATED = Refusal.SATURATED.value
    CLOUD = Refusal.CLOUD.value
    ELSEWHERE = "no region with a detector seems to be in view"
    NO_POSE = "no pose explains enough landmarks"
    FAILED_CHECK = "a pose was found, but the frame does not look like the map there"
    UNREADABLE = "the file cannot be read as a frame of this camera"
    FAILED = "the program failed on this frame"


@dataclass(frozen=True, slots=True)
class Detections:
    """Accepted landmarks of a frame.

    landmark_id, region (N,) text; lon_deg, lat_deg, height (N,) WGS 84, m; uv_px (N, 2)
    of the user's full-resolution frame; confidence (N,) 0..1; sigma_px (N,) per axis,
    of the same pixels, NaN where the detector's was not measured.
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


@dataclass(frozen=True, slots=True)
class FrameResult:
    """What was found in one frame, and why not more.

    regions : tried, in order; inliers : of the best pose; score : of its dense check;
    pose : accepted one; detections : None without a fix; detail : of an unreadable file.
    """

    status: FrameStatus
    regions: tuple[str, ...] = ()
    inliers: int = 0
    score: DenseScore | None = None
    pose: Pose | None = None
    detections: Detections | None = None
    detail: str = ""


def find_landmarks(models: Models, jpeg: bytes, camera: Camera, *, file: object = "") -> FrameResult:
    """Return the landmarks of a JPEG taken by `camera`. A bad JPEG is a result, not an error."""
    try:
        frame = decode_model_frame(jpeg, camera, file=file)
    except InputError as error:
        return FrameResult(FrameStatus.UNREADABLE, detail=error.problem)
    return search_frame(models, frame, camera)


def search_frame(models: Models, frame: ModelFrame, camera: Camera) -> FrameResult:
    """Return the landmarks of a model frame; pixels are given for `camera`."""
    refusal = quick_refusal(frame)
    if refusal is not None:
        return FrameResult(FrameStatus[refusal.name])
    status, inliers, score = FrameStatus.ELSEWHERE, 0, None
    run: list[tuple[RegionModels, Candidates]] = []
    for region_id in _regions(models, frame):
        place = models.region(region_id)
        assert place.detector is not None
        assert place.entry.detector is not None
        seen = detect(place.detector, frame, threshold=place.entry.detector.threshold)
        run.append((place, seen))
        for proposal in _propose(models, place, seen):
            dense = dense_score(frame, proposal.pose, place.reference)
            if score is None or not dense.peak <= score.peak:
                inliers, score = proposal.support, dense
            if is_accepted(models, dense):
                ids = tuple(each.entry.id for each, _ in run)
                found = _collect(run, proposal.pose, camera)
                pose = proposal.pose
                return FrameResult(FrameStatus.FIX, ids, proposal.support, dense, pose, found)
            status = FrameStatus.FAILED_CHECK
        if status is FrameStatus.ELSEWHERE:
            status = FrameStatus.NO_POSE
    return FrameResult(status, tuple(place.entry.id for place, _ in run), inliers, score)


def is_accepted(models: Models, score: DenseScore) -> bool:
    """Tell whether a dense check passes the manifest's limits (NaN does not)."""
    limits = models.manifest.accept
    enough = score.peak >= limits.peak and score.strength >= limits.strength
    return enough and score.contrast >= limits.contrast


def _regions(models: Models, frame: ModelFrame) -> list[str]:
    """Return the regions with a detector to try on a frame, likeliest first."""
    equipped = [place.id for place in models.manifest.region if place.detector]
    rc = models.manifest.rc
    if rc is None or models.classifier is None:
        return equipped
    probability = classify(models.classifier, frame)
    likely = likely_regions(probability, rc.classes, threshold=rc.threshold, most=len(rc.classes))
    return [region for region in likely if region in equipped][: rc.most_regions]


def _propose(models: Models, place: RegionModels, seen: Candidates) -> list[Proposal]:
    """Return the gate's poses for one detector's candidates."""
    options = GateOptions(min_inliers=models.manifest.accept.min_inliers)
    points = place.catalog.p_ecef[seen.label]
    return propose_poses(MODEL_CAMERA, seen.uv_px, points, seen.score, options=options)


def _collect(run: list[tuple[RegionModels, Candidates]], pose: Pose, camera: Camera) -> Detections:
    """Return all candidates that agree with an accepted pose, as landmarks."""
    ids: list[str] = []
    regions: list[str] = []
    columns: list[Array] = []
    for place, seen in run:
        points = place.catalog.p_ecef[seen.label]
        expected, _, _ = observe(MODEL_CAMERA, pose.cam_from_ecef, pose.r_ecef, points)
        agrees = np.linalg.norm(seen.uv_px - expected, axis=1) < GateOptions().radii_px[-1]
        label = seen.label[agrees]
        names = place.catalog.ids
        ids += [names[k] for k in label]
        regions += [place.entry.id] * len(label)
        lla = [place.catalog.lon_deg[label], place.catalog.lat_deg[label], place.catalog.height[label]]
        sigma = np.full(len(label), place.entry.detector.sigma_model_px or np.nan)  # type: ignore[union-attr]
        columns.append(np.column_stack([*lla, seen.uv_px[agrees], seen.score[agrees], sigma]))
    table = np.concatenate(columns)
    scale = np.sqrt(camera.fx_px * camera.fy_px) / MODEL_CAMERA.fx_px
    uv_px = user_px_from_model(camera, table[:, 3:5])
    return Detections(
        ids, regions, table[:, 0], table[:, 1], table[:, 2], uv_px, table[:, 5], table[:, 6] * scale
    )
