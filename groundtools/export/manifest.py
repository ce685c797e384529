"""Keeping `models/manifest.toml` in step with the files beside it."""

from dataclasses import replace
from pathlib import Path

from flightsw.vision.catalog import read_catalog
from flightsw.vision.manifest import (
    NAME,
    SCHEMA,
    Acceptance,
    Detector,
    FileEntry,
    Manifest,
    Region,
    RegionClassifier,
    detector_metadata,
    file_entry,
    read_manifest,
    write_manifest,
)
from flightsw.vision.session import onnx_metadata
from groundtools.landmarks.regions import REGIONS

RC_FILE = "rc.onnx"


def detector_file(region: str) -> str:
    """Return the name of a region's detector."""
    return f"ld-{region}.onnx"


def update_manifest(
    folder: Path, *, rc: RegionClassifier | None = None, detectors: dict[str, Detector] | None = None
) -> Manifest:
    """Write the manifest anew from the files in the folder; return it.

    rc, detectors : new entries; what is not given is kept from the manifest there was,
    as long as its file is there and was made for the present catalogue. Regions with a
    catalogue and a map are listed, others are not; places of other makers are kept.
    """
    old = read_manifest(folder) if (folder / NAME).exists() else None
    kept = {place.id: place.detector for place in old.region if place.detector} if old else {}
    wanted = kept | (detectors or {})
    places = []
    for region in REGIONS:
        names = (f"{region.id}.cat", f"{region.id}.map")
        if not all((folder / name).exists() for name in names):
            continue
        catalog, reference = (file_entry(folder, name) for name in names)
        count = len(read_catalog(folder / names[0]))
        detector = _renewed(folder, wanted.get(region.id), region.id, catalog)
        places.append(Region(region.id, region.bounds_deg, count, catalog, reference, detector))
    ours = {region.id for region in REGIONS}
    others = [place for place in old.region if place.id not in ours] if old else []
    classifier = rc or (old.rc if old else None)
    if classifier and (folder / classifier.model.file).exists():
        classifier = replace(classifier, model=file_entry(folder, classifier.model.file))
    accept = old.accept if old else Acceptance()
    worth = old.worth if old else None
    if worth and (folder / worth.file).exists():
        worth = file_entry(folder, worth.file)
    manifest = Manifest(SCHEMA, tuple(places + others), classifier, accept, worth)
    write_manifest(folder, manifest)
    return manifest


def _renewed(folder: Path, detector: Detector | None, region: str, catalog: FileEntry) -> Detector | None:
    """Return a detector's entry with its file's present hash, None where it does not fit."""
    if detector is None or not (folder / detector.model.file).exists():
        return None
    found = onnx_metadata((folder / detector.model.file).read_bytes())
    if any(found.get(key) != value for key, value in detector_metadata(region, catalog).items()):
        return None
    return replace(detector, model=file_entry(folder, detector.model.file))
