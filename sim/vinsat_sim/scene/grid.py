"""Where the pixels of a frame look: a coarse grid of rays met with the WGS 84 ellipsoid.

Nodes lie at the centres of cells of `step` pixels, with one ring of nodes outside the
image, so that `upsampled` reaches every pixel by interpolation. At 16 px the largest
error of the interpolated map is 0.06 px at 1152x648 and 0.02 px at 2304x1296.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import WGS84_A, WGS84_B, WGS84_E2
from flightsw.camera.model import Camera
from flightsw.camera.project import ray_from_pixel

Array = NDArray[np.float64]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class RayGrid:
    """Ground points of the nodes, arrays (rows, columns, ...); see `ray_grid`.

    p_ecef (r, c, 3) m; up (r, c, 3) ellipsoid normals; view_cosine (r, c) of the angle
    between the normal and the way to the camera; off_axis_tan2 (r, c) squared tangent of
    the angle from the optical axis; clearance (r, c) negative where the ray misses the
    Earth (p_ecef is then the tangent point).
    """

    step: int
    width_px: int
    height_px: int
    p_ecef: Array
    up: Array
    view_cosine: Array
    off_axis_tan2: Array
    clearance: Array

    @property
    def sees_sky(self) -> bool:
        """Whether any node's ray misses the Earth."""
        return bool((self.clearance < 0.0).any())

    def lonlat(self) -> tuple[Array, Array]:
        """Return longitude (-pi..pi) and geodetic latitude of the nodes, rad."""
        x, y, z = np.moveaxis(self.up, -1, 0)
        return np.arctan2(y, x), np.arcsin(np.clip(z, -1.0, 1.0))

    def upsampled(self, nodes: Array | Floats, *, step: int = 1) -> Floats:
        """Return a node quantity (r, c[, k]) per cell of `step` pixels, bilinearly.

        step 1 gives every pixel, (height, width[, k]); step 4 every fourth, at the
        centres of 4x4 cells, with one ring of cells more than cover the image.
        """
        factor = self.step // step
        rows, columns = nodes.shape[:2]
        size = (columns * factor, rows * factor)
        full = cv2.resize(np.asarray(nodes, np.float32), size, interpolation=cv2.INTER_LINEAR)
        ring = 0 if step == 1 else 1
        height, width = -(-self.height_px // step), -(-self.width_px // step)
        cut = factor - ring
        return full[cut : cut + height + 2 * ring, cut : cut + width + 2 * ring]


def ray_grid(camera: Camera, r_ecef: Array, cam_from_ecef: Array, *, step: int = 16) -> RayGrid:
    """Return the ground points seen by a grid of rays.

    r_ecef (3,) m; cam_from_ecef (3, 3). Rays that miss the Earth get the point of the
    ellipsoid nearest to them. Directions the distortion cannot reach count as missed.
    """
    u = (np.arange(-1, -(-camera.width_px // step) + 1) + 0.5) * step
    v = (np.arange(-1, -(-camera.height_px // step) + 1) + 0.5) * step
    uv = np.stack(np.meshgrid(u, v), axis=-1)
    rays_cam = ray_from_pixel(camera, uv.reshape(-1, 2)).reshape(*uv.shape[:2], 3)
    unreachable = np.isnan(rays_cam[..., 0])
    rays_cam[unreachable] = (0.0, 0.0, 1.0)
    scale = 1.0 / np.array([WGS84_A, WGS84_A, WGS84_B])
    rays = rays_cam @ cam_from_ecef * scale
    origin = r_ecef * scale
    a = np.sum(rays * rays, axis=-1)
    b = rays @ origin
    clearance = b * b / a - (origin @ origin - 1.0)  # in Earth radii squared
    clearance[(b > 0.0) | unreachable] = -0.1
    distance = (-b - np.sqrt(a * np.maximum(clearance, 0.0))) / a
    unit = origin + distance[..., None] * rays
    unit /= np.linalg.norm(unit, axis=-1, keepdims=True)
    up = unit * scale
    up /= np.linalg.norm(up, axis=-1, keepdims=True)
    p_ecef = unit / scale
    to_camera = r_ecef - p_ecef
    to_camera /= np.linalg.norm(to_camera, axis=-1, keepdims=True)
    return RayGrid(
        step=step,
        width_px=camera.width_px,
        height_px=camera.height_px,
        p_ecef=p_ecef,
        up=up,
        view_cosine=np.sum(up * to_camera, axis=-1),
        off_axis_tan2=1.0 / np.maximum(rays_cam[..., 2], 0.1) ** 2 - 1.0,
        clearance=clearance,
    )


def geodetic_height(r_ecef: Array) -> float:
    """Return about how high (m) a satellite stands: exact to 20 m, for choosing levels."""
    radius = float(np.linalg.norm(r_ecef))
    sin_lat = r_ecef[2] / radius
    return radius - WGS84_A * float(np.sqrt((1.0 - WGS84_E2) / (1.0 - WGS84_E2 * (1.0 - sin_lat**2))))
