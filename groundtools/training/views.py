"""Training views: the simulator's renderer, found through its entry point.

The ground does not import the simulator: what renders is the entry point `rendered` of
the group `vinsat.sources`, a module that offers `ViewSampler` (draws a view: pose, sun,
clouds, radiometry), `render_frame` (a camera's picture of it), `project_labels` (where
landmarks are in it, and how much cloud hides them) and `crop_camera`. Networks are taught
and judged on the same pictures that the flight program is simulated with.
"""

from functools import cache
from importlib.metadata import entry_points
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from flightsw.camera.model import Camera
from flightsw.errors import InputError
from flightsw.vision.preprocess import MODEL_CAMERA, ModelFrame, model_frame_from_rgb
from groundtools.training.rasters import HeldImagery, Pixels

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]
Bounds = tuple[float, float, float, float]
GROUP, NAME = "vinsat.sources", "rendered"
CLEAR = 0.3  # mean opacity over a landmark's chip below which it counts as cloud-free


@cache
def renderer() -> Any:
    """Return the rendering module. Raises InputError where the simulator is not installed."""
    for entry in entry_points(group=GROUP):
        if entry.name == NAME:
            return entry.load()
    raise InputError("no renderer is installed", fix="pip install 'vinsat[sim]'")


def draw_view(rng: np.random.Generator, imagery: HeldImagery, bounds_deg: Bounds) -> Any:
    """Return a view (r_ecef, cam_from_ecef, scene, ...) whose sub-satellite point lies in bounds."""
    return renderer().ViewSampler(imagery, bounds_deg).draw(rng)


def picture(view: Any, camera: Camera) -> Pixels:
    """Return what a camera sees of a view, (height, width, 3)."""
    pixels: Pixels = renderer().render_frame(
        view.scene, camera, view.r_ecef, view.cam_from_ecef, view.sun_ecef, seed=view.seed
    )
    return pixels


def flight_frame(view: Any) -> ModelFrame:
    """Return a view as the flight program gets it: the whole frame, through JPEG."""
    jpeg = simplejpeg.encode_jpeg(picture(view, MODEL_CAMERA), view.quality)
    return model_frame_from_rgb(simplejpeg.decode_jpeg(jpeg))


def landmarks_clear(view: Any, camera: Camera, p_ecef: Array) -> tuple[Array, Bools, Bools]:
    """Return pixels (N, 2) of landmarks (N, 3) m, which are in view (N,), and which of those are clear.

    Pixels of landmarks that are not in view are NaN.
    """
    uv_px, inside, cover = renderer().project_labels(
        camera, view.r_ecef, view.cam_from_ecef, p_ecef, view.scene
    )
    uv_px[~inside] = np.nan
    return uv_px, inside, inside & (cover < CLEAR)
