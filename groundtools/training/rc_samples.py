"""Training views for the region classifier, each a pure function of (seed, index).

Views are cut straight at the classifier's pixel (2.4 km from 550 km), a sixteenth of the
cost of a model frame. The flight program averages model frames 4 x 4; level 6 of the
pyramid under linear sampling is a little softer than that, level 7 a little sharper
(with some aliasing), and views take one or the other: the exact path lies between. The
evaluation goes the exact path.

A region counts as seen when at least four of its catalogue's landmarks are in the frame
and free of cloud; "elsewhere" when no region is.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from flightsw.vision.catalog import Catalog
from flightsw.vision.preprocess import MODEL_CAMERA, RC_SHAPE, rc_normalise
from groundtools.landmarks.regions import REGIONS
from groundtools.training.clouds import CLEAR_THICKNESS, add_clouds, cloud_thickness, draw_cover
from groundtools.training.radiometry import develop, expose
from groundtools.training.rasters import WORLD_BOUNDS_DEG, Raster, half_raster, load_raster
from groundtools.training.rendered import RasterImagery, landmarks_clear, picture, renderer, sample_view
from groundtools.training.views import (
    Pose,
    cut_view,
    pose_looking_at,
    project,
    random_attitude,
)

SHARP_LEVEL = 7
SOUTHMOST_DEG, NORTHMOST_DEG = -56.0, 68.0  # of sub-satellite points: what rasters hold
SHARP_PART = 0.35  # of the views
RC_CAMERA = MODEL_CAMERA.resized(0.25)  # 288 x 162
MIN_LANDMARKS = 4
LANDMARK_WINDOW_PX = 5  # of 2.4 km: where cloud hides a landmark
NEAR, WORLD = 0.1, 0.2  # parts of the views near regions but outside, and anywhere
WIDENED = 0.12  # regions are widened by this part of their size for partial views
NOISE = 2.0  # grey levels after averaging


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


@dataclass(frozen=True, slots=True)
class RcSource:
    """The world of one imagery and sea, at two levels."""

    soft: Raster
    sharp: Raster

    @property
    def imagery(self) -> RasterImagery:
        """The same, and coarser levels, under the interface the renderer reads from."""
        coarse = half_raster(self.soft)
        return RasterImagery({one.level: one for one in (self.sharp, self.soft, coarse, half_raster(coarse))})


def rc_sources(specs: list[tuple[str, tuple[str, ...]]]) -> list[list[RcSource]]:
    """Return the worlds of each imagery spec, one a sea variant."""
    out = []
    for spec, seas in specs:
        sharp = [load_raster(spec, WORLD_BOUNDS_DEG, level=SHARP_LEVEL, sea=sea) for sea in seas]
        out.append([RcSource(half_raster(raster), raster) for raster in sharp])
    return out


def draw_bounds(rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Draw where a view is to look, degrees: over a region, near one, or anywhere."""
    kind = rng.uniform()
    if kind < WORLD:
        return -180.0, SOUTHMOST_DEG, 180.0, NORTHMOST_DEG
    west, south, east, north = REGIONS[rng.integers(len(REGIONS))].bounds_deg
    widened = 2.0 if kind < WORLD + NEAR else WIDENED
    lon, lat = widened * (east - west), widened * (north - south)
    return west - lon, max(south - lat, SOUTHMOST_DEG), east + lon, min(north + lat, NORTHMOST_DEG)


def draw_view_pose(rng: np.random.Generator) -> tuple[Pose, float]:
    """Draw a pose and its altitude (m)."""
    attitude = random_attitude(rng)
    west, south, east, north = np.deg2rad(draw_bounds(rng))
    lon = float(rng.uniform(west, east))
    lat = float(np.arcsin(rng.uniform(np.sin(south), np.sin(north))))
    centre = np.array([RC_CAMERA.cx_px, RC_CAMERA.cy_px])
    return pose_looking_at(RC_CAMERA, lon, lat, centre, attitude), attitude[0]


def draw_view(
    rng: np.random.Generator,
    landmarks: RegionLandmarks,
    sources: list[list[RcSource]],
    *,
    rendered: float = 0.0,
) -> RcView:
    """Draw one view: imagery, place, pose, weather and light.

    rendered : part of the views that the simulator's renderer makes, 0 without it.
    """
    variants = sources[rng.integers(len(sources))]
    source = variants[rng.integers(len(variants))]
    if rng.uniform() < rendered:
        return _rendered_view(rng, landmarks, source)
    raster = source.sharp if rng.uniform() < SHARP_PART else source.soft
    pose, altitude = draw_view_pose(rng)
    window = (0, 0, RC_CAMERA.width_px, RC_CAMERA.height_px)
    rgb = cut_view(raster, RC_CAMERA, pose, window).astype(np.float32)
    cover = 1.0 if rng.uniform() < 0.03 else draw_cover(rng)
    thickness = None
    if cover > 0.0:
        gsd_km = altitude / RC_CAMERA.fx_px / 1e3
        thickness = cloud_thickness(rng, rgb.shape[:2], cover, gsd_km)
        rgb = add_clouds(rng, rgb, thickness, gsd_km)
    pixels = expose(rng, develop(rng, rgb), noise=NOISE, jpeg=False)
    top = (pixels.shape[0] - RC_SHAPE[0]) // 2
    image = rc_normalise(pixels[top : top + RC_SHAPE[0]].astype(np.float32))
    seen = landmarks_seen(pose, landmarks, thickness)
    return RcView(image, frame_label(seen, landmarks), seen.astype(np.float32))


def _rendered_view(rng: np.random.Generator, landmarks: RegionLandmarks, source: RcSource) -> RcView:
    """Draw a view of the simulator's, rendered at the classifier's own pixel."""
    module = renderer()
    view = sample_view(module, rng, source.imagery, draw_bounds(rng))
    pixels = picture(module, view, RC_CAMERA)
    top = (pixels.shape[0] - RC_SHAPE[0]) // 2
    image = rc_normalise(pixels[top : top + RC_SHAPE[0]].astype(np.float32))
    seen = landmarks_clear(view, RC_CAMERA, landmarks.p_ecef)[2]
    return RcView(image, frame_label(seen, landmarks), seen.astype(np.float32))


def landmarks_seen(
    pose: Pose, landmarks: RegionLandmarks, thickness: NDArray[np.float32] | None
) -> NDArray[np.bool_]:
    """Tell which landmarks (N,) are in view and clear; thickness (h, w) at any resolution."""
    uv_px = project(RC_CAMERA, pose, landmarks.p_ecef)
    size = np.array([RC_CAMERA.width_px, RC_CAMERA.height_px])
    with np.errstate(invalid="ignore"):
        seen = ((uv_px >= 0.0) & (uv_px < size)).all(axis=1)
    if thickness is not None and seen.any():
        scale = thickness.shape[1] / RC_CAMERA.width_px
        window = round(LANDMARK_WINDOW_PX * scale)
        mean = cv2.blur(thickness, (window, window))
        at = (uv_px[seen] * scale).astype(int)
        seen[seen] = mean[at[:, 1], at[:, 0]] < CLEAR_THICKNESS
    return np.asarray(seen)


def frame_label(seen: NDArray[np.bool_], landmarks: RegionLandmarks) -> NDArray[np.float32]:
    """Return the label (17,) of a frame in which the landmarks `seen` (N,) are clear."""
    count = np.bincount(landmarks.region[seen], minlength=len(REGIONS))
    label = np.zeros(len(REGIONS) + 1, np.float32)
    label[:-1] = count >= MIN_LANDMARKS
    label[-1] = not label[:-1].any()
    return label
