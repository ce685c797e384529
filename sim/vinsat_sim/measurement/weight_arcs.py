"""Arcs whose detections differ in what they are worth, and tell it by what a payload knows.

A detection's sigma is that of its error model times a factor that low Sun, oblique views and
haze make larger; its confidence falls with the factor, and is noisy; the detector's own
calibrated sigma knows the confidence alone. Errors are heavy-tailed, with biases of passes
and of landmarks, and bad frames, as `detector` has them.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import geodetic_up
from flightsw.camera.project import ray_from_pixel
from flightsw.estimate.observations import Observations
from flightsw.vision.worth import worth_features
from groundtools.training.worth_train import WeightArc, arc_from
from vinsat_sim.measurement.conditions import CAMERA, Conditions, Landmarks, draw_landmarks
from vinsat_sim.measurement.detector import DetectorErrors, detected
from vinsat_sim.measurement.satellite import PointingErrors, Satellite, fly, numbered
from vinsat_sim.measurement.trial import options

Array = NDArray[np.float64]

WORTH_STREAM = 7
MODEL_SCALE = CAMERA.fx_px / 886.9625  # this camera's pixels in one of the models'
CONDITIONS = Conditions(landmarks_per_region=120)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorthErrors:
    """errors : common to all; low_sun, oblique, haze : how strongly the logarithm of sigma grows
    with 1 - sun, the squared angle off axis (rad), and a Gaussian of the (pass, landmark);
    blunt : noise of the confidence's logit.
    """

    errors: DetectorErrors
    low_sun: float = 1.2
    oblique: float = 2.0
    haze: float = 0.5
    blunt: float = 0.6


TAUGHT = WorthErrors(
    errors=DetectorErrors(noise_px=3.0, tails=3.3, landmark_px=1.0, pass_px=0.8, bad_share=0.04)
)
HELD_OUT = WorthErrors(
    errors=DetectorErrors(noise_px=3.6, tails=4.0, landmark_px=1.3, pass_px=1.0, bad_share=0.06),
    low_sun=0.9, oblique=2.6, haze=0.6, blunt=0.8,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scored:
    """A satellite's detections with all a payload knows of them: constant and calibrated sigma,
    features (N, 6); true_px (N, 2); rows in the order of `observations`.
    """

    satellite: Satellite
    observations: Observations
    calibrated_px: Array
    features: Array
    true_px: Array

    def stating(self, sigma_px: Array, keep: NDArray[np.bool_] | None = None) -> Observations:
        """Return the observations with these sigmas, of a mask."""
        told = replace(self.observations, sigma_px=sigma_px)
        return told if keep is None else told.subset(keep)


def scored(satellite: Satellite, model: WorthErrors) -> Scored:
    """Return what a detector with this error model reports of a satellite."""
    rng = np.random.default_rng([satellite.seed, WORTH_STREAM])
    pairs = numbered(np.stack([satellite.one_pass, satellite.landmark]), axis=1)
    marks = satellite.landmarks
    lat, lon = (np.radians(angle[satellite.landmark]) for angle in (marks.lat_deg, marks.lon_deg))
    up = geodetic_up(lat, lon)
    sun = np.sum(up * satellite.truth.sun_ecef[satellite.image], axis=1)
    ray = ray_from_pixel(CAMERA, satellite.uv_px)
    off_axis = np.arccos(np.clip(ray[:, 2] / np.linalg.norm(ray, axis=1), -1.0, 1.0))
    haze = rng.standard_normal(int(pairs.max(initial=-1)) + 1)[pairs]
    log_factor = model.low_sun * (1.0 - sun) + model.oblique * off_axis**2 + model.haze * haze
    log_factor -= 0.5 * model.low_sun + 0.1 * model.oblique
    plain, _ = detected(
        np.zeros_like(satellite.uv_px), satellite.image, pairs, satellite.one_pass,
        replace(model.errors, bad_share=0.0), rng,
    )  # fmt: skip
    gross, is_bad = detected(
        np.zeros_like(satellite.uv_px), satellite.image, pairs, satellite.one_pass,
        DetectorErrors(noise_px=0.0, bad_share=model.errors.bad_share), rng,
    )  # fmt: skip
    uv = satellite.uv_px + np.exp(log_factor)[:, None] * plain + gross
    logit = 1.5 - 1.2 * log_factor + model.blunt * rng.standard_normal(len(uv)) - 0.7 * is_bad
    confidence = 1.0 / (1.0 + np.exp(-logit))
    calibrated = model.errors.noise_px * np.exp((1.5 - logit) / 1.2 * 0.7)
    return _assembled(satellite, uv, confidence, calibrated, off_axis, sun)


def _assembled(
    satellite: Satellite, uv: Array, confidence: Array, calibrated: Array, off_axis: Array, sun: Array
) -> Scored:
    """Return it all in the canonical order of observations."""
    marks = satellite.landmarks
    ids = satellite.landmark.astype(np.str_)
    t_s = satellite.truth.t_s[satellite.image]
    order = np.lexsort((uv[:, 1], uv[:, 0], ids, t_s))
    observations = Observations.build(
        epoch=satellite.truth.epoch, t_s=t_s, landmark_id=ids, lon_deg=marks.lon_deg[satellite.landmark],
        lat_deg=marks.lat_deg[satellite.landmark], height_m=np.zeros(len(ids)), uv_px=uv,
        confidence=confidence,
    )  # fmt: skip
    crowd = np.bincount(satellite.image, minlength=1)[satellite.image].astype(np.float64)
    features = worth_features(confidence, calibrated / MODEL_SCALE, off_axis, sun, crowd)
    return Scored(satellite, observations, calibrated[order], features[order], satellite.uv_px[order])


def flown(seed: int, landmarks: Landmarks, conditions: Conditions = CONDITIONS) -> Satellite:
    """Return a seed's satellite, pointing to 0.3 deg."""
    return fly(seed, conditions, landmarks, PointingErrors(constant_deg=0.3))


def draw_arcs(*, seed: int, count: int, model: WorthErrors = TAUGHT) -> list[WeightArc]:
    """Return `count` arcs to learn from: satellites of other seeds than any study's, determined."""
    landmarks = draw_landmarks(CONDITIONS.landmarks_per_region)
    out: list[WeightArc] = []
    for k in range(20 * count):
        if len(out) == count:
            break
        satellite = flown(5_000_000 + 10_000 * seed + k, landmarks)
        if satellite.usable_passes < 2:
            continue
        arc = weight_arc(scored(satellite, model))
        if arc is not None:
            out.append(arc)
    return out


def weight_arc(found: Scored) -> WeightArc | None:
    """Return an arc to learn from; None where its detections determine no orbit."""
    stated = found.stating(found.calibrated_px)
    return arc_from(stated, CAMERA, features=found.features, true_px=found.true_px, options=options())
