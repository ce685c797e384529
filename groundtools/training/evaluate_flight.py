"""How good the vision of the flight program is as a whole, on frames it has not seen.

Frames above a region (any yaw, 370-650 km, tilt to 5 deg, clouds in 80 %) go through JPEG
and `search_frame`: classifier, detectors, pose gate, dense check, alignment. Errors are in
pixels of the 4608-px reference camera. Landmarks of every region with a detector count.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.vision.catalog import read_catalog
from flightsw.vision.finder import search_frame
from flightsw.vision.models import Models
from flightsw.vision.preprocess import MODEL_CAMERA
from groundtools.landmarks.regions import Region
from groundtools.training.evaluate_ld import FULL_PX, RIGHT_PX, central
from groundtools.training.metrics import Share
from groundtools.training.rasters import HeldImagery
from groundtools.training.views import draw_view, flight_frame, landmarks_clear

FIXABLE = 4  # clear landmarks from which a frame can be expected to give a fix


@dataclass(frozen=True, slots=True)
class FlightOutcome:
    """What came of one frame: status; error_px (M,) of the accepted landmarks, full
    resolution; found : right and clear ones; clear : all clear ones in the frame.
    """

    status: str
    error_px: NDArray[np.float64]
    found: int
    clear: int


def fly(
    models: Models, region: Region, imagery: HeldImagery, seed: int, frames: int
) -> Iterator[FlightOutcome]:
    """Yield what the flight program makes of frames whose sub-satellite points lie in the region."""
    places = [place for place in models.manifest.region if place.detector]
    catalogs = [read_catalog(models.folder / place.catalog.file) for place in places]
    names = [name for catalog in catalogs for name in catalog.ids]
    row = {name: k for k, name in enumerate(names)}
    p_ecef = np.concatenate([catalog.p_ecef for catalog in catalogs])
    for k in range(frames):
        view = draw_view(np.random.default_rng([seed, k]), imagery, region.bounds_deg)
        result = search_frame(models, flight_frame(view), MODEL_CAMERA)
        uv_px, _, clear = landmarks_clear(view, MODEL_CAMERA, p_ecef)
        clear &= central(uv_px)
        error = np.empty(0)
        found = 0
        if result.detections is not None:
            at = [row[name] for name in result.detections.landmark_id]
            error = FULL_PX * np.linalg.norm(result.detections.uv_px - uv_px[at], axis=1)
            error = np.nan_to_num(error, nan=1e4)
            found = int((clear[at] & (error < RIGHT_PX)).sum())
        yield FlightOutcome(result.status.name, error, found, int(clear.sum()))


@dataclass(frozen=True, slots=True)
class FlightScore:
    """Figures over frames; status : how many frames ended how; px of full resolution."""

    frames: int
    fixed: Share
    precision: Share
    recall: Share
    median_px: float
    p99_px: float
    status: dict[str, int]


def summarise_flight(outcomes: list[FlightOutcome]) -> FlightScore:
    """Return the figures of many frames; `fixed` is of those with at least FIXABLE clear landmarks."""
    error = np.concatenate([outcome.error_px for outcome in outcomes])
    fixable = [outcome for outcome in outcomes if outcome.clear >= FIXABLE]
    some = len(error) > 0
    return FlightScore(
        len(outcomes),
        Share(sum(outcome.status == "FIX" for outcome in fixable), len(fixable)),
        Share(int((error < RIGHT_PX).sum()), len(error)),
        Share(sum(outcome.found for outcome in outcomes), sum(outcome.clear for outcome in outcomes)),
        float(np.median(error)) if some else float("nan"),
        float(np.quantile(error, 0.99)) if some else float("nan"),
        dict(Counter(outcome.status for outcome in fixable)),
    )
