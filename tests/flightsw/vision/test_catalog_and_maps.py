import dataclasses
import struct
import zlib

import numpy as np
import pytest

from flightsw.astro.geodesy import lla_from_ecef
from flightsw.errors import ModelError
from flightsw.vision.catalog import read_catalog, write_catalog
from flightsw.vision.maps import (
    CELL,
    FEATURE_STEP,
    MapGrid,
    ReferenceMap,
    grid_of_region,
    quantise,
    read_map,
    write_map,
)


@pytest.fixture
def small_map(rng) -> ReferenceMap:
    grid = MapGrid(48.0, 12.0, 0.0216, 0.03, 40, 50)
    features = quantise(rng.normal(0.0, 1.0, (40, 50, 3)).astype(np.float32))
    return ReferenceMap("33T", grid, features, rng.integers(0, 16, (40, 50)).astype(np.uint8))


def sealed(body: bytes) -> bytes:
    return body + struct.pack("<I", zlib.crc32(body))


def test_a_catalogue_comes_back_as_it_was_written(toy, tmp_path):
    written = toy.catalog()
    write_catalog(tmp_path / "a.cat", written)
    read = read_catalog(tmp_path / "a.cat")
    assert read.ids[0] == "33T-001"
    assert read.region == "33T"
    np.testing.assert_array_equal(read.lat_deg, written.lat_deg)
    np.testing.assert_array_equal(read.lon_deg, written.lon_deg)
    lat, _, height = lla_from_ecef(read.p_ecef)
    np.testing.assert_allclose(np.rad2deg(lat), written.lat_deg, atol=1e-9)  # deg
    np.testing.assert_allclose(height, written.height, atol=1e-3)  # m


def test_a_map_comes_back_as_it_was_written(small_map, tmp_path):
    write_map(tmp_path / "a.map", small_map)
    read = read_map(tmp_path / "a.map")
    assert read.grid == small_map.grid
    assert read.region == "33T"
    assert np.array_equal(read.features, small_map.features)
    assert np.array_equal(read.land, small_map.land)


@pytest.mark.verifies("VIS-106")
@pytest.mark.parametrize("kind", ["catalogue", "map"])
def test_every_flipped_byte_and_every_cut_is_refused(kind, toy, small_map, tmp_path, rng):
    path = tmp_path / "file"
    if kind == "catalogue":
        write_catalog(path, toy.catalog())
        read = read_catalog
    else:
        write_map(path, small_map)
        read = read_map
    whole = path.read_bytes()
    places = set(range(40)) | set(rng.integers(0, len(whole), 100).tolist())
    for at in places:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        with pytest.raises(ModelError, match=str(path)):
            read(path)
        path.write_bytes(whole[:at])
        with pytest.raises(ModelError, match=str(path)):
            read(path)
    path.unlink()
    with pytest.raises(ModelError, match="does not exist"):
        read(path)


def test_a_well_sealed_lie_is_refused_too(toy, small_map, tmp_path):
    path = tmp_path / "file"
    catalog = toy.catalog()
    for change, words in (
        ({"lat_deg": np.full(len(catalog), 91.0)}, "off the Earth"),
        ({"lon_deg": np.full(len(catalog), np.nan)}, "not a number"),
    ):
        write_catalog(path, dataclasses.replace(catalog, **change))
        with pytest.raises(ModelError, match=words):
            read_catalog(path)
    write_catalog(path, catalog)
    body = bytearray(path.read_bytes()[:-4])
    body[4] = 9
    path.write_bytes(sealed(bytes(body)))
    with pytest.raises(ModelError, match="has version 9, this program reads 1"):
        read_catalog(path)
    write_map(path, small_map)
    body = bytearray(path.read_bytes()[:-4])
    body[6:8] = struct.pack("<H", 65_535)  # rows
    body[8:10] = struct.pack("<H", 65_535)
    path.write_bytes(sealed(bytes(body)))
    with pytest.raises(ModelError, match="is not ours"):  # and not 17 GB of memory
        read_map(path)


def test_a_map_that_does_not_fit_its_grid_is_not_written(small_map, tmp_path):
    with pytest.raises(ValueError, match="do not fit the grid"):
        write_map(tmp_path / "a.map", dataclasses.replace(small_map, land=small_map.land[1:]))
    assert not list(tmp_path.iterdir())


def test_a_regions_grid_covers_it_with_its_margin_in_cells_of_the_stated_size():
    grid = grid_of_region((12.0, 40.0, 18.0, 48.0))
    assert grid.lat_deg[0] > 51.9
    assert grid.lat_deg[-1] < 36.1
    assert grid.lon_deg[0] < 12.0 - 4.0
    assert grid.lon_deg[-1] > 18.0 + 4.0
    metres = np.deg2rad(grid.cell_lat_deg) * 6_378_137.0
    assert metres == pytest.approx(CELL)
    assert np.deg2rad(grid.cell_lon_deg) * 6_378_137.0 * np.cos(np.deg2rad(44.0)) == pytest.approx(CELL)


def test_quantising_costs_at_most_half_a_step(rng):
    features = rng.normal(0.0, 1.0, (20, 20, 3)).astype(np.float32)
    assert np.abs(quantise(features) * FEATURE_STEP - features).max() <= 0.5 * FEATURE_STEP + 1e-6


def test_what_a_map_shows_of_the_open_sea_is_not_believed(toy, toy_map, tmp_path):
    import dataclasses

    land = toy_map.land.copy()
    land[:, :200] = 0
    write_map(tmp_path / "33T.map", dataclasses.replace(toy_map, land=land))
    features = read_map(tmp_path / "33T.map").features
    assert not features[:, :198].any()
    assert (features[:, 198:] == toy_map.features[:, 198:]).all()
