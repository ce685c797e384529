"""From a checkpoint to a calibrated ONNX file, its card and its line in the manifest."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from flightsw.errors import InputError
from flightsw.vision.catalog import Catalog, read_catalog
from flightsw.vision.manifest import Detector, RegionClassifier, file_entry
from flightsw.vision.manifest import detector_metadata as metadata_of
from flightsw.vision.preprocess import LD_SHAPE, RC_SHAPE
from groundtools.export.calibrate import calibrate_detector, centre_thresholds, probabilities
from groundtools.export.cards import write_card
from groundtools.export.manifest import RC_FILE, detector_file, update_manifest
from groundtools.export.onnx import write_onnx
from groundtools.landmarks.regions import REGION_IDS, region_by_id
from groundtools.training.evaluate_ld import FULL_PX, draw_frame
from groundtools.training.evaluate_ld import VALIDATION_SEED as LD_SEED
from groundtools.training.evaluate_rc import VALIDATION_SEED as RC_SEED
from groundtools.training.evaluate_rc import draw_frames, score
from groundtools.training.ld_net import FlyingNet, JointNet, as_network
from groundtools.training.ld_samples import ld_sources
from groundtools.training.rc_net import CLASSES, RegionNet, flying_state
from groundtools.training.rc_samples import RegionLandmarks, rc_sources

Floats = NDArray[np.float32]
RC_TRIED = 0.05  # probability from which a region is worth a detector's time: the checks decide
RC_MOST = 3
CHUNK = 100  # frames drawn at a time


def load_weights(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any], int]:
    """Return a checkpoint's averaged weights, recipe and step. Raises InputError."""
    if not path.exists():
        raise InputError("there is no such run", file=path, fix="vinsat train rc, or ld, makes one")
    state = torch.load(path, weights_only=True)
    return state["average"] or state["net"], state["recipe"], state["step"]


def export_rc(path: Path, folder: Path, specs: list[str], frames: int) -> dict[str, Any]:
    """Export the classifier; return what its card says."""
    weights, recipe, step = load_weights(path)
    net = RegionNet(pretrained=False)
    net.load_state_dict(flying_state(weights))
    landmarks = RegionLandmarks.of([read_catalog(folder / f"{name}.cat") for name in REGION_IDS])
    labels, probability, validation = [], [], {}
    for (imagery,) in rc_sources([(spec, ("flat",)) for spec in specs]):
        mine, told = [], []
        for start in range(0, frames, CHUNK):
            count = min(CHUNK, frames - start)
            drawn = draw_frames(RC_SEED + start, count, landmarks, imagery)
            mine.append(probabilities(net, drawn.inputs))
            told.append(drawn.labels)
        labels.append(np.concatenate(told))
        probability.append(np.concatenate(mine))
        half = np.full(len(CLASSES), 0.5)
        validation[imagery.name] = round(score(labels[-1], probability[-1], half).macro_f1, 4)
    best = centre_thresholds(net, np.concatenate(labels), np.concatenate(probability))
    metadata = {"vinsat.kind": "rc", "vinsat.classes": ",".join(CLASSES)}
    checked = write_onnx(folder / RC_FILE, net, (1, 3, *RC_SHAPE), ("logits",), metadata, halve=True)
    update_manifest(folder, rc=RegionClassifier(file_entry(folder, RC_FILE), CLASSES, RC_TRIED, RC_MOST))
    facts = {
        "recipe": _shown(recipe),
        "steps_done": step,
        "validation": {
            "frames_each": frames,
            "seed": RC_SEED,
            "macro_f1_at_half_before": validation,
        },
        "thresholds_moved_to_half": [round(float(value), 3) for value in best],
        "onnx": checked,
    }
    write_card(folder, "rc", "Region classifier: EfficientNet-Lite0, 16 regions and elsewhere", facts)
    return facts


def export_ld(
    path: Path, folder: Path, specs: list[str], frames: int, only: list[str] | None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Export the detectors of a run; yield each region with what its card says."""
    weights, recipe, step = load_weights(path)
    names = [name for name in recipe["regions"] if not only or name in only]
    catalogs = {name: read_catalog(folder / f"{name}.cat") for name in recipe["regions"]}
    joint = JointNet({name: len(catalog) for name, catalog in catalogs.items()})
    joint.load_state_dict(weights)
    for name in names:
        net, catalog = FlyingNet(joint.detector(name)).eval(), catalogs[name]
        sources = ld_sources(region_by_id(name), [(spec, ("flat",)) for spec in specs])
        samples = [
            draw_frame(np.random.default_rng([LD_SEED, n, k]), region_by_id(name), catalog, imagery)
            for n, (imagery,) in enumerate(sources)
            for k in range(frames)
        ]
        found = calibrate_detector(samples, as_network(net), catalog)
        checked = _write_detector(folder, name, net, catalog, found.threshold, found.sigma_px)
        facts = {
            "region": name,
            "landmarks": len(catalog),
            "recipe": _shown(recipe),
            "steps_done": step,
            "validation": {
                "frames": len(samples),
                "seed": LD_SEED,
                "sigma_full_px": round(found.sigma_px, 2),
            },
            "threshold": found.threshold,
            "onnx": checked,
        }
        write_card(folder, f"ld-{name}", f"Landmark detector of {name}", facts)
        yield name, facts


def _write_detector(
    folder: Path, name: str, net: nn.Module, catalog: Catalog, threshold: float, sigma_px: float
) -> dict[str, float]:
    entry = file_entry(folder, f"{name}.cat")
    file = detector_file(name)
    outputs = ("heat", "offset")
    metadata = metadata_of(name, entry)
    checked = write_onnx(folder / file, net, (1, 3, *LD_SHAPE), outputs, metadata, halve=True)
    sigma = round(max(sigma_px, 1.0) / FULL_PX, 3) if np.isfinite(sigma_px) else None
    detector = Detector(file_entry(folder, file), threshold, sigma)
    update_manifest(folder, detectors={name: detector})
    return checked


def _shown(recipe: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe without this machine's folders."""
    plain = dict(recipe)
    plain["imagery"] = [text.rsplit("/", 1)[-1] for text in recipe["imagery"]]
    if plain.get("warm_start"):
        plain["warm_start"] = Path(plain["warm_start"]).name
    return plain
