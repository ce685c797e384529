"""The models folder, opened: checked as a whole at the start, held in part.

`load_models` reads and hashes every file once (a 40-MB set takes 0.3 s) and compares the
networks' metadata with the manifest, so a mismatch is refused by name before the first
frame. Networks and maps are then loaded when a frame asks for them, and only so many
kept: that keeps the program under 250 MB.
"""

import functools
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from flightsw.errors import ModelError
from flightsw.vision import manifest as mf
from flightsw.vision.catalog import Catalog, read_catalog
from flightsw.vision.landmarks import HEAT_SHAPE
from flightsw.vision.maps import ReferenceMap, read_map
from flightsw.vision.match_coarse import Bank, make_bank
from flightsw.vision.session import Session

T = TypeVar("T")

WORTH_ROWS, WORTH_FEATURES = 128, 6  # of a call, see `worth`
HELD = 4  # maps, 2 MB each
HELD_BANKS = 6  # maps ready to be searched, 1.7 MB each
HELD_DETECTORS = 1  # they are the second finder, and the largest


@dataclass(frozen=True, slots=True)
class RegionModels:
    """One region's catalogue and reference map."""

    entry: mf.Region
    catalog: Catalog
    reference: ReferenceMap


@dataclass(slots=True)
class Models:
    """A checked models folder. `classifier` None: every place is tried; most_banks : maps held
    ready to be searched; worth None: detections keep the sigma they have.
    """

    folder: Path
    manifest: mf.Manifest
    classifier: Session | None
    threads: int = 1
    worth: Session | None = None
    most_banks: int = HELD_BANKS
    _held: "OrderedDict[str, RegionModels]" = field(default_factory=OrderedDict)
    _banks: "OrderedDict[str, Bank]" = field(default_factory=OrderedDict)
    _detectors: "OrderedDict[str, Session]" = field(default_factory=OrderedDict)

    def region(self, region_id: str) -> RegionModels:
        """Return a region's catalogue and map, from memory or from disk (checked again)."""
        return _kept(self._held, region_id, HELD, lambda: _load_region(self.folder, self._entry(region_id)))

    def bank(self, region_id: str) -> Bank:
        """Return a region's map made ready for the coarse search."""
        return _kept(
            self._banks, region_id, self.most_banks, lambda: make_bank(self.region(region_id).reference)
        )

    def detector(self, region_id: str) -> Session:
        """Return a region's detector. Raises ValueError where it has none."""
        entry = self._entry(region_id)
        load = functools.partial(_load_detector, self.folder, entry, self.threads)
        return _kept(self._detectors, region_id, HELD_DETECTORS, load)

    def _entry(self, region_id: str) -> mf.Region:
        return next(place for place in self.manifest.region if place.id == region_id)


def _kept(held: "OrderedDict[str, T]", key: str, most: int, make: Callable[[], T]) -> T:
    """Return what is held under a key, or make it in place of what was used longest ago."""
    if key in held:
        held.move_to_end(key)
    else:
        while len(held) >= most:
            held.popitem(last=False)
        held[key] = make()
    return held[key]


def load_models(folder: Path, *, threads: int = 1) -> Models:
    """Open a models folder. Raises ModelError naming the file that does not belong.

    Checked: the manifest's seal, every file's size and SHA-256, every catalogue and map
    (structure, region, count), every network's metadata (class order).
    """
    manifest = mf.read_manifest(folder)
    for entry in manifest.region:
        if not entry.when_lost:  # hundreds of tiles: opened when one is in view
            mf.read_model_file(folder, entry.map)
            continue
        _load_catalog(folder, entry)
        _load_map(folder, entry)
        if entry.detector:
            _read_detector(folder, entry)
    classifier = _load_classifier(folder, manifest.rc, threads)
    return Models(folder, manifest, classifier, threads, _load_worth(folder, manifest.worth))


def verify_models(folder: Path) -> list[str]:
    """Check a models folder through and through; return one line a file, all good.

    Beyond `load_models`, every network is loaded and its shapes compared. Raises ModelError.
    """
    models = load_models(folder)
    lines = []
    for entry in models.manifest.region:
        if not entry.when_lost:
            _load_region(folder, entry)
        if entry.detector:
            _load_detector(folder, entry, 1)
        kind = "landmarks, map, detector" if entry.detector else "landmarks, map"
        lines.append(f"{entry.id}: {entry.landmarks} {kind}")
    if models.manifest.rc:
        lines.append(f"region classifier: {len(models.manifest.rc.classes)} classes")
    return lines


def _load_region(folder: Path, entry: mf.Region) -> RegionModels:
    return RegionModels(entry, _load_catalog(folder, entry), _load_map(folder, entry))


def _load_detector(folder: Path, entry: mf.Region, threads: int) -> Session:
    if entry.detector is None:
        raise ValueError(f"{entry.id} has no detector")
    return Session(
        _read_detector(folder, entry),
        path=folder / entry.detector.model.file,
        input_shape=entry.detector.input,
        output_shapes={"heat": (1, entry.landmarks, *HEAT_SHAPE), "offset": (1, 2, *HEAT_SHAPE)},
        threads=threads,
    )


def _load_catalog(folder: Path, entry: mf.Region) -> Catalog:
    path = folder / entry.catalog.file
    mf.read_model_file(folder, entry.catalog)
    catalog = read_catalog(path)
    if catalog.region != entry.id or len(catalog) != entry.landmarks:
        problem = f"holds {len(catalog)} landmarks of {catalog.region}, not {entry.landmarks} of {entry.id}"
        raise ModelError(problem, file=path, fix=mf.REMAKE)
    return catalog


def _load_map(folder: Path, entry: mf.Region) -> ReferenceMap:
    path = folder / entry.map.file
    mf.read_model_file(folder, entry.map)
    reference = read_map(path)
    if reference.region != entry.id:
        raise ModelError(f"is the map of {reference.region}, not of {entry.id}", file=path, fix=mf.REMAKE)
    return reference


def _read_detector(folder: Path, entry: mf.Region) -> bytes:
    assert entry.detector is not None
    data = mf.read_model_file(folder, entry.detector.model)
    path = folder / entry.detector.model.file
    mf.check_metadata(data, mf.detector_metadata(entry.id, entry.catalog), path)
    return data


def _load_worth(folder: Path, entry: mf.FileEntry | None) -> Session | None:
    if entry is None:
        return None
    data = mf.read_model_file(folder, entry)
    path = folder / entry.file
    mf.check_metadata(data, mf.worth_metadata(), path)
    shapes = {"log_factor": (WORTH_ROWS, 1)}
    return Session(data, path=path, input_shape=(WORTH_ROWS, WORTH_FEATURES), output_shapes=shapes)


def _load_classifier(folder: Path, rc: mf.RegionClassifier | None, threads: int) -> Session | None:
    if rc is None:
        return None
    data = mf.read_model_file(folder, rc.model)
    path = folder / rc.model.file
    mf.check_metadata(data, mf.classifier_metadata(rc), path)
    shapes = {"logits": (1, len(rc.classes))}
    return Session(data, path=path, input_shape=rc.input, output_shapes=shapes, threads=threads)
