"""Observations made ready for fitting: landmarks in eci, attitude per frame, passes.

Everything here is independent of the orbit and computed once. "Unit" pixels: a gate
written for the reference camera (focal length 3547.85 px) is multiplied by
`pixel_unit`, so that a camera of half the pixels gets half the gate.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.rotation import OMEGA_EARTH, ecef_from_eci
from flightsw.astro.time import Epoch
from flightsw.camera.model import Camera
from flightsw.estimate.observations import AttitudeTable, Observations
from flightsw.estimate.residuals import Pointing

Array = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

REFERENCE_FOCAL_PX = 3547.85  # the camera that gates and noise figures are stated for
NOMINAL_SIGMA_PX = 6.0  # per axis at the reference camera, where the detector gives none
LEAST_SIGMA_PX = 0.3  # at the reference camera: no detector is believed to be better
FRAME_WORTH = 10.0  # detections that a frame counts for at most: errors come frame by frame
PASS_GAP = 1200.0  # s; frames further apart than this belong to different passes


@dataclass(frozen=True, slots=True)
class Sightings:
    """F frames and N detections, sorted by time.

    t_s (F,) past `epoch`; frame (N,) index into it; p_eci (N, 3) m; uv_px (N, 2);
    sigma_px (N,) whitening, per axis; late_s (N,) exposure after the frame's time, None
    for a global shutter; landmark (N,) integer code of the landmark;
    row (N,) index into the observations they come from; pass_index (F,) from 0;
    attitude_sigma (F,) rad, what the frame's attitude is good for (0 where not stated, and
    in nadir frames); own_sigma (F,) rad, prior of the frame's pointing error: the same,
    but for frames that tell their attitude themselves, see `own_attitude`; gyro_angle (F, 3)
    rad and gyro_run (F,) as `gyro.integrated` gives them, None without a gyro.
    """

    epoch: Epoch
    camera: Camera
    t_s: Array
    pointing: Pointing
    pass_index: IntArray
    attitude_sigma: Array
    own_sigma: Array
    frame: IntArray
    p_eci: Array
    uv_px: Array
    sigma_px: Array
    landmark: IntArray
    row: IntArray
    late_s: Array | None = None
    gyro_angle: Array | None = None
    gyro_run: IntArray | None = None

    @property
    def pixel_unit(self) -> float:
        """Return how many of this camera's pixels make one of the reference camera."""
        return self.camera.fx_px / REFERENCE_FOCAL_PX

    @property
    def tells_itself(self) -> BoolArray:
        """Return which frames (F,) gave their attitude themselves, see `own_attitude`."""
        return np.asarray(~self.pointing.is_nadir & (self.own_sigma != self.attitude_sigma))

    @property
    def worth(self) -> Array:
        """Return what each detection (N,) counts for when orbits are compared: less in a rich frame."""
        return np.asarray(np.minimum(1.0, FRAME_WORTH / np.bincount(self.frame)[self.frame]))

    def __len__(self) -> int:
        """Return the number of detections N."""
        return len(self.frame)

    def select(self, keep: BoolArray) -> "Sightings":
        """Return the detections of a mask (N,), and only the frames they need."""
        frames, frame = np.unique(self.frame[keep], return_inverse=True)
        return replace(
            self,
            t_s=self.t_s[frames],
            pointing=self.pointing.subset(frames),
            pass_index=self.pass_index[frames],
            attitude_sigma=self.attitude_sigma[frames],
            own_sigma=self.own_sigma[frames],
            frame=frame.astype(np.intp).reshape(-1),
            p_eci=self.p_eci[keep],
            uv_px=self.uv_px[keep],
            sigma_px=self.sigma_px[keep],
            landmark=self.landmark[keep],
            row=self.row[keep],
            late_s=None if self.late_s is None else self.late_s[keep],
            gyro_angle=None if self.gyro_angle is None else self.gyro_angle[frames],
            gyro_run=None if self.gyro_run is None else self.gyro_run[frames],
        )

    def with_attitude_noise(self, sigma: float) -> "Sightings":
        """Return the same with pixels widened by pointing noise: `sigma`, rad, in nadir frames."""
        extra = self.camera.fx_px * np.where(self.pointing.is_nadir, sigma, self.attitude_sigma)
        return replace(self, sigma_px=np.hypot(self.sigma_px, extra[self.frame]))


def split_by_gap(t_s: Array, gap: float) -> IntArray:
    """Return the index, from 0, of the group each sorted time (F,) falls in; groups are > gap apart."""
    return np.cumsum(np.diff(t_s, prepend=t_s[:1]) > gap).astype(np.intp)


def numbered(labels: NDArray[np.generic], axis: int | None = None) -> IntArray:
    """Return the index, from 0, of each label among the distinct ones; columns if axis is 1."""
    inverse: IntArray = np.unique(labels, axis=axis, return_inverse=True)[1].astype(np.intp)
    return inverse.reshape(-1)


def prepare_sightings(
    observations: Observations, camera: Camera, attitude: AttitudeTable | None
) -> Sightings:
    """Return the usable observations, ready for fitting.

    A frame without a row in the attitude table is treated as nadir pointing. Rows whose
    numbers are not finite or whose pixel is far outside the image are left out (`row`
    tells which remain).
    """
    uv = observations.uv_px
    size = np.array([camera.width_px, camera.height_px])
    keep = np.isfinite(uv).all(axis=1) & np.isfinite(observations.p_ecef).all(axis=1)
    keep &= ((uv > -0.1 * size) & (uv < 1.1 * size)).all(axis=1)
    rows = np.flatnonzero(keep)
    frames, frame = np.unique(observations.frame_index[rows], return_inverse=True)
    frame = frame.astype(np.intp).reshape(-1)
    t_s = observations.frame_t_s[frames]
    to_ecef = np.asarray(ecef_from_eci(observations.epoch, t_s)).reshape(-1, 3, 3)
    given, attitude_sigma = _given_attitude(attitude, observations.epoch, t_s)
    is_nadir = np.isnan(given).any(axis=(1, 2)).reshape(-1)
    unit = camera.fx_px / REFERENCE_FOCAL_PX
    stated = observations.sigma_px[rows]
    sigma = np.where(np.isfinite(stated) & (stated > 0.0), stated, NOMINAL_SIGMA_PX * unit)
    p_eci = np.einsum("nji,nj->ni", to_ecef[frame], observations.p_ecef[rows])
    late_s = rate = None
    if camera.line_time_s != 0.0:
        late_s = (uv[rows, 1] - 0.5 * camera.height_px) * camera.line_time_s
        p_eci += late_s[:, None] * np.cross(OMEGA_EARTH, p_eci)
        rate = None if attitude is None else attitude.rebased(observations.epoch).rate_at(t_s)
    return Sightings(
        epoch=observations.epoch,
        camera=camera,
        t_s=t_s,
        pointing=Pointing(given, to_ecef, is_nadir, rate),
        pass_index=split_by_gap(t_s, PASS_GAP),
        attitude_sigma=attitude_sigma,
        own_sigma=attitude_sigma,
        frame=frame,
        p_eci=p_eci,
        uv_px=uv[rows],
        sigma_px=np.maximum(sigma, LEAST_SIGMA_PX * unit),
        landmark=numbered(observations.landmark_id[rows]),
        row=rows,
        late_s=late_s,
    )


def _given_attitude(attitude: AttitudeTable | None, epoch: Epoch, t_s: Array) -> tuple[Array, Array]:
    """Return cam_from_eci (F, 3, 3), NaN where not given, and its stated sigma (F,), rad."""
    if attitude is None:
        return np.full((len(t_s), 3, 3), np.nan), np.zeros(len(t_s))
    table = attitude.rebased(epoch)
    given, valid = table.cam_from_eci_at(t_s)
    sigma = np.where(valid, table.sigma_rad_at(t_s), 0.0)
    return np.where(valid[:, None, None], given, np.nan), np.nan_to_num(sigma)
