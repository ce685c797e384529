"""One frame to landmarks: classifier, detectors, gate, dense check, alignment, in that order.

A frame ends at the first pose that passes both gate and check; it is then drawn tight on
the map. Landmarks are the candidates of every detector already run that agree with that
pose, so a second region in view adds its own. "No fix" is a common and honest answer.
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from flightsw.camera.model import Camera
from flightsw.camera.project import observe
from flightsw.errors import InputError
from flightsw.vision.align import align
from flightsw.vision.catalog import Catalog
from flightsw.vision.check import DenseScore, dense_score
from flightsw.vision.cloud import Refusal, quick_refusal
from flightsw.vision.fit import Pose
from flightsw.vision.landmarks import Candidates, detect
from flightsw.vision.manifest import Acceptance
from flightsw.vision.maps import ReferenceMap
from flightsw.vision.models import Models, RegionModels
from flightsw.vision.pose import GateOptions, propose_poses
from flightsw.vision.preprocess import MODEL_CAMERA, ModelFrame, decode_model_frame, user_px_from_model
from flightsw.vision.regions import classify, likely_regions

Array = NDArray[np.float64]

AGREEMENT_PX = 4.5  # model px: between a right candidate and an aligned pose (itself good to 0.3)
PROMISING = 5.0  # contrast of the dense check from which a pose is drawn tight; chance reaches 4.9
FEWEST_LANDMARKS = 3  # that agree with an aligned pose; the gate asked for more, less tightly


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
    result = FrameResult(FrameStatus.ELSEWHERE)
    run: list[tuple[RegionModels, Candidates]] = []
    for region_id in _regions(models, frame):
        place = models.region(region_id)
        assert place.detector is not None
        assert place.entry.detector is not None
        seen = detect(place.detector, frame, threshold=place.entry.detector.threshold)
        run.append((place, seen))
        ids = tuple(each.entry.id for each, _ in run)
        here = locate(frame, seen, place.catalog, place.reference, accept=models.manifest.accept)
        if here.pose is not None:
            found = _collect(run, here.pose, camera)
            return FrameResult(FrameStatus.FIX, ids, here.inliers, here.score, here.pose, found)
        best = here if result.score is None or here.score is not None else result
        result = FrameResult(_further(result.status, here.status), ids, best.inliers, best.score)
    return result


@dataclass(frozen=True, slots=True)
class Location:
    """Where a frame was taken, by one region's candidates: pose, drawn tight on the map, or
    None and why. agrees (N,) : the candidates right by that pose; inliers of the gate;
    score of the dense check.
    """

    status: FrameStatus
    agrees: NDArray[np.bool_]
    pose: Pose | None = None
    inliers: int = 0
    score: DenseScore | None = None


def locate(
    frame: ModelFrame, seen: Candidates, catalog: Catalog, reference: ReferenceMap, *, accept: Acceptance
) -> Location:
    """Return what gate, dense check and alignment make of a detector's candidates."""
    points = catalog.p_ecef[seen.label]
    nobody = np.zeros(len(seen), dtype=np.bool_)
    best = Location(FrameStatus.NO_POSE, nobody)
    options = GateOptions(min_inliers=accept.min_inliers)
    for proposal in propose_poses(MODEL_CAMERA, seen.uv_px, points, seen.score, options=options):
        pose, score = _checked(frame, proposal.pose, reference, accept)
        agrees = nobody if pose is None else _agree(pose, seen.uv_px, points)
        if pose is not None and agrees.sum() >= FEWEST_LANDMARKS:
            return Location(FrameStatus.FIX, agrees, pose, proposal.support, score)
        if best.score is None or not score.peak <= best.score.peak:
            best = Location(FrameStatus.FAILED_CHECK, nobody, None, proposal.support, score)
    return best


def _checked(
    frame: ModelFrame, pose: Pose, reference: ReferenceMap, accept: Acceptance
) -> tuple[Pose | None, DenseScore]:
    """Return the pose drawn tight where it passes the dense check, and the better score.

    A right pose of few landmarks may lie too far off to pass: one that stands out at all
    is drawn tight first and judged again.
    """
    score = dense_score(frame, pose, reference)
    if not score.contrast >= PROMISING:
        return None, score
    aligned = align(frame, pose, reference, shift=score.shift)
    if aligned is None:
        return None, score
    if not is_accepted(accept, score):
        again = dense_score(frame, aligned.pose, reference)
        score = again if again.contrast > score.contrast else score
    return (aligned.pose if is_accepted(accept, score) else None), score


def is_accepted(accept: Acceptance, score: DenseScore) -> bool:
    """Tell whether a dense check passes the limits (NaN does not)."""
    enough = score.peak >= accept.peak and score.strength >= accept.strength
    return enough and score.contrast >= accept.contrast


def _further(one: FrameStatus, other: FrameStatus) -> FrameStatus:
    """Return which of two failures got further."""
    order = (FrameStatus.ELSEWHERE, FrameStatus.NO_POSE, FrameStatus.FAILED_CHECK)
    return max(one, other, key=order.index)


def _agree(pose: Pose, uv_px: Array, p_ecef: Array) -> NDArray[np.bool_]:
    """Tell which candidates lie where a pose puts their landmarks."""
    expected, _, _ = observe(MODEL_CAMERA, pose.cam_from_ecef, pose.r_ecef, p_ecef)
    return np.asarray(np.linalg.norm(uv_px - expected, axis=1) < AGREEMENT_PX)


def _regions(models: Models, frame: ModelFrame) -> list[str]:
    """Return the regions with a detector to try on a frame, likeliest first."""
    equipped = [place.id for place in models.manifest.region if place.detector]
    rc = models.manifest.rc
    if rc is None or models.classifier is None:
        return equipped
    probability = classify(models.classifier, frame)
    likely = likely_regions(probability, rc.classes, threshold=rc.threshold, most=len(rc.classes))
    return [region for region in likely if region in equipped][: rc.most_regions]


def _collect(run: list[tuple[RegionModels, Candidates]], pose: Pose, camera: Camera) -> Detections:
    """Return all candidates that agree with an accepted pose, as landmarks."""
    ids: list[str] = []
    regions: list[str] = []
    columns: list[Array] = []
    for place, seen in run:
        agrees = _agree(pose, seen.uv_px, place.catalog.p_ecef[seen.label])
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
