"""Training views for the region classifier, each a pure function of (seed, step, number).

Views are rendered straight at the classifier's pixel (2.4 km from 550 km), a sixteenth of
the cost of a model frame; the evaluation goes the exact path, through whole frames.

A region counts as seen when at least four of its catalogue's landmarks are in the frame
and free of cloud; "elsewhere" when no region is.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flightsw.vision.catalog import Catalog
from flightsw.vision.preprocess import MODEL_CAMERA, RC_SHAPE, rc_normalise
from groundtools.landmarks.regions import REGIONS
from groundtools.training.rasters import WORLD_BOUNDS_DEG, HeldImagery, hold_imagery
from groundtools.training.views import Bounds, draw_view, landmarks_clear, picture

FINEST_LEVEL, COARSEST_LEVEL = 7, 4
SOUTHMOST_DEG, NORTHMOST_DEG = -56.0, 68.0  # of sub-satellite points: what rasters hold
RC_CAMERA = MODEL_CAMERA.resized(0.25)  # 288 x 162
MIN_LANDMARKS = 4
NEAR, WORLD = 0.1, 0.2  # parts of the views near regions but outside, and anywhere
WIDENED = 0.12  # regions are widened by this part of their size for partial views


@dataclass(frozen=True, slots=True)
class RcView:
    """image (3, 160, 288) float32; label (17,) float32: regions, then "elsewhere";
    seen (N,) float32: each landmark in view and clear.
    """

    image: NDArray[np.float32]
    label: NDArray[np.float32]
    seen: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class RegionLandmarks:
    """All catalogues stacked: p_ecef (N, 3); region (N,): index of the region."""

    p_ecef: NDArray[np.float64]
    region: NDArray[np.int64]

    @classmethod
    def of(cls, catalogs: list[Catalog]) -> "RegionLandmarks":
        """Stack the catalogues of REGIONS, in that order."""
        index = np.repeat(np.arange(len(catalogs)), [len(catalog) for catalog in catalogs])
        return cls(np.concatenate([catalog.p_ecef for catalog in catalogs]), index)


def rc_sources(specs: list[tuple[str, tuple[str, ...]]]) -> list[list[HeldImagery]]:
    """Return the worlds of each imagery spec, one a sea variant."""
    return hold_imagery(specs, WORLD_BOUNDS_DEG, finest=FINEST_LEVEL, coarsest=COARSEST_LEVEL)


def draw_bounds(rng: np.random.Generator) -> Bounds:
    """Draw where a view is to look, degrees: over a region, near one, or anywhere."""
    kind = rng.uniform()
    if kind < WORLD:
        return -180.0, SOUTHMOST_DEG, 180.0, NORTHMOST_DEG
    west, south, east, north = REGIONS[rng.integers(len(REGIONS))].bounds_deg
    widened = 2.0 if kind < WORLD + NEAR else WIDENED
    lon, lat = widened * (east - west), widened * (north - south)
    return west - lon, max(south - lat, SOUTHMOST_DEG), east + lon, min(north + lat, NORTHMOST_DEG)


def draw_rc_view(
    rng: np.random.Generator, landmarks: RegionLandmarks, sources: list[list[HeldImagery]]
) -> RcView:
    """Draw one view: imagery, place, pose, weather and light."""
    variants = sources[rng.integers(len(sources))]
    imagery = variants[rng.integers(len(variants))]
    view = draw_view(rng, imagery, draw_bounds(rng))
    pixels = picture(view, RC_CAMERA)
    top = (pixels.shape[0] - RC_SHAPE[0]) // 2
    image = rc_normalise(pixels[top : top + RC_SHAPE[0]].astype(np.float32))
    seen = landmarks_seen(view, landmarks)
    return RcView(image, frame_label(seen, landmarks), seen.astype(np.float32))


def landmarks_seen(view: Any, landmarks: RegionLandmarks) -> NDArray[np.bool_]:
    """Tell which landmarks (N,) are in a view and clear of cloud."""
    return landmarks_clear(view, MODEL_CAMERA, landmarks.p_ecef)[2]


def frame_label(seen: NDArray[np.bool_], landmarks: RegionLandmarks) -> NDArray[np.float32]:
    """Return the label (17,) of a frame in which the landmarks `seen` (N,) are clear."""
    count = np.bincount(landmarks.region[seen], minlength=len(REGIONS))
    label = np.zeros(len(REGIONS) + 1, np.float32)
    label[:-1] = count >= MIN_LANDMARKS
    label[-1] = not label[:-1].any()
    return label
