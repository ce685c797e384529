"""From a rough pose to one that blocks of the frame agree on.

A rough pose (of the coarse search: 5 deg of yaw, 5 % of scale, 10 km; of a prediction:
tens of km) lays the map under the frame: the map's features are looked up at the frame's
own cells and their directions turned into the frame's axes. The 100 blocks of the frame with the most in them
look for their places within `REACH` cells (`flightsw.vision.blocks`). Pairs of blocks vote
for the similarity that moves all of them (tilt bends it: the radius allows for that), and
the pose is fitted to those that agree. What agrees by chance is for the dense check.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.camera.pose_fit import Fit, Pose, Prior
from flightsw.vision.blocks import BLOCK, BlockShifts, place_blocks
from flightsw.vision.maps import ReferenceMap
from flightsw.vision.match_coarse import STEP, FrameFeatures
from flightsw.vision.preprocess import MODEL_CAMERA
from flightsw.vision.underlay import HEIGHT, WIDTH, Ground, ground_under, map_under

Array = NDArray[np.float64]

REACH = 12  # cells, 30 km
TOP = HEIGHT % BLOCK // 2  # cells above the first row of blocks
LEAST_USABLE = 0.3  # of a block's cells
LEAST_CORRELATION = 0.2
MOST_BLOCKS = 100  # looked at: half the time of all, and enough
VOTE_RADIUS = 3.0  # cells
FEWEST_BLOCKS = 5  # that agree with a fitted pose
MOST_VOTERS = 60  # blocks that make pairs
RADII_PX = (24.0, 16.0, 10.0, 8.0, 8.0)  # model px, step by step


@dataclass(frozen=True, slots=True)
class Support:
    """A pose, how many blocks agree with it, and the sum of their correlations."""

    pose: Pose
    blocks: int
    correlation: float


def improve(features: FrameFeatures, rough: Pose, reference: ReferenceMap, *, prior: Prior) -> Support | None:
    """Return the pose that blocks of the frame agree on near a rough one, or None."""
    ground = ground_under(rough, reference, margin=REACH)
    if ground is None:
        return None
    height, width = (n // BLOCK * BLOCK for n in (HEIGHT, WIDTH))
    rows = TOP + np.arange(-REACH, height + REACH)
    window = map_under(ground, rows, np.arange(-REACH, width + REACH))
    cut = (slice(TOP, TOP + height), slice(0, width))
    shifts = place_blocks(
        features.planes[:, *cut],
        features.usable[cut],
        window,
        reach=REACH,
        least_usable=LEAST_USABLE,
        most=MOST_BLOCKS,
    )
    good = np.flatnonzero(shifts.is_good & (shifts.peak > LEAST_CORRELATION))
    if len(good) < FEWEST_BLOCKS:
        return None
    agrees = good[_consensus(shifts, good)]
    if len(agrees) < FEWEST_BLOCKS:
        return None
    return _fitted(shifts, good, agrees, ground, rough, prior)


def _fitted(
    shifts: BlockShifts,
    good: NDArray[np.int64],
    agrees: NDArray[np.int64],
    ground: Ground,
    rough: Pose,
    prior: Prior,
) -> Support | None:
    """Return the pose fitted to the good blocks, from those that agree; None with too few."""
    at = shifts.at + np.array([TOP, 0.0])
    uv_px = (at[:, ::-1] + 0.5) * STEP
    p_ecef = ground.points(at + shifts.moved)
    seen = np.asarray(np.isfinite(p_ecef).all(axis=1))
    good, agrees = good[seen[good]], agrees[seen[agrees]]
    if len(agrees) < FEWEST_BLOCKS:
        return None
    fit = Fit(MODEL_CAMERA, uv_px[good], p_ecef[good], rough.r_ecef[None], rough.cam_from_ecef[None])
    first = np.isin(good, agrees)[None]
    fit.step(first, prior)
    fit.step(first, prior)
    for radius in RADII_PX:
        fit.step(fit.residual_px() < radius, prior)
    inlier = fit.residual_px()[0] < RADII_PX[-1]
    if inlier.sum() < FEWEST_BLOCKS:
        return None
    pose = Pose(fit.r_ecef[0], fit.cam_from_ecef[0])
    return Support(pose, int(inlier.sum()), float(shifts.peak[good][inlier].sum()))


def _consensus(shifts: BlockShifts, good: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which of the good blocks move by one similarity: a pair gives one, the others vote."""
    q = shifts.at[good, 1] + 1j * shifts.at[good, 0]
    d = shifts.moved[good, 1] + 1j * shifts.moved[good, 0]
    weight = shifts.peak[good]
    voters = np.argsort(-weight, kind="stable")[:MOST_VOTERS]
    i, j = np.triu_indices(len(voters), 1)
    i, j = voters[i], voters[j]
    base = q[j] - q[i]
    slope = (d[j] - d[i]) / base
    keep = (np.abs(base) > 2 * BLOCK) & (np.abs(slope) < 0.2)
    i, slope = i[keep], slope[keep]
    if len(i) == 0:
        return np.zeros(len(good), np.bool_)
    miss = np.abs(d[i, None] + slope[:, None] * (q[None] - q[i, None]) - d[None])
    votes = (weight * np.maximum(1.0 - 0.5 * miss / VOTE_RADIUS, 0.0) * (miss < VOTE_RADIUS)).sum(axis=1)
    return np.asarray(miss[votes.argmax()] < VOTE_RADIUS)
