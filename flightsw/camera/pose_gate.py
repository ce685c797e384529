"""The geometric gate: from what a detector claims to see to a pose that explains it.

Candidates (one a class, many of them wrong) vote by pairs (`flightsw.camera.pose_search`);
the best hypotheses are fitted in six degrees of freedom (`flightsw.camera.pose_fit`), all at
once, with the inlier radius drawn in from 40 px to 5 px. The pose gates; it is not the
fix: its sub-satellite point may be tens of km off.

The gate alone does not prove the place: four inliers accept a quarter of the frames of
elsewhere. `flightsw.vision.check` decides, and `flightsw.vision.align` draws the pose tight.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.camera.model import Camera
from flightsw.camera.pose_fit import Fit, Pose, Prior
from flightsw.camera.pose_search import search

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOptions:
    """Limits of the gate.

    lowest, highest : altitude, m; steepest : tilt, rad; prior : of the fit; search_px :
    agreement with a pair's level pose; radii_px : inlier radius of each fitting step, the
    last is the verdict; min_inliers; min_spread_px : the inliers' r.m.s. distance from
    their middle; tried : hypotheses fitted; kept : poses returned.
    """

    lowest: float = 230_000.0
    highest: float = 1_230_000.0
    steepest: float = float(np.deg2rad(8.0))
    prior: Prior = Prior()
    search_px: float = 32.0
    radii_px: tuple[float, ...] = (40.0, 25.0, 14.0, 9.0, 6.0, 5.0, 5.0)
    min_inliers: int = 4
    min_spread_px: float = 50.0
    tried: int = 32
    kept: int = 4


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
    fit = Fit(camera, uv_px, p_ecef, r_ecef, cam_from_ecef)
    for radius in options.radii_px:
        fit.step(fit.residual_px() < radius, options.prior)
    return _verdict(fit, score, options)


def _verdict(fit: Fit, score: Array, options: GateOptions) -> list[Proposal]:
    """Return the fitted hypotheses that pass every limit, distinct, best first."""
    residual = fit.residual_px()
    inlier = residual < options.radii_px[-1]
    # Equal counts: the one whose inliers the detector believes in, then the better fit.
    loss = np.where(inlier, residual / options.radii_px[-1], 0.0).mean(axis=1)
    rank = inlier.sum(axis=1) + np.where(inlier, score, 0.0).mean(axis=1) - 0.1 * loss
    proposals: list[Proposal] = []
    for index in np.argsort(-rank, kind="stable"):
        pose = Pose(fit.r_ecef[index], fit.cam_from_ecef[index])
        if inlier[index].sum() < options.min_inliers or len(proposals) == options.kept:
            break
        points = fit.uv_px[inlier[index]]
        spread = np.sqrt(np.square(points - points.mean(axis=0)).sum(axis=1).mean())
        if spread < options.min_spread_px or pose.tilt_from(options.prior.down_cam) > options.steepest:
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
