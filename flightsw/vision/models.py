"""The models folder, opened: checked as a whole at the start, held in part.

`load_models` reads and hashes every file once (a 40-MB set takes 0.3 s) and compares the
networks' metadata with the manifest, so a mismatch is refused by name before the first
frame. Networks and maps are then loaded when a frame asks for them, at most `HELD`
regions at a time: that keeps the program under 250 MB.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

from flightsw.errors import ModelError
from flightsw.vision import manifest as mf
from flightsw.vision.catalog import Catalog, read_catalog
from flightsw.vision.landmarks import HEAT_SHAPE
from flightsw.vision.maps import ReferenceMap, read_map
from flightsw.vision.match_coarse import Bank, make_bank
from flightsw.vision.session import Session

HELD = 2  # regions in memory at a time
HELD_BANKS = 12  # places ready to be searched, 1.7 MB each


@dataclass(frozen=True, slots=True)
class RegionModels:
    """One region's catalogue, reference map and, where there is one, detector."""

    entry: mf.Region
    catalog: Catalog
    reference: ReferenceMap
    detector: Session | None


@dataclass(slots=True)
class Models:
    """A checked models folder. `classifier` None: every region with a detector is tried."""

    folder: Path
    manifest: mf.Manifest
    classifier: Session | None
    threads: int = 1
    _held: "OrderedDict[str, RegionModels]" = field(default_factory=OrderedDict)
    _banks: "OrderedDict[str, Bank]" = field(default_factory=OrderedDict)

    def region(self, region_id: str) -> RegionModels:
        """Return a region's models, from memory or from disk (checked again)."""
        if region_id in self._held:
            self._held.move_to_end(region_id)
            return self._held[region_id]
        while len(self._held) >= HELD:
            self._held.popitem(last=False)
        entry = next(place for place in self.manifest.region if place.id == region_id)
        self._held[region_id] = _load_region(self.folder, entry, self.threads)
        return self._held[region_id]

    def bank(self, place: RegionModels) -> Bank:
        """Return a place's map made ready for the coarse search, from memory or made now."""
        if place.entry.id in self._banks:
            self._banks.move_to_end(place.entry.id)
        else:
            while len(self._banks) >= HELD_BANKS:
                self._banks.popitem(last=False)
            self._banks[place.entry.id] = make_bank(place.reference)
        return self._banks[place.entry.id]


def load_models(folder: Path, *, threads: int = 1) -> Models:
    """Open a models folder. Raises ModelError naming the file that does not belong.

    Checked: the manifest's seal, every file's size and SHA-256, every catalogue and map
    (structure, region, count), every network's metadata (class order).
    """
    manifest = mf.read_manifest(folder)
    for entry in manifest.region:
        _load_catalog(folder, entry)
        _load_map(folder, entry)
        if entry.detector:
            _read_detector(folder, entry)
    return Models(folder, manifest, _load_classifier(folder, manifest.rc, threads), threads)


def verify_models(folder: Path) -> list[str]:
    """Check a models folder through and through; return one line a file, all good.

    Beyond `load_models`, every network is loaded and its shapes compared. Raises ModelError.
    """
    models = load_models(folder)
    lines = []
    for entry in models.manifest.region:
        _load_region(folder, entry, 1)
        kind = "landmarks, map, detector" if entry.detector else "landmarks, map"
        lines.append(f"{entry.id}: {entry.landmarks} {kind}")
    if models.manifest.rc:
        lines.append(f"region classifier: {len(models.manifest.rc.classes)} classes")
    return lines


def _load_region(folder: Path, entry: mf.Region, threads: int) -> RegionModels:
    detector = None
    if entry.detector:
        detector = Session(
            _read_detector(folder, entry),
            path=folder / entry.detector.model.file,
            input_shape=entry.detector.input,
            output_shapes={"heat": (1, entry.landmarks, *HEAT_SHAPE), "offset": (1, 2, *HEAT_SHAPE)},
            threads=threads,
        )
    return RegionModels(entry, _load_catalog(folder, entry), _load_map(folder, entry), detector)


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


def _load_classifier(folder: Path, rc: mf.RegionClassifier | None, threads: int) -> Session | None:
    if rc is None:
        return None
    data = mf.read_model_file(folder, rc.model)
    path = folder / rc.model.file
    mf.check_metadata(data, mf.classifier_metadata(rc), path)
    shapes = {"logits": (1, len(rc.classes))}
    return Session(data, path=path, input_shape=rc.input, output_shapes=shapes, threads=threads)
