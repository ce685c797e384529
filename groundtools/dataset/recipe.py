"""Recipes of data sets: datasets/recipes/*.toml, read strictly.

A recipe says regions, camera, source, times, clouds, counts and seed. Exactly one table
names the source: [stac], [earthengine], [tiles], [geotiff] or [views].
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from flightsw.config import load_toml
from flightsw.errors import InputError

SPLITS = ("train", "validation", "test")
MAX_SIDE_PX = 32_000  # of a picture: what Earth Engine and most readers take
BAD_SENTINEL_CLASSES = (0, 1, 3, 8, 9, 10)  # nothing, defective, shadow, clouds, cirrus
MISSION_START = {  # the first year of pictures, by a part of the collection's name
    "COPERNICUS/S2": 2015,
    "sentinel-2": 2015,
    "LANDSAT/LC08": 2013,
    "LANDSAT/LC09": 2021,
    "LANDSAT/LE07": 1999,
}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def _positive(value: float, key: str) -> None:
    if not value > 0:
        raise InputError(f"must be positive, got {value:g}", field=key)


@dataclass(frozen=True, slots=True)
class CameraScale:
    """Size and scale of every picture."""

    width_px: int
    height_px: int
    scale_m_px: float

    def __post_init__(self) -> None:
        for key in ("width_px", "height_px"):
            value = getattr(self, key)
            if not 16 <= value <= MAX_SIDE_PX:
                raise InputError(f"must lie in 16..{MAX_SIDE_PX}, got {value}", field=key)
        _positive(self.scale_m_px, "scale_m_px")
        if self.scale_m_px * max(self.width_px, self.height_px) > 2.0e6:
            raise InputError(
                "makes a picture wider than 2,000 km, which no UTM zone holds", field="scale_m_px"
            )


@dataclass(frozen=True, slots=True)
class Clouds:
    """keep : random pictures with their clouds; mask : clouds left out, the median of the dates."""

    policy: Literal["keep", "mask"] = "keep"
    max_percent: float = 100.0

    def __post_init__(self) -> None:
        if not 0.0 < self.max_percent <= 100.0:
            raise InputError(f"must lie in 0..100, got {self.max_percent:g}", field="max_percent")


@dataclass(frozen=True, slots=True)
class Split:
    """How many pictures of each region (and collection), from which years and months.

    scenes : files or imageries, for sources without dates; they may not be shared by splits.
    """

    per_region: int
    first_year: int | None = None
    last_year: int | None = None
    months: tuple[int, ...] = tuple(range(1, 13))
    scenes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.per_region <= 1_000_000:
            raise InputError(f"must lie in 1..1000000, got {self.per_region}", field="per_region")
        if not self.months or any(not 1 <= month <= 12 for month in self.months):
            raise InputError(f"must be months 1..12, got {list(self.months)}", field="months")
        if (self.first_year is None) != (self.last_year is None):
            raise InputError("needs first_year and last_year, or neither", field="first_year")
        if self.first_year is not None and self.last_year is not None and self.first_year > self.last_year:
            raise InputError(
                f"comes after last_year ({self.first_year} > {self.last_year})", field="first_year"
            )

    @property
    def years(self) -> range:
        """The years, empty where the source has no dates."""
        if self.first_year is None or self.last_year is None:
            return range(0)
        return range(self.first_year, self.last_year + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bands:
    """What optical collections have in common: names of bands and the stretch to 8 bits."""

    collections: tuple[str, ...]
    bands: tuple[str, str, str]
    low: float = 0.0
    high: float = 3000.0

    def __post_init__(self) -> None:
        if not self.collections or len(set(self.collections)) != len(self.collections):
            raise InputError("must name at least one collection, none twice", field="collections")
        if not self.high > self.low:
            raise InputError(f"must be above low ({self.low:g}), got {self.high:g}", field="high")


@dataclass(frozen=True, slots=True, kw_only=True)
class StacSource(Bands):
    """A STAC catalogue (file or address) or API of COGs; "embedded" is made by the program.

    mask_band and bad_values say which pixels are cloud or worse; depth : scenes laid over
    each other at most; licence and credit go to the cards.
    """

    catalog: str
    api: bool = False
    mask_band: str = ""
    bad_values: tuple[int, ...] = BAD_SENTINEL_CLASSES
    cloud_values: tuple[int, ...] = (8, 9, 10)
    resampling: Literal["average", "bilinear", "nearest"] = "average"
    depth: int = 40
    credit: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        Bands.__post_init__(self)
        if not 1 <= self.depth <= 1000:
            raise InputError(f"must lie in 1..1000, got {self.depth}", field="depth")


@dataclass(frozen=True, slots=True, kw_only=True)
class EarthEngineSource(Bands):
    """Google Earth Engine. product : "mosaic" of `depth` random pictures, or single "scene"s.

    eecu_s_per_mpx : EECU-seconds a megapixel of three bands is assumed to cost; budget_eecu_h :
    the build stops cleanly when its estimate reaches it; requests_s : pace of each worker.
    The project and the credentials are never part of a recipe.
    """

    product: Literal["mosaic", "scene"] = "mosaic"
    depth: int = 300
    cloud_property: str = "CLOUDY_PIXEL_PERCENTAGE"
    eecu_s_per_mpx: float = 4.0
    budget_eecu_h: float = 150.0
    requests_s: float = 2.0
    credit: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        Bands.__post_init__(self)
        for key in ("eecu_s_per_mpx", "budget_eecu_h", "requests_s"):
            _positive(getattr(self, key), key)
        if not 1 <= self.depth <= 5000:
            raise InputError(f"must lie in 1..5000, got {self.depth}", field="depth")


@dataclass(frozen=True, slots=True, kw_only=True)
class TilesSource:
    """XYZ or WMTS tiles; each split names its own in `scenes`. level : the finest one there is;
    sea : flat colour up to the shoreline, or as the source painted it.
    """

    level: int = 8
    sea: Literal["flat", "raw", "half"] = "flat"
    credit: str = ""
    licence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeoTiffSource:
    """Local rasters (three bands, low..high to 8 bits); each split names its own in `scenes`."""

    low: float = 0.0
    high: float = 255.0
    resampling: Literal["average", "bilinear", "nearest"] = "average"
    credit: str = ""
    licence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewsSource:
    """Camera views rendered from the imageries named in each split's `scenes`, with pose."""

    altitude_km: tuple[float, float] = (370.0, 650.0)
    tilt_deg: float = 5.0
    cloudy_percent: float = 80.0
    credit: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        low, high = self.altitude_km
        if not 100.0 <= low <= high <= 2000.0:
            raise InputError(f"must rise within 100..2000, got {low:g}, {high:g}", field="altitude_km")
        if not 0.0 <= self.tilt_deg <= 40.0:
            raise InputError(f"must lie in 0..40, got {self.tilt_deg:g}", field="tilt_deg")


Source = StacSource | EarthEngineSource | TilesSource | GeoTiffSource | ViewsSource
SOURCES = ("stac", "earthengine", "tiles", "geotiff", "views")


@dataclass(frozen=True, slots=True)
class Recipe:
    """A data set, whole. regions : ids of the reference system or names of [areas]
    (west, south, east, north, degrees).
    """

    name: str
    seed: int
    regions: tuple[str, ...]
    camera: CameraScale
    splits: dict[str, Split]
    areas: dict[str, tuple[float, float, float, float]] = field(default_factory=dict)
    clouds: Clouds = Clouds()
    min_valid_percent: float = 1.0
    stac: StacSource | None = None
    earthengine: EarthEngineSource | None = None
    tiles: TilesSource | None = None
    geotiff: GeoTiffSource | None = None
    views: ViewsSource | None = None

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise InputError("must be letters, digits, . _ -", field="name")
        if not 0 <= self.seed < 2**31:
            raise InputError(f"must lie in 0..2**31 - 1, got {self.seed}", field="seed")
        if not 0.0 <= self.min_valid_percent <= 100.0:
            raise InputError(f"must lie in 0..100, got {self.min_valid_percent:g}", field="min_valid_percent")
        given = [key for key in SOURCES if getattr(self, key) is not None]
        if len(given) != 1:
            have = " and ".join(f"[{key}]" for key in given) or "none"
            raise InputError(
                f"one source is needed, found {have}",
                field=given[-1] if given else "source",
                fix="keep one of " + ", ".join(f"[{key}]" for key in SOURCES),
            )
        _check_regions(self)
        _check_splits(self)

    @property
    def source_kind(self) -> str:
        """Which table names the source."""
        return next(key for key in SOURCES if getattr(self, key) is not None)

    @property
    def source(self) -> Source:
        """The table itself."""
        found: Source = getattr(self, self.source_kind)
        return found

    @property
    def collections(self) -> tuple[str, ...]:
        """The collections of the source; one nameless where it has none."""
        return getattr(self.source, "collections", ("",))

    def bounds_deg(self, region: str) -> tuple[float, float, float, float]:
        """Return west, south, east, north of a region or area."""
        if region in self.areas:
            return self.areas[region]
        from groundtools.landmarks.regions import region_by_id

        return region_by_id(region).bounds_deg


def load_recipe(path: Path) -> Recipe:
    """Return a recipe; InputError names file, key and fix for everything wrong with it."""
    return load_toml(path, Recipe)


def _check_regions(recipe: Recipe) -> None:
    from groundtools.landmarks.regions import REGION_IDS

    if not recipe.regions:
        raise InputError("is empty", field="regions", fix='name some, like ["33T"]')
    for name, bounds in recipe.areas.items():
        west, south, east, north = bounds
        if not NAME.fullmatch(name):
            raise InputError("must be letters, digits, . _ -", field=f"areas.{name[:40]!r}")
        if not (-180.0 <= west < east <= 180.0 and -80.0 <= south < north <= 84.0):
            raise InputError(
                f"is empty or off the map: {list(bounds)}",
                field=f"areas.{name}",
                fix="give west < east in -180..180 and south < north in -80..84, degrees",
            )
    for index, name in enumerate(recipe.regions):
        if name not in REGION_IDS and name not in recipe.areas:
            known = ", ".join((*REGION_IDS, *recipe.areas))
            raise InputError(f"no region {name!r}", field=f"regions[{index}]", fix=f"known: {known}")
        if name in recipe.regions[:index]:
            raise InputError(f"{name!r} is there twice", field=f"regions[{index}]")


def _check_splits(recipe: Recipe) -> None:
    if not recipe.splits:
        raise InputError("is empty", field="splits", fix="add [splits.train]")
    dated = recipe.source_kind in ("stac", "earthengine")
    for name, split in recipe.splits.items():
        key = f"splits.{name}"
        if name not in SPLITS:
            raise InputError("is an unknown split", field=key, fix="use train, validation or test")
        if dated and split.first_year is None:
            raise InputError("is missing", field=f"{key}.first_year", fix="add first_year and last_year")
        if dated and split.scenes:
            raise InputError("belongs to sources without dates", field=f"{key}.scenes", fix="remove it")
        if not dated and not split.scenes:
            raise InputError("is missing", field=f"{key}.scenes", fix='add scenes = ["..."]')
        if not dated and split.first_year is not None:
            raise InputError("this source has no dates", field=f"{key}.first_year", fix="remove it")
        _check_mission(recipe, split, key)
    for first, second in _pairs(list(recipe.splits)):
        one, other = recipe.splits[first], recipe.splits[second]
        if shared := sorted(set(one.years) & set(other.years)) or sorted(set(one.scenes) & set(other.scenes)):
            raise InputError(
                f"shares {shared[0]} with {first}",
                field=f"splits.{second}",
                fix="splits may not share a date or scene",
            )


def _check_mission(recipe: Recipe, split: Split, key: str) -> None:
    for collection in recipe.collections:
        for part, start in MISSION_START.items():
            if part in collection and split.first_year is not None and split.first_year < start:
                raise InputError(
                    f"{split.first_year} is before {collection} began ({start})", field=f"{key}.first_year"
                )


def _pairs(names: list[str]) -> Iterator[tuple[str, str]]:
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            yield first, second


def shipped_recipes() -> list[Path]:
    """Return the recipes that come with the repository, by name."""
    folder = Path(__file__).resolve().parents[2] / "datasets" / "recipes"
    return sorted(folder.glob("*.toml"))
