"""The land mask against places everybody knows, and against the polygons' own areas."""

import numpy as np
import pytest

from groundtools.imagery import landmask, shorelines
from groundtools.imagery.landmask import LandMask, rasterise
from groundtools.imagery.mercator import lonlat_from_pixel, metres_per_pixel, pixel_from_lonlat


@pytest.fixture
def mask(tmp_path, monkeypatch):
    monkeypatch.setenv("VINSAT_CACHE", str(tmp_path))
    return LandMask()


def at(mask, lon_deg, lat_deg, level=8):
    x, y = np.floor(pixel_from_lonlat(*np.deg2rad([lon_deg, lat_deg]), level=level)).astype(int)
    return int(mask.read(x, y, x + 1, y + 1, level=level)[0, 0])


PLACES = {
    "Paris": (2.35, 48.85, 255),
    "the middle of the Atlantic": (-35.0, 30.0, 0),
    "Lake Superior": (-87.5, 47.6, 0),
    "Isle Royale, an island in Lake Superior": (-88.9, 48.0, 255),
    "the Caspian Sea": (51.0, 41.5, 0),
    "Lake Biwa": (136.1, 35.3, 0),
    "Chukotka just west of 180": (179.9, 66.6, 255),
    "Chukotka just east of 180": (-179.9, 66.6, 255),
    "the South Pole's mercator end": (0.0, -84.9, 255),
    "the Arctic Ocean": (0.0, 84.9, 0),
}


@pytest.mark.verifies("IMG-003")
@pytest.mark.parametrize("place", PLACES)
def test_known_places_are_land_or_water(mask, place):
    lon_deg, lat_deg, expected = PLACES[place]
    assert at(mask, lon_deg, lat_deg) == expected
    assert at(mask, lon_deg, lat_deg, level=5) == expected


@pytest.mark.verifies("IMG-003")
@pytest.mark.parametrize(
    ("island", "bounds"), [("Malta", (14.1, 35.75, 14.62, 36.12)), ("Gotland", (18.0, 56.8, 19.4, 58.1))]
)
def test_an_island_has_the_area_of_its_polygon(mask, island, bounds):
    west, south, east, north = bounds
    lines = shorelines.load_shorelines("f")
    inside = (
        (lines.kind == 1) & (lines.low > (west, south)).all(axis=1) & (lines.high < (east, north)).all(axis=1)
    )
    lakes = (
        (lines.kind == 2) & (lines.low > (west, south)).all(axis=1) & (lines.high < (east, north)).all(axis=1)
    )
    expected_km2 = lines.area_km2[inside].sum() - lines.area_km2[lakes].sum()
    x0, y0 = np.floor(pixel_from_lonlat(*np.deg2rad([west, north]), level=8)).astype(int)
    x1, y1 = np.ceil(pixel_from_lonlat(*np.deg2rad([east, south]), level=8)).astype(int)
    land = mask.read(x0, y0, x1, y1, level=8) / 255.0
    _, lat = lonlat_from_pixel(np.stack([np.zeros(y1 - y0), np.arange(y0, y1) + 0.5], axis=1), level=8)
    pixel_km2 = (metres_per_pixel(lat, 8) / 1e3) ** 2
    # The fill reaches half a subpixel beyond the line: 60 m around 80 to 400 km of coast.
    assert (land.sum(axis=1) * pixel_km2).sum() == pytest.approx(expected_km2, rel=0.03)


def test_thinned_polygons_draw_the_same_block(monkeypatch):
    thinned = rasterise(131 * 256, 93 * 256, 512, level=8)
    monkeypatch.setattr(shorelines, "_thinned", lambda ring, window_deg: ring)
    assert np.array_equal(thinned, rasterise(131 * 256, 93 * 256, 512, level=8))
    assert 0.0 < thinned.mean() < 255.0


@pytest.mark.verifies("IMG-003")
def test_the_shoreline_is_at_most_a_pixel_wide(mask):
    x, y = np.floor(pixel_from_lonlat(*np.deg2rad([12.3, 41.8]), level=8)).astype(int)
    land = mask.read(x - 200, y - 200, x + 200, y + 200, level=8)
    partial = (land > 0) & (land < 255)
    wide = (
        partial[:-2, 1:-1] & partial[2:, 1:-1] & partial[1:-1, :-2] & partial[1:-1, 2:] & partial[1:-1, 1:-1]
    )
    assert 0 < partial.sum() < 0.05 * land.size
    assert wide.sum() < 0.02 * partial.sum()


def test_coarser_levels_agree_with_finer_ones(mask):
    x, y = np.floor(pixel_from_lonlat(*np.deg2rad([25.0, 38.0]), level=6)).astype(int)
    coarse = mask.read(x, y, x + 128, y + 128, level=6).astype(float)
    fine = mask.read(4 * x, 4 * y, 4 * x + 512, 4 * y + 512, level=8).astype(float)
    assert np.abs(fine.reshape(128, 4, 128, 4).mean(axis=(1, 3)) - coarse).mean() < 6.0  # of 255


def test_blocks_come_back_from_the_disk_as_they_were_drawn(mask, monkeypatch):
    first = mask.read(34_000, 24_500, 34_400, 24_900, level=8)
    monkeypatch.setattr(landmask, "rasterise", None)  # drawing again would fail
    assert np.array_equal(LandMask().read(34_000, 24_500, 34_400, 24_900, level=8), first)


def test_the_world_wraps_and_ends(mask):
    around = mask.read(-64, 20_000, 64, 20_064, level=8)
    assert np.array_equal(around[:, :64], mask.read(65_472, 20_000, 65_536, 20_064, level=8))
    assert not mask.read(0, -20, 8, -10, level=8).any()
    assert (mask.read(0, 65_540, 8, 65_550, level=8) == 255).all()
