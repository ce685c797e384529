"""A new place in a models folder: map, landmarks and manifest, all or none."""

import math
import re
from dataclasses import replace
from pathlib import Path

from flightsw.errors import UsageError
from flightsw.vision.catalog import write_catalog
from flightsw.vision.manifest import NAME, SCHEMA, Manifest, Region, file_entry, read_manifest, write_manifest
from flightsw.vision.maps import write_map
from groundtools.imagery import Imagery
from groundtools.landmarks.maps import Bounds, build_map, seas_of
from groundtools.landmarks.regions import Region as Place
from groundtools.landmarks.select import catalog_of, select_landmarks

LARGEST_DEG = 16.0  # of latitude, and of longitude at the equator: a map stays below 4 million cells
LANDMARKS = 100


def parse_name(text: str) -> str:
    """Return a place's name. Raises UsageError for one that no file or map can carry."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,7}", text):
        raise UsageError(f"--name: {text!r} is not 1 to 8 letters, digits or -; give for example BAHAMAS")
    return text


def parse_bounds(text: str) -> Bounds:
    """Return the bounds of a place in degrees. Raises UsageError naming what is wrong."""
    west, south, east, north = numbers = parse_box(text)
    width = (east - west) * math.cos(math.radians(0.5 * (south + north)))
    if north - south > LARGEST_DEG or width > LARGEST_DEG:
        raise UsageError(f"--bounds-deg: {text} is more than {LARGEST_DEG:g} degrees across; make two places")
    if min(north - south, width) < 0.5:
        raise UsageError(f"--bounds-deg: {text} is less than half a degree across; give more")
    return numbers


def parse_box(text: str) -> Bounds:
    """Return west, south, east, north in degrees, of any size. Raises UsageError."""
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--bounds-deg: {text!r} is not W,S,E,N; give for example -80,22,-74,28") from None
    if east < west and west <= 180.0 and east >= -180.0:
        east += 360.0  # across the date line
    numbers = (west, south, east, north)
    if not all(map(math.isfinite, numbers)) or not -180.0 <= west <= 180.0:
        raise UsageError(f"--bounds-deg: {text} is not on the Earth; give degrees, W between -180 and 180")
    if not -80.0 <= south < north <= 80.0:
        raise UsageError(f"--bounds-deg: {text}: south must lie below north, both within 80 degrees")
    return numbers


def add_place(
    folder: Path, name: str, bounds_deg: Bounds, imageries: list[Imagery], *, terrain: Path | None = None
) -> Region:
    """Write NAME.map and NAME.cat into a models folder and its manifest; return the new entry.

    terrain : a file of heights, m. A place of that name is replaced, unless a detector was
    trained for it. Raises UsageError, InputError for an imagery that shows nothing of the
    place, ModelError for a folder whose manifest is not whole.
    """
    old = read_manifest(folder) if (folder / NAME).exists() else None
    before = [] if old is None else [place for place in old.region if place.id == name]
    if before and before[0].detector:
        raise UsageError(f"--name: {name} has a detector that was trained for its landmarks; take another")
    reference = build_map(name, bounds_deg, [(one, seas_of(one)) for one in imageries], terrain=terrain)
    west, south, east, north = bounds_deg
    place = Place(name, west, south, east, north)
    catalog = catalog_of(place, select_landmarks(place, imageries, LANDMARKS))
    folder.mkdir(parents=True, exist_ok=True)
    write_map(folder / f"{name}.map", reference)
    write_catalog(folder / f"{name}.cat", catalog)
    entry = Region(
        name,
        bounds_deg,
        len(catalog),
        file_entry(folder, f"{name}.cat"),
        file_entry(folder, f"{name}.map"),
    )
    if old is None:
        write_manifest(folder, Manifest(SCHEMA, (entry,)))
    else:
        others = tuple(one for one in old.region if one.id != name)
        write_manifest(folder, replace(old, region=(*others, entry)))
    return entry
