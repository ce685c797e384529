"""A user's own GeoTIFF is enough for a new place: map, frames over it, a fix."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flightsw.errors import InputError, ModelError, UsageError
from flightsw.vision.finder import Finder, FrameStatus, search_frame
from flightsw.vision.maps import ReferenceMap, grid_of_region, read_map, write_map
from flightsw.vision.models import load_models, verify_models
from flightsw.vision.preprocess import MODEL_CAMERA, model_frame_from_rgb
from groundtools.imagery import open_imagery
from groundtools.landmarks import all_land
from groundtools.landmarks.maps import build_map
from groundtools.landmarks.place import add_place, parse_bounds, parse_name
from groundtools.landmarks.terrain import read_terrain

# rasterio 1.4 multiplies its own affine transforms in a way affine 3 warns about.
pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")

BOUNDS_DEG = (20.0, 20.0, 24.0, 24.0)  # the Libyan desert: land throughout


@pytest.fixture(scope="module")
def tiff(tmp_path_factory) -> Path:
    """Return a GeoTIFF of fractal texture, 12 x 12 deg at 1.1 km."""
    rasterio = pytest.importorskip("rasterio")
    size = 1200
    rng = np.random.default_rng(11)
    frequency = np.hypot(*np.meshgrid(np.fft.rfftfreq(size), np.fft.fftfreq(size)))
    frequency[0, 0] = 1.0
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((size, size))) * frequency**-1.4)
    grey = np.clip(110.0 + 35.0 * field / field.std(), 1.0, 255.0)
    path = tmp_path_factory.mktemp("tiff") / "mine.tif"
    transform = rasterio.transform.from_bounds(16.0, 16.0, 28.0, 28.0, size, size)
    with rasterio.open(
        path, "w", driver="GTiff", width=size, height=size, count=3, dtype="uint8",
        crs="EPSG:4326", transform=transform,
    ) as file:  # fmt: skip
        file.write(np.stack([grey, 0.8 * grey, 0.5 * grey]).astype(np.uint8))
    return path


@pytest.fixture(scope="module")
def folder(tiff, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("models")
    add_place(out, "MINE", BOUNDS_DEG, [open_imagery(str(tiff))])
    return out


@pytest.mark.verifies("VIS-112")
def test_a_geotiff_alone_makes_a_place_where_frames_are_fixed(tiff, folder):
    views = pytest.importorskip("vinsat_sim.views")
    from vinsat_sim.experiments.matching import judge, shoot

    models = load_models(folder)
    assert (folder / "MINE.map").stat().st_size < 700_000
    sampler = views.ViewSampler(open_imagery(str(tiff)), BOUNDS_DEG, cloudy=0.0, colour=0.5, sea=("raw",))
    for k in range(2):
        shot = shoot(sampler, (77, k))
        result = search_frame(models, shot.frame, MODEL_CAMERA, finders=(Finder.MATCH,))
        assert result.status is FrameStatus.FIX
        judged = judge(shot, result, fixable=True)
        assert judged.error_px < 3.0  # px of the reference camera


def test_a_rebuilt_map_is_the_same_and_replaces_its_place(tiff, folder, tmp_path):
    imagery = open_imagery(str(tiff))
    first = add_place(tmp_path, "MINE", BOUNDS_DEG, [imagery])
    again = add_place(tmp_path, "MINE", BOUNDS_DEG, [imagery])
    assert first == again
    assert [place.id for place in load_models(tmp_path).manifest.region] == ["MINE"]
    before, after = (read_map(path / "MINE.map") for path in (folder, tmp_path))
    np.testing.assert_array_equal(before.features, after.features)


def test_an_imagery_that_shows_nothing_of_the_place_is_refused_by_name(tiff, tmp_path):
    with pytest.raises(InputError, match=r"mine.*shows nothing of -80, 20, -76, 24"):
        add_place(tmp_path / "models", "AWAY", (-80.0, 20.0, -76.0, 24.0), [open_imagery(str(tiff))])
    assert not (tmp_path / "models").exists()


@pytest.mark.verifies("VIS-112")
def test_maps_cut_altered_or_of_another_place_are_refused_by_name(folder, tmp_path):
    import shutil

    good = (folder / "MINE.map").read_bytes()
    for spoilt in (good[:-100], good[:5000] + bytes([good[5000] ^ 1]) + good[5001:]):
        models = Path(shutil.copytree(folder, tmp_path / "models", dirs_exist_ok=True))
        (models / "MINE.map").write_bytes(spoilt)
        with pytest.raises(ModelError, match=r"MINE\.map"):
            load_models(models)


@pytest.mark.parametrize(
    "text", ["1,2,3", "a,b,c,d", "0,10,5,9", "0,0,40,8", "0,0,0.1,4", "200,0,204,4", "0,-85,4,-81"]
)
def test_bounds_that_are_no_place_are_refused_with_what_to_give(text):
    with pytest.raises(UsageError, match=r"--bounds-deg"):
        parse_bounds(text)


def test_bounds_may_cross_the_date_line_and_names_are_short():
    assert parse_bounds("177,-20,-178,-15") == (177.0, -20.0, 182.0, -15.0)
    assert parse_name("FIJI-1") == "FIJI-1"
    for name in ("", "a b", "LONGERTHAN8", "../x", "-x"):
        with pytest.raises(UsageError, match="--name"):
            parse_name(name)


@pytest.fixture(scope="module")
def ramp(tmp_path_factory) -> Path:
    """Return a terrain file of 100 m a degree of longitude from 16 E on, nothing west of it."""
    rasterio = pytest.importorskip("rasterio")
    path = tmp_path_factory.mktemp("terrain") / "ramp.tif"
    heights = np.tile(100.0 * (np.arange(480) + 0.5) / 40.0, (480, 1))
    with rasterio.open(
        path, "w", driver="GTiff", width=480, height=480, count=1, dtype="float32",
        crs="EPSG:4326", transform=rasterio.transform.from_bounds(16.0, 16.0, 28.0, 28.0, 480, 480),
    ) as file:  # fmt: skip
        file.write(heights.astype(np.float32)[None])
    return path


@pytest.mark.verifies("VIS-113")
def test_heights_of_a_terrain_file_reach_the_map_and_what_is_seen_on_it(ramp):
    grid = grid_of_region(BOUNDS_DEG, margin_deg=2.0)
    heights = read_terrain(ramp, grid)
    empty = np.zeros((grid.rows, grid.columns), np.uint8)
    reference = ReferenceMap("MINE", grid, np.zeros((*empty.shape, 3), np.int8), empty, heights)
    column = (22.0 - grid.west_deg) / grid.cell_lon_deg - 0.5
    found = reference.height_at(np.array([100.0, 200.0]), np.array([column, column]))
    np.testing.assert_allclose(found, 600.0, atol=2.0)  # m, at 22 E
    with pytest.raises(InputError, match=r"ramp\.tif.*shows nothing of the place"):
        read_terrain(ramp, grid_of_region((-80.0, 20.0, -76.0, 24.0)))


@pytest.mark.verifies("VIS-113")
def test_a_map_keeps_its_heights_and_one_without_is_flat(ramp, folder, tmp_path):
    flat = read_map(folder / "MINE.map")
    assert flat.heights is None
    assert not flat.height_at(np.arange(3.0), np.arange(3.0)).any()
    write_map(tmp_path / "MINE.map", replace(flat, heights=read_terrain(ramp, flat.grid)))
    again = read_map(tmp_path / "MINE.map")
    np.testing.assert_array_equal(again.heights, read_terrain(ramp, flat.grid))
    np.testing.assert_array_equal(again.features, flat.features)


def test_tiles_cover_all_land_once_and_have_names_of_their_own():
    every = list(all_land.tiles())
    names = [name for name, _ in every]
    assert len(set(names)) == len(names)
    assert all(parse_name(name) == name for name in names)
    area = sum((e - w) * (n - s) for _, (w, s, e, n) in every)
    assert area == pytest.approx(360.0 * 132.0)  # deg^2, without a gap or an overlap


@pytest.mark.verifies("VIS-114")
def test_all_land_goes_on_where_it_was_stopped_and_serves_tracking_alone(tiff, tmp_path, monkeypatch):
    imagery, out = open_imagery(str(tiff)), tmp_path / "land"
    built = []

    def build(name, *args, **kwargs):
        built.append(name)
        if len(built) == 2:
            raise KeyboardInterrupt
        return build_map(name, *args, **kwargs)

    monkeypatch.setattr(all_land, "build_map", build)
    box = (18.0, 21.0, 26.0, 22.0)  # two tiles
    with pytest.raises(KeyboardInterrupt):
        all_land.build_all_land(out, [imagery], within_deg=box)
    count, size = all_land.build_all_land(out, [imagery], within_deg=box)
    assert count == 2
    assert len(built) == 3
    assert size < 2 * 700_000
    models = load_models(out)
    assert not any(place.when_lost for place in models.manifest.region)
    assert verify_models(out)
    frame = model_frame_from_rgb(np.full((648, 1152, 3), 90, np.uint8))
    assert search_frame(models, frame, MODEL_CAMERA).regions == ()
