"""Poses, and their fit in six degrees of freedom to points seen in a frame.

Gauss-Newton for many hypotheses at once:
    minimise sum over inliers |uv - project(p)|^2 / pixel_sigma^2 + |tilt|^2 / tilt_sigma^2
Tilt is the angle between the optical axis and the nadir; its soft prior takes up the near
degeneracy of tilt and position. Whoever calls decides, step by step, who is an inlier.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import geodetic_up, lla_from_ecef
from flightsw.camera.model import Camera
from flightsw.camera.project import observe, over_horizon

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Pose:
    """Where the camera was: r_ecef (3,) m and cam_from_ecef (3, 3)."""

    r_ecef: Array
    cam_from_ecef: Array

    @property
    def altitude(self) -> float:
        """Height above the ellipsoid, m."""
        return float(lla_from_ecef(self.r_ecef)[2])

    @property
    def tilt(self) -> float:
        """Angle between the optical axis and the geodetic nadir, rad."""
        return self.tilt_from((0.0, 0.0, 1.0))

    def tilt_from(self, down_cam: tuple[float, float, float]) -> float:
        """Angle between the geodetic nadir and where it should be in the camera's axes, rad."""
        lat, lon, _ = lla_from_ecef(self.r_ecef)
        nadir = -self.cam_from_ecef @ geodetic_up(lat, lon)
        return float(np.arctan2(np.linalg.norm(np.cross(nadir, down_cam)), nadir @ down_cam))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """What a fit weighs: pixel_sigma of a right candidate, px; tilt_sigma, rad, of the
    camera about where it should look: down_cam, the nadir's direction in its own axes.
    """

    pixel_sigma: float = 2.0
    tilt_sigma: float = float(np.deg2rad(3.0))
    down_cam: tuple[float, float, float] = (0.0, 0.0, 1.0)


class Fit:
    """M hypotheses and the same K candidates: residuals, normal equations, Gauss-Newton steps."""

    def __init__(
        self, camera: Camera, uv_px: Array, p_ecef: Array, r_ecef: Array, cam_from_ecef: Array
    ) -> None:
        self.camera, self.uv_px, self.p_ecef = camera, uv_px, p_ecef
        self.move(r_ecef, cam_from_ecef)

    def move(self, r_ecef: Array, cam_from_ecef: Array) -> None:
        """Take poses (M, 3), (M, 3, 3); set residual (M, K, 2) px and jacobian (M, K, 2, 6).

        The Jacobian is of the projection, by position in km and rotation in rad (even
        scales). A point behind the camera or over the horizon has an infinite residual.
        """
        self.r_ecef, self.cam_from_ecef = r_ecef, cam_from_ecef
        m, k = len(r_ecef), len(self.p_ecef)
        r_all, p_all = np.repeat(r_ecef, k, axis=0), np.tile(self.p_ecef, (m, 1))
        uv, d_r, d_theta = observe(self.camera, np.repeat(cam_from_ecef, k, axis=0), r_all, p_all)
        hidden = over_horizon(r_all, p_all) | ~np.isfinite(uv).all(axis=1)
        residual = np.where(hidden[:, None], np.inf, np.tile(self.uv_px, (m, 1)) - uv)
        jacobian = np.where(hidden[:, None, None], 0.0, np.concatenate([d_r * 1e3, d_theta], axis=2))
        self.residual, self.jacobian = residual.reshape(m, k, 2), jacobian.reshape(m, k, 2, 6)

    def residual_px(self) -> Array:
        """Return the residuals' lengths (M, K)."""
        return np.asarray(np.linalg.norm(self.residual, axis=2))

    def normal(self, inlier: Mask, prior: Prior) -> tuple[Array, Array]:
        """Return the normal matrix (M, 6, 6) and right-hand side (M, 6), the tilt's prior in both."""
        weighted = self.jacobian * (inlier / prior.pixel_sigma**2)[..., None, None]
        error = np.where(inlier[..., None], self.residual, 0.0)
        normal = np.einsum("mkai,mkaj->mij", weighted, self.jacobian)
        right = np.einsum("mkai,mka->mi", weighted, error)
        lat, lon, _ = lla_from_ecef(self.r_ecef)
        nadir = np.einsum("mij,mj->mi", self.cam_from_ecef, -geodetic_up(lat, lon))
        axis = nadir - np.array(prior.down_cam)
        tilt = np.zeros((len(axis), 3, 6))  # d(nadir): it turns with r, the camera with theta
        distance = np.linalg.norm(self.r_ecef, axis=1)
        across = np.eye(3) - nadir[:, :, None] * nadir[:, None, :]
        tilt[:, :, :3] = -(across @ self.cam_from_ecef) * (1e3 / distance)[:, None, None]
        tilt[:, :, 3:] = -_cross_matrix(nadir)
        normal += np.einsum("mai,maj->mij", tilt, tilt) / prior.tilt_sigma**2
        right -= np.einsum("mai,ma->mi", tilt, axis) / prior.tilt_sigma**2
        normal += np.eye(6) * 1e-9 * np.trace(normal, axis1=1, axis2=2)[:, None, None]
        return normal, right

    def step(self, inlier: Mask, prior: Prior) -> None:
        """Make one Gauss-Newton step of every hypothesis over its inliers (M, K)."""
        normal, right = self.normal(inlier, prior)
        step = np.linalg.solve(normal, right[..., None])[..., 0]
        # A hypothesis without support must not fly off: 200 km and 0.2 rad at most.
        length = np.maximum(np.linalg.norm(step[:, :3], axis=1) / 200.0, 1.0)
        length = np.maximum(length, np.linalg.norm(step[:, 3:], axis=1) / 0.2)
        step /= length[:, None]
        turned = rotation_from_vector(np.asarray(step[:, 3:])) @ self.cam_from_ecef
        self.move(self.r_ecef + 1e3 * step[:, :3], turned)


def rotation_from_vector(theta: Array) -> Array:
    """Return exp(theta x), (M, 3, 3), of rotation vectors (M, 3), rad (Rodrigues)."""
    angle = np.linalg.norm(theta, axis=1)[:, None, None]
    cross = _cross_matrix(theta)
    one = np.sinc(angle / np.pi)
    two = 0.5 * np.sinc(0.5 * angle / np.pi) ** 2
    return np.asarray(np.eye(3) + one * cross + two * (cross @ cross))


def vector_from_rotation(rotation: Array) -> Array:
    """Return the vectors (N, 3), rad, of rotations (N, 3, 3) below a right angle."""
    sine = 0.5 * np.stack(
        [
            rotation[:, 2, 1] - rotation[:, 1, 2],
            rotation[:, 0, 2] - rotation[:, 2, 0],
            rotation[:, 1, 0] - rotation[:, 0, 1],
        ],
        axis=1,
    )
    angle = np.arcsin(np.minimum(np.linalg.norm(sine, axis=1), 1.0))
    return np.asarray(sine / np.sinc(angle / np.pi)[:, None])


def _cross_matrix(vector: Array) -> Array:
    """Return the matrices (M, 3, 3) of the product vector x, of vectors (M, 3)."""
    cross = np.zeros((len(vector), 3, 3))
    cross[:, 0, 1], cross[:, 0, 2], cross[:, 1, 2] = -vector[:, 2], vector[:, 1], -vector[:, 0]
    return np.asarray(cross - cross.transpose(0, 2, 1))
