"""How good the vision of the flight program is as a whole, on frames it has not seen.

Frames above a region (any yaw, 370-650 km, tilt to 5 deg, clouds in 80 %) go through JPEG
and `search_frame`: classifier, both finders, dense check, alignment. Errors are in pixels
of the 4608-px reference camera, of every observation: patches and landmarks alike.
Landmarks of every region with a detector say which frames can be expected to give a fix.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import ecef_from_lla
from flightsw.camera.project import observe
from flightsw.vision.catalog import read_catalog
from flightsw.vision.detections import Detections
from flightsw.vision.finder import ALL_FINDERS, Finder, search_frame
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
    """What came of one frame: status; finder : who proposed the accepted pose; error_px (M,)
    of the observations, full resolution; clear : landmarks in the frame without cloud.
    """

    status: str
    finder: str
    error_px: NDArray[np.float64]
    clear: int


def fly(
    models: Models,
    region: Region,
    imagery: HeldImagery,
    seed: int,
    frames: int,
    *,
    finders: tuple[Finder, ...] = ALL_FINDERS,
) -> Iterator[FlightOutcome]:
    """Yield what the flight program makes of frames whose sub-satellite points lie in the region."""
    places = [place for place in models.manifest.region if place.detector]
    catalogs = [read_catalog(models.folder / place.catalog.file) for place in places]
    p_ecef = np.concatenate([catalog.p_ecef for catalog in catalogs])
    for k in range(frames):
        view = draw_view(np.random.default_rng([seed, k]), imagery, region.bounds_deg)
        result = search_frame(models, flight_frame(view), MODEL_CAMERA, finders=finders)
        uv_px, _, clear = landmarks_clear(view, MODEL_CAMERA, p_ecef)
        clear &= central(uv_px)
        finder = "" if result.finder is None else result.finder.name
        yield FlightOutcome(result.status.name, finder, _errors(view, result.detections), int(clear.sum()))


def _errors(view: Any, found: Detections | None) -> NDArray[np.float64]:
    """Return how far observations lie from where the view shows their ground points, full px."""
    if found is None:
        return np.empty(0)
    p_ecef = ecef_from_lla(np.deg2rad(found.lat_deg), np.deg2rad(found.lon_deg), found.height)
    uv_px, _, _ = observe(MODEL_CAMERA, view.cam_from_ecef, view.r_ecef, p_ecef)
    return np.asarray(np.nan_to_num(FULL_PX * np.linalg.norm(found.uv_px - uv_px, axis=1), nan=1e4))


@dataclass(frozen=True, slots=True)
class FlightScore:
    """Figures over frames; fixed : of those with at least FIXABLE clear landmarks; precision :
    of observations; wrong : frames accepted with a median error that is none; per_fix :
    observations; status, finder : how many frames ended how; px of full resolution.
    """

    frames: int
    fixed: Share
    precision: Share
    wrong: int
    per_fix: float
    median_px: float
    p99_px: float
    status: dict[str, int]
    finder: dict[str, int]


def summarise_flight(outcomes: list[FlightOutcome]) -> FlightScore:
    """Return the figures of many frames."""
    error = np.concatenate([outcome.error_px for outcome in outcomes])
    fixable = [outcome for outcome in outcomes if outcome.clear >= FIXABLE]
    fixes = [outcome for outcome in outcomes if len(outcome.error_px)]
    some = len(error) > 0
    return FlightScore(
        len(outcomes),
        Share(sum(outcome.status == "FIX" for outcome in fixable), len(fixable)),
        Share(int((error < RIGHT_PX).sum()), len(error)),
        sum(float(np.median(outcome.error_px)) > RIGHT_PX for outcome in fixes),
        len(error) / len(fixes) if fixes else 0.0,
        float(np.median(error)) if some else float("nan"),
        float(np.quantile(error, 0.99)) if some else float("nan"),
        dict(Counter(outcome.status for outcome in fixable)),
        dict(Counter(outcome.finder for outcome in fixes)),
    )
