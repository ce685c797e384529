"""A small STAC catalogue of COGs, made here: Blue Marble colours under clouds, by date.

For trying and testing without a network. Scenes are squares in two or more UTM zones,
one set a date, four bands: red, green, blue (reflectance x 10,000, uint16) and scl, the
classes of Sentinel-2's surface product (0 nothing, 3 shadow, 5 land, 6 water, 9 cloud).
Season, haze and clouds follow from the date alone. It is no photograph: colours of 7 km
under sharp coasts (see `groundtools.imagery.embedded`).
"""

import os
import shutil
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from groundtools.imagery.mercator import pixel_from_lonlat
from groundtools.imagery.mosaics import Grid, grid_around
from groundtools.imagery.port import Imagery

COLLECTION = "embedded-l2a"
FORMAT = "2"
SCENE_PX = 400
PIXEL_M = 600.0
MARGIN_M = 120e3  # scenes reach this far out of a region
DATES = (date(2019, 7, 9), date(2021, 5, 4), date(2022, 9, 21), date(2023, 6, 15))
SHADOW_PX = (2, -3)  # of clouds, right and down
LEVEL = 7

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Scene:
    """One scene of the catalogue."""

    id: str
    day: date
    grid: Grid


def scenes(regions: Iterable[tuple[str, tuple[float, float, float, float]]]) -> Iterator[Scene]:
    """Yield the scenes that cover regions (name, west, south, east, north in degrees)."""
    side = SCENE_PX * PIXEL_M
    for name, (west, south, east, north) in regions:
        middle = grid_around(
            (west + east) / 2, (south + north) / 2, pixel_m=PIXEL_M, width_px=SCENE_PX, height_px=SCENE_PX
        )
        lon = np.linspace(west, east, 9)
        corners = np.concatenate([np.stack([lon, np.full(9, lat)], axis=1) for lat in (south, north)])
        uv = middle.uv_from_lonlat(corners[:, 0], corners[:, 1]) / SCENE_PX
        reach = MARGIN_M / side
        low, high = np.floor(uv.min(axis=0) - reach), np.ceil(uv.max(axis=0) + reach)
        for row in range(int(low[1]), int(high[1])):
            for column in range(int(low[0]), int(high[0])):
                corner = (middle.west_m + column * side, middle.north_m - row * side)
                grid = Grid(middle.epsg, *corner, PIXEL_M, SCENE_PX, SCENE_PX)
                for day in DATES:
                    place = f"{name}{chr(65 + row - int(low[1]))}{column - int(low[0])}"
                    yield Scene(f"{place}-{day:%Y%m%d}", day, grid)


def make_catalogue(
    folder: Path, regions: tuple[tuple[str, tuple[float, float, float, float]], ...], imagery: Imagery
) -> Path:
    """Return the catalogue's catalog.json, made where it is not there yet (whole or not at all)."""
    key = zlib.crc32(repr((FORMAT, regions, SCENE_PX, PIXEL_M, DATES)).encode())
    target = folder / f"{FORMAT}-{key:08x}"
    if (target / "catalog.json").is_file():
        return target / "catalog.json"
    part = folder / f"{target.name}-part-{os.getpid()}"  # a dot would make pystac take it for a file
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    _write_catalogue(part, [_write_scene(part, scene, imagery) for scene in scenes(regions)])
    try:
        os.replace(part, target)
    except OSError:  # another process was first
        shutil.rmtree(part)
    return target / "catalog.json"


def _write_scene(folder: Path, scene: Scene, imagery: Imagery) -> Any:
    import pystac

    from groundtools.imagery.geotiff_write import write_cog

    rgb, classes = draw_scene(scene, imagery)
    place = folder / COLLECTION / scene.id  # where pystac puts the item
    place.mkdir(parents=True)
    bands = {"red": rgb[0], "green": rgb[1], "blue": rgb[2], "scl": classes}
    for name, band in bands.items():
        write_cog(place / f"{name}.tif", band[None], scene.grid, nodata=0, resampling=_overviews(name))
    outline = scene.grid.footprint_deg()
    ring = [[round(float(lon), 7), round(float(lat), 7)] for lon, lat in [*outline, outline[0]]]
    cloud = round(float((classes == 9).mean() * 100.0), 2)
    grid = scene.grid
    item = pystac.Item(
        scene.id,
        {"type": "Polygon", "coordinates": [ring]},
        [*outline.min(axis=0).round(7).tolist(), *outline.max(axis=0).round(7).tolist()],
        datetime(scene.day.year, scene.day.month, scene.day.day, 10, 30, tzinfo=UTC),
        {
            "eo:cloud_cover": cloud,
            "proj:code": f"EPSG:{grid.epsg}",
            "proj:shape": [grid.height_px, grid.width_px],
            "proj:transform": list(grid.affine),
        },
        stac_extensions=["https://stac-extensions.github.io/projection/v2.0.0/schema.json"],
    )
    for name in bands:
        item.add_asset(name, pystac.Asset(f"./{name}.tif", media_type=pystac.MediaType.COG, roles=["data"]))
    return item


def _overviews(name: str) -> str:
    return "nearest" if name == "scl" else "average"


def _write_catalogue(folder: Path, items: list[Any]) -> None:
    import pystac

    days = [item.datetime for item in items]
    extent = pystac.Extent(
        pystac.SpatialExtent([[-180.0, -90.0, 180.0, 90.0]]),
        pystac.TemporalExtent([[min(days), max(days)]]),
    )
    collection = pystac.Collection(COLLECTION, "Scenes drawn by the program itself", extent)
    collection.license = "other"
    catalogue = pystac.Catalog("embedded", "Blue Marble colours, GSHHG coasts, clouds by date")
    catalogue.add_child(collection)
    collection.add_items(items)
    catalogue.normalize_hrefs(str(folder))
    catalogue.save(pystac.CatalogType.SELF_CONTAINED)


def draw_scene(scene: Scene, imagery: Imagery) -> tuple[NDArray[np.uint16], Pixels]:
    """Return colours (3, h, w), reflectance x 10,000, and classes (h, w) of a scene."""
    grid = scene.grid
    colours, land = _ground(grid, imagery)
    opacity = _clouds(grid, scene.day)
    shaded = np.roll(opacity, SHADOW_PX, axis=(1, 0))
    season = _season(scene.day)
    lit = colours * season * (1.0 - 0.5 * shaded)[..., None]
    seen = lit * (1.0 - opacity)[..., None] + 235.0 * opacity[..., None]
    rng = np.random.default_rng(zlib.crc32(scene.id.encode()))
    noise = rng.normal(0.0, 0.3, seen.shape).astype(np.float32)
    rgb = np.clip((seen + noise) * np.float32(10_000 / 255), 1, 10_000).astype(np.uint16)
    classes = np.where(land > 127, 5, 6).astype(np.uint8)
    classes[shaded > 0.15] = 3
    classes[opacity > 0.02] = 9
    return np.ascontiguousarray(np.moveaxis(rgb, -1, 0)), classes


@lru_cache(maxsize=1)  # the dates of a place follow each other
def _ground(grid: Grid, imagery: Imagery) -> tuple[Floats, Pixels]:
    """Return colours (h, w, 3) and land (h, w), 0..255, on a grid."""
    u, v = np.meshgrid(np.arange(grid.width_px) + 0.5, np.arange(grid.height_px) + 0.5)
    lonlat = np.deg2rad(grid.lonlat_from_uv(np.stack([u.ravel(), v.ravel()], axis=1)))
    level = min(LEVEL, imagery.native_level)
    xy = pixel_from_lonlat(lonlat[:, 0], lonlat[:, 1], level=level).reshape(*u.shape, 2)
    (x0, y0), (x1, y1) = np.floor(xy.min(axis=(0, 1))).astype(int) - 2, np.ceil(xy.max(axis=(0, 1))) + 3
    window = (int(x0), int(y0), int(x1), int(y1))
    where = (xy - (x0, y0) - 0.5).astype(np.float32)
    colours, land = (
        cv2.remap(picture, where[..., 0], where[..., 1], cv2.INTER_LINEAR)
        for picture in (imagery.read(*window, level=level, sea="flat"), imagery.land(*window, level=level))
    )
    return np.asarray(colours, np.float32), np.asarray(land)


def _season(day: date) -> Floats:
    """Return the gain (3,) of colours on a day: greener in June, hazier in others."""
    rng = np.random.default_rng(day.toordinal())
    summer = np.cos((day.month - 6.5) / 12.0 * 2.0 * np.pi)
    return np.array([1.0 - 0.08 * summer, 1.0 + 0.05 * summer, 1.0], np.float32) * rng.uniform(0.85, 1.1)


def _clouds(grid: Grid, day: date) -> Floats:
    """Return the clouds' opacity (h, w), 0..1: fields of a kind everywhere on Earth that day."""
    rng = np.random.default_rng([day.toordinal(), grid.epsg, int(grid.west_m) + 2**24, int(grid.north_m)])
    frequency = np.hypot(*np.meshgrid(np.fft.rfftfreq(grid.width_px), np.fft.fftfreq(grid.height_px)))
    frequency[0, 0] = 1.0
    noise = rng.standard_normal((grid.height_px, grid.width_px))
    field = np.fft.irfft2(np.fft.rfft2(noise) * frequency**-1.6, s=noise.shape)
    field = (field - field.mean()) / field.std()
    threshold = rng.uniform(0.6, 1.6)
    return (1.0 - np.exp(-np.clip(field - threshold, 0.0, None) / 0.25)).astype(np.float32)
