"""Points to pixels and back, with exact Jacobians.

Brown's model on normalised coordinates x = X/Z, y = Y/Z, s = x^2 + y^2:
    x' = x (1 + k1 s + k2 s^2 + k3 s^3) + 2 p1 x y + p2 (s + 2 x^2)
    y' = y (1 + k1 s + k2 s^2 + k3 s^3) + p1 (s + 2 y^2) + 2 p2 x y
    u = fx x' + cx,   v = fy y' + cy
Source: Brown, Photogrammetric Engineering 1971; same letters and order as OpenCV.
"""

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import WGS84_A, WGS84_B
from flightsw.camera.model import Camera

Array = NDArray[np.float64]

UNDISTORT_ITERATIONS = 20  # Newton; 5 suffice for a 66 deg lens, extreme lenses need more
UNDISTORT_TOLERANCE = 1e-9  # normalised units: what is left above it did not converge


def _distort(camera: Camera, xy: Array) -> tuple[Array, Array]:
    """Return distorted normalised coordinates (N, 2) and d(distorted)/d(xy), (N, 2, 2)."""
    k1, k2, p1, p2, k3 = camera.distortion
    x, y = xy[:, 0], xy[:, 1]
    s = x * x + y * y
    radial = 1.0 + s * (k1 + s * (k2 + s * k3))
    slope = k1 + s * (2.0 * k2 + 3.0 * k3 * s)  # d(radial)/ds
    out = np.empty_like(xy)
    out[:, 0] = x * radial + 2.0 * p1 * x * y + p2 * (s + 2.0 * x * x)
    out[:, 1] = y * radial + p1 * (s + 2.0 * y * y) + 2.0 * p2 * x * y
    jacobian = np.empty((len(xy), 2, 2))
    jacobian[:, 0, 0] = radial + 2.0 * x * x * slope + 2.0 * p1 * y + 6.0 * p2 * x
    jacobian[:, 0, 1] = 2.0 * x * y * slope + 2.0 * p1 * x + 2.0 * p2 * y
    jacobian[:, 1, 0] = jacobian[:, 0, 1]
    jacobian[:, 1, 1] = radial + 2.0 * y * y * slope + 6.0 * p1 * y + 2.0 * p2 * x
    return out, jacobian


def pixel_from_camera_point(camera: Camera, p_cam: Array) -> tuple[Array, Array]:
    """Return pixels (N, 2) and d(uv)/d(p_cam) (N, 2, 3) of points (N, 3) in m, cam axes.

    Points at or behind the lens plane (z <= 0) are NaN in both. Pixels outside the
    image are returned as they are: being inside is the caller's question.
    """
    z = np.where(p_cam[:, 2] > 0.0, p_cam[:, 2], np.nan)
    xy = p_cam[:, :2] / z[:, None]
    distorted, d_xy = _distort(camera, xy)
    focal = np.array([camera.fx_px, camera.fy_px])
    uv_px = distorted * focal + np.array([camera.cx_px, camera.cy_px])
    from_point = np.zeros((len(p_cam), 2, 3))  # d(xy)/d(p_cam)
    from_point[:, 0, 0] = from_point[:, 1, 1] = 1.0 / z
    from_point[:, :, 2] = -xy / z[:, None]
    return uv_px, focal[:, None] * (d_xy @ from_point)


def ray_from_pixel(camera: Camera, uv_px: Array) -> Array:
    """Return unit rays (N, 3) in cam axes through pixels (N, 2).

    NaN where the distortion cannot be inverted (beyond the fold of a strong lens).
    """
    centre = np.array([camera.cx_px, camera.cy_px])
    target = (uv_px - centre) / np.array([camera.fx_px, camera.fy_px])
    xy = target.copy()
    if any(camera.distortion):
        for _ in range(UNDISTORT_ITERATIONS):
            distorted, jacobian = _distort(camera, xy)
            determinant = jacobian[:, 0, 0] * jacobian[:, 1, 1] - jacobian[:, 0, 1] ** 2
            error = distorted - target
            with np.errstate(divide="ignore", invalid="ignore"):
                dx = jacobian[:, 1, 1] * error[:, 0] - jacobian[:, 0, 1] * error[:, 1]
                dy = jacobian[:, 0, 0] * error[:, 1] - jacobian[:, 0, 1] * error[:, 0]
                xy = xy - np.stack([dx, dy], axis=1) / determinant[:, None]
        left = np.abs(_distort(camera, xy)[0] - target).max(axis=1)
        xy = np.where((left < UNDISTORT_TOLERANCE)[:, None], xy, np.nan)
    rays = np.column_stack([xy, np.ones(len(xy))])
    return np.asarray(rays / np.linalg.norm(rays, axis=1, keepdims=True))


def observe(camera: Camera, cam_from_ref: Array, r_ref: Array, p_ref: Array) -> tuple[Array, Array, Array]:
    """Project points as seen from a satellite; any one reference frame, ecef or eci.

    cam_from_ref : (3, 3) or (N, 3, 3); r_ref : satellite, (3,) or (N, 3), m;
    p_ref : points (N, 3), m. Returns uv_px (N, 2), J_r = d(uv)/d(r_ref) (N, 2, 3) with
    the attitude held, and J_theta = d(uv)/d(theta) (N, 2, 3) for a small rotation of
    the camera, cam_from_ref -> exp(theta x) cam_from_ref with theta in cam axes, rad.
    NaN behind the camera. Points over the horizon: see `over_horizon`.
    """
    p_cam = np.einsum("...ij,...j->...i", cam_from_ref, p_ref - r_ref)
    uv_px, d_cam = pixel_from_camera_point(camera, p_cam)
    d_position = -d_cam @ np.broadcast_to(cam_from_ref, (len(p_ref), 3, 3))
    # d(p_cam)/d(theta) = -[p_cam x], so each row g of d_cam becomes p_cam x g.
    d_rotation = np.cross(p_cam[:, None, :], d_cam)
    return uv_px, d_position, d_rotation


def over_horizon(r_ecef: Array, p_ecef: Array) -> NDArray[np.bool_]:
    """Tell which points (N, 3) the ellipsoid hides from r_ecef, (3,) or (N, 3); m.

    A point on the ground is seen when the satellite stands above its tangent plane:
    with both scaled so that the ellipsoid is a unit sphere, r . p >= p . p.
    """
    scale = 1.0 / np.array([WGS84_A, WGS84_A, WGS84_B])
    r, p = r_ecef * scale, p_ecef * scale
    return np.asarray(np.sum(r * p, axis=-1) < np.sum(p * p, axis=-1))
