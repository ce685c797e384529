"""Warping and masking of STAC scenes, against scenes whose answer is known."""

from datetime import UTC, date, datetime

import cv2
import numpy as np
import pystac
import pytest
import rasterio
from pyproj import Transformer

from groundtools.imagery import stac
from groundtools.imagery.errors import SceneError
from groundtools.imagery.mosaics import Grid, Product, grid_around

OPTIONS = {
    "bands": ("a", "b", "c"),
    "bad_values": (9,),
    "cloud_values": (9,),
    "low": 0.0,
    "high": 254.0,
    "resampling": "average",
    "depth": 9,
    "max_cloud_percent": 100.0,
}


def write(path, band, grid: Grid, *, crs: bool = True) -> None:
    profile = {"driver": "GTiff", "width": band.shape[1], "height": band.shape[0], "count": 1}
    profile |= {"dtype": str(band.dtype), "transform": rasterio.Affine(*grid.affine), "tiled": True}
    if crs:
        profile["crs"] = f"EPSG:{grid.epsg}"
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(band, 1)
        dataset.build_overviews([2, 4], rasterio.enums.Resampling.average)


def item(folder, name: str, grid: Grid, bands, *, day: date = date(2021, 5, 4), crs: bool = True):
    outline = grid.footprint_deg()
    ring = [[float(x) for x in corner] for corner in [*outline, outline[0]]]
    box = [*map(float, outline.min(axis=0)), *map(float, outline.max(axis=0))]
    properties = {"proj:shape": [grid.height_px, grid.width_px], "proj:transform": list(grid.affine)}
    if crs:
        properties["proj:code"] = f"EPSG:{grid.epsg}"
    extension = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
    made = pystac.Item(
        name,
        {"type": "Polygon", "coordinates": [ring]},
        box,
        datetime(day.year, day.month, day.day, tzinfo=UTC),
        properties if crs else {},
        stac_extensions=[extension] if crs else [],
    )
    (folder / name).mkdir()
    for key, band in bands.items():
        path = folder / name / f"{key}.tif"
        write(path, band, grid, crs=crs)
        made.add_asset(key, pystac.Asset(str(path), media_type=pystac.MediaType.GEOTIFF, roles=["data"]))
    return made


class Items:
    """A catalogue of a list."""

    def __init__(self, items) -> None:
        self._items = items

    def find(self, product, max_cloud_percent):
        yield self._items


def source(items, *, masked: bool, mask_band: str = "scl", **changes) -> stac.StacMosaics:
    options = stac.StacOptions(**{**OPTIONS, **changes}, masked=masked, mask_band=mask_band)
    return stac.StacMosaics(Items(items), options, credit="", licence="")


def product(grid: Grid) -> Product:
    days = (date(2021, 1, 1), date(2021, 12, 31))
    return Product("train/x-0", "train", "x", grid, *days, tuple(range(1, 13)), "c", (), 5)


@pytest.mark.verifies("DAT-010")
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_pixels_lie_where_they_should_across_utm_zones(tmp_path):
    # Two bands hold each pixel's own easting and northing (km) in zone 33; the grid is in zone 32.
    scene = Grid(32633, 240_000.0, 4_900_000.0, 20.0, 2400, 2400)
    east = (scene.west_m + (np.arange(2400) + 0.5) * 20.0)[None] * np.ones((2400, 1))
    north = (scene.north_m - (np.arange(2400) + 0.5) * 20.0)[:, None] * np.ones((1, 2400))
    bands = {"a": (east / 1e3).astype(np.float32), "b": (north / 1e3).astype(np.float32)}
    made = item(tmp_path, "truth", scene, bands)
    lon, lat = scene.lonlat_from_uv([[1200.0, 1200.0]])[0]
    grid = grid_around(float(lon) - 0.06, float(lat), pixel_m=150.0, width_px=200, height_px=200)
    assert {grid.epsg, scene.epsg} == {32633} or grid.epsg == 32632
    grid = Grid(32632, *_corner_in(32632, grid), 150.0, 200, 200)
    window = (slice(0, 200), slice(0, 200))
    stac._configure_gdal()
    read = stac.read_bands(made, grid, window, ("a", "b"), "average").astype(float) * 1e3
    u, v = np.meshgrid(np.arange(200) + 0.5, np.arange(200) + 0.5)
    to_scene = Transformer.from_crs("EPSG:32632", "EPSG:32633", always_xy=True)
    x, y = to_scene.transform(grid.west_m + u * 150.0, grid.north_m - v * 150.0)
    inside = np.isfinite(read).all(axis=0)
    assert inside.mean() > 0.7
    error = np.hypot(read[0] - x, read[1] - y)[inside]
    rms = float(np.sqrt(np.mean(error**2)))
    assert rms <= 10.0, f"{rms:.1f} m"  # m, of a pixel of 150 m


def _corner_in(epsg: int, grid: Grid) -> tuple[float, float]:
    lon, lat = grid.lonlat_from_uv([[0.0, 0.0]])[0]
    x, y = Transformer.from_crs("EPSG:4326", f"EPSG:{epsg}", always_xy=True).transform(lon, lat)
    return round(x / 150.0) * 150.0, round(y / 150.0) * 150.0


def cloudy_scenes(folder, count: int = 3, side: int = 1500):
    """Return scenes of level ground (100) under small clouds (200), 20 m a pixel, and their grid."""
    scene = Grid(32632, 500_000.0, 4_900_000.0, 20.0, side, side)
    rng = np.random.default_rng(11)
    made = []
    for number in range(count):
        classes = np.full((side, side), 5, np.uint8)
        for _ in range(120):
            x, y, radius = rng.integers(0, side), rng.integers(0, side), rng.integers(2, 30)
            cv2.circle(classes, (int(x), int(y)), int(radius), 9, -1)
        ground = np.where(classes == 9, 200, 100).astype(np.uint8)
        bands = {"a": ground, "b": ground, "c": ground, "scl": classes}
        made.append(item(folder, f"s{number}", scene, bands, day=date(2021, 5, 4 + number)))
    return made, scene


@pytest.mark.verifies("DAT-010")
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_no_pixel_of_a_masked_mosaic_holds_any_cloud(tmp_path):
    items, scene = cloudy_scenes(tmp_path)
    grid = Grid(32632, scene.west_m + 40.0, scene.north_m - 70.0, 150.0, 190, 190)  # no common edges
    mosaic = source(items, masked=True).make(product(grid))
    pictured = mosaic.pixels[..., 0] > 0
    assert pictured.mean() > 0.95
    contaminated = (mosaic.pixels[..., 0][pictured] > 101).mean()  # the ground is 101 after the stretch
    assert contaminated == 0.0
    # The same scenes averaged first and masked by the nearest class afterwards do leak.
    window = (slice(0, 190), slice(0, 190))
    layers = []
    for one in items:
        bands = stac.read_bands(one, grid, window, ("a",), "average")[0]
        classes = stac._read(one, grid, window, ["scl"], "nearest", "uint8", 0)[0]
        layers.append(np.where(classes == 9, np.nan, bands))
    leaked = np.nanmedian(np.nan_to_num(np.stack(layers), nan=100.0), axis=0) > 101.0
    assert leaked.mean() > 0.001


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_kept_clouds_are_counted(tmp_path):
    items, scene = cloudy_scenes(tmp_path, count=1)
    grid = Grid(32632, scene.west_m, scene.north_m, 150.0, 200, 200)
    mosaic = source(items, masked=False).make(product(grid))
    with rasterio.open(tmp_path / "s0" / "scl.tif") as dataset:
        true = 100.0 * (dataset.read(1) == 9).mean()
    assert mosaic.cloud_percent == pytest.approx(true, abs=1.0)  # percent
    assert mosaic.scenes == ("s0",)
    assert mosaic.days == ("2021-05-04",)


@pytest.mark.filterwarnings(
    "ignore::PendingDeprecationWarning", "ignore::rasterio.errors.NotGeoreferencedWarning"
)
@pytest.mark.parametrize("fault", ["no crs", "no band", "not a tiff"])
def test_a_scene_that_cannot_be_used_is_named(tmp_path, fault):
    grid = Grid(32632, 500_000.0, 4_900_000.0, 60.0, 200, 200)
    ground = np.full((200, 200), 100, np.uint8)
    bands = {"a": ground, "b": ground} | ({} if fault == "no band" else {"c": ground})
    made = item(tmp_path, "bad-one", grid, bands, crs=fault != "no crs")
    if fault == "not a tiff":
        (tmp_path / "bad-one" / "b.tif").write_bytes(b"II*\0 no more")
    with pytest.raises(SceneError, match="bad-one"):
        source([made], masked=False, mask_band="").make(product(grid))


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_nothing_anywhere_gives_an_empty_picture(tmp_path):
    grid = Grid(32632, 500_000.0, 4_900_000.0, 60.0, 64, 64)
    bands = {name: np.full((64, 64), np.nan, np.float32) for name in "abc"}
    mosaic = source([item(tmp_path, "empty", grid, bands)], masked=False, mask_band="").make(product(grid))
    assert not mosaic.pixels.any()
