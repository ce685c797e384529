"""Frames that tell their own attitude: where it is unknown, enough landmarks give it.

Nadir to within some degrees, turned about it by any angle: a frame's position and attitude
follow together from its landmarks (`camera.pose_gate`). The pose is only where the fit
starts: there, position comes from the orbit, and the frame's pointing is an unknown of its
own with hardly any prior. Frames with too few landmarks to tell are left out.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from flightsw.camera.pose_fit import Fit, Prior
from flightsw.camera.pose_gate import GateOptions, propose_poses
from flightsw.camera.project import ray_from_pixel
from flightsw.estimate.sightings import PASS_GAP, Sightings, split_by_gap

Array = NDArray[np.float64]

LEAST_LANDMARKS = 8  # below, position and attitude hang together by tens of km
MOST_VOTING = 40  # detections of a frame that propose poses; the fit has them all
TILT_SIGMAS = 4.0  # beyond, a pose is not the one that is meant
POSE_FOCAL_PX = 887.0  # of the camera that the gate's pixels are stated for
SCATTER_SIGMAS = 3.0  # of the detector: the last radius of the fit, at least


def with_own_attitudes(sightings: Sightings, tilt_sigma: float, rng: np.random.Generator) -> Sightings:
    """Return the frames without a given attitude that tell their own, and those with one.

    tilt_sigma : how far the camera may be off its place about the nadir, 1 sigma, rad.
    """
    first = np.searchsorted(sightings.frame, np.arange(len(sightings.t_s) + 1))
    given = sightings.pointing.given_cam_from_eci.copy()
    attitude_sigma, own_sigma = sightings.attitude_sigma.copy(), sightings.own_sigma.copy()
    keep = ~sightings.pointing.is_nadir
    for frame in np.flatnonzero(sightings.pointing.is_nadir):
        rows = np.arange(first[frame], first[frame + 1], dtype=np.intp)
        found = _attitude(sightings, int(frame), rows, tilt_sigma, rng)
        if found is not None:
            given[frame], attitude_sigma[frame] = found
            own_sigma[frame], keep[frame] = tilt_sigma, True
    pointing = replace(sightings.pointing, given_cam_from_eci=given, is_nadir=np.zeros(len(keep), dtype=bool))
    whole = replace(sightings, pointing=pointing, attitude_sigma=attitude_sigma, own_sigma=own_sigma)
    left = whole.select(keep[sightings.frame])
    return replace(left, pass_index=split_by_gap(left.t_s, PASS_GAP))


def _attitude(
    sightings: Sightings, frame: int, rows: NDArray[np.intp], tilt_sigma: float, rng: np.random.Generator
) -> tuple[Array, float] | None:
    """Return cam_from_eci (3, 3) of a frame and its sigma, rad; None where it does not tell."""
    if len(np.unique(sightings.landmark[rows])) < LEAST_LANDMARKS:
        return None
    camera = replace(sightings.camera, distortion=(0.0, 0.0, 0.0, 0.0, 0.0))
    ray = ray_from_pixel(sightings.camera, sightings.uv_px[rows])
    uv_px = np.array([camera.cx_px, camera.cy_px]) + ray[:, :2] / ray[:, 2:] * [camera.fx_px, camera.fy_px]
    to_ecef = sightings.pointing.ecef_from_eci[frame]
    p_ecef = sightings.p_eci[rows] @ to_ecef.T
    options = _gate(sightings, rows, tilt_sigma)
    voting = np.sort(rng.permutation(len(rows))[:MOST_VOTING])
    proposals = propose_poses(camera, uv_px[voting], p_ecef[voting], np.zeros(len(voting)), options=options)
    if not proposals:
        return None
    pose = proposals[0].pose
    fit = Fit(camera, uv_px, p_ecef, pose.r_ecef[None], pose.cam_from_ecef[None])
    for _ in range(3):
        fit.step(fit.residual_px() < options.radii_px[-1], options.prior)
    inlier = fit.residual_px() < options.radii_px[-1]
    if len(np.unique(sightings.landmark[rows[inlier[0]]])) < LEAST_LANDMARKS or inlier.mean() < 0.5:
        return None
    normal, _ = fit.normal(inlier, options.prior)
    turn = np.linalg.inv(normal[0])[3:, 3:]
    return fit.cam_from_ecef[0] @ to_ecef, float(np.sqrt(np.trace(turn) / 3.0))


def _gate(sightings: Sightings, rows: NDArray[np.intp], tilt_sigma: float) -> GateOptions:
    """Return the gate's limits in pixels of this camera, for detections `rows` of this noise."""
    usual, unit = GateOptions(), sightings.camera.fx_px / POSE_FOCAL_PX
    noise = float(np.median(sightings.sigma_px[rows]))
    down = tuple(float(x) for x in sightings.camera.cam_from_body[:, 2])
    return replace(
        usual,
        steepest=TILT_SIGMAS * tilt_sigma,
        prior=Prior(pixel_sigma=noise, tilt_sigma=tilt_sigma, down_cam=(down[0], down[1], down[2])),
        search_px=usual.search_px * unit * max(1.0, np.degrees(tilt_sigma) / 3.0),
        radii_px=tuple(max(radius * unit, SCATTER_SIGMAS * noise) for radius in usual.radii_px),
        min_inliers=LEAST_LANDMARKS // 2 + 1,
        min_spread_px=usual.min_spread_px * unit,
        kept=1,
    )
