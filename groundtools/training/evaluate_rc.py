"""How good the region classifier is, on views it has not seen, along the flight path.

Whole model frames are rendered, passed through JPEG and the flight preprocessing, and
labelled like training views: one of three shows no region on purpose.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.vision.preprocess import rc_input
from groundtools.landmarks.regions import REGION_IDS, REGIONS
from groundtools.training.metrics import best_thresholds, bootstrap_macro_f1, f1_per_class
from groundtools.training.rasters import HeldImagery
from groundtools.training.rc_samples import (
    NORTHMOST_DEG,
    SOUTHMOST_DEG,
    RegionLandmarks,
    frame_label,
    landmarks_seen,
)
from groundtools.training.views import draw_view, flight_frame

VALIDATION_SEED = 80_001  # of thresholds and sigmas; the commands judge on other seeds
ELSEWHERE_PART = 0.4  # of the frames are drawn anywhere on Earth
WHOLE = (-180.0, SOUTHMOST_DEG, 180.0, NORTHMOST_DEG)


@dataclass(frozen=True, slots=True)
class RcFrames:
    """inputs (N, 3, 160, 288) float32; labels (N, 17) bool."""

    inputs: NDArray[np.float32]
    labels: NDArray[np.bool_]


def draw_frames(seed: int, count: int, landmarks: RegionLandmarks, imagery: HeldImagery) -> RcFrames:
    """Draw whole frames, 60 % above a region and 40 % anywhere (half of it ocean)."""
    inputs, labels = [], []
    for k in range(count):
        rng = np.random.default_rng([seed, k])
        anywhere = rng.uniform() < ELSEWHERE_PART
        bounds = WHOLE if anywhere else REGIONS[rng.integers(len(REGIONS))].bounds_deg
        view = draw_view(rng, imagery, bounds)
        inputs.append(rc_input(flight_frame(view))[0])
        labels.append(frame_label(landmarks_seen(view, landmarks), landmarks))
    return RcFrames(np.stack(inputs), np.stack(labels) > 0.5)


@dataclass(frozen=True, slots=True)
class RcScore:
    """Macro F1 over the 16 regions with its interval, per class, and accuracy."""

    frames: int
    elsewhere: int
    macro_f1: float
    interval: tuple[float, float]
    f1: dict[str, float]
    accuracy: float


def score(
    labels: NDArray[np.bool_], probability: NDArray[np.float64], thresholds: NDArray[np.float64]
) -> RcScore:
    """Return the figures of probabilities (N, 17) against labels (N, 17)."""
    truth, claimed = labels[:, :-1], probability[:, :-1] >= thresholds[:-1]
    f1 = f1_per_class(truth, claimed)
    return RcScore(
        frames=len(labels),
        elsewhere=int(labels[:, -1].sum()),
        macro_f1=float(np.nanmean(f1)),
        interval=bootstrap_macro_f1(truth, claimed, np.random.default_rng(0)),
        f1=dict(zip(REGION_IDS, (round(float(value), 4) for value in f1), strict=True)),
        accuracy=float((truth == claimed).all(axis=1).mean()),
    )


__all__ = ["RcFrames", "RcScore", "best_thresholds", "draw_frames", "score"]
