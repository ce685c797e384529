"""A user's own GeoTIFF is enough for a new place: map, frames over it, a fix."""

from pathlib import Path

import numpy as np
import pytest

from flightsw.errors import InputError, ModelError, UsageError
from flightsw.vision.finder import Finder, FrameStatus, search_frame
from flightsw.vision.maps import read_map
from flightsw.vision.models import load_models
from flightsw.vision.preprocess import MODEL_CAMERA
from groundtools.imagery import open_imagery
from groundtools.landmarks.place import add_place, parse_bounds, parse_name

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
