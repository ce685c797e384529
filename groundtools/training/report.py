"""Judging the shipped files, as they fly: what `vinsat train evaluate` prints."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flightsw.errors import InputError
from flightsw.vision.catalog import read_catalog
from flightsw.vision.finder import ALL_FINDERS, Finder
from flightsw.vision.manifest import Region as PlaceEntry
from flightsw.vision.models import Models, load_models
from flightsw.vision.session import Session
from groundtools.landmarks.regions import REGION_IDS, region_by_id
from groundtools.training.evaluate_flight import FlightOutcome, FlightScore, fly, summarise_flight
from groundtools.training.evaluate_ld import LdScore, Network, draw_frame, judge, summarise
from groundtools.training.evaluate_rc import RcScore, draw_frames, score
from groundtools.training.ld_samples import ld_sources
from groundtools.training.ld_train import parse_imagery
from groundtools.training.metrics import Share
from groundtools.training.progress import reporting
from groundtools.training.rc_samples import RegionLandmarks, rc_sources

Floats = NDArray[np.float32]
CHUNK = 100  # frames drawn at a time


def rc_report(folder: Path, specs: list[str], frames: int, seed: int) -> dict[str, Any]:
    """Return the classifier's figures on each imagery, keyed by its name."""
    models = load_models(folder)
    rc, session = models.manifest.rc, models.classifier
    if rc is None or session is None:
        raise InputError(
            "has no region classifier", file=folder, fix="vinsat train rc, then vinsat export rc"
        )
    landmarks = RegionLandmarks.of([read_catalog(folder / f"{name}.cat") for name in REGION_IDS])
    half = np.full(len(rc.classes), 0.5)
    with_detector = [place.id for place in _with_detector(models, None)]
    out: dict[str, Any] = {}
    for (imagery,) in rc_sources(_first_seas(specs)):
        probability, labels = [], []
        for start in range(0, frames, CHUNK):
            drawn = draw_frames(seed + start, min(CHUNK, frames - start), landmarks, imagery)
            logits = [session.run(x[None])[0][0] for x in drawn.inputs]
            probability.append(1.0 / (1.0 + np.exp(-np.array(logits, float))))
            labels.append(drawn.labels)
        found: RcScore = score(np.concatenate(labels), np.concatenate(probability), half)
        facts = asdict(found) | {"seed": seed}
        if with_detector:
            facts["f1_detector_regions"] = float(np.nanmean([found.f1[name] for name in with_detector]))
        out[imagery.name] = facts
    return out


def ld_report(
    folder: Path, regions: list[str] | None, specs: list[str], frames: int, seed: int
) -> dict[str, Any]:
    """Return the detectors' figures behind the pose gate alone, keyed "region imagery"."""
    models = load_models(folder)
    out: dict[str, Any] = {}
    for place in _with_detector(models, regions):
        assert place.detector is not None
        region, catalog = region_by_id(place.id), read_catalog(folder / place.catalog.file)
        network = _network(models, place.id)
        for (imagery,) in ld_sources(region, _first_seas(specs)):
            drawn = (
                draw_frame(np.random.default_rng([seed, k]), region, catalog, imagery) for k in range(frames)
            )
            outcomes = [judge(frame, network, catalog, threshold=place.detector.threshold) for frame in drawn]
            out[f"{place.id} {imagery.name}"] = plain(summarise(outcomes)) | {"seed": seed}
    return out


def flight_report(
    folder: Path,
    regions: list[str] | None,
    specs: list[str],
    frames: int,
    seed: int,
    *,
    finders: tuple[Finder, ...] = ALL_FINDERS,
) -> dict[str, Any]:
    """Return the figures of the whole flight path, keyed "region imagery" and "all imagery"."""
    models = load_models(folder)
    out: dict[str, Any] = {}
    everything: dict[str, list[FlightOutcome]] = {}
    places = _with_detector(models, regions)
    with reporting("frames", len(places) * len(specs) * frames) as progress:
        for place in places:
            region = region_by_id(place.id)
            for (imagery,) in ld_sources(region, _first_seas(specs)):
                outcomes: list[FlightOutcome] = []
                for outcome in fly(models, region, imagery, seed, frames, finders=finders):
                    outcomes.append(outcome)
                    done = len(outcomes) + sum(map(len, everything.values()))
                    progress.update(done, f"{place.id} {imagery.name}")
                out[f"{place.id} {imagery.name}"] = plain(summarise_flight(outcomes))
                everything.setdefault(imagery.name, []).extend(outcomes)
    for name, outcomes in everything.items():
        out[f"all {name}"] = plain(summarise_flight(outcomes)) | {"seed": seed}
    return out


def _with_detector(models: Models, regions: list[str] | None) -> list[PlaceEntry]:
    places = [place for place in models.manifest.region if place.detector]
    return [place for place in places if not regions or place.id in regions]


def _first_seas(specs: list[str]) -> list[tuple[str, tuple[str, ...]]]:
    return [(spec, seas[:1]) for spec, seas in parse_imagery(tuple(specs))]


def plain(found: LdScore | FlightScore) -> dict[str, Any]:
    """Return a score as plain values, shares with their intervals."""
    values = {name: getattr(found, name) for name in type(found).__dataclass_fields__}
    return {name: _plain_value(value) for name, value in values.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, Share):
        return value.as_dict()
    return round(value, 3) if isinstance(value, float) else value


def _network(models: Models, region: str) -> Network:
    session: Session = models.detector(region)

    def run(x: Floats) -> tuple[Floats, Floats]:
        heat, offset = session.run(x)
        return heat, offset

    return run
