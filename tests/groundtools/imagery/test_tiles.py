"""Tiles from a tar, a folder and a server: the same pixels, and clear words when broken."""

import http.server
import io
import tarfile
import threading

import numpy as np
import pytest
import simplejpeg

from flightsw.errors import InputError
from groundtools.imagery import open_imagery
from groundtools.imagery.sea import sea_pixels
from groundtools.imagery.tiles import TileImagery, UrlSource, decode_tile, without_black_edge

LEVEL = 5
TILE = (17, 11)  # central Europe
X0, Y0 = TILE[0] * 256, TILE[1] * 256


def jpeg(value=(200, 120, 40)):
    tile = np.empty((256, 256, 3), np.uint8)
    tile[:] = value
    return simplejpeg.encode_jpeg(tile, quality=95, colorsubsampling="444")


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "tiles" / str(LEVEL) / str(TILE[0]) / f"{TILE[1]}.jpeg"
    path.parent.mkdir(parents=True)
    path.write_bytes(jpeg())
    return tmp_path / "tiles"


@pytest.fixture
def tar(tmp_path):
    path = tmp_path / "tiles.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo(f"{LEVEL}/{TILE[0]}/{TILE[1]}.jpeg")
        info.size = len(jpeg())
        archive.addfile(info, io.BytesIO(jpeg()))
    return path


@pytest.fixture
def server(folder):
    class Handler(http.server.SimpleHTTPRequestHandler):
        failures = 1

        def __init__(self, *args, **kwargs):
            super().__init__(*args, directory=str(folder), **kwargs)

        def do_GET(self):
            if Handler.failures:
                Handler.failures -= 1
                self.send_error(503)
            else:
                super().do_GET()

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.mark.verifies("IMG-001")
def test_tar_and_folder_give_the_same_picture(folder, tar):
    a, b = open_imagery(folder), open_imagery(str(tar))
    window = (X0 - 100, Y0 - 100, X0 + 300, Y0 + 300)
    assert np.array_equal(a.read(*window, level=LEVEL), b.read(*window, level=LEVEL))
    assert a.native_level == LEVEL
    middle = a.read(X0 + 60, Y0 + 60, X0 + 64, Y0 + 64, level=LEVEL, sea="raw")
    np.testing.assert_allclose(middle.reshape(-1, 3), np.tile([200, 120, 40], (16, 1)), atol=3)


def test_coarser_levels_are_the_same_picture_smaller(folder):
    imagery = open_imagery(folder)
    half = imagery.read(X0 // 2 + 20, Y0 // 2 + 20, X0 // 2 + 100, Y0 // 2 + 100, level=4, sea="raw")
    np.testing.assert_allclose(half.reshape(-1, 3).mean(axis=0), [200, 120, 40], atol=3)


@pytest.mark.verifies("IMG-002")
def test_missing_tiles_are_sea_or_coloured_land(folder):
    imagery = open_imagery(folder)
    ocean = imagery.read(1500, 4200, 1564, 4264, level=LEVEL)
    assert np.array_equal(ocean, sea_pixels(1500, 4200, 64, 64, level=LEVEL))
    sahara = imagery.read(4352, 3584, 4356, 3588, level=LEVEL)
    assert sahara[..., 0].mean() > 120  # sand, from the embedded colours
    assert not imagery.valid(4352, 3584, 4356, 3588, level=LEVEL).any()
    assert imagery.valid(X0, Y0, X0 + 4, Y0 + 4, level=LEVEL).all()


@pytest.mark.verifies("IMG-002")
def test_water_is_flat_right_up_to_the_shoreline(folder):
    imagery = open_imagery(folder)
    window = (X0, Y0 + 128, X0 + 256, Y0 + 256)  # Adriatic and Tyrrhenian
    land = imagery.land(*window, level=LEVEL)
    water = sea_pixels(window[0], window[1], 256, 128, level=LEVEL)
    flat, raw = imagery.read(*window, level=LEVEL), imagery.read(*window, level=LEVEL, sea="raw")
    half = imagery.read(*window, level=LEVEL, sea="half")
    assert (land == 0).any()
    assert np.array_equal(flat[land == 0], water[land == 0])
    assert np.array_equal(flat[land == 255], raw[land == 255])
    assert np.abs(half[land == 0].astype(int) * 2 - flat[land == 0] - raw[land == 0].astype(int)).max() <= 3


@pytest.mark.verifies("IMG-001")
def test_a_server_is_asked_again_after_a_failure_and_once_for_a_tile(server, tmp_path, monkeypatch):
    monkeypatch.setenv("VINSAT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("groundtools.imagery.tiles.time.sleep", lambda seconds: None)
    source = UrlSource(server + "/{z}/{x}/{y}.jpeg", native_level=LEVEL)
    assert source.tile(LEVEL, *TILE) == jpeg()
    assert source.tile(LEVEL, 1, 1) is None
    monkeypatch.setattr(source, "_fetch", None)  # from now on the disk must do
    assert source.tile(LEVEL, *TILE) == jpeg()
    assert source.tile(LEVEL, 1, 1) is None
    assert TileImagery(source, name="t", credit="c").native_level == LEVEL


def test_an_unreachable_server_is_an_error_with_its_address(tmp_path, monkeypatch):
    monkeypatch.setenv("VINSAT_CACHE", str(tmp_path))
    monkeypatch.setattr("groundtools.imagery.tiles.time.sleep", lambda seconds: None)
    with pytest.raises(InputError, match=r"127\.0\.0\.1:9/3/1/2.*network"):
        UrlSource("http://127.0.0.1:9/{z}/{x}/{y}.jpeg").tile(3, 1, 2)


@pytest.mark.parametrize("content", [b"", b"\xff\xd8 not a picture", b"text", jpeg()[:200]])
def test_a_broken_tile_is_named(content):
    with pytest.raises(InputError, match="tile 1/2"):
        decode_tile(content, "tile 1/2")


def test_what_is_no_imagery_is_refused_with_the_choices(tmp_path):
    with pytest.raises(InputError, match="embedded"):
        open_imagery(tmp_path / "nothing")
    with pytest.raises(InputError, match="no tiles"):
        open_imagery(tmp_path)
    with pytest.raises(InputError, match=r"lacks \{y\}"):
        open_imagery("https://example.org/{z}/{x}.png")
    (tmp_path / "bad.tar").write_bytes(b"not a tar" * 100)
    with pytest.raises(InputError, match=r"bad\.tar"):
        open_imagery(tmp_path / "bad.tar")


@pytest.mark.verifies("IMG-004")
def test_credits_travel_with_the_imagery(folder):
    assert open_imagery(folder).credit == "source of tiles"
    folder.with_name("tiles.credit").write_text("A Person, 2026\n")
    assert open_imagery(folder).credit == "A Person, 2026"
    assert "NASA" in open_imagery("embedded").credit


def test_a_black_edge_is_covered_by_its_neighbour():
    tile = np.full((256, 256, 3), 90, np.uint8)
    assert np.array_equal(without_black_edge(tile), tile)
    tile[:, 249:] = 3
    assert (without_black_edge(tile) == 90).all()
