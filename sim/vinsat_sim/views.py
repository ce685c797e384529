"""Random views for training: the reference camera anywhere over a place, at model scale.

A view goes the way of a flight frame: rendered at the reference camera's scale, through
JPEG, decoded at half of it. A crop is a camera with a shifted principal point, so its
cost is that of its own pixels.
"""

from dataclasses import dataclass, replace

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from flightsw.astro.geodesy import ecef_from_lla
from flightsw.camera.model import Camera
from groundtools.imagery import Imagery, SeaMode
from vinsat_sim.clouds import CloudField, cloud_field
from vinsat_sim.scene.frame import Scene, encode_jpeg, render_frame
from vinsat_sim.scene.labels import project_labels
from vinsat_sim.scene.radiometry import random_radiometry

__all__ = ["View", "ViewSampler", "crop_camera", "project_labels", "render_frame", "render_view"]

Array = NDArray[np.float64]
Pixels = NDArray[np.uint8]

REFERENCE_CAMERA = Camera(2304, 1296, 1773.925, 1773.925, 1152.0, 648.0)
"""IMX708 in its 2x2 binned mode, without distortion: twice the models' scale."""
ALTITUDE_M = (370e3, 650e3)
MAX_TILT_DEG = 5.0
SUN_ELEVATION_DEG = (10.0, 80.0)
ALIGNMENT_PX = 16  # of crops, model px: JPEG blocks and ray cells stay where they are


@dataclass(frozen=True, slots=True)
class View:
    """A pose, its light, and what stands between: r_ecef (3,) m, cam_from_ecef (3, 3),
    sun_ecef (3,); scene; seed of exposure and noise; quality of the JPEG.
    """

    r_ecef: Array
    cam_from_ecef: Array
    sun_ecef: Array
    scene: Scene
    seed: int
    quality: int


@dataclass(frozen=True, slots=True)
class ViewSampler:
    """Draws views over a place.

    bounds_deg : west, south, east, north of the sub-satellite point; cloudy : share of
    views with clouds; colour : strength of the radiometric randomisation (0 none, 1 as
    much as cameras, seasons and hours differ); sea : how the imagery shows water (a
    tuple: drawn at random among them); max_tilt_deg : of the optical axis from the nadir.
    """

    imagery: Imagery
    bounds_deg: tuple[float, float, float, float]
    altitude: tuple[float, float] = ALTITUDE_M
    max_tilt_deg: float = MAX_TILT_DEG
    cloudy: float = 0.8
    colour: float = 1.0
    sea: tuple[SeaMode, ...] = ("flat",)

    def draw(self, rng: np.random.Generator) -> View:
        """Return a random view: any yaw, tilt, altitude, light and weather."""
        west, south, east, north = np.deg2rad(self.bounds_deg)
        lon = rng.uniform(west, east)
        lat = np.arcsin(rng.uniform(np.sin(south), np.sin(north)))
        r_ecef = ecef_from_lla(lat, lon, rng.uniform(*self.altitude))
        level = _level_axes(lat, lon)
        tilt = np.deg2rad(self.max_tilt_deg) * np.sqrt(rng.uniform())
        cam_from_ecef = random_attitude(rng, tilt) @ level
        elevation = np.deg2rad(rng.uniform(*SUN_ELEVATION_DEG))
        azimuth = rng.uniform(0.0, 2.0 * np.pi)
        east_north = np.cos(elevation) * np.array([np.sin(azimuth), np.cos(azimuth)])
        sun_ecef = east_north[0] * level[0] - east_north[1] * level[1] - np.sin(elevation) * level[2]
        scene = Scene(
            self.imagery,
            _random_clouds(rng) if rng.uniform() < self.cloudy else None,
            random_radiometry(rng, strength=self.colour),
            self.sea[rng.integers(len(self.sea))],
        )
        seed, quality = int(rng.integers(2**31)), int(rng.integers(80, 96))
        return View(r_ecef, cam_from_ecef, sun_ecef, scene, seed, quality)


def _level_axes(lat: float, lon: float) -> Array:
    """Return the rotation (3, 3) from ecef to east, south, down."""
    sin_lat, cos_lat, sin_lon, cos_lon = np.sin(lat), np.cos(lat), np.sin(lon), np.cos(lon)
    return np.array(
        [
            [-sin_lon, cos_lon, 0.0],
            [sin_lat * cos_lon, sin_lat * sin_lon, -cos_lat],
            [-cos_lat * cos_lon, -cos_lat * sin_lon, -sin_lat],
        ]
    )


def random_attitude(rng: np.random.Generator, tilt: float) -> Array:
    """Return a rotation (3, 3): any yaw about z, then `tilt` rad about any level axis."""
    yaw, about = rng.uniform(0.0, 2.0 * np.pi, 2)
    c, s = np.cos(yaw), np.sin(yaw)
    turned = np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])
    x, y = np.cos(about), np.sin(about)
    ct, st = np.cos(tilt), np.sin(tilt)
    tilted = np.array(
        [
            [ct + x * x * (1 - ct), x * y * (1 - ct), y * st],
            [x * y * (1 - ct), ct + y * y * (1 - ct), -x * st],
            [-y * st, x * st, ct],
        ]
    )
    return np.asarray(tilted @ turned)


def _random_clouds(rng: np.random.Generator) -> CloudField:
    """Return clouds of one of a few seeds and covers: a view sees a small part of them."""
    cover = float(rng.choice((0.15, 0.3, 0.45, 0.6)))
    return cloud_field(int(rng.integers(2**31)), cover=cover)


def crop_camera(camera: Camera, window: tuple[int, int, int, int]) -> Camera:
    """Return the camera whose whole image is the window u0, v0, width, height (px) of another."""
    u0, v0, width, height = window
    return replace(camera, width_px=width, height_px=height, cx_px=camera.cx_px - u0, cy_px=camera.cy_px - v0)


def render_view(view: View, window: tuple[int, int, int, int] | None = None) -> Pixels:
    """Return the view at model scale, (height, width, 3) RGB.

    window : u0, v0, width, height in model px (1152 x 648), multiples of 16 but for the
    height of a whole frame; None is the whole frame.
    """
    u0, v0, width, height = window or (0, 0, 1152, 648)
    if u0 % ALIGNMENT_PX or v0 % ALIGNMENT_PX or width % 8 or height % 8:
        raise ValueError(f"crop {window} is not aligned to {ALIGNMENT_PX} px")
    camera = crop_camera(REFERENCE_CAMERA, (2 * u0, 2 * v0, 2 * width, 2 * height))
    pixels = render_frame(view.scene, camera, view.r_ecef, view.cam_from_ecef, view.sun_ecef, seed=view.seed)
    content = encode_jpeg(pixels, view.quality)
    return np.asarray(simplejpeg.decode_jpeg(content, min_height=height, min_width=width))
