"""The geometric gate: from what a detector claims to see to a pose that explains it.

Candidates (one a class, many of them wrong) vote by pairs (`flightsw.vision.similarity`);
the best hypotheses are fitted in six degrees of freedom by Gauss-Newton, all at once:
    minimise sum over inliers |uv - project(p)|^2 / s^2 + |tilt|^2 / (3 deg)^2
with the inlier radius drawn in from 40 px to 5 px. Tilt is the angle between the
optical axis and the nadir; its soft prior takes up the near degeneracy of tilt and
position. The pose gates; it is not the fix: its sub-satellite point may be tens of km off.

The gate alone does not prove the place: four inliers accept a quarter of the frames of
elsewhere. `flightsw.vision.check` decides.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import geodetic_up, lla_from_ecef
from flightsw.camera.model import Camera
from flightsw.camera.project import observe, over_horizon
from flightsw.vision.similarity import search

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
        lat, lon, _ = lla_from_ecef(self.r_ecef)
        sine = np.linalg.norm(np.cross(self.cam_from_ecef[2], geodetic_up(lat, lon)))
        return float(np.arctan2(sine, -self.cam_from_ecef[2] @ geodetic_up(lat, lon)))


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOptions:
    """Limits of the gate.

    lowest, highest : altitude, m; steepest : tilt, rad; tilt_sigma : soft prior, rad;
    pixel_sigma : of a right candidate, px, against that prior; radii_px : inlier radius
    of each fitting step, the last is the verdict; min_inliers; min_spread_px : the
    inliers' r.m.s. distance from their middle; tried : hypotheses fitted; kept : poses
    returned.
    """

    lowest: float = 230_000.0
    highest: float = 1_230_000.0
    steepest: float = np.deg2rad(8.0)
    tilt_sigma: float = np.deg2rad(3.0)
    pixel_sigma: float = 2.0
    search_px: float = 32.0
    radii_px: tuple[float, ...] = (40.0, 25.0, 14.0, 9.0, 6.0, 5.0, 5.0)
    min_inliers: int = 4
    min_spread_px: float = 50.0
    tried: int = 32
    kept: int = 2


@dataclass(frozen=True, slots=True)
class Proposal:
    """A pose and who supports it: inlier (K,) of the candidates, residual_px (K,)."""

    pose: Pose
    inlier: Mask
    residual_px: Array

    @property
    def support(self) -> int:
        """Number of inliers."""
        return int(self.inlier.sum())


def propose_poses(
    camera: Camera,
    uv_px: Array,
    p_ecef: Array,
    score: Array,
    *,
    options: GateOptions = GateOptions(),
) -> list[Proposal]:
    """Return poses that pass the gate, most inliers first; an empty list is "no fix".

    camera : free of distortion; uv_px (K, 2) : candidates' pixels; p_ecef (K, 3) : the
    landmarks they claim to be, m; score (K,) : 0..1, breaks ties of inlier counts.
    """
    if len(uv_px) < options.min_inliers:
        return []
    r_ecef, cam_from_ecef, _ = search(
        camera,
        uv_px,
        p_ecef,
        altitude=(options.lowest, options.highest),
        tolerance_px=options.search_px,
        count=options.tried,
    )
    if len(r_ecef) == 0:
        return []
    for radius in options.radii_px:
        residual, d_position, d_rotation = _linearise(camera, r_ecef, cam_from_ecef, p_ecef, uv_px)
        inlier = np.linalg.norm(residual, axis=2) < radius
        r_ecef, cam_from_ecef = _step(
            r_ecef, cam_from_ecef, residual, inlier, d_position, d_rotation, options
        )
    return _verdict(camera, r_ecef, cam_from_ecef, p_ecef, uv_px, score, options)


def _linearise(
    camera: Camera, r_ecef: Array, cam_from_ecef: Array, p_ecef: Array, uv_px: Array
) -> tuple[Array, Array, Array]:
    """Return uv - projection (M, K, 2), and the projection's Jacobians (M, K, 2, 3).

    A point behind the camera or over the horizon has an infinite residual.
    """
    m, k = len(r_ecef), len(p_ecef)
    r_all = np.repeat(r_ecef, k, axis=0)
    p_all = np.tile(p_ecef, (m, 1))
    uv, d_position, d_rotation = observe(camera, np.repeat(cam_from_ecef, k, axis=0), r_all, p_all)
    hidden = over_horizon(r_all, p_all) | ~np.isfinite(uv).all(axis=1)
    residual = np.where(hidden[:, None], np.inf, np.tile(uv_px, (m, 1)) - uv)
    jacobians = [np.where(hidden[:, None, None], 0.0, j) for j in (d_position, d_rotation)]
    return residual.reshape(m, k, 2), jacobians[0].reshape(m, k, 2, 3), jacobians[1].reshape(m, k, 2, 3)


def _step(
    r_ecef: Array,
    cam_from_ecef: Array,
    residual: Array,
    inlier: Mask,
    d_position: Array,
    d_rotation: Array,
    options: GateOptions,
) -> tuple[Array, Array]:
    """Return positions and rotations after one Gauss-Newton step of all M hypotheses."""
    distance = np.linalg.norm(r_ecef, axis=1)
    jacobian = np.concatenate([d_position * 1e3, d_rotation], axis=3)  # km, rad: even scales
    weighted = jacobian * (inlier / options.pixel_sigma**2)[..., None, None]
    error = np.where(inlier[..., None], residual, 0.0)
    normal = np.einsum("mkai,mkaj->mij", weighted, jacobian)
    gradient = np.einsum("mkai,mka->mi", weighted, error)
    lat, lon, _ = lla_from_ecef(r_ecef)
    axis = np.einsum("mij,mj->mi", cam_from_ecef, -geodetic_up(lat, lon))[:, :2]  # 0 at nadir
    tilt = np.zeros((len(r_ecef), 2, 6))  # d(axis): the nadir turns with r, the camera with theta
    tilt[:, :, :3] = -cam_from_ecef[:, :2] * (1e3 / distance)[:, None, None]
    tilt[:, 0, 4], tilt[:, 1, 3] = 1.0, -1.0
    normal += np.einsum("mai,maj->mij", tilt, tilt) / options.tilt_sigma**2
    gradient -= np.einsum("mai,ma->mi", tilt, axis) / options.tilt_sigma**2
    normal += np.eye(6) * 1e-9 * np.trace(normal, axis1=1, axis2=2)[:, None, None]
    step = np.linalg.solve(normal, gradient[..., None])[..., 0]
    # A hypothesis without support must not fly off: 200 km and 0.2 rad at most.
    length = np.maximum(np.linalg.norm(step[:, :3], axis=1) / 200.0, 1.0)
    length = np.maximum(length, np.linalg.norm(step[:, 3:], axis=1) / 0.2)
    step /= length[:, None]
    return r_ecef + 1e3 * step[:, :3], rotation_from_vector(step[:, 3:]) @ cam_from_ecef


def _verdict(
    camera: Camera,
    r_ecef: Array,
    cam_from_ecef: Array,
    p_ecef: Array,
    uv_px: Array,
    score: Array,
    options: GateOptions,
) -> list[Proposal]:
    """Return the fitted hypotheses that pass every limit, distinct, best first."""
    residual = np.linalg.norm(_linearise(camera, r_ecef, cam_from_ecef, p_ecef, uv_px)[0], axis=2)
    inlier = residual < options.radii_px[-1]
    # Equal counts: the one whose inliers the detector believes in, then the better fit.
    loss = np.where(inlier, residual / options.radii_px[-1], 0.0).mean(axis=1)
    rank = inlier.sum(axis=1) + np.where(inlier, score, 0.0).mean(axis=1) - 0.1 * loss
    proposals: list[Proposal] = []
    for index in np.argsort(-rank, kind="stable"):
        pose = Pose(r_ecef[index], cam_from_ecef[index])
        if inlier[index].sum() < options.min_inliers or len(proposals) == options.kept:
            break
        points = uv_px[inlier[index]]
        spread = np.sqrt(np.square(points - points.mean(axis=0)).sum(axis=1).mean())
        if spread < options.min_spread_px or pose.tilt > options.steepest:
            continue
        if not options.lowest <= pose.altitude <= options.highest:
            continue
        if any(_is_same(pose, other.pose) for other in proposals):
            continue
        proposals.append(Proposal(pose, inlier[index], residual[index]))
    return proposals


def _is_same(one: Pose, other: Pose) -> bool:
    """Tell whether two poses look at the same place: the view's middle within 3 % of h."""
    apart = (one.r_ecef + one.altitude * one.cam_from_ecef[2]) - (
        other.r_ecef + other.altitude * other.cam_from_ecef[2]
    )
    return bool(np.linalg.norm(apart) < 0.03 * one.altitude)


def rotation_from_vector(theta: Array) -> Array:
    """Return exp(theta x), (M, 3, 3), of rotation vectors (M, 3), rad (Rodrigues)."""
    angle = np.linalg.norm(theta, axis=1)[:, None, None]
    cross = np.zeros((len(theta), 3, 3))
    cross[:, 0, 1], cross[:, 0, 2], cross[:, 1, 2] = -theta[:, 2], theta[:, 1], -theta[:, 0]
    cross -= cross.transpose(0, 2, 1)
    one = np.sinc(angle / np.pi)
    two = 0.5 * np.sinc(0.5 * angle / np.pi) ** 2
    return np.asarray(np.eye(3) + one * cross + two * (cross @ cross))
