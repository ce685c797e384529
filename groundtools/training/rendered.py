"""Training views from the simulator's own renderer, found through its entry point.

The ground does not import the simulator: what renders is the entry point `rendered` of
the group `vinsat.sources`, a module that offers `ViewSampler` (draws a view: pose, sun,
clouds, radiometry) and `render_frame` (a camera's picture of it). Its clouds, light and
exposure differ from the quick views' here, and a network is to bear both. The imagery
comes from the rasters held in memory, whole pyramids being too slow at random places.
"""

from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import ecef_from_lla, lla_from_ecef
from flightsw.camera.model import Camera
from flightsw.errors import InputError
from groundtools.training.rasters import Pixels, Raster
from groundtools.training.views import Pose, project

Array = NDArray[np.float64]
GROUP, NAME = "vinsat.sources", "rendered"
CHIP_M = 12e3  # over which the cloud above a landmark is averaged
CHIP_POINTS = 4  # a side
CLEAR = 0.3  # mean opacity below which a landmark counts as cloud-free


@cache
def renderer() -> Any:
    """Return the rendering module. Raises InputError where the simulator is not installed."""
    for entry in entry_points(group=GROUP):
        if entry.name == NAME:
            return entry.load()
    raise InputError("no renderer is installed", fix="pip install 'vinsat[sim]'")


def is_available() -> bool:
    """Tell whether the simulator's renderer is installed."""
    return any(entry.name == NAME for entry in entry_points(group=GROUP))


@dataclass(frozen=True, slots=True)
class RasterImagery:
    """Rasters of one imagery, by level, under the interface the renderer reads from."""

    levels: dict[int, Raster]
    credit: str = ""

    @property
    def name(self) -> str:
        """Return the imagery's and sea's name."""
        return next(iter(self.levels.values())).name

    @property
    def native_level(self) -> int:
        """Return the finest level."""
        return max(self.levels)

    def read(self, x0: int, y0: int, x1: int, y1: int, *, level: int, sea: str | None = None) -> Pixels:
        """Return pixels (y1 - y0, x1 - x0, 3); beyond the raster its border is repeated."""
        raster = self.levels[max(level, min(self.levels))]
        if level < min(self.levels):
            raise ValueError(f"level {level} is coarser than the rasters held")
        pixels = raster.crop(x0, y0, x1, y1)
        height = raster.pixels.shape[0]
        above = max(0, min(raster.y0_px - y0, y1 - y0))
        below = max(0, min(y1 - raster.y0_px - height, y1 - y0))
        if pixels.shape[0] == 0:
            return np.zeros((y1 - y0, x1 - x0, 3), np.uint8)
        if above or below:
            pixels = np.pad(pixels, ((above, below), (0, 0), (0, 0)), mode="edge")
        return np.ascontiguousarray(pixels)


def sample_view(
    module: Any,
    rng: np.random.Generator,
    imagery: RasterImagery,
    bounds_deg: tuple[float, float, float, float],
) -> Any:
    """Return a view (r_ecef, cam_from_ecef, scene, ...) whose sub-satellite point lies in bounds."""
    return module.ViewSampler(imagery, bounds_deg).draw(rng)


def picture(module: Any, view: Any, camera: Camera) -> Pixels:
    """Return what a camera sees of a view, (height, width, 3)."""
    pixels: Pixels = module.render_frame(
        view.scene, camera, view.r_ecef, view.cam_from_ecef, view.sun_ecef, seed=view.seed
    )
    return pixels


def landmarks_clear(
    view: Any, camera: Camera, p_ecef: Array
) -> tuple[Array, NDArray[np.bool_], NDArray[np.bool_]]:
    """Return pixels (N, 2), which landmarks are inside (N,), and which of those are clear."""
    uv_px = project(camera, Pose(view.r_ecef, view.cam_from_ecef), p_ecef)
    with np.errstate(invalid="ignore"):
        inside = ((uv_px >= 0.0) & (uv_px < (camera.width_px, camera.height_px))).all(axis=1)
    clear = inside.copy()
    if view.scene.clouds is not None and inside.any():
        clear[inside] = view.scene.clouds.thickness(_chips(p_ecef[inside])).mean(axis=1) < CLEAR
    return uv_px, inside, clear


def _chips(p_ecef: Array) -> Array:
    """Return points (N, CHIP_POINTS**2, 3) on squares around points (N, 3)."""
    lat, lon, _ = lla_from_ecef(p_ecef)
    offset = np.linspace(-0.5, 0.5, CHIP_POINTS) * CHIP_M / 6.371e6
    north, east = (axis.ravel() for axis in np.meshgrid(offset, offset))
    return ecef_from_lla(lat[:, None] + north, lon[:, None] + east / np.cos(lat)[:, None])
