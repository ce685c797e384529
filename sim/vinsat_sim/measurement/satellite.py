"""One simulated satellite: where it is, how it points, which landmarks its camera sees where."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from flightsw.astro.elements import state_from_elements
from flightsw.astro.geodesy import geodetic_up, lla_from_ecef
from flightsw.camera.model import Camera
from flightsw.camera.nadir import body_from_ecef_nadir
from flightsw.camera.pose_fit import rotation_from_vector, vector_from_rotation
from flightsw.camera.project import observe, over_horizon
from flightsw.camera.quaternion import quaternion_from_rotation
from flightsw.estimate.chain import GyroNoise
from flightsw.estimate.observations import AttitudeTable, GyroTable, Observations
from flightsw.estimate.sightings import PASS_GAP, numbered, split_by_gap
from vinsat_sim.measurement.conditions import (
    ATTITUDE_STREAM,
    CAMERA,
    DETECTOR_STREAM,
    GYRO_STREAM,
    SKY_STREAM,
    Conditions,
    Landmarks,
    draw_orbit,
)
from vinsat_sim.measurement.detector import DetectorErrors, detected
from vinsat_sim.truth import Truth, fly_truth

Array = NDArray[np.float64]
IntArray = NDArray[np.intp]

FAR = 1.3e6  # m, from the point below: landmarks further away are out of every view
Cover = tuple[float, float, float, float]
"""The share of clouded landmarks, pass by pass: (low, high, a, b), low to high by Beta(a, b)."""
THESIS_COVER: Cover = (0.0, 1.0, 0.7, 0.9)
USABLE_FRAMES, USABLE_DETECTIONS = 3, 4  # what makes a pass usable


@dataclass(frozen=True, slots=True, kw_only=True)
class PointingErrors:
    """How the body departs from the nadir frame: a constant, a slow and a fast part.

    constant_deg : largest length of the constant part, uniform; slow_deg, slow_s : 1
    sigma per axis and correlation time of a Gauss-Markov process; jitter_deg : white,
    1 sigma per axis, from frame to frame; any_yaw : the whole turned about the nadir by a
    constant angle, uniform.
    """

    constant_deg: float = 0.0
    slow_deg: float = 0.0
    slow_s: float = 1000.0
    jitter_deg: float = 0.0
    any_yaw: bool = False

    def rotations(self, t_s: Array, rng: np.random.Generator) -> Array:
        """Return body from nadir frame (N, 3, 3) at ascending t_s (N,)."""
        error = rotation_from_vector(self.sampled(t_s, rng))
        if not self.any_yaw:
            return error
        return np.asarray(error @ rotation_from_vector(np.array([[0.0, 0.0, rng.uniform(-np.pi, np.pi)]])))

    def sampled(self, t_s: Array, rng: np.random.Generator) -> Array:
        """Return rotation vectors (N, 3), rad, at ascending t_s (N,)."""
        direction = rng.standard_normal(3)
        constant = rng.uniform(0.0, self.constant_deg) * direction / np.linalg.norm(direction)
        shocks = rng.standard_normal((len(t_s), 3))
        slow = np.empty_like(shocks)
        kept = np.exp(-np.diff(t_s, prepend=t_s[:1] - 1e9) / self.slow_s)
        last = np.zeros(3)
        for k, share in enumerate(kept):
            last = share * last + np.sqrt(1.0 - share**2) * shocks[k]
            slow[k] = last
        jitter = self.jitter_deg * rng.standard_normal((len(t_s), 3))
        return np.asarray(np.radians(constant + self.slow_deg * slow + jitter))


@dataclass(frozen=True, slots=True)
class Satellite:
    """A true arc of M images, and the N landmarks in view, exact.

    cam_from_ecef (M, 3, 3); image (N,) index into the M, ascending; landmark (N,);
    uv_px (N, 2); one_pass (N,) from 0.
    """

    seed: int
    truth: Truth
    landmarks: Landmarks
    cam_from_ecef: Array
    image: IntArray
    landmark: IntArray
    uv_px: Array
    one_pass: IntArray

    def subset(self, keep: NDArray[np.bool_]) -> "Satellite":
        """Return the same with the sightings of a mask (N,) alone; passes are counted anew."""
        image = self.image[keep]
        return replace(
            self,
            image=image,
            landmark=self.landmark[keep],
            uv_px=self.uv_px[keep],
            one_pass=split_by_gap(self.truth.t_s[image], PASS_GAP),
        )

    @property
    def usable_passes(self) -> int:
        """Passes of at least 3 frames with at least 4 detections."""
        frames, first, count = np.unique(self.image, return_index=True, return_counts=True)
        rich = count >= USABLE_DETECTIONS
        if not len(frames):
            return 0
        return int(np.sum(np.bincount(self.one_pass[first[rich]]) >= USABLE_FRAMES))

    def usable_passes_of_good_frames(self, errors: DetectorErrors) -> int:
        """Passes that are usable still when the bad frames of a detector are taken away."""
        return self.subset(~self.detected(errors)[1]).usable_passes

    def detected(self, errors: DetectorErrors) -> tuple[Array, NDArray[np.bool_]]:
        """Return where a detector with these errors sees the landmarks (N, 2), and what is bad (N,)."""
        rng = np.random.default_rng([self.seed, DETECTOR_STREAM])
        pairs = numbered(np.stack([self.one_pass, self.landmark]), axis=1)
        return detected(self.uv_px, self.image, pairs, self.one_pass, errors, rng)

    def observations(self, errors: DetectorErrors) -> Observations:
        """Return what a detector with these errors reports."""
        return self.reported(self.detected(errors)[0])

    def reported(self, uv_px: Array) -> Observations:
        """Return the observations of the landmarks in view, seen at uv_px (N, 2)."""
        return Observations.build(
            epoch=self.truth.epoch,
            t_s=self.truth.t_s[self.image],
            landmark_id=self.landmark.astype(np.str_),
            lon_deg=self.landmarks.lon_deg[self.landmark],
            lat_deg=self.landmarks.lat_deg[self.landmark],
            height_m=np.zeros(len(self.landmark)),
            uv_px=uv_px,
        )

    def attitude(self) -> AttitudeTable:
        """Return the exact attitude at every image."""
        q = quaternion_from_rotation(self.cam_from_ecef @ self.truth.ecef_from_eci)
        return AttitudeTable(self.truth.epoch, self.truth.t_s, q, np.full(len(q), np.nan))

    def gyro(self, noise: GyroNoise, camera: Camera = CAMERA) -> GyroTable:
        """Return what a gyro of this noise says between images: a mean rate, at either end."""
        rng = np.random.default_rng([self.seed, GYRO_STREAM])
        body = camera.cam_from_body.T @ self.cam_from_ecef @ self.truth.ecef_from_eci
        t_s, step = self.truth.t_s, np.diff(self.truth.t_s)
        rate = -vector_from_rotation(body[1:] @ np.swapaxes(body[:-1], 1, 2)) / step[:, None]
        walk = np.cumsum(rng.standard_normal(rate.shape) * np.sqrt(step)[:, None], axis=0)
        bias = noise.bias * rng.standard_normal(3) + noise.walk * walk
        white = noise.white / np.sqrt(step)[:, None] * rng.standard_normal(rate.shape)
        rows = np.stack([t_s[:-1] + 1e-3, t_s[1:] - 1e-3], axis=1).reshape(-1)
        return GyroTable(self.truth.epoch, rows, np.repeat(rate + bias + white, 2, axis=0))


def fly_arc(seed: int, conditions: Conditions) -> Truth:
    """Return a seed's true arc at the instants of images; it depends on duration and cadence alone."""
    epoch, elements = draw_orbit(seed, conditions)
    t_s = np.arange(0.0, conditions.duration_s + 0.5 * conditions.cadence_s, conditions.cadence_s)
    return fly_truth(epoch, state_from_elements(elements), t_s)


def fly(
    seed: int,
    conditions: Conditions,
    landmarks: Landmarks,
    pointing: PointingErrors,
    camera: Camera = CAMERA,
) -> Satellite:
    """Return a seed's satellite; its orbit does not depend on the rest of the conditions."""
    return look_down(seed, fly_arc(seed, conditions), conditions, landmarks, pointing, camera)


def look_down(
    seed: int,
    truth: Truth,
    conditions: Conditions,
    landmarks: Landmarks,
    pointing: PointingErrors,
    camera: Camera = CAMERA,
) -> Satellite:
    """Return a satellite on a given arc, an image at each of its instants; the seed draws the rest."""
    t_s = truth.t_s
    error = pointing.rotations(t_s, np.random.default_rng([seed, ATTITUDE_STREAM]))
    nadir = body_from_ecef_nadir(truth.r_ecef, truth.v_inertial_ecef)
    cam_from_ecef = camera.cam_from_body @ error @ nadir
    return look(seed, truth, cam_from_ecef, conditions, landmarks, camera)


def look(
    seed: int,
    truth: Truth,
    cam_from_ecef: Array,
    conditions: Conditions,
    landmarks: Landmarks,
    camera: Camera = CAMERA,
    *,
    cover: Cover = THESIS_COVER,
) -> Satellite:
    """Return what a camera at cam_from_ecef (M, 3, 3) sees of the landmarks along a true arc of M images."""
    image, landmark, uv_px = _in_view(truth, cam_from_ecef, landmarks, camera, conditions)
    passes = split_by_gap(truth.t_s[image], PASS_GAP)
    satellite = Satellite(seed, truth, landmarks, cam_from_ecef, image, landmark, uv_px, passes)
    return satellite.subset(_reported(satellite, conditions, cover))


def _in_view(
    truth: Truth, cam_from_ecef: Array, landmarks: Landmarks, camera: Camera, conditions: Conditions
) -> tuple[IntArray, IntArray, Array]:
    """Return image (N,), landmark (N,) and uv_px (N, 2) of all that is lit and in the frame."""
    size = np.array([camera.width_px, camera.height_px])
    lat, lon, _ = lla_from_ecef(landmarks.p_ecef)
    up = geodetic_up(lat, lon)
    images, seen, pixels = [], [], []
    r_ecef = truth.r_ecef
    below = r_ecef * (6.371e6 / np.linalg.norm(r_ecef, axis=1))[:, None]
    around = cKDTree(landmarks.p_ecef).query_ball_point(below, FAR, return_sorted=True)
    for k in np.flatnonzero([len(one) > 0 for one in around]):
        near = np.array(around[k])
        uv = observe(camera, cam_from_ecef[k], r_ecef[k], landmarks.p_ecef[near])[0]
        good = ((uv > 0.0) & (uv < size)).all(axis=1) & ~over_horizon(r_ecef[k], landmarks.p_ecef[near])
        if conditions.sun_elevation_min_deg is not None:
            good &= up[near] @ truth.sun_ecef[k] > np.sin(np.radians(conditions.sun_elevation_min_deg))
        images.append(np.full(int(good.sum()), k))
        seen.append(near[good])
        pixels.append(uv[good])
    if not images:
        return np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros((0, 2))
    return np.concatenate(images), np.concatenate(seen), np.concatenate(pixels)


def _reported(satellite: Satellite, conditions: Conditions, sky: Cover) -> NDArray[np.bool_]:
    """Return the mask (N,) of sightings that clouds and the detector's confidence leave."""
    rng = np.random.default_rng([satellite.seed, SKY_STREAM])
    keep = rng.random(len(satellite.image)) < conditions.kept
    if not conditions.cloudy or not len(keep):
        return keep
    low, high, a, b = sky
    cover = low + (high - low) * rng.beta(a, b, int(satellite.one_pass[-1]) + 1)
    pairs = np.stack([satellite.one_pass, satellite.landmark])
    distinct, of_row = np.unique(pairs, axis=1, return_inverse=True)
    hidden = rng.random(distinct.shape[1]) < cover[distinct[0]]
    return np.asarray(keep & ~hidden[of_row.reshape(-1)])
