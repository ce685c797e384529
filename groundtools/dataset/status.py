"""How far a data set is, from its manifest alone."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flightsw.errors import InputError
from groundtools.dataset import store
from groundtools.dataset.products import total
from groundtools.dataset.recipe import load_recipe


@dataclass(frozen=True, slots=True)
class Status:
    """made and wanted by split; quarantined : reason -> how many; bytes on disk."""

    recipe: str
    made: dict[str, int]
    wanted: dict[str, int]
    quarantined: dict[str, int]
    bytes: int

    @property
    def complete(self) -> bool:
        """Whether every product was made."""
        return self.made == self.wanted

    def lines(self) -> list[str]:
        """Return the status for a reader."""
        lines = [f"{name}: {self.made[name]:,} of {count:,}" for name, count in self.wanted.items()]
        lines += [f"quarantined {count:,}: {reason}" for reason, count in self.quarantined.items()]
        return [f"{self.recipe}: {self.bytes / 1e6:,.1f} MB", *lines]


def status_of(out: Path) -> Status:
    """Return the status; 40,000 lines take under a second."""
    path = out / store.RECIPE
    if not path.is_file():
        raise InputError("is no data set (no recipe.toml in it)", file=out)
    recipe = load_recipe(path)
    wanted = {name: total(recipe, name) for name in recipe.splits}
    made, reasons, size = Counter[str](), Counter[str](), 0
    seen: set[str] = set()
    manifest = out / store.MANIFEST
    records = _records(manifest.read_bytes().splitlines() if manifest.is_file() else [])
    for record in reversed(records):  # the last line about a product holds
        name = record.get("name") if isinstance(record, dict) else None
        if name is None or name in seen:
            continue
        seen.add(name)
        if "quarantined" in record:
            reasons[record["quarantined"].removeprefix(f"{name}: ")] += 1
        else:
            made[record["split"]] += 1
            size += record["bytes"]
    counted = {name: made[name] for name in wanted}
    return Status(recipe.name, counted, wanted, dict(reasons.most_common()), size)


def _records(lines: list[bytes]) -> list[Any]:
    """Return the lines' objects, those left out that a kill cut short; resuming mends them."""
    try:
        return list(json.loads(b"[" + b",".join(lines) + b"]"))  # all at once: twice as quick
    except ValueError:
        return [record for line in lines for record in _record(line)]


def _record(line: bytes) -> list[Any]:
    try:
        return [json.loads(line)]
    except ValueError:
        return []
