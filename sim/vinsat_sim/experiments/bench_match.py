"""Bench `match`: how long matching takes, stage by stage, beside the detector and SIFT.

Frames over regions of the shipped models, embedded imagery, clouds in 80 %, JPEG decode
included. Each stage is timed in processor time (other work on the machine does not count)
and the median printed. SIFT + RANSAC (OpenCV; at most 3,000 features of a 620 m picture
of the region, ratio .8, similarity by RANSAC, at least 10 inliers) looks at the same
frames against the same imagery, which flatters it: map and frames are one picture.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import ecef_from_lla
from flightsw.vision.check import score_of
from flightsw.vision.finder import Finder, search_frame
from flightsw.vision.match_blocks import improve
from flightsw.vision.match_coarse import coarse_search, frame_features, turned_spectrum
from flightsw.vision.models import load_models
from flightsw.vision.preprocess import MODEL_CAMERA, decode_model_frame
from flightsw.vision.regions import classify
from flightsw.vision.settle import Mounting, settle
from flightsw.vision.track import Expectation, follow, middle_of
from groundtools import models_folder
from groundtools.imagery import open_imagery
from groundtools.landmarks.ground import GroundGrid, grey_of, ground_grid, read_ground
from groundtools.landmarks.regions import region_by_id
from groundtools.registry import Bench, Check, at_most, noted
from vinsat_sim.experiments.matching import Shot, judge
from vinsat_sim.scene.frame import encode_jpeg, render_frame
from vinsat_sim.views import REFERENCE_CAMERA, ViewSampler

Array = NDArray[np.float64]

SEED = 4_400
REGIONS = ("33T", "17R")
FRAMES = 8  # a region
LOST_MS, TRACKING_MS = 200.0, 150.0
SIFT_FEATURES, SIFT_RATIO, SIFT_INLIERS, SIFT_PX = 3_000, 0.8, 10, 8.0
SIFT_RIGHT_M = 15e3  # where it puts the image's middle


def bench() -> tuple[Check, ...]:
    """Time every stage over the frames, then judge who fixed how many."""
    models = load_models(models_folder())
    spent: dict[str, list[float]] = {}
    fixes = {"match": [0, 0], "landmarks": [0, 0], "sift": [0, 0]}
    for name in REGIONS:
        imagery, region = open_imagery("embedded"), region_by_id(name)
        sampler = ViewSampler(imagery, region.bounds_deg)
        sift = _Sift(ground_grid(region.bounds_deg, 250e3), imagery)
        models.bank(name)
        models.detector(name)
        for k in range(FRAMES):
            shot, jpeg = _shot(sampler, k)
            _stages(models, name, shot, jpeg, spent)
            for finder in ("match", "landmarks"):
                search = partial(
                    search_frame, models, shot.frame, MODEL_CAMERA, finders=(Finder[finder.upper()],)
                )
                judged = judge(shot, _timed(spent, f"whole_{finder}", search), fixable=True)
                fixes[finder][0] += judged.fixed and not judged.wrong
                fixes[finder][1] += judged.wrong
            found = _timed(spent, "whole_sift", partial(sift.locate, shot))
            if found is not None:
                fixes["sift"][int(np.linalg.norm(found - middle_of(shot.pose)) > SIFT_RIGHT_M)] += 1
    return _checks({name: 1e3 * float(np.median(values)) for name, values in spent.items()}, fixes)


def _checks(ms: dict[str, float], fixes: dict[str, list[int]]) -> tuple[Check, ...]:
    lost = (
        ms["decode"]
        + ms["classify"]
        + ms["features"]
        + ms["turn"]
        + ms["coarse"]
        + ms["blocks"]
        + ms["settle"]
    )
    tracking = ms["decode"] + ms["features"] + ms["follow"] + ms["settle"]
    n = len(REGIONS) * FRAMES
    return (
        at_most("lost_one_region_ms", lost, LOST_MS, unit="ms"),
        at_most("tracking_ms", tracking, TRACKING_MS, unit="ms"),
        *(noted(f"{name}_ms", value) for name, value in ms.items()),
        noted("frames", n),
        *(noted(f"{name}_fixed", right) for name, (right, _) in fixes.items()),
        *(noted(f"{name}_wrong", wrong) for name, (_, wrong) in fixes.items()),
    )


def _stages(models: Any, name: str, shot: Shot, jpeg: bytes, spent: dict[str, list[float]]) -> None:
    """Time the stages of one frame apart."""
    reference, bank, accept = models.region(name).reference, models.bank(name), models.manifest.accept
    mounting = Mounting()
    _timed(spent, "decode", lambda: decode_model_frame(jpeg, REFERENCE_CAMERA))
    _timed(spent, "classify", lambda: classify(models.classifier, shot.frame))
    features = _timed(spent, "features", lambda: frame_features(shot.frame))
    spectrum = _timed(spent, "turn", lambda: turned_spectrum(features))
    rough, _ = _timed(spent, "coarse", lambda: coarse_search(spectrum, bank, count=5))
    _timed(spent, "blocks", lambda: improve(features, rough[0], reference, prior=mounting.prior(2.0)))
    verdict = _timed(spent, "settle", lambda: settle(shot.frame, shot.pose, reference, mounting, accept))
    _timed(spent, "follow", lambda: follow(features, Expectation(shot.pose, 12e3), reference, mounting))
    if verdict.alignment is not None:
        _timed(spent, "check_within_settle", lambda: score_of(verdict.alignment.view))


def _timed(spent: dict[str, list[float]], name: str, run: Callable[[], Any]) -> Any:
    start = time.process_time()
    result = run()
    spent.setdefault(name, []).append(time.process_time() - start)
    return result


def _shot(sampler: ViewSampler, k: int) -> tuple[Shot, bytes]:
    view = sampler.draw(np.random.default_rng([SEED, k]))
    pixels = render_frame(
        view.scene, REFERENCE_CAMERA, view.r_ecef, view.cam_from_ecef, view.sun_ecef, seed=view.seed
    )
    jpeg = encode_jpeg(pixels, view.quality)
    return Shot(decode_model_frame(jpeg, REFERENCE_CAMERA), view), jpeg


class _Sift:
    """OpenCV's SIFT against one picture of a region."""

    def __init__(self, grid: GroundGrid, imagery: Any) -> None:
        self._grid = grid
        self._sift = cv2.SIFT_create(nfeatures=SIFT_FEATURES)  # type: ignore[attr-defined]
        self._at, self._about = self._features(grey_of(read_ground(imagery, grid)).astype(np.uint8))
        self._matcher = cv2.BFMatcher(cv2.NORM_L2)

    def locate(self, shot: Shot) -> Array | None:
        """Return the ground point (3,) in the frame's middle, or None."""
        at, about = self._features(grey_of(shot.frame.rgb).astype(np.uint8))
        if about is None or len(at) < SIFT_INLIERS:
            return None
        pairs = self._matcher.knnMatch(about, self._about, k=2)
        good = [a for a, b in pairs if a.distance < SIFT_RATIO * b.distance]
        if len(good) < SIFT_INLIERS:
            return None
        from_px, to_px = at[[m.queryIdx for m in good]], self._at[[m.trainIdx for m in good]]
        affine, inlier = cv2.estimateAffinePartial2D(from_px, to_px, ransacReprojThreshold=SIFT_PX)
        if affine is None or int(inlier.sum()) < SIFT_INLIERS:
            return None
        middle = affine @ [MODEL_CAMERA.cx_px, MODEL_CAMERA.cy_px, 1.0]
        lon, lat = np.deg2rad(self._grid.lonlat_deg(middle[None])[0])
        return np.asarray(ecef_from_lla(lat, lon))

    def _features(self, grey: NDArray[np.uint8]) -> tuple[Array, Any]:
        points, about = self._sift.detectAndCompute(grey, None)
        return np.array([point.pt for point in points], np.float64).reshape(-1, 2), about


MATCH = Bench(id="match", title="Matching with a map by stage, beside the detector and SIFT", run=bench)
