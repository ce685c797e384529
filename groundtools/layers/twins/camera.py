"""Twins of `flightsw.camera.project` and `flightsw.camera.nadir`: points to pixels."""

import torch
from torch import Tensor

from flightsw.camera.model import Camera
from groundtools.layers.twins.geodesy import geodetic_up, lla_from_ecef


def pixel_from_camera_point(camera: Camera, p_cam: Tensor) -> Tensor:
    """Return pixels (..., 2) of points (..., 3) in m, cam axes; NaN behind the camera."""
    k1, k2, p1, p2, k3 = camera.distortion
    z = torch.where(p_cam[..., 2] > 0.0, p_cam[..., 2], torch.nan)
    x, y = p_cam[..., 0] / z, p_cam[..., 1] / z
    s = x * x + y * y
    radial = 1.0 + s * (k1 + s * (k2 + s * k3))
    u = x * radial + 2.0 * p1 * x * y + p2 * (s + 2.0 * x * x)
    v = y * radial + p1 * (s + 2.0 * y * y) + 2.0 * p2 * x * y
    return torch.stack([camera.fx_px * u + camera.cx_px, camera.fy_px * v + camera.cy_px], -1)


def observe(camera: Camera, cam_from_ref: Tensor, r_ref: Tensor, p_ref: Tensor) -> Tensor:
    """Return pixels (N, 2) of points (N, 3) seen from r_ref, (3,) or (N, 3), m, one frame."""
    return pixel_from_camera_point(camera, (cam_from_ref @ (p_ref - r_ref)[..., None])[..., 0])


def body_from_ecef_nadir(r_ecef: Tensor, v_inertial_ecef: Tensor) -> Tensor:
    """Return the nadir attitude (..., 3, 3); see the original for the frames."""
    lat, lon, _ = lla_from_ecef(r_ecef)
    z_body = -geodetic_up(lat, lon)
    x_body = v_inertial_ecef - (v_inertial_ecef * z_body).sum(-1, keepdim=True) * z_body
    x_body = x_body / x_body.norm(dim=-1, keepdim=True)
    return torch.stack([x_body, torch.linalg.cross(z_body, x_body, dim=-1), z_body], -2)
