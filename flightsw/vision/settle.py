"""Where every proposed pose ends: drawn tight on the map, then judged by the whole frame.

Neither finder decides anything. A proposal, by a detector's landmarks, by matching or from
a predicted orbit, is fitted to the map's own blocks (`flightsw.vision.align`), and the
frame laid on the map by the result must pass the dense check (`flightsw.vision.check`),
which knows nothing of where the proposal came from.
"""

from dataclasses import dataclass

import numpy as np

from flightsw.camera.model import Camera
from flightsw.camera.pose_fit import Pose, Prior
from flightsw.vision.align import PIXEL_SIGMA, Alignment, align
from flightsw.vision.check import DenseScore, score_of
from flightsw.vision.manifest import Acceptance
from flightsw.vision.maps import ReferenceMap
from flightsw.vision.preprocess import ModelFrame

LOWEST, HIGHEST = 230e3, 1_230e3  # m, of the altitude
STEEPEST = float(np.deg2rad(20.0))  # from where the camera should look


@dataclass(frozen=True, slots=True)
class Mounting:
    """How the camera should look: the nadir in its axes, and how far off it may be (1 sigma, rad)."""

    down_cam: tuple[float, float, float] = (0.0, 0.0, 1.0)
    tilt_sigma: float = float(np.deg2rad(3.0))

    def prior(self, pixel_sigma: float) -> Prior:
        """Return the prior of a fit whose pixels are good to `pixel_sigma`, model px."""
        return Prior(pixel_sigma=pixel_sigma, tilt_sigma=self.tilt_sigma, down_cam=self.down_cam)


def mounting_of(camera: Camera) -> Mounting:
    """Return the mounting of a camera on a body that points its +z to the nadir."""
    x, y, z = (float(value) for value in camera.cam_from_body[:, 2])
    return Mounting((x, y, z))


@dataclass(frozen=True, slots=True)
class Verdict:
    """alignment : of an accepted pose, else None; score : of the dense check, None where the
    frame's blocks agreed on nothing.
    """

    alignment: Alignment | None
    score: DenseScore | None


def settle(
    frame: ModelFrame, pose: Pose, reference: ReferenceMap, mounting: Mounting, accept: Acceptance
) -> Verdict:
    """Return what becomes of a proposed pose."""
    aligned = align(frame, pose, reference, prior=mounting.prior(PIXEL_SIGMA))
    if aligned is None:
        return Verdict(None, None)
    score = score_of(aligned.view)
    is_fix = is_accepted(accept, score) and is_plausible(aligned.pose, mounting)
    return Verdict(aligned if is_fix else None, score)


def is_accepted(accept: Acceptance, score: DenseScore) -> bool:
    """Tell whether a dense check passes the limits (NaN does not)."""
    enough = score.peak >= accept.peak and score.strength >= accept.strength
    return enough and score.contrast >= accept.contrast


def is_plausible(pose: Pose, mounting: Mounting) -> bool:
    """Tell whether a satellite could be there and look so."""
    return LOWEST <= pose.altitude <= HIGHEST and pose.tilt_from(mounting.down_cam) <= STEEPEST
