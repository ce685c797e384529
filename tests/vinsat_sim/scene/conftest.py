"""Imagery made up in memory, and poses to look at it from."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from flightsw.astro.geodesy import ecef_from_lla
from flightsw.camera.model import Camera
from groundtools.imagery.mercator import pixel_from_lonlat
from vinsat_sim.scene.frame import Scene
from vinsat_sim.scene.radiometry import Radiometry
from vinsat_sim.views import _level_axes

PLAIN = Radiometry(tone=1.0, haze=0.0, vignetting=0.0, auto_exposure=1.0, exposure_sigma=0.0, noise_sigma=0.0)


@dataclass
class SpotImagery:
    """Grey everywhere, with one round bright spot (Gaussian, 2 native pixels) at lon, lat (rad)."""

    lon: float
    lat: float
    name: str = "spot"
    credit: str = "nobody"
    native_level: int = 8

    def read(self, x0, y0, x1, y1, *, level, sea=None):
        centre = pixel_from_lonlat(self.lon, self.lat, level=level)
        world = 256 << level
        dx = np.arange(x0, x1) + 0.5 - centre[0]
        dx = np.remainder(dx + world / 2, world) - world / 2
        dy = np.arange(y0, y1) + 0.5 - centre[1]
        sigma = 2.0 * 2.0 ** (level - 8)
        spot = np.exp(-0.5 * (dx[None] ** 2 + dy[:, None] ** 2) / sigma**2)
        return np.repeat(np.round(40.0 + 200.0 * spot)[..., None], 3, axis=2).astype(np.uint8)

    def land(self, x0, y0, x1, y1, *, level):
        return np.full((y1 - y0, x1 - x0), 255, np.uint8)

    valid = land


@pytest.fixture
def camera() -> Camera:
    """Return the reference camera at half size, without distortion."""
    return Camera(1152, 648, 886.9625, 886.9625, 576.0, 324.0)


@pytest.fixture
def pose() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Return `pose(lon_deg, lat_deg, height, yaw_deg, tilt_deg)` -> r_ecef, cam_from_ecef."""

    def make(lon_deg, lat_deg, height=550e3, yaw_deg=0.0, tilt_deg=0.0):
        lon, lat, yaw, tilt = np.deg2rad([lon_deg, lat_deg, yaw_deg, tilt_deg])
        cy, sy, ct, st = np.cos(yaw), np.sin(yaw), np.cos(tilt), np.sin(tilt)
        turned = np.array([[cy, sy, 0.0], [-sy, cy, 0.0], [0.0, 0.0, 1.0]])
        tilted = np.array([[1.0, 0.0, 0.0], [0.0, ct, -st], [0.0, st, ct]])
        return ecef_from_lla(lat, lon, height), tilted @ turned @ _level_axes(lat, lon)

    return make


@pytest.fixture
def plain_scene() -> Callable[..., Scene]:
    """Return `plain_scene(lon_deg, lat_deg)`: a spot under a clear sky, a camera without flaws."""
    return lambda lon_deg, lat_deg: Scene(SpotImagery(*np.deg2rad([lon_deg, lat_deg])), None, PLAIN)
