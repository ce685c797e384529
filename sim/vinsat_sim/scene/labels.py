"""Where landmarks appear in a rendered frame, exactly, and how much cloud hides them."""

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import ecef_from_lla, lla_from_ecef
from flightsw.camera.model import Camera
from flightsw.camera.project import observe, over_horizon
from vinsat_sim.scene.frame import Scene

Array = NDArray[np.float64]
CHIP_POINTS = 5  # a side, of the grid over a landmark's chip
CHIP_M = 12e3  # side of the chip where nothing else is asked


def project_labels(
    camera: Camera,
    r_ecef: Array,
    cam_from_ecef: Array,
    p_ecef: Array,
    scene: Scene,
    *,
    chip: float = CHIP_M,
) -> tuple[Array, NDArray[np.bool_], Array]:
    """Return pixels (N, 2), which landmarks are in view (N,), and their cloud share (N,).

    p_ecef (N, 3) m. The rendered world is the ellipsoid, so a landmark is looked up at
    height 0 below its own position: labels agree with the picture, whatever the
    catalogue's height. In view: in front of the horizon and inside the image; clouds do
    not matter. Cloud share: mean opacity over a square of side `chip` (m) around it.
    """
    lat, lon, _ = lla_from_ecef(p_ecef)
    ground = ecef_from_lla(lat, lon)
    uv_px, _, _ = observe(camera, cam_from_ecef, r_ecef, ground)
    inside = (uv_px > 0.0) & (uv_px < (camera.width_px, camera.height_px))
    visible = inside.all(axis=1) & ~over_horizon(r_ecef, ground)
    cover = np.zeros(len(ground))
    if scene.clouds is not None and visible.any():
        points = _chip_points(lat[visible], lon[visible], chip)
        cover[visible] = scene.clouds.thickness(points).mean(axis=1)
    return uv_px, visible, cover


def _chip_points(lat: Array, lon: Array, chip: float) -> Array:
    """Return points (N, CHIP_POINTS**2, 3) on squares around lat, lon (rad)."""
    offset = np.linspace(-0.5, 0.5, CHIP_POINTS) * chip / 6.371e6
    north, east = (axis.ravel() for axis in np.meshgrid(offset, offset))
    around_lat = lat[:, None] + north
    around_lon = lon[:, None] + east / np.maximum(np.cos(lat), 0.02)[:, None]
    return ecef_from_lla(around_lat, around_lon)
