"""A raster in another projection appears where it lies, and nowhere else."""

import numpy as np
import pytest

from flightsw.errors import InputError
from groundtools.imagery import open_imagery
from groundtools.imagery.mercator import pixel_from_lonlat
from groundtools.imagery.sea import sea_pixels

rasterio = pytest.importorskip("rasterio")

# rasterio 1.4 multiplies its own affine transforms in a way affine 3 warns about.
pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")

PIXEL_M = 300.0
EAST, NORTH = 400_000.0, 2_700_000.0  # of the corner, zone 18N


def write(path, bands, **extra):
    profile = {"driver": "GTiff", "width": bands.shape[2], "height": bands.shape[1], "count": len(bands)}
    with rasterio.open(path, "w", dtype=bands.dtype, **profile, **extra) as target:
        target.write(bands)


@pytest.fixture
def scene(tmp_path):
    bands = np.full((3, 200, 200), 60, np.uint8)
    bands[:, 98:103, 118:123] = 250  # a bright square, centre at column 120.5, row 100.5
    transform = rasterio.transform.from_origin(EAST, NORTH, PIXEL_M, PIXEL_M)
    write(tmp_path / "scene.tif", bands, crs="EPSG:32618", transform=transform)
    return tmp_path / "scene.tif"


@pytest.mark.verifies("IMG-001")
def test_a_marker_appears_at_its_coordinates(scene):
    imagery = open_imagery(scene)
    x_m, y_m = EAST + 120.5 * PIXEL_M, NORTH - 100.5 * PIXEL_M
    (lon,), (lat,) = rasterio.warp.transform("EPSG:32618", "EPSG:4326", [x_m], [y_m])
    level = imagery.native_level
    x, y = pixel_from_lonlat(*np.deg2rad([lon, lat]), level=level)
    x0, y0 = int(x) - 15, int(y) - 15
    spot = imagery.read(x0, y0, x0 + 31, y0 + 31, level=level, sea="raw")[..., 0].astype(float) - 60.0
    assert spot.min() >= -1.0
    row, column = np.mgrid[0.5:31, 0.5:31]
    assert (spot * column).sum() / spot.sum() + x0 == pytest.approx(x, abs=0.1)  # px
    assert (spot * row).sum() / spot.sum() + y0 == pytest.approx(y, abs=0.1)  # px


def test_outside_the_scene_there_is_sea_and_no_picture(scene):
    imagery = open_imagery(scene)
    assert not imagery.valid(0, 0, 64, 64, level=8).any()
    assert np.array_equal(
        imagery.read(0, 30_000, 64, 30_064, level=8), sea_pixels(0, 30_000, 64, 64, level=8)
    )


def test_sixteen_bits_are_stretched_to_eight(tmp_path, rng):
    bands = rng.integers(1000, 2000, (1, 64, 64)).astype(np.uint16)
    transform = rasterio.transform.from_origin(EAST, NORTH, PIXEL_M, PIXEL_M)
    write(tmp_path / "deep.tif", bands, crs="EPSG:32618", transform=transform)
    imagery = open_imagery(tmp_path / "deep.tif")
    lon, lat = rasterio.warp.transform("EPSG:32618", "EPSG:4326", [EAST + 9600], [NORTH - 9600])
    x, y = np.asarray(pixel_from_lonlat(np.deg2rad(lon[0]), np.deg2rad(lat[0]), level=8)).astype(int)
    patch = imagery.read(x - 8, y - 8, x + 8, y + 8, level=8)
    assert 60 < patch.mean() < 190
    assert np.array_equal(patch[..., 0], patch[..., 2])


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_raster_without_coordinates_is_refused(tmp_path):
    write(tmp_path / "plain.tif", np.zeros((3, 8, 8), np.uint8))
    with pytest.raises(InputError, match="coordinate system"):
        open_imagery(tmp_path / "plain.tif")
    (tmp_path / "text.tif").write_text("no raster")
    with pytest.raises(InputError, match=r"text\.tif"):
        open_imagery(tmp_path / "text.tif")
