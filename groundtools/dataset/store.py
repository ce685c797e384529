"""A data set on disk: pictures that are their own receipts, and a manifest over them.

DIR/recipe.toml, DIR/manifest.jsonl, DIR/images/SPLIT/REGION-NUMBER.tif. A picture is
written whole under a temporary name and renamed; what is to be known about it (scenes,
days, clouds, pose) is inside it. So a kill at any instant loses at most unfinished
pictures: `scan` takes up whole ones that no manifest mentions yet. While a build runs,
lines are appended; at its end the manifest is written anew in the recipe's order.
"""

import hashlib
import json
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flightsw.errors import InputError
from groundtools.imagery.geotiff_write import cog_bytes, write_durably
from groundtools.imagery.mosaics import NOTHING, CameraPose, Grid, Mosaic, Pixels, Product
from groundtools.jobs import writing

MANIFEST = "manifest.jsonl"
RECIPE = "recipe.toml"
TAG = "VINSAT_RECEIPT"


@dataclass(frozen=True, slots=True)
class Entry:
    """A picture that is there. file : below the data set's folder; pose : of camera views."""

    name: str
    file: str
    sha256: str
    bytes: int
    split: str
    region: str
    collection: str
    grid: Grid
    scenes: tuple[str, ...]
    days: tuple[str, ...]
    valid_percent: float
    cloud_percent: float | None
    pose: CameraPose | None

    def line(self) -> str:
        """Return the entry as a line of the manifest."""
        return json.dumps(asdict(self), separators=(",", ":")) + "\n"

    @classmethod
    def of(cls, data: dict[str, Any]) -> "Entry":
        """Return the entry of a line's object."""
        pose = data["pose"]
        if pose is not None:
            rows = tuple(tuple(row) for row in pose["cam_from_ecef"])
            pose = CameraPose(pose["focal_px"], tuple(pose["r_ecef"]), rows)
        fields = {**data, "grid": Grid(**data["grid"]), "pose": pose}
        fields |= {key: tuple(data[key]) for key in ("scenes", "days")}
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A picture that could not be made, and why."""

    name: str
    reason: str

    def line(self) -> str:
        """Return it as a line of the manifest."""
        return json.dumps({"name": self.name, "quarantined": self.reason}, separators=(",", ":")) + "\n"


Record = Entry | Quarantined


def image_path(folder: Path, name: str) -> Path:
    """Return where the picture of a product is."""
    return folder / "images" / f"{name}.tif"


def save(folder: Path, product: Product, mosaic: Mosaic) -> Entry:
    """Write a picture and return its entry. Raises UsageError where the disk refuses."""
    where = mosaic.grid or product.grid
    valid = 100.0 * float((mosaic.pixels != NOTHING).any(axis=-1).mean())
    receipt = {
        "name": product.name,
        "split": product.split,
        "region": product.region,
        "collection": product.collection,
        "grid": asdict(where),
        "scenes": mosaic.scenes,
        "days": mosaic.days,
        "valid_percent": round(valid, 2),
        "cloud_percent": mosaic.cloud_percent,
        "pose": None if mosaic.pose is None else asdict(mosaic.pose),
    }
    grid = where if mosaic.pose is None else None
    text = json.dumps(receipt, separators=(",", ":"), sort_keys=True)
    content = cog_bytes(np.moveaxis(mosaic.pixels, -1, 0), grid, tags={TAG: text})
    path = image_path(folder, product.name)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, content)
    return _entry(json.loads(text), folder, path, content)


def read_entry(folder: Path, name: str) -> Entry | None:
    """Return the entry of a picture by what is written in itself; None where it is none of ours."""
    path = image_path(folder, name)
    try:
        content = path.read_bytes()
        receipt = json.loads(_receipt(content))
        return _entry(receipt, folder, path, content) if receipt["name"] == name else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_pixels(path: Path) -> Pixels:
    """Return the picture (h, w, 3) of a file. Raises InputError where it cannot be read."""
    import rasterio

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        try:
            with rasterio.open(path) as dataset:
                return np.ascontiguousarray(np.moveaxis(dataset.read(), 0, -1))
        except rasterio.errors.RasterioError as error:
            raise InputError(f"cannot be read ({error})", file=path) from error


def read_manifest(folder: Path) -> dict[str, Record]:
    """Return the records by name. A line that a kill cut short at the very end is left out."""
    path = folder / MANIFEST
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", file=path) from error
    records: dict[str, Record] = {}
    for number, line in enumerate(lines, start=1):
        try:
            data = json.loads(line)
            record = Quarantined(data["name"], data["quarantined"]) if "quarantined" in data else None
            records[data["name"]] = record or Entry.of(data)
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines) and not line.endswith(b"\n"):
                break
            raise InputError(
                "is not an entry",
                file=path,
                field=f"line {number}",
                fix="delete the manifest: `vinsat dataset resume` writes it again from the pictures",
            ) from error
    return records


def write_manifest(folder: Path, records: Iterable[Record]) -> None:
    """Write the manifest anew, whole or not at all."""
    text = "".join(record.line() for record in records)
    with writing(folder / MANIFEST):
        write_durably(folder / MANIFEST, text.encode())


def sha256_of(content: bytes) -> str:
    """Return the hash of a content, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _entry(receipt: dict[str, Any], folder: Path, path: Path, content: bytes) -> Entry:
    file = path.relative_to(folder).as_posix()
    return Entry.of({**receipt, "file": file, "sha256": sha256_of(content), "bytes": len(content)})


def _receipt(content: bytes) -> str:
    """Return the receipt inside a picture's file. Raises ValueError, KeyError, OSError."""
    import rasterio
    from rasterio.io import MemoryFile

    try:
        with warnings.catch_warnings(), MemoryFile(content) as memory:
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            with memory.open() as dataset:
                dataset.read(1)
                return str(dataset.tags()[TAG])
    except rasterio.errors.RasterioError as error:
        raise ValueError(str(error)) from error
