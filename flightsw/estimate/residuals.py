"""The camera residual and its exact Jacobians.

One detection of a landmark at p (eci, m) in the frame at t gives
    e = uv_observed - c - (1 + f) (pi(cam_from_eci(t) (p - r(t))) - c)
with c the principal point, f the error of the focal length, and the attitude
    given   cam_from_eci = E_cam(delta) table(t)
    nadir   cam_from_eci = cam_from_body E(delta) nadir(r(t), v(t)) ecef_from_eci(t)
where delta is the frame's pointing error, a rotation vector in body axes, and
E = exp([delta x]). A small change of the state turns the camera by
    d_theta_cam = cam_from_body (J_left(delta) d_delta + E(delta) d_theta_nadir(dr, dv)),
so that d(uv) = J_r dr + J_theta d_theta_cam, with J_r and J_theta from `camera.observe`.
The nadir term matters: an error of 100 km turns the nadir by 0.9 deg, 57 px.

A rolling shutter exposes a detection `late_s` after its frame's middle row; position,
attitude and landmark are moved there, by up to 3 px for tens of ms.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import WGS84_A, WGS84_E2, lla_from_ecef
from flightsw.camera.model import Camera
from flightsw.camera.nadir import body_from_ecef_nadir
from flightsw.camera.project import observe

Array = NDArray[np.float64]


def skew(a: Array) -> Array:
    """Return [a x] (..., 3, 3) of vectors (..., 3)."""
    x, y, z = np.moveaxis(a, -1, 0)
    zero = np.zeros_like(x)
    rows = [[zero, -z, y], [z, zero, -x], [-y, x, zero]]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def rotation_and_left_jacobian(delta: Array) -> tuple[Array, Array]:
    """Return exp([delta x]) and J with exp([(delta + d) x]) = exp([J d x]) exp([delta x]).

    delta : (..., 3) rad; both (..., 3, 3). Source: Sola, Deray, Atchuthan 2018, eqs. 143, 145.
    """
    angle = np.linalg.norm(delta, axis=-1)[..., None, None]
    k = skew(delta)
    small = angle < 1e-4  # rad: there the next terms of the series are below 1e-17
    safe = np.where(small, 1.0, angle)
    a = np.where(small, 1.0 - angle**2 / 6.0, np.sin(safe) / safe)
    b = np.where(small, 0.5 - angle**2 / 24.0, (1.0 - np.cos(safe)) / safe**2)
    c = np.where(small, 1.0 / 6.0 - angle**2 / 120.0, (1.0 - a) / safe**2)
    return np.eye(3) + a * k + b * (k @ k), np.eye(3) + b * k + c * (k @ k)


def nadir_attitude_jacobian(body_from_ecef: Array, r_ecef: Array, v_ecef: Array) -> tuple[Array, Array]:
    """Return how the nadir attitude turns with the state: d(theta)/d(r), d(theta)/d(v).

    body_from_ecef (F, 3, 3) as `camera.nadir` gives it for r_ecef (F, 3), m, and the
    inertial velocity in ecef axes v_ecef (F, 3), m/s. theta in body axes, rad:
    body_from_ecef -> exp([theta x]) body_from_ecef. Both (F, 3, 3), columns in ecef axes.

    The geodetic up turns by dr_north / (M + h) and dr_east / (N + h) (M, N the radii of
    curvature), z = -up; x follows the part of v across z, y = z cross x.
    """
    lat, lon, height = lla_from_ecef(r_ecef)
    x, y, z = body_from_ecef[:, 0], body_from_ecef[:, 1], body_from_ecef[:, 2]
    east = np.stack([-np.sin(lon), np.cos(lon), np.zeros_like(lon)], axis=1)
    north = np.cross(-z, east)
    shrink = 1.0 - WGS84_E2 * np.sin(lat) ** 2
    east_radius = WGS84_A / np.sqrt(shrink) + height
    north_radius = WGS84_A * (1.0 - WGS84_E2) / shrink**1.5 + height
    d_z = -(
        north[:, :, None] * (north / north_radius[:, None])[:, None, :]
        + east[:, :, None] * (east / east_radius[:, None])[:, None, :]
    )
    across = np.sum(v_ecef * x, axis=1)[:, None]  # |v - (v.z) z|
    climb = np.sum(v_ecef * z, axis=1)[:, None]
    d_z_x, d_z_y = np.einsum("fi,fij->fj", x, d_z), np.einsum("fi,fij->fj", y, d_z)
    by_position = np.stack([d_z_y, -d_z_x, climb * d_z_y / across], axis=1)
    by_velocity = np.zeros_like(by_position)
    by_velocity[:, 2] = -y / across
    return by_position, by_velocity


@dataclass(frozen=True, slots=True)
class Pointing:
    """Where the camera points in every frame, before its error.

    given_cam_from_eci (F, 3, 3) : the attitude table's rows, NaN where it has none;
    ecef_from_eci (F, 3, 3); is_nadir (F,) : frames that use the nadir law instead;
    given_rate (F, 3) : how the given attitude turns, cam axes, rad/s, NaN where unknown;
    a rolling shutter alone asks for it.
    """

    given_cam_from_eci: Array
    ecef_from_eci: Array
    is_nadir: NDArray[np.bool_]
    given_rate: Array | None = None

    def subset(self, frames: NDArray[np.intp]) -> "Pointing":
        """Return the same for the frames with these indices."""
        return Pointing(
            self.given_cam_from_eci[frames],
            self.ecef_from_eci[frames],
            self.is_nadir[frames],
            None if self.given_rate is None else self.given_rate[frames],
        )


def camera_attitude(
    camera: Camera, pointing: Pointing, state: Array, offset: Array
) -> tuple[Array, Array, Array]:
    """Return cam_from_eci (F, 3, 3), d(theta_cam)/d(r, v) (F, 3, 6), d(theta_cam)/d(offset) (F, 3, 3).

    state (F, 6) : eci, m and m/s; offset (F, 3) or (3,) : pointing error in body axes, rad.
    """
    offset = np.broadcast_to(offset, (len(state), 3))
    rotation, left = rotation_and_left_jacobian(offset)
    cam_from_body = camera.cam_from_body
    by_offset = cam_from_body @ left
    by_state = np.zeros((len(state), 3, 6))
    cam_from_eci = (cam_from_body @ rotation @ cam_from_body.T) @ pointing.given_cam_from_eci
    nadir = np.flatnonzero(pointing.is_nadir)
    if nadir.size:
        to_ecef = pointing.ecef_from_eci[nadir]
        r_ecef = np.einsum("fij,fj->fi", to_ecef, state[nadir, :3])
        v_ecef = np.einsum("fij,fj->fi", to_ecef, state[nadir, 3:])
        body = body_from_ecef_nadir(r_ecef, v_ecef)
        by_r, by_v = nadir_attitude_jacobian(body, r_ecef, v_ecef)
        turn = cam_from_body @ rotation[nadir]
        cam_from_eci[nadir] = turn @ body @ to_ecef
        by_state[nadir, :, :3] = turn @ by_r @ to_ecef
        by_state[nadir, :, 3:] = turn @ by_v @ to_ecef
    return cam_from_eci, by_state, by_offset


def turn_rate(pointing: Pointing, cam_from_eci: Array, state: Array) -> Array:
    """Return how the camera turns in every frame (F, 3), cam axes, rad/s.

    The table's rate where there is one, else the orbit's, r x v / r^2. In the sense of
    cam_from_eci(t + dt) = exp([rate dt x]) cam_from_eci(t).
    """
    r, v = state[:, :3], state[:, 3:]
    orbit = np.cross(r, v) / np.sum(r * r, axis=1)[:, None]
    by_orbit = np.asarray(-np.einsum("fij,fj->fi", cam_from_eci, orbit))
    if pointing.given_rate is None:
        return by_orbit
    return np.where(np.isfinite(pointing.given_rate), pointing.given_rate, by_orbit)


@dataclass(frozen=True, slots=True)
class CameraResidual:
    """Residuals e (N, 2) in px, and how they move with what.

    by_state (N, 2, 6) : of the frame, attitude law included; by_offset (N, 2, 3) : the
    frame's pointing error; by_focal (N, 2) : f; by_landmark (N, 2, 3) : p. NaN behind the
    camera and where the Earth hides the landmark.
    """

    e: Array
    by_state: Array
    by_offset: Array
    by_focal: Array
    by_landmark: Array


def camera_residual(
    camera: Camera,
    pointing: Pointing,
    state: Array,
    offset: Array,
    p_eci: Array,
    uv_px: Array,
    frame: NDArray[np.intp],
    *,
    focal: float = 0.0,
    late_s: Array | None = None,
) -> CameraResidual:
    """Return the residuals of N detections in F frames.

    state (F, 6); offset (F, 3) or (3,); p_eci (N, 3) at the detection's own exposure;
    uv_px (N, 2); frame (N,) : index of each detection's frame; late_s (N,) : its exposure
    after the frame's time, None for a global shutter.
    """
    cam_from_eci, by_state, by_offset = camera_attitude(camera, pointing, state, offset)
    r = state[frame, :3]
    if late_s is not None:
        r = r + late_s[:, None] * state[frame, 3:]
    predicted, by_position, by_turn = observe(camera, cam_from_eci[frame], r, p_eci)
    if late_s is not None:
        turned = turn_rate(pointing, cam_from_eci, state)[frame] * late_s[:, None]
        predicted = predicted + np.einsum("nij,nj->ni", by_turn, turned)
    jacobian = by_turn @ by_state[frame]
    jacobian[:, :, :3] += by_position
    # Behind the limb of a sphere: 1 - (R/r)^2 in disguise. The ellipsoid moves it by < 25 km.
    hidden = np.sum(r * p_eci, axis=1) < 0.98 * np.sum(p_eci * p_eci, axis=1)
    from_centre = predicted - np.array([camera.cx_px, camera.cy_px])
    from_centre[hidden] = np.nan
    scale = 1.0 + focal
    return CameraResidual(
        e=uv_px - np.array([camera.cx_px, camera.cy_px]) - scale * from_centre,
        by_state=-scale * jacobian,
        by_offset=-scale * (by_turn @ by_offset[frame]),
        by_focal=-from_centre,
        by_landmark=scale * by_position,
    )
