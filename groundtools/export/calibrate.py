"""What is measured on validation frames and travels with the models.

The classifier's outputs are shifted so that 0.5 is each class's best threshold (the
shift goes into the last layer's bias, so one number serves all classes on board). A
detector gets the lowest threshold that keeps the gate's answers clean, and the error
its observations are to be weighed with.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from flightsw.vision.catalog import Catalog
from groundtools.training.evaluate_ld import LdFrame, Network, gate, look, summarise
from groundtools.training.metrics import best_thresholds
from groundtools.training.rc_net import RegionNet

THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.3)
CLEAN = 0.975  # precision behind the gate that a threshold must keep; the dense check comes after
BATCH = 64


def probabilities(net: RegionNet, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return class probabilities (N, 17) of inputs (N, 3, 160, 288)."""
    net.eval()
    out = []
    with torch.inference_mode():
        for start in range(0, len(inputs), BATCH):
            images = torch.from_numpy(inputs[start : start + BATCH])
            out.append(torch.sigmoid(net(images.contiguous(memory_format=torch.channels_last))))
    return torch.cat(out).double().numpy()


def centre_thresholds(
    net: RegionNet, labels: NDArray[np.bool_], probability: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Shift the last layer's bias so that each class's best threshold becomes 0.5; return them."""
    best = best_thresholds(labels, probability)
    with torch.no_grad():
        net.body._fc.bias -= torch.from_numpy(np.log(best / (1.0 - best))).float()
    return best


@dataclass(frozen=True, slots=True)
class DetectorCalibration:
    """threshold : least peak; sigma_px : per axis, full-resolution, robust."""

    threshold: float
    sigma_px: float


def calibrate_detector(frames: list[LdFrame], network: Network, catalog: Catalog) -> DetectorCalibration:
    """Return the threshold with the most right detections among the clean ones, and sigma."""
    best: tuple[float, float, float] | None = None
    seen = [look(frame, network) for frame in frames]
    for threshold in THRESHOLDS:
        pairs = zip(frames, seen, strict=True)
        found = summarise([gate(frame, every, catalog, threshold=threshold) for frame, every in pairs])
        clean = found.precision.value >= CLEAN
        key = found.recall.value + (1.0 if clean else 0.0)
        if best is None or key > best[0] + 0.002:
            best = (key, threshold, found.sigma_px)
    assert best is not None
    return DetectorCalibration(best[1], best[2])
