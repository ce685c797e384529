"""Tiles, local rasters and camera views as sources of data sets."""

import cv2
import numpy as np
import pytest
import rasterio

from groundtools import cli
from groundtools.dataset import store
from groundtools.imagery.errors import EXIT_PARTIAL, EXIT_REMOTE
from groundtools.imagery.mercator import lonlat_from_pixel, pixel_from_lonlat
from groundtools.imagery.mosaics import grid_around

HEAD = """
name = "other"
seed = 2
regions = ["box"]
areas = { box = [12.4, 43.4, 12.6, 43.6] }
camera = { width_px = 120, height_px = 80, scale_m_px = 600.0 }

[splits.train]
per_region = 2
scenes = ["SCENES"]
"""


@pytest.fixture
def recipe(tmp_path):
    def write(scenes: object, rest: str):
        path = tmp_path / "other.toml"
        path.write_text(HEAD.replace("SCENES", str(scenes)) + rest, encoding="utf-8")
        return path

    return write


def build(recipe, out) -> int:
    return cli.main(["dataset", "build", str(recipe), "--out", str(out), "--workers", "1"])


@pytest.fixture
def tiles(tmp_path):
    """Return a folder of level-8 tiles around 43.5 N 12.5 E whose colours are longitude and latitude."""
    folder = tmp_path / "tiles"
    x0, y0 = (pixel_from_lonlat(*np.deg2rad([12.5, 43.5]), level=8) // 256).astype(int)
    for x in range(x0 - 2, x0 + 3):
        for y in range(y0 - 2, y0 + 3):
            u, v = np.meshgrid(np.arange(256) + 0.5 + 256 * x, np.arange(256) + 0.5 + 256 * y)
            lon, lat = lonlat_from_pixel(np.stack([u, v], axis=-1), level=8)
            rgb = np.stack(
                [(np.rad2deg(lon) - 10.0) * 50, (np.rad2deg(lat) - 41.0) * 50, 0 * lon + 90], axis=-1
            )
            path = folder / "8" / str(x) / f"{y}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), np.round(rgb[..., ::-1]).astype(np.uint8))
    return folder


@pytest.mark.verifies("DAT-014")
def test_tiles_are_warped_to_where_they_belong_from_disk_and_from_a_server(
    recipe, tiles, serve, tmp_path, monkeypatch
):
    monkeypatch.setenv("VINSAT_CACHE", str(tmp_path / "cache"))
    rest = '[tiles]\nlevel = 8\nsea = "raw"\n'
    assert build(recipe(tiles, rest), tmp_path / "disk") == 0
    server = serve(tiles)
    assert build(recipe(server.address + "/{z}/{x}/{y}.png", rest), tmp_path / "net") == 0
    for name, record in store.read_manifest(tmp_path / "disk").items():
        pixels = store.read_pixels(tmp_path / "disk" / record.file)
        u, v = np.meshgrid(np.arange(120) + 0.5, np.arange(80) + 0.5)
        lonlat = record.grid.lonlat_from_uv(np.stack([u.ravel(), v.ravel()], axis=1)).reshape(80, 120, 2)
        assert np.abs(pixels[..., 0] - (lonlat[..., 0] - 10.0) * 50).max() < 1.0  # grey levels: 0.02 deg
        assert np.abs(pixels[..., 1] - (lonlat[..., 1] - 41.0) * 50).max() < 1.0
        assert np.array_equal(store.read_pixels(tmp_path / "net" / "images" / f"{name}.tif"), pixels)


@pytest.mark.verifies("DAT-014")
def test_a_tile_server_that_is_away_ends_in_code_six(recipe, tmp_path, serve, monkeypatch, capsys):
    monkeypatch.setenv("VINSAT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("groundtools.imagery.tiles.time.sleep", lambda s: None)
    server = serve(tmp_path, lambda number, path: 503)
    path = recipe(server.address + "/{z}/{x}/{y}.png", "[tiles]\n")
    assert build(path, tmp_path / "out") == EXIT_REMOTE
    assert "resume" in capsys.readouterr().err


def scene(path, *, crs="EPSG:32633", nodata=None) -> None:
    """Write a raster around 43.5 N 12.5 E, 300 m a pixel, with a gradient."""
    middle = grid_around(12.5, 43.5, pixel_m=300.0, width_px=400, height_px=300)
    u, v = np.meshgrid(np.arange(400), np.arange(300))
    bands = np.stack([20 + u // 2, 20 + v // 2, 0 * u + 77]).astype(np.uint8)
    profile = {"driver": "GTiff", "width": 400, "height": 300, "count": 3, "dtype": "uint8"}
    if crs:
        profile |= {"crs": f"EPSG:{middle.epsg}", "transform": rasterio.Affine(*middle.affine)}
    with rasterio.open(path, "w", nodata=nodata, **profile) as dataset:
        dataset.write(bands)


@pytest.mark.verifies("DAT-014")
def test_local_rasters_are_warped_to_where_they_belong(recipe, tmp_path):
    scene(tmp_path / "scene.tif")
    assert build(recipe(tmp_path / "*.tif", "[geotiff]\nresampling = 'bilinear'\n"), tmp_path / "out") == 0
    middle = grid_around(12.5, 43.5, pixel_m=300.0, width_px=400, height_px=300)
    for record in store.read_manifest(tmp_path / "out").values():
        assert record.scenes == ("scene.tif",)
        pixels = store.read_pixels(tmp_path / "out" / record.file)
        u, v = np.meshgrid(np.arange(120) + 0.5, np.arange(80) + 0.5)
        lonlat = record.grid.lonlat_from_uv(np.stack([u.ravel(), v.ravel()], axis=1))
        x, y = middle.uv_from_lonlat(lonlat[:, 0], lonlat[:, 1]).T
        assert np.abs(pixels[..., 0].ravel() - (20 + (x - 0.5) / 2)).max() < 2.0
        assert np.abs(pixels[..., 1].ravel() - (20 + (y - 0.5) / 2)).max() < 2.0


@pytest.mark.verifies("DAT-007")
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("no crs", "has no coordinate system"),
        ("corrupt", "cannot be read"),
        ("elsewhere", "has a picture there"),
        ("none", "no file matches"),
    ],
)
def test_a_raster_that_is_no_good_is_set_aside_with_the_reason(recipe, tmp_path, fault, words):
    path = tmp_path / "scene.tif"
    if fault == "elsewhere":
        transform = rasterio.Affine(0.01, 0.0, 100.0, 0.0, -0.01, 10.0)
        profile = {"driver": "GTiff", "width": 9, "height": 9, "count": 3, "dtype": "uint8"}
        with rasterio.open(path, "w", crs="EPSG:4326", transform=transform, **profile) as dataset:
            dataset.write(np.full((3, 9, 9), 5, np.uint8))
    elif fault != "none":
        scene(path, crs=None if fault == "no crs" else "EPSG:32633")
    if fault == "corrupt":
        path.write_bytes(path.read_bytes()[:5000])
    assert build(recipe(tmp_path / "scene*.tif", "[geotiff]\n"), tmp_path / "out") == EXIT_PARTIAL
    for record in store.read_manifest(tmp_path / "out").values():
        assert words in record.reason
    assert not list((tmp_path / "out").rglob("*.tif"))


@pytest.mark.verifies("DAT-014")
def test_camera_views_carry_their_pose_and_repeat(recipe, tmp_path, files_of):
    path = recipe("embedded", "[views]\ntilt_deg = 8.0\n")
    for name in ("one", "two"):
        assert build(path, tmp_path / name) == 0
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")
    for record in store.read_manifest(tmp_path / "one").values():
        rotation = np.array(record.pose.cam_from_ecef)
        assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
        assert 370e3 < np.linalg.norm(record.pose.r_ecef) - 6.368e6 < 660e3  # m
        assert store.read_pixels(tmp_path / "one" / record.file).std() > 3.0  # grey levels
