"""What the entries on matching share: places, frames over them, and how a fix is judged.

A frame is drawn by seed, rendered at the models' scale, goes through JPEG, and is searched
by the flight program's own finders with a models folder made by `maps build` in a
temporary folder. Wrong: accepted with a median error of its observations over 30 px of the
4608-px reference camera. Fixable: at its true pose at least ten patches of the map match.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from flightsw.astro.geodesy import ecef_from_lla, ellipsoid_intersection, lla_from_ecef
from flightsw.camera.pose_fit import Pose
from flightsw.camera.project import observe, ray_from_pixel
from flightsw.vision.align import align
from flightsw.vision.finder import FrameResult
from flightsw.vision.maps import ReferenceMap
from flightsw.vision.models import Models, load_models
from flightsw.vision.preprocess import MODEL_CAMERA, ModelFrame, model_frame_from_rgb
from groundtools.imagery import Imagery
from groundtools.imagery.mercator import pixel_from_lonlat
from groundtools.landmarks.maps import Bounds
from groundtools.landmarks.place import add_place
from groundtools.statistics import wilson_interval
from vinsat_sim.scene.frame import encode_jpeg, render_frame
from vinsat_sim.views import View, ViewSampler

Array = NDArray[np.float64]

FULL_PX = 4.0  # reference-camera pixels a model pixel
WRONG_PX = 30.0  # of the reference camera: median error of a frame's observations
FIXABLE = 10  # patches that match at the true pose
STEP = 4  # model px between places where a scene's own pixels are looked for


@dataclass(frozen=True, slots=True)
class Shot:
    """A frame and what nobody but the judge may know: the view it was drawn from."""

    frame: ModelFrame
    view: View

    @property
    def pose(self) -> Pose:
        """The true pose."""
        return Pose(self.view.r_ecef, self.view.cam_from_ecef)


@dataclass(frozen=True, slots=True)
class Judged:
    """One frame's end: whether it could be fixed, was, and how far off (full px, median).

    errors_px (N,) of its observations; common_px (2,) their median along u and v.
    """

    fixable: bool
    fixed: bool
    error_px: float
    errors_px: Array
    common_px: Array

    @property
    def wrong(self) -> bool:
        """Tell whether it was accepted and is not there."""
        return self.fixed and not self.error_px <= WRONG_PX


@contextmanager
def models_of(places: dict[str, tuple[Bounds, list[Imagery]]]) -> Iterator[Models]:
    """Yield a models folder with maps of places alone, made as `vinsat maps build` makes them."""
    with tempfile.TemporaryDirectory(prefix="vinsat-maps-") as name:
        for place, (bounds, imageries) in places.items():
            add_place(Path(name), place, bounds, imageries)
        yield load_models(Path(name))


def shoot(sampler: ViewSampler, seed: tuple[int, ...], *, scene_only: bool = False) -> Shot:
    """Return the frame of a seed; with `scene_only` nothing outside of the imagery's own pictures."""
    view = sampler.draw(np.random.default_rng(list(seed)))
    pixels = render_frame(
        view.scene, MODEL_CAMERA, view.r_ecef, view.cam_from_ecef, view.sun_ecef, seed=view.seed
    )
    rgb = np.asarray(simplejpeg.decode_jpeg(encode_jpeg(pixels, view.quality)))
    valid = _scene(view, sampler.imagery) if scene_only else None
    if valid is not None:
        rgb[~valid] = 0
    return Shot(model_frame_from_rgb(rgb, valid), view)


def _scene(view: View, imagery: Imagery) -> NDArray[np.bool_]:
    """Return which pixels (648, 1152) show the imagery's own picture."""
    u, v = np.meshgrid(
        np.arange(STEP / 2, MODEL_CAMERA.width_px, STEP), np.arange(STEP / 2, MODEL_CAMERA.height_px, STEP)
    )
    rays = ray_from_pixel(MODEL_CAMERA, np.column_stack([u.ravel(), v.ravel()])) @ view.cam_from_ecef
    lat, lon, _ = lla_from_ecef(ellipsoid_intersection(view.r_ecef, rays))
    level = min(8, imagery.native_level)
    xy = np.asarray(pixel_from_lonlat(lon, lat, level=level)).astype(np.int64).reshape(-1, 2)
    x0, y0 = xy.min(axis=0)
    x1, y1 = xy.max(axis=0) + 1
    shown = imagery.valid(int(x0), int(y0), int(x1), int(y1), level=level)
    cells = (shown[xy[:, 1] - y0, xy[:, 0] - x0] > 127).reshape(u.shape)
    return np.asarray(np.repeat(np.repeat(cells, STEP, axis=0), STEP, axis=1))


def is_fixable(shot: Shot, reference: ReferenceMap) -> bool:
    """Tell whether at least ten patches of the map match at the true pose."""
    found = align(shot.frame, shot.pose, reference)
    return found is not None and len(found.patches) >= FIXABLE and _off(found.pose, shot.pose) < 5e3


def judge(shot: Shot, result: FrameResult, *, fixable: bool) -> Judged:
    """Return what became of a frame, judged by where the true pose shows what was found."""
    found = result.detections
    if found is None:
        return Judged(fixable, False, float("nan"), np.empty(0), np.full(2, np.nan))
    p_ecef = ecef_from_lla(np.deg2rad(found.lat_deg), np.deg2rad(found.lon_deg), found.height)
    true, _, _ = observe(MODEL_CAMERA, shot.view.cam_from_ecef, shot.view.r_ecef, p_ecef)
    off = FULL_PX * (found.uv_px - true)
    error = np.linalg.norm(off, axis=1)
    error = np.where(np.isfinite(error), error, 1e6)
    common = np.median(off, axis=0) if len(off) else np.zeros(2)
    return Judged(fixable, True, float(np.median(error)) if len(error) else 0.0, error, common)


def share(hits: int, trials: int) -> float:
    """Return hits / trials, NaN of none."""
    return hits / trials if trials else float("nan")


@dataclass(frozen=True, slots=True)
class Tally:
    """Many frames: how many, how many fixable, of these fixed right, wrong ones, errors (full px);
    right : fixed right of all.
    """

    frames: int
    fixable: int
    fixed: int
    wrong: int
    median_px: float
    p99_px: float
    right: int = 0

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's of `rate`."""
        return wilson_interval(self.fixed, self.fixable)

    @property
    def rate(self) -> float:
        """Fixed of the fixable."""
        return share(self.fixed, self.fixable)

    @property
    def overall(self) -> float:
        """Fixed of all frames."""
        return share(self.right, self.frames)


def tally(judged: list[Judged]) -> Tally:
    """Return the figures of many frames."""
    errors = np.concatenate([np.empty(0), *(one.errors_px for one in judged)])
    some = len(errors) > 0
    return Tally(
        len(judged),
        sum(one.fixable for one in judged),
        sum(one.fixable and one.fixed and not one.wrong for one in judged),
        sum(one.wrong for one in judged),
        float(np.median(errors)) if some else float("nan"),
        float(np.quantile(errors, 0.99)) if some else float("nan"),
        sum(one.fixed and not one.wrong for one in judged),
    )


def _off(one: Pose, other: Pose) -> float:
    """Return how far apart the middles of two views lie on the ground, m."""
    a, b = (ellipsoid_intersection(p.r_ecef[None], p.cam_from_ecef[2][None])[0] for p in (one, other))
    return float(np.linalg.norm(a - b))
