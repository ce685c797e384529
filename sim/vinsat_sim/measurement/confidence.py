"""How sure a detector says it is, and what that has to do with its errors.

Published are the detections above a confidence of 0.8 alone: `PUBLISHED` holds there, and
such are 0.65 of the visible landmarks. What lies below, and how the rest divides, is an
assumption, chosen so that a low threshold brings gross errors and a high one scarcity, as
the thesis describes it (section 7.4.2):
    confidence above     0.3   0.6   0.8   0.85
    share of visible     1.00  0.85  0.65  0.30
Below 0.8 a detection is anywhere around with a probability that grows linearly to one half
at 0.3, and its noise grows linearly by a factor of up to 1.8.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vinsat_sim.measurement.detector import SCATTER_PX, DetectorErrors
from vinsat_sim.measurement.satellite import Satellite

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

LEVEL = np.array([0.3, 0.6, 0.8, 0.85, 0.95])
SHARE_ABOVE = np.array([1.0, 0.85, 0.65, 0.30, 0.0])
SOUND = 0.8  # from here on the published errors hold
LEAST = 0.3
GROSS_AT_LEAST, NOISE_AT_LEAST = 0.5, 1.8
CONFIDENCE_STREAM = 5


@dataclass(frozen=True, slots=True)
class Detections:
    """What a detector makes of N sightings: uv_px (N, 2), confidence (N,), is_bad (N,)."""

    uv_px: Array
    confidence: Array
    is_bad: BoolArray


def detect(satellite: Satellite, errors: DetectorErrors) -> Detections:
    """Return every visible landmark as detected, the unsure ones included."""
    uv_px, is_bad = satellite.detected(errors)
    rng = np.random.default_rng([satellite.seed, CONFIDENCE_STREAM])
    n = len(uv_px)
    confidence = np.interp(rng.random(n), SHARE_ABOVE[::-1], LEVEL[::-1])
    doubt = np.clip((SOUND - confidence) / (SOUND - LEAST), 0.0, 1.0)
    uv_px = uv_px + ((NOISE_AT_LEAST - 1.0) * doubt)[:, None] * (uv_px - satellite.uv_px)
    is_gross = rng.random(n) < GROSS_AT_LEAST * doubt
    anywhere = satellite.uv_px + rng.uniform(-SCATTER_PX, SCATTER_PX, (n, 2))
    return Detections(np.where(is_gross[:, None], anywhere, uv_px), confidence, is_bad | is_gross)
