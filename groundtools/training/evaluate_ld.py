"""How good a landmark detector is behind the gate, on frames it has not seen.

Whole model frames (any yaw, 370-650 km, tilt to 5 deg, clouds in 80 %) go through JPEG,
the flight preprocessing, the network, the flight decode and the flight pose gate.
Errors are in pixels of the 4608-px reference camera, four to a model pixel.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.camera.pose_gate import propose_poses
from flightsw.vision.catalog import Catalog
from flightsw.vision.landmarks import Candidates, decode
from flightsw.vision.preprocess import MODEL_CAMERA, ModelFrame, ld_input
from groundtools.landmarks.regions import Region
from groundtools.training.ld_samples import EDGE_PX
from groundtools.training.metrics import Share
from groundtools.training.rasters import HeldImagery
from groundtools.training.views import draw_view, flight_frame, landmarks_clear

Array = NDArray[np.float64]
Floats = NDArray[np.float32]
Network = Callable[[Floats], tuple[Floats, Floats]]  # (1, 3, H, W) -> heat, offset

VALIDATION_SEED = 80_002  # of thresholds and sigmas; the commands judge on other seeds
FULL_PX = 4.0  # full-resolution pixels a model pixel
RIGHT_PX = 20.0  # full-resolution: a detection within this is right


@dataclass(frozen=True, slots=True)
class LdFrame:
    """A frame and its truth: uv_px (K, 2) of the model frame, clear (K,) seen and cloud-free."""

    frame: ModelFrame
    uv_px: Array
    clear: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LdOutcome:
    """What came of one frame.

    fixed : the gate found a pose; error_px (M,) of the accepted detections, full
    resolution, axis_px (M, 2) signed; found : right and clear ones; clear : all clear ones;
    score (M,) their peaks; raw_error_px (K,) of every class's candidate where clear.
    """

    fixed: bool
    error_px: Array
    axis_px: Array
    score: Array
    found: int
    clear: int
    raw_error_px: Array


def draw_frame(rng: np.random.Generator, region: Region, catalog: Catalog, imagery: HeldImagery) -> LdFrame:
    """Draw a frame whose sub-satellite point lies in the region."""
    view = draw_view(rng, imagery, region.bounds_deg)
    uv_px, _, clear = landmarks_clear(view, MODEL_CAMERA, catalog.p_ecef)
    return LdFrame(flight_frame(view), uv_px, clear & central(uv_px))


def central(uv_px: Array) -> NDArray[np.bool_]:
    """Tell which pixels (K, 2) lie in the frame and not at its very edge."""
    size = np.array([MODEL_CAMERA.width_px, MODEL_CAMERA.height_px])
    with np.errstate(invalid="ignore"):
        return np.asarray(((uv_px >= EDGE_PX) & (uv_px < size - EDGE_PX)).all(axis=1))


def judge(sample: LdFrame, network: Network, catalog: Catalog, *, threshold: float) -> LdOutcome:
    """Return the outcome of a frame."""
    return gate(sample, look(sample, network), catalog, threshold=threshold)


def look(sample: LdFrame, network: Network) -> Candidates:
    """Return every class's candidate, whatever its peak."""
    heat, offset = network(ld_input(sample.frame))
    return decode(heat[0], offset[0], sample.frame, threshold=0.0)


def gate(sample: LdFrame, every: Candidates, catalog: Catalog, *, threshold: float) -> LdOutcome:
    """Return what the pose gate makes of the candidates with a peak of at least `threshold`."""
    raw = FULL_PX * np.linalg.norm(every.uv_px - sample.uv_px[every.label], axis=1)
    raw = raw[sample.clear[every.label]]
    high = every.score >= threshold
    label, uv_px, score = every.label[high], every.uv_px[high], every.score[high]
    poses = propose_poses(MODEL_CAMERA, uv_px, catalog.p_ecef[label], score)
    clear = int(sample.clear.sum())
    if not poses:
        return LdOutcome(False, np.empty(0), np.empty((0, 2)), np.empty(0), 0, clear, raw)
    keep = poses[0].inlier
    label = label[keep]
    axis = FULL_PX * (uv_px[keep] - sample.uv_px[label])
    error = np.nan_to_num(np.linalg.norm(axis, axis=1), nan=1e4)
    right = int((sample.clear[label] & (error < RIGHT_PX)).sum())
    return LdOutcome(True, error, axis, score[keep], right, clear, raw)


@dataclass(frozen=True, slots=True)
class LdScore:
    """Figures over frames; px are full-resolution; sigma_px is per axis, robust."""

    frames: int
    fixed: Share
    precision: Share
    recall: Share
    median_px: float
    p90_px: float
    sigma_px: float
    raw_recall: Share
    raw_median_px: float


def summarise(outcomes: list[LdOutcome]) -> LdScore:
    """Return the figures of many frames. A frame counts as fixable with 4 clear landmarks."""
    error = np.concatenate([outcome.error_px for outcome in outcomes])
    axis = np.concatenate([outcome.axis_px for outcome in outcomes])
    raw = np.concatenate([outcome.raw_error_px for outcome in outcomes])
    near = error[error < RIGHT_PX]
    spread = np.median(np.abs(axis[error < 100.0])) if (error < 100.0).any() else np.nan
    fixable = [outcome for outcome in outcomes if outcome.clear >= 4]
    return LdScore(
        len(outcomes),
        Share(sum(outcome.fixed for outcome in fixable), len(fixable)),
        Share(len(near), len(error)),
        Share(sum(outcome.found for outcome in outcomes), sum(outcome.clear for outcome in outcomes)),
        float(np.median(error)) if len(error) else float("nan"),
        float(np.quantile(error, 0.9)) if len(error) else float("nan"),
        float(1.4826 * spread),
        Share(int((raw < RIGHT_PX).sum()), len(raw)),
        float(np.median(raw)) if len(raw) else float("nan"),
    )
