"""One frame to observations: two finders propose poses, one check decides.

The classifier names regions. In each, matching searches the whole map
(`flightsw.vision.match`) and, where it finds nothing, the region's detector proposes what
its landmarks agree on (`flightsw.camera.pose_gate`). Every proposal is drawn tight and judged
alike (`flightsw.vision.settle`); a frame ends at the first that is accepted. Places that
the classifier does not know are tried after the regions. Observations are the map's own
patches, and the landmarks of every detector already run that agree with the pose.
"No fix" is a common and honest answer.
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from flightsw.camera.model import Camera
from flightsw.camera.pose_fit import Pose
from flightsw.camera.pose_gate import GateOptions, propose_poses
from flightsw.errors import InputError
from flightsw.vision.check import DenseScore
from flightsw.vision.cloud import Refusal, quick_refusal
from flightsw.vision.detections import Detections, detections_of
from flightsw.vision.landmarks import Candidates, detect
from flightsw.vision.match import FrameSearch, match_place
from flightsw.vision.match_blocks import improve
from flightsw.vision.models import Models, RegionModels
from flightsw.vision.preprocess import MODEL_CAMERA, ModelFrame, decode_model_frame
from flightsw.vision.regions import classify, likely_regions
from flightsw.vision.settle import Verdict, mounting_of, settle
from flightsw.vision.track import Expectation, follow, maps_in_view

Array = NDArray[np.float64]

MOST_UNCLASSED = 8  # places the classifier does not know, tried in a frame
LD_PIXEL_SIGMA = 2.0  # model px, of a block around a detector's pose


class FrameStatus(Enum):
    """What became of a frame; the value is the sentence for a human."""

    FIX = "landmarks found, and the whole frame agrees with the map"
    BLACK = Refusal.BLACK.value
    SATURATED = Refusal.SATURATED.value
    CLOUD = Refusal.CLOUD.value
    ELSEWHERE = "no region of the models seems to be in view"
    NO_POSE = "no pose explains enough of the frame"
    FAILED_CHECK = "a pose was found, but the frame does not look like the map there"
    UNREADABLE = "the file cannot be read as a frame of this camera"
    FAILED = "the program failed on this frame"


class Finder(Enum):
    """Who proposed a pose."""

    MATCH = "the whole frame, matched with the map"
    LANDMARKS = "the detector's landmarks"
    TRACKING = "the predicted pose"


ALL_FINDERS = (Finder.TRACKING, Finder.MATCH, Finder.LANDMARKS)


@dataclass(frozen=True, slots=True)
class FrameResult:
    """What was found in one frame, and why not more.

    regions : tried, in order; inliers : blocks or landmarks that support the best pose;
    score : of its dense check; pose : accepted one; finder : who proposed it; detections :
    None without a fix; detail : of an unreadable file.
    """

    status: FrameStatus
    regions: tuple[str, ...] = ()
    inliers: int = 0
    score: DenseScore | None = None
    pose: Pose | None = None
    finder: Finder | None = None
    detections: Detections | None = None
    detail: str = ""


def find_landmarks(
    models: Models,
    jpeg: bytes,
    camera: Camera,
    *,
    file: object = "",
    finders: tuple[Finder, ...] = ALL_FINDERS,
    expected: Expectation | None = None,
) -> FrameResult:
    """Return the landmarks of a JPEG taken by `camera`. A bad JPEG is a result, not an error."""
    try:
        frame = decode_model_frame(jpeg, camera, file=file)
    except InputError as error:
        return FrameResult(FrameStatus.UNREADABLE, detail=error.problem)
    return search_frame(models, frame, camera, finders=finders, expected=expected)


def search_frame(
    models: Models,
    frame: ModelFrame,
    camera: Camera,
    *,
    finders: tuple[Finder, ...] = ALL_FINDERS,
    expected: Expectation | None = None,
) -> FrameResult:
    """Return the landmarks of a model frame; pixels are given for `camera`.

    expected : where it should have been taken, if that is known: the maps in view there are
    tried first. With `finders` of TRACKING alone nothing else is.
    """
    refusal = quick_refusal(frame)
    if refusal is not None:
        return FrameResult(FrameStatus[refusal.name])
    looker = _Looker(models, FrameSearch(frame, mounting_of(camera)), expected)
    result = FrameResult(FrameStatus.ELSEWHERE)
    if expected is not None and Finder.TRACKING in finders:
        near = maps_in_view(models.manifest.region, expected.pose)
        result = _first_accepted(models, looker, near, (Finder.TRACKING,), camera)
    lost = tuple(finder for finder in finders if finder is not Finder.TRACKING)
    if result.detections is not None or not lost:
        return result
    return _first_accepted(models, looker, _regions(models, frame, lost), lost, camera)


def _first_accepted(
    models: Models, looker: "_Looker", regions: list[str], finders: tuple[Finder, ...], camera: Camera
) -> FrameResult:
    """Return what the first region with an accepted pose gives, else the best failure."""
    best = FrameResult(FrameStatus.ELSEWHERE)
    tried: tuple[str, ...] = ()
    for region_id in regions:
        tried = (*tried, region_id)
        here = looker.look(models.region(region_id), finders)
        if here.verdict is not None and here.verdict.alignment is not None:
            found = detections_of(here.region, here.verdict.alignment, looker.seen, camera)
            pose, score = here.verdict.alignment.pose, here.verdict.score
            return FrameResult(FrameStatus.FIX, tried, here.support, score, pose, here.finder, found)
        score = None if here.verdict is None else here.verdict.score
        status = _further(best.status, here.status)
        if best.score is None or (score is not None and score.contrast > best.score.contrast):
            best = FrameResult(status, tried, here.support, score)
        else:
            best = FrameResult(status, tried, best.inliers, best.score)
    return best


@dataclass(frozen=True, slots=True)
class Look:
    """What one region made of a frame: verdict on its last proposal (None: there was none)."""

    region: RegionModels
    status: FrameStatus
    verdict: Verdict | None = None
    support: int = 0
    finder: Finder | None = None


class _Looker:
    """One frame, looked at by one region after the other; keeps what detectors have seen."""

    def __init__(self, models: Models, search: FrameSearch, expected: Expectation | None) -> None:
        self._models, self._search, self._expected = models, search, expected
        self.seen: list[tuple[RegionModels, Candidates]] = []

    def look(self, place: RegionModels, finders: tuple[Finder, ...]) -> Look:
        """Return the first accepted pose of a region's finders, or the last that was refused."""
        best = Look(place, FrameStatus.NO_POSE)
        for finder in finders:
            for pose, support in self._proposals(finder, place):
                verdict = self._settle(place, finder, pose)
                if verdict.alignment is not None:
                    return Look(place, FrameStatus.FIX, verdict, support, finder)
                if best.verdict is None or verdict.score is not None:
                    best = Look(place, FrameStatus.FAILED_CHECK, verdict, support, finder)
        return best

    def _proposals(self, finder: Finder, place: RegionModels) -> list[tuple[Pose, int]]:
        if finder is Finder.MATCH:
            bank = self._models.bank(place.entry.id)
            return [(one.pose, one.blocks) for one in match_place(self._search, bank, place.reference)]
        if finder is Finder.TRACKING:
            assert self._expected is not None
            search = self._search
            near = follow(search.features, self._expected, place.reference, search.mounting)
            return [(one.pose, one.blocks) for one in near]
        if place.entry.detector is None:
            return []
        network = self._models.detector(place.entry.id)
        seen = detect(network, self._search.frame, threshold=place.entry.detector.threshold)
        self.seen.append((place, seen))
        points = place.catalog.p_ecef[seen.label]
        options = GateOptions(min_inliers=self._models.manifest.accept.min_inliers)
        gated = propose_poses(MODEL_CAMERA, seen.uv_px, points, seen.score, options=options)
        return [(proposal.pose, proposal.support) for proposal in gated]

    def _settle(self, place: RegionModels, finder: Finder, pose: Pose) -> Verdict:
        mounting, accept = self._search.mounting, self._models.manifest.accept
        if finder is Finder.LANDMARKS:  # a few landmarks place a frame to tens of km: blocks draw it in
            prior = mounting.prior(LD_PIXEL_SIGMA)
            support = improve(self._search.features, pose, place.reference, prior=prior)
            if support is None:
                return Verdict(None, None)
            pose = support.pose
        return settle(self._search.frame, pose, place.reference, mounting, accept)


def _further(one: FrameStatus, other: FrameStatus) -> FrameStatus:
    """Return which of two failures got further."""
    order = (FrameStatus.ELSEWHERE, FrameStatus.NO_POSE, FrameStatus.FAILED_CHECK)
    return max(one, other, key=order.index)


def _regions(models: Models, frame: ModelFrame, finders: tuple[Finder, ...]) -> list[str]:
    """Return the places to try on a frame: the classifier's, likeliest first, then those it does not know."""
    able = [
        place.id
        for place in models.manifest.region
        if (Finder.MATCH in finders and place.when_lost) or place.detector
    ]
    rc = models.manifest.rc
    if rc is None or models.classifier is None:
        return able
    probability = classify(models.classifier, frame)
    likely = likely_regions(probability, rc.classes, threshold=rc.threshold, most=len(rc.classes))
    unclassed = [region for region in able if region not in rc.classes]
    return [region for region in likely if region in able][: rc.most_regions] + unclassed[:MOST_UNCLASSED]
