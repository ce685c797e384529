"""`models/manifest.toml`: which files make one set, in which class order, with which limits.

Every file of the set is named with its size and SHA-256; the manifest's own SHA-256 stands
in `manifest.sha256` (`sha256sum -c manifest.sha256` checks it by hand). Inside the ONNX
files, metadata say what they were trained for:
    classifier  vinsat.kind = rc, vinsat.classes = 10S,10T,...,elsewhere
    detector    vinsat.kind = ld, vinsat.region = 17R, vinsat.catalog_sha256 = (of its catalogue)
so that a manifest with another class order, or a catalogue of other landmarks, is refused
even where its hashes are right. The writer is `write_manifest` below.
"""

import hashlib
import json
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path

from flightsw.config import parse_toml
from flightsw.errors import InputError, ModelError
from flightsw.files import read_bytes, write_together
from flightsw.vision import preprocess
from flightsw.vision.catalog import REPLACE
from flightsw.vision.session import onnx_metadata

SCHEMA = 1
NAME = "manifest.toml"
SEAL = "manifest.sha256"
ELSEWHERE = "elsewhere"  # the classifier's last class: none of the regions
MAX_MANIFEST_BYTES = 1_000_000
MAX_FILE_BYTES = 64_000_000
REMAKE = "copy the models folder again, or write its manifest again with the program that made it"


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of the set: its name in the models folder, SHA-256 (hex), size in bytes."""

    file: str
    sha256: str
    bytes: int

    def __post_init__(self) -> None:
        """Refuse names that leave the folder. Raises InputError."""
        if not self.file or "/" in self.file or "\\" in self.file or self.file.startswith("."):
            raise InputError(f"{self.file!r} is not a plain file name", field="file", fix=REMAKE)


@dataclass(frozen=True, slots=True)
class RegionClassifier:
    """RC: network, class order (the last is "elsewhere"), and when a region is tried.

    threshold : regions of at least this probability are tried, at most `most_regions`,
    the likeliest first. input, mean, std : must equal this program's.
    """

    model: FileEntry
    classes: tuple[str, ...]
    threshold: float
    most_regions: int
    input: tuple[int, int, int, int] = (1, 3, *preprocess.RC_SHAPE)
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)


@dataclass(frozen=True, slots=True)
class Detector:
    """LD of a region: class k is record k of its catalogue.

    threshold : least peak (0..1) of a candidate; sigma_model_px : its measured error
    behind the gate, 1 sigma per axis in pixels of the 1152-px model frame, None where
    it was not measured; input : must equal this program's (pixels are v / 255 - 0.5).
    """

    model: FileEntry
    threshold: float
    sigma_model_px: float | None = None
    input: tuple[int, int, int, int] = (1, 3, *preprocess.LD_SHAPE)


@dataclass(frozen=True, slots=True)
class Region:
    """A place: bounds west, south, east, north in degrees; `landmarks` in its catalogue.

    when_lost : it is searched without an orbit too. Of places that are not (tiles of all
    land) the start checks no more than that the files are whole.
    """

    id: str
    bounds_deg: tuple[float, float, float, float]
    landmarks: int
    catalog: FileEntry
    map: FileEntry
    detector: Detector | None = None
    when_lost: bool = True


@dataclass(frozen=True, slots=True)
class Acceptance:
    """When a pose counts as a fix: the gate's inliers, then the dense check's three figures.

    See `flightsw.vision.check` for peak, strength and contrast, docs/design/006 for the choice.
    """

    min_inliers: int = 4
    peak: float = 0.06
    strength: float = 10.0
    contrast: float = 8.0

    def __post_init__(self) -> None:
        """Refuse limits that accept anything. Raises InputError."""
        if self.min_inliers < 4:
            raise InputError(f"{self.min_inliers} fix no pose", field="min_inliers", fix="give at least 4")
        if not (0.0 < self.peak < 1.0 and self.strength > 0.0 and self.contrast > 0.0):
            raise InputError("accepts anything or nothing", field="peak, strength, contrast", fix=REMAKE)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The whole set. rc None: a set of maps without a classifier; worth None: without a
    network that says what detections are worth (see `flightsw.vision.worth`).
    """

    schema: int
    region: tuple[Region, ...]
    rc: RegionClassifier | None = None
    accept: Acceptance = Acceptance()
    worth: FileEntry | None = None

    def files(self) -> list[FileEntry]:
        """Return every file of the set."""
        found = [entry for place in self.region for entry in (place.catalog, place.map)]
        found += [place.detector.model for place in self.region if place.detector]
        found += [self.worth] if self.worth else []
        return found + ([self.rc.model] if self.rc else [])


def file_entry(folder: Path, name: str) -> FileEntry:
    """Return the entry of a file that is there."""
    data = read_bytes(folder / name, max_bytes=MAX_FILE_BYTES)
    return FileEntry(name, hashlib.sha256(data).hexdigest(), len(data))


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write manifest.toml and manifest.sha256, both or none."""
    text = "# Written by the program that made the models; sealed by manifest.sha256.\n"
    text += "".join(_toml(manifest, ""))
    seal = f"{hashlib.sha256(text.encode()).hexdigest()}  {NAME}\n"
    write_together(folder, {NAME: text, SEAL: seal}, stale=(SEAL,))


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a models folder, its seal and class order checked.

    The files it names are not opened: see `read_model_file`. Raises ModelError.
    """
    path = folder / NAME
    data = _read(path, MAX_MANIFEST_BYTES)
    seal = _read(folder / SEAL, 1000).decode("ascii", "replace").split()
    if not seal or seal[0] != hashlib.sha256(data).hexdigest():
        raise ModelError(f"is not the one {SEAL} was made for (SHA-256 differs)", file=path, fix=REMAKE)
    try:
        manifest = parse_toml(data.decode("utf-8"), Manifest, file=path)
        _check(manifest, path)
    except UnicodeDecodeError as error:
        raise ModelError("is not UTF-8", file=path, fix=REMAKE) from error
    except InputError as error:
        raise ModelError(error.problem, file=path, field=error.field, fix=error.fix or REMAKE) from error
    return manifest


def read_model_file(folder: Path, entry: FileEntry) -> bytes:
    """Return a file's content, its size and SHA-256 checked. Raises ModelError by name."""
    path = folder / entry.file
    data = _read(path, MAX_FILE_BYTES)
    if len(data) != entry.bytes:
        problem = f"has {len(data)} bytes, the manifest says {entry.bytes}"
        raise ModelError(problem, file=path, fix=REPLACE)
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise ModelError("is altered (SHA-256 differs from the manifest's)", file=path, fix=REPLACE)
    return data


def check_metadata(data: bytes, expected: dict[str, str], path: Path) -> None:
    """Refuse an ONNX file that was trained for something else. Raises ModelError."""
    try:
        found = onnx_metadata(data)
    except ValueError as error:
        raise ModelError(f"is not an ONNX file ({error})", file=path, fix=REPLACE) from error
    for key, value in expected.items():
        if found.get(key) != value:
            shown, wanted = (_shorten(text) for text in (found.get(key, "nothing"), value))
            problem = f"was made for another class order: it says {shown}, the manifest means {wanted}"
            raise ModelError(problem, file=path, field=key, fix=REMAKE)


def classifier_metadata(rc: RegionClassifier) -> dict[str, str]:
    """Return the metadata a classifier's ONNX file must carry."""
    return {"vinsat.kind": "rc", "vinsat.classes": ",".join(rc.classes)}


def worth_metadata() -> dict[str, str]:
    """Return the metadata a network of worths must carry."""
    return {"vinsat.kind": "worth"}


def detector_metadata(region: str, catalog: FileEntry) -> dict[str, str]:
    """Return the metadata a detector's ONNX file must carry."""
    return {"vinsat.kind": "ld", "vinsat.region": region, "vinsat.catalog_sha256": catalog.sha256}


def _check(manifest: Manifest, path: Path) -> None:
    """Refuse what this program cannot use. Raises InputError."""
    if manifest.schema != SCHEMA:
        problem = f"{manifest.schema} is not {SCHEMA}, which this program reads"
        raise InputError(problem, file=path, field="schema")
    ids = [place.id for place in manifest.region]
    if not ids or len(set(ids)) != len(ids):
        raise InputError("names no region, or one twice", file=path, field="region")
    names = [entry.file for entry in manifest.files()]
    if len(set(names)) != len(names):
        raise InputError("names one file twice", file=path, field="region")
    for place in manifest.region:
        if place.detector and place.detector.input != Detector(place.detector.model, 0.0).input:
            raise InputError(f"{place.detector.input} is not ours", field=f"region.{place.id}.detector.input")
    rc = manifest.rc
    if rc is None:
        return
    ours = RegionClassifier(rc.model, (), 0.0, 1)
    for key in ("input", "mean", "std"):
        if getattr(rc, key) != getattr(ours, key):
            raise InputError(f"{getattr(rc, key)} is not {getattr(ours, key)}", field=f"rc.{key}")
    if rc.classes[-1:] != (ELSEWHERE,) or sorted(rc.classes[:-1]) != sorted(set(ids) & set(rc.classes)):
        fix = f'list regions of this manifest, each once, and "{ELSEWHERE}" last'
        raise InputError("does not match the regions", field="rc.classes", fix=fix)


def _read(path: Path, max_bytes: int) -> bytes:
    try:
        return read_bytes(path, max_bytes=max_bytes)
    except InputError as error:
        raise ModelError(error.problem, file=path, fix=REPLACE) from None


def _shorten(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."


def _toml(value: object, table: str) -> list[str]:
    """Return TOML lines of a dataclass: scalars and files first, then tables."""
    assert is_dataclass(value)
    here, below = [], []
    for field in fields(value):
        item = getattr(value, field.name)
        name = f"{table}.{field.name}" if table else field.name
        if item is None:
            continue
        if isinstance(item, FileEntry):
            inside = f'file = "{item.file}", sha256 = "{item.sha256}", bytes = {item.bytes}'
            here.append(f"{field.name} = {{ {inside} }}\n")
        elif is_dataclass(item):
            below += [f"\n[{name}]\n", *_toml(item, name)]
        elif isinstance(item, tuple) and item and is_dataclass(item[0]):
            for entry in item:
                below += [f"\n[[{name}]]\n", *_toml(entry, name)]
        else:
            here.append(f"{field.name} = {json.dumps(item)}\n")
    return here + below
