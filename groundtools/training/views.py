"""Random near-nadir views cut from rasters: the training side of the renderer.

Geometry is the camera's own (pinhole rays met with the WGS 84 ellipsoid on a 16-px grid,
interpolated linearly between: wrong by less than 0.06 px), so labels are exact to that.
A view may be a crop of the model frame; it costs a few milliseconds.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import ecef_from_lla, ellipsoid_intersection, lla_from_ecef
from flightsw.camera.model import Camera
from flightsw.camera.project import observe, over_horizon, ray_from_pixel
from groundtools.imagery.mercator import pixel_from_lonlat, world_px
from groundtools.training.rasters import Raster

Array = NDArray[np.float64]
Pixels = NDArray[np.uint8]

GRID_PX = 16
ALTITUDE_M = (370e3, 650e3)
MAX_TILT_RAD = np.deg2rad(5.0)


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a view is taken from: r_ecef (3,) m; cam_from_ecef (3, 3)."""

    r_ecef: Array
    cam_from_ecef: Array


def near_nadir_pose(lon: float, lat: float, altitude: float, yaw: float, tilt: tuple[float, float]) -> Pose:
    """Return the pose above (lon, lat), rad, at `altitude` m.

    yaw : of image u from east towards south, rad; tilt : small rotations about u and v,
    rad. With all of them 0, u points east and v south.
    """
    r_ecef = ecef_from_lla(np.array(lat), np.array(lon), altitude)
    sin_lat, cos_lat, sin_lon, cos_lon = np.sin(lat), np.cos(lat), np.sin(lon), np.cos(lon)
    east = np.array([-sin_lon, cos_lon, 0.0])
    north = np.array([-sin_lat * cos_lon, -sin_lat * sin_lon, cos_lat])
    down = -np.cross(east, north)
    u = np.cos(yaw) * east - np.sin(yaw) * north
    level = np.stack([u, np.cross(down, u), down])
    (sx, cx), (sy, cy) = ((np.sin(t), np.cos(t)) for t in tilt)
    about_u = np.array([[1.0, 0.0, 0.0], [0.0, cx, -sx], [0.0, sx, cx]])
    about_v = np.array([[cy, 0.0, sy], [0.0, 1.0, 0.0], [-sy, 0.0, cy]])
    return Pose(np.asarray(r_ecef), about_v @ about_u @ level)


def random_attitude(rng: np.random.Generator) -> tuple[float, float, tuple[float, float]]:
    """Draw altitude (m), yaw (rad) and tilt (rad; up to 5 deg in any direction)."""
    altitude = rng.uniform(*ALTITUDE_M)
    size, direction = MAX_TILT_RAD * np.sqrt(rng.uniform()), rng.uniform(0.0, 2.0 * np.pi)
    tilt = (size * np.cos(direction), size * np.sin(direction))
    return float(altitude), float(rng.uniform(0.0, 2.0 * np.pi)), tilt


def pose_looking_at(
    camera: Camera, lon: float, lat: float, uv_px: Array, attitude: tuple[float, float, tuple[float, float]]
) -> Pose:
    """Return a pose of that altitude, yaw and tilt that sees (lon, lat), rad, near uv_px (2,).

    Good to a few kilometres (one flat-Earth step and one correction): for sampling.
    """
    altitude, yaw, tilt = attitude
    at_lon, at_lat = lon, lat
    for _ in range(2):
        pose = near_nadir_pose(at_lon, at_lat, altitude, yaw, tilt)
        ray = ray_from_pixel(camera, uv_px[None])[0] @ pose.cam_from_ecef
        seen_lat, seen_lon, _ = lla_from_ecef(ellipsoid_intersection(pose.r_ecef, ray))
        if not np.isfinite(seen_lat):
            return pose
        at_lon, at_lat = at_lon + lon - float(seen_lon), at_lat + lat - float(seen_lat)
        at_lat = float(np.clip(at_lat, -1.5, 1.5))
    return near_nadir_pose(at_lon, at_lat, altitude, yaw, tilt)


def project(camera: Camera, pose: Pose, p_ecef: Array) -> Array:
    """Return pixels (N, 2) of ground points (N, 3); NaN behind or beyond the horizon."""
    uv_px = observe(camera, pose.cam_from_ecef, pose.r_ecef, p_ecef)[0]
    uv_px[over_horizon(pose.r_ecef, p_ecef)] = np.nan
    return uv_px


@lru_cache(maxsize=8)
def _interpolation(size: int, step: int) -> NDArray[np.float32]:
    """Return (size, nodes): linear weights of nodes 0, step, ... at pixel centres."""
    nodes = -(-size // step) + 1
    at = (np.arange(size) + 0.5) / step
    left = np.floor(at).astype(int)
    weights = np.zeros((size, nodes), np.float32)
    weights[np.arange(size), left] = 1.0 - (at - left)
    weights[np.arange(size), left + 1] = at - left
    return weights


def mercator_nodes(camera: Camera, pose: Pose, window: tuple[int, int, int, int], level: int) -> Array:
    """Return world pixels (rows, columns, 2) at the grid nodes of a window u0, v0, w, h.

    x is continuous across the date line; NaN off the Earth.
    """
    u0, v0, width, height = window
    columns = u0 + GRID_PX * np.arange(-(-width // GRID_PX) + 1.0)
    rows = v0 + GRID_PX * np.arange(-(-height // GRID_PX) + 1.0)
    uv_px = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    ground = ellipsoid_intersection(pose.r_ecef, ray_from_pixel(camera, uv_px) @ pose.cam_from_ecef)
    lat, lon, _ = lla_from_ecef(ground)
    turn = world_px(level)
    xy = pixel_from_lonlat(lon, lat, level=level)
    xy[:, 0] -= turn * np.round((xy[:, 0] - xy[0, 0]) / turn)
    return xy.reshape(len(rows), len(columns), 2)


def cut_view(raster: Raster, camera: Camera, pose: Pose, window: tuple[int, int, int, int]) -> Pixels:
    """Return the pixels (h, w, 3) of a window u0, v0, w, h (px of `camera`) of a view."""
    _, _, width, height = window
    xy = mercator_nodes(camera, pose, window, raster.level)
    xy = np.where(np.isfinite(xy), xy, np.nanmean(xy, axis=(0, 1)))
    # Linear sampling takes the pixels on both sides; cv2's integers are pixel centres.
    x0, y0 = np.floor(xy.min(axis=(0, 1))).astype(int) - 2
    x1, y1 = np.ceil(xy.max(axis=(0, 1))).astype(int) + 2
    if not raster.wraps:
        x0, x1 = max(x0, raster.x0_px), min(x1, raster.x0_px + raster.pixels.shape[1])
    y0, y1 = max(y0, raster.y0_px), min(y1, raster.y0_px + raster.pixels.shape[0])
    if x1 - x0 < 2 or y1 - y0 < 2:
        return np.zeros((height, width, 3), np.uint8)
    source = raster.crop(x0, y0, x1, y1)
    local = (xy - (x0 + 0.5, y0 + 0.5)).astype(np.float32)
    up_v, up_u = _interpolation(height, GRID_PX), _interpolation(width, GRID_PX)
    map_x = up_v @ local[..., 0] @ up_u.T
    map_y = up_v @ local[..., 1] @ up_u.T
    return np.asarray(cv2.remap(source, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
