"""What each detection is worth: a small network turns what a frame knows into sigma_px.

The network is optional: a set without one gives the sigma that was measured, as before. It
was taught through the orbit's fit (`vinsat train weights`); the estimate sees its sigma_px
alone, with the robust kernel behind it. Columns of its input, a row a detection:
    confidence    0..1: the detector's peak, or a patch's correlation
    log sigma     of the stated sigma, in model px (1 where none is stated)
    has sigma     1 where one is stated
    off axis      angle from the optical axis, rad
    sun           sine of the Sun's elevation there
    crowd         log of the frame's number of detections
Output: the logarithm of the factor on the stated sigma.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import geodetic_up
from flightsw.camera.model import Camera
from flightsw.camera.project import ray_from_pixel
from flightsw.vision.detections import Detections
from flightsw.vision.models import WORTH_ROWS
from flightsw.vision.preprocess import MODEL_CAMERA
from flightsw.vision.session import Session

Array = NDArray[np.float64]

FEATURES = ("confidence", "log sigma", "has sigma", "off axis", "sun", "crowd")
ROWS = WORTH_ROWS  # of a call: the network's shape is fixed
LEAST_SIGMA, MOST_SIGMA = 0.05, 50.0  # model px: whatever a network says


def worth_features(
    confidence: Array, sigma_model_px: Array, off_axis: Array, sun_sine: Array, crowd: Array
) -> Array:
    """Return the input (N, 6) of columns (N,), in the order of FEATURES; sigma NaN where not stated."""
    stated = np.isfinite(sigma_model_px) & (sigma_model_px > 0.0)
    log_sigma = np.log(np.where(stated, sigma_model_px, 1.0))
    columns = [
        confidence,
        log_sigma,
        stated.astype(np.float64),
        off_axis,
        sun_sine,
        np.log(np.maximum(crowd, 1.0)),
    ]
    return np.column_stack(columns)


def features_of(found: Detections, camera: Camera, sun_ecef: Array) -> Array:
    """Return the features (N, 6) of a frame's detections; sun_ecef (3,) a unit vector."""
    scale = np.sqrt(camera.fx_px * camera.fy_px) / MODEL_CAMERA.fx_px
    ray = ray_from_pixel(camera, found.uv_px)
    off_axis = np.arccos(np.clip(ray[:, 2] / np.linalg.norm(ray, axis=1), -1.0, 1.0))
    up = geodetic_up(np.radians(found.lat_deg), np.radians(found.lon_deg))
    crowd = np.full(len(found), float(len(found)))
    return worth_features(found.confidence, found.sigma_px / scale, off_axis, up @ sun_ecef, crowd)


def weighed(network: Session | None, found: Detections, camera: Camera, sun_ecef: Array) -> Detections:
    """Return the detections with the network's sigma_px; as they are without a network.

    A row whose features or answer are not finite keeps the sigma it had.
    """
    if network is None or not len(found):
        return found
    features = features_of(found, camera, sun_ecef)
    scale = np.sqrt(camera.fx_px * camera.fy_px) / MODEL_CAMERA.fx_px
    log_sigma = features[:, 1] + log_factors(network, features)
    sigma = np.clip(np.exp(np.clip(log_sigma, -20.0, 20.0)), LEAST_SIGMA, MOST_SIGMA) * scale
    return replace(found, sigma_px=np.where(np.isfinite(sigma), sigma, found.sigma_px))


def log_factors(network: Session, features: Array) -> Array:
    """Return the network's answer (N,) for features (N, 6), in blocks of its fixed shape."""
    out = np.empty(len(features))
    for first in range(0, len(features), ROWS):
        part = features[first : first + ROWS]
        block = np.zeros((ROWS, len(FEATURES)), dtype=np.float32)
        block[: len(part)] = part
        (answer,) = network.run(block)
        out[first : first + ROWS] = answer[: len(part), 0]
    return out
