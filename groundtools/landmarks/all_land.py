"""All land between 60 S and 72 N as a models folder: tiles of maps, for tracking anywhere.

Tiles are 8 deg high and about as wide, each with a map like any place's and no landmarks.
They are read when an orbit puts them in view; lost frames are not searched for on them
(there are hundreds). A build that was stopped goes on where it was: a tile that the
folder's manifest holds, and whose file is whole, is not made again.
"""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from flightsw.errors import InputError, ModelError
from flightsw.vision.catalog import Catalog, write_catalog
from flightsw.vision.manifest import (
    NAME,
    SCHEMA,
    Manifest,
    Region,
    file_entry,
    read_manifest,
    read_model_file,
    write_manifest,
)  # fmt: skip
from flightsw.vision.maps import write_map
from groundtools.imagery import Imagery
from groundtools.imagery.mercator import pixel_from_lonlat
from groundtools.landmarks.maps import Bounds, NothingShown, build_map, seas_of

SOUTH_DEG, NORTH_DEG, SIZE_DEG = -60, 72, 8
LEVEL = 5  # of the land mask that says where land is: 5 km
LEAST_LAND = 0.01  # of a tile, 8,000 km^2: less cannot pass the dense check
MOST_BYTES = 250_000_000  # of a folder, on board


def tiles() -> Iterator[tuple[str, Bounds]]:
    """Yield name and bounds (west, south, east, north, deg) of every tile, land or not."""
    for south in range(SOUTH_DEG, NORTH_DEG, SIZE_DEG):
        north = min(south + SIZE_DEG, NORTH_DEG)
        widest = math.cos(math.radians(min(abs(south), abs(north)) if south * north > 0 else 0.0))
        count = math.ceil(360.0 * widest / SIZE_DEG)
        for k in range(count):
            west, east = -180.0 + 360.0 * k / count, -180.0 + 360.0 * (k + 1) / count
            name = f"{'NS'[south < 0]}{abs(south):02d}{'EW'[west < 0]}{abs(int(west)):03d}"
            yield name, (west, float(south), east, float(north))


def land_tiles(imagery: Imagery, within_deg: Bounds | None = None) -> list[tuple[str, Bounds]]:
    """Return the tiles that hold land, of those that meet `within_deg` where that is given."""
    return [
        (name, bounds)
        for name, bounds in tiles()
        if (within_deg is None or _meet(bounds, within_deg)) and _land(imagery, bounds) > LEAST_LAND
    ]


def build_all_land(
    folder: Path,
    imageries: Sequence[Imagery],
    *,
    terrain: Path | None = None,
    within_deg: Bounds | None = None,
) -> tuple[int, int]:
    """Make the tiles that are missing; return how many the folder holds now, and their bytes.

    Raises InputError where they exceed 250 MB, and what `build_map` raises; a tile of which
    no imagery shows anything is left out.
    """
    wanted = land_tiles(imageries[0], within_deg)
    done = {entry.id: entry for entry in _whole(folder)}
    for number, (name, bounds) in enumerate(wanted, 1):
        if name not in done:
            try:
                done[name] = _add(folder, name, bounds, imageries, terrain)
            except NothingShown as error:
                sys.stderr.write(f"{name}: {error.problem}\n")
                continue
            if sum(entry.map.bytes for entry in done.values()) > MOST_BYTES:
                problem = f"its maps are larger than {MOST_BYTES / 1e6:.0f} MB after {name}"
                raise InputError(problem, file=folder, fix="give --bounds-deg of what the orbit flies over")
        sys.stderr.write(f"{number} of {len(wanted)}: {name}, {done[name].map.bytes / 1e3:.0f} kB\n")
    made = [done[name] for name, _ in wanted if name in done]
    return len(made), sum(entry.map.bytes for entry in made)


def _add(
    folder: Path, name: str, bounds: Bounds, imageries: Sequence[Imagery], terrain: Path | None
) -> Region:
    """Make one tile and seal the folder with it."""
    reference = build_map(name, bounds, [(one, seas_of(one)) for one in imageries], terrain=terrain)
    folder.mkdir(parents=True, exist_ok=True)
    write_map(folder / f"{name}.map", reference)
    empty = np.zeros(0)
    write_catalog(folder / f"{name}.cat", Catalog(name, np.zeros(0, np.int64), empty, empty, empty, empty))
    files = file_entry(folder, f"{name}.cat"), file_entry(folder, f"{name}.map")
    entry = Region(name, bounds, 0, *files, when_lost=False)
    old = read_manifest(folder) if (folder / NAME).exists() else None
    if old is None:
        write_manifest(folder, Manifest(SCHEMA, (entry,)))
    else:
        others = tuple(one for one in old.region if one.id != name)
        write_manifest(folder, replace(old, region=(*others, entry)))
    return entry


def _whole(folder: Path) -> Iterator[Region]:
    """Yield the tiles of a folder whose files are whole."""
    if not (folder / NAME).exists():
        return
    for entry in read_manifest(folder).region:
        try:
            for file in (entry.map, entry.catalog):
                read_model_file(folder, file)
        except ModelError:
            continue
        if not entry.when_lost:
            yield entry


def _meet(one: Bounds, other: Bounds) -> bool:
    west, south, east, north = other
    over = any(one[0] < east + turn and west + turn < one[2] for turn in (-360.0, 0.0, 360.0))
    return over and one[1] < north and south < one[3]


def _land(imagery: Imagery, bounds: Bounds) -> float:
    """Return the share of land inside bounds, by pixels of the map projection."""
    west, south, east, north = np.deg2rad(bounds)
    corners = np.asarray(
        pixel_from_lonlat(np.array([west, east]), np.array([north, south]), level=LEVEL)
    ).reshape(2, 2)
    (x0, y0), (x1, y1) = corners.astype(int)
    return float(np.mean(imagery.land(x0, y0, max(x1, x0 + 1), max(y1, y0 + 1), level=LEVEL)) / 255.0)
