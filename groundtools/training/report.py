"""Judging the shipped files, as they fly: what `vinsat train evaluate` prints."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flightsw.errors import InputError
from flightsw.vision.catalog import read_catalog
from flightsw.vision.models import Models, load_models
from flightsw.vision.session import Session
from groundtools.landmarks.regions import REGION_IDS, region_by_id
from groundtools.training.evaluate_ld import LdScore, Network, draw_frame, judge, summarise
from groundtools.training.evaluate_rc import RcScore, draw_frames, score
from groundtools.training.ld_samples import ld_sources
from groundtools.training.ld_train import parse_imagery
from groundtools.training.metrics import Share
from groundtools.training.rc_samples import RegionLandmarks, rc_sources

Floats = NDArray[np.float32]
CHUNK = 100  # frames drawn at a time


def rc_report(folder: Path, specs: list[str], frames: int, seed: int, *, rendered: bool) -> dict[str, Any]:
    """Return the classifier's figures on each imagery, keyed by its name."""
    models = load_models(folder)
    rc, session = models.manifest.rc, models.classifier
    if rc is None or session is None:
        raise InputError(
            "has no region classifier", file=folder, fix="vinsat train rc, then vinsat export rc"
        )
    landmarks = RegionLandmarks.of([read_catalog(folder / f"{name}.cat") for name in REGION_IDS])
    half = np.full(len(rc.classes), 0.5)
    with_detector = [place.id for place in models.manifest.region if place.detector]
    out: dict[str, Any] = {}
    for (source,) in rc_sources([(spec, seas[:1]) for spec, seas in parse_imagery(tuple(specs))]):
        probability, labels = [], []
        for start in range(0, frames, CHUNK):
            drawn = draw_frames(
                seed + start, min(CHUNK, frames - start), landmarks, source, rendered=rendered
            )
            logits = [session.run(x[None])[0][0] for x in drawn.inputs]
            probability.append(1.0 / (1.0 + np.exp(-np.array(logits, float))))
            labels.append(drawn.labels)
        found: RcScore = score(np.concatenate(labels), np.concatenate(probability), half)
        facts = asdict(found) | {"seed": seed, "rendered": rendered}
        if with_detector:
            facts["f1_detector_regions"] = float(np.nanmean([found.f1[name] for name in with_detector]))
        out[source.sharp.name] = facts
    return out


def ld_report(
    folder: Path, regions: list[str] | None, specs: list[str], frames: int, seed: int, *, rendered: bool
) -> dict[str, Any]:
    """Return the detectors' figures, keyed "region imagery"."""
    models = load_models(folder)
    out: dict[str, Any] = {}
    for place in models.manifest.region:
        if place.detector is None or (regions and place.id not in regions):
            continue
        region, catalog = region_by_id(place.id), read_catalog(folder / place.catalog.file)
        network = _network(models, place.id)
        for spec, seas in parse_imagery(tuple(specs)):
            source = ld_sources(region, [(spec, seas[:1])])[0][0]
            outcomes = [
                judge(
                    draw_frame(np.random.default_rng([seed, k]), region, catalog, source, rendered=rendered),
                    network,
                    catalog,
                    threshold=place.detector.threshold,
                )
                for k in range(frames)
            ]
            out[f"{place.id} {source.fine.name}"] = score_facts(summarise(outcomes)) | {
                "seed": seed,
                "rendered": rendered,
            }
    return out


def score_facts(found: LdScore) -> dict[str, Any]:
    """Return a score as plain values, shares with their intervals."""
    names = LdScore.__dataclass_fields__
    values = {name: getattr(found, name) for name in names}
    return {
        name: value.as_dict() if isinstance(value, Share) else round(value, 3)
        for name, value in values.items()
    }


def _network(models: Models, region: str) -> Network:
    session: Session | None = models.region(region).detector
    assert session is not None

    def run(x: Floats) -> tuple[Floats, Floats]:
        heat, offset = session.run(x)
        return heat, offset

    return run
