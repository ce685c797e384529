"""The camera residual and its exact Jacobians.

One detection of a landmark at p (eci, m) in the frame at t gives
    e = uv_observed - pi(cam_from_eci(t) (p - r(t)))
with the attitude
    given   cam_from_eci = E_cam(delta) table(t)
    nadir   cam_from_eci = cam_from_body E(delta) nadir(r(t), v(t)) ecef_from_eci(t)
where delta is the constant pointing offset, a rotation vector in body axes, and
E = exp([delta x]). A small change of the state turns the camera by
    d_theta_cam = cam_from_body (J_left(delta) d_delta + E(delta) d_theta_nadir(dr, dv)),
so that d(uv) = J_r dr + J_theta d_theta_cam, with J_r and J_theta from `camera.observe`.
The nadir term matters: an error of 100 km turns the nadir by 0.9 deg, 57 px.
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
    """Return [a x] (3, 3)."""
    x, y, z = a
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


def rotation_and_left_jacobian(delta: Array) -> tuple[Array, Array]:
    """Return exp([delta x]) and J with exp([(delta + d) x]) = exp([J d x]) exp([delta x]).

    delta : (3,) rad. Source: Sola, Deray, Atchuthan 2018, eqs. 143 and 145.
    """
    angle = float(np.linalg.norm(delta))
    k = skew(delta)
    if angle < 1e-6:  # rad: the next term of either series is below 1e-13
        return np.eye(3) + k + 0.5 * k @ k, np.eye(3) + 0.5 * k + k @ k / 6.0
    a = np.sin(angle) / angle
    b = (1.0 - np.cos(angle)) / angle**2
    c = (1.0 - a) / angle**2
    return np.eye(3) + a * k + b * k @ k, np.eye(3) + b * k + c * k @ k


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
    """Where the camera points in every frame, before the constant offset.

    given_cam_from_eci (F, 3, 3) : the attitude table's rows, NaN where it has none;
    ecef_from_eci (F, 3, 3); is_nadir (F,) : frames that use the nadir law instead.
    """

    given_cam_from_eci: Array
    ecef_from_eci: Array
    is_nadir: NDArray[np.bool_]

    def subset(self, frames: NDArray[np.intp]) -> "Pointing":
        """Return the same for the frames with these indices."""
        return Pointing(self.given_cam_from_eci[frames], self.ecef_from_eci[frames], self.is_nadir[frames])


def camera_attitude(
    camera: Camera, pointing: Pointing, state: Array, offset: Array
) -> tuple[Array, Array, Array]:
    """Return cam_from_eci (F, 3, 3), d(theta_cam)/d(r, v) (F, 3, 6), d(theta_cam)/d(offset) (3, 3).

    state (F, 6) : eci, m and m/s; offset (3,) : pointing offset in body axes, rad.
    """
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
        turn = cam_from_body @ rotation
        cam_from_eci[nadir] = turn @ body @ to_ecef
        by_state[nadir, :, :3] = turn @ by_r @ to_ecef
        by_state[nadir, :, 3:] = turn @ by_v @ to_ecef
    return cam_from_eci, by_state, by_offset


def camera_residual(
    camera: Camera,
    pointing: Pointing,
    state: Array,
    offset: Array,
    p_eci: Array,
    uv_px: Array,
    frame: NDArray[np.intp],
) -> tuple[Array, Array, Array]:
    """Return e (N, 2) in px, d(e)/d(state of its frame) (N, 2, 6), d(e)/d(offset) (N, 2, 3).

    state (F, 6); p_eci (N, 3), uv_px (N, 2) and frame (N,), the index of each detection's
    frame. NaN behind the camera and where the Earth hides the landmark.
    """
    cam_from_eci, by_state, by_offset = camera_attitude(camera, pointing, state, offset)
    r = state[frame, :3]
    predicted, by_position, by_turn = observe(camera, cam_from_eci[frame], r, p_eci)
    jacobian = by_turn @ by_state[frame]
    jacobian[:, :, :3] += by_position
    # Behind the limb of a sphere: 1 - (R/r)^2 in disguise. The ellipsoid moves it by < 25 km.
    hidden = np.sum(r * p_eci, axis=1) < 0.98 * np.sum(p_eci * p_eci, axis=1)
    predicted[hidden] = np.nan
    return uv_px - predicted, -jacobian, -(by_turn @ by_offset)
