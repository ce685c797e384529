"""Whether a data set is still what was made, and whether its splits are apart."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from flightsw.errors import InputError
from groundtools.dataset import store
from groundtools.dataset.products import products
from groundtools.dataset.recipe import load_recipe
from groundtools.dataset.store import Entry, Record

CHUNK_BYTES = 1 << 20
LISTING = "labels.sha256"  # hashes of labels and cards


def verify(out: Path) -> list[str]:
    """Return one line for every fault; none means all is well. InputError where it is no data set."""
    if not (out / store.RECIPE).is_file():
        raise InputError("is no data set (no recipe.toml in it)", file=out)
    records = store.read_manifest(out)
    faults = []
    for product in products(load_recipe(out / store.RECIPE)):
        record = records.get(product.name)
        if record is None:
            faults.append(f"{product.name}: missing from the manifest; vinsat dataset resume makes it")
        elif isinstance(record, Entry) and (fault := _file_fault(out / record.file, record)):
            faults.append(f"{record.file}: {fault}")
    known = {record.file for record in records.values() if isinstance(record, Entry)}
    for path in sorted((out / "images").rglob("*")):
        if path.is_file() and path.relative_to(out).as_posix() not in known:
            faults.append(f"{path.relative_to(out).as_posix()}: is not in the manifest")
    return [*faults, *_label_faults(out), *shared_by_splits(records.values())]


def shared_by_splits(records: Iterable[Record]) -> list[str]:
    """Return a line for every scene or day that two splits have in common."""
    users: dict[str, set[str]] = defaultdict(set)
    for record in records:
        if isinstance(record, Entry):
            for item in (*record.scenes, *record.days):
                users[item].add(record.split)
    return [
        f"{item}: is shared by {' and '.join(sorted(splits))}"
        for item, splits in sorted(users.items())
        if len(splits) > 1
    ]


def _file_fault(path: Path, entry: Entry) -> str:
    try:
        if path.stat().st_size != entry.bytes:
            return f"has {path.stat().st_size} bytes, was made with {entry.bytes}"
        return "" if sha256_file(path) == entry.sha256 else "is altered (its hash differs)"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def sha256_file(path: Path) -> str:
    """Return a file's hash, hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _label_faults(out: Path) -> list[str]:
    """Return faults of what `finish` wrote: every file of its list, by hash."""
    listing = out / LISTING
    if not listing.is_file():
        return [f"{LISTING}: is missing; vinsat dataset resume writes labels and cards"]
    faults = []
    for line in listing.read_text(encoding="utf-8").splitlines():
        digest, _, name = line.partition("  ")
        path = out / name
        if not path.is_file():
            faults.append(f"{name}: is missing")
        elif sha256_file(path) != digest:
            faults.append(f"{name}: is altered (its hash differs)")
    return faults
