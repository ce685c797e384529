"""Training views: the simulator's picture, its labels, cut as they should be."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from flightsw.astro.geodesy import ecef_from_lla
from flightsw.errors import InputError
from flightsw.vision.preprocess import MODEL_CAMERA, model_frame_from_rgb, rc_input, rc_normalise
from groundtools.imagery.mercator import lonlat_from_pixel, pixel_from_lonlat
from groundtools.training import views
from groundtools.training.ld_samples import CROP_PX, EDGE_PX, central
from groundtools.training.rasters import HeldImagery, Raster, half_raster
from groundtools.training.rc_samples import RC_CAMERA
from groundtools.training.views import draw_view, landmarks_clear, picture, renderer

BOUNDS_DEG = (12.0, 40.0, 18.0, 48.0)


def checkered(level: int) -> Raster:
    """Return a small world whose squares are the same at every level."""
    size = 256 << level
    squares = (np.add.outer(np.arange(size), np.arange(size)) * 64 // size % 2 * 120 + 60).astype(np.uint8)
    return Raster("squares", np.repeat(squares[..., None], 3, axis=2), 0, 0, level)


@pytest.fixture(scope="module")
def imagery() -> HeldImagery:
    pytest.importorskip("vinsat_sim.views", reason="needs the sim extra")
    return HeldImagery({level: checkered(level) for level in (2, 3, 4)})


def test_reading_beyond_a_raster_repeats_its_border(imagery: HeldImagery) -> None:
    size = 256 << 4
    pixels = imagery.read(size - 5, -3, size + 5, 4, level=4)
    assert pixels.shape == (7, 10, 3)
    np.testing.assert_array_equal(pixels[0], pixels[3])
    np.testing.assert_array_equal(pixels[3:, 5:], imagery.read(0, 0, 5, 4, level=4))


def test_a_missing_renderer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "NAME", "nobody")
    with pytest.raises(InputError, match="no renderer"):
        views.renderer.__wrapped__()


@pytest.mark.verifies("TRN-001")
def test_labels_fall_on_what_the_view_shows(rng: np.random.Generator) -> None:
    """A bright dot painted on a dark world is seen where its label says."""
    sampler = pytest.importorskip("vinsat_sim.views", reason="needs the sim extra").ViewSampler
    level, (lon, lat) = 8, np.deg2rad([13.1, 42.2])
    x, y = pixel_from_lonlat(lon, lat, level=level)
    x0, y0 = int(x) - 1500, int(y) - 1500
    rows, columns = np.mgrid[:3000, :3000] + 0.5
    dot = 255.0 * np.exp(-((columns + x0 - x) ** 2 + (rows + y0 - y) ** 2) / (2 * 3.0**2))
    fine = Raster("dot", np.repeat(dot.astype(np.uint8)[..., None], 3, axis=2), x0, y0, level)
    world = HeldImagery({level: fine, level - 1: half_raster_in_memory(fine)})
    point = ecef_from_lla(np.array([lat]), np.array([lon]))
    for _ in range(4):
        view = sampler(world, (12.6, 41.9, 13.6, 42.5), cloudy=0.0, colour=0.0).draw(rng)
        uv_px, _, clear = landmarks_clear(view, MODEL_CAMERA, point)
        assert clear[0]
        u0, v0 = (int(value) - 32 for value in uv_px[0])
        part = picture(view, MODEL_CAMERA)[v0 : v0 + 64, u0 : u0 + 64, 1].astype(float)
        bright = np.clip(part - np.quantile(part, 0.95) - 12.0, 0.0, None)
        v, u = np.mgrid[:64, :64] + 0.5
        seen = np.array([(bright * u).sum(), (bright * v).sum()]) / bright.sum() + (u0, v0)
        np.testing.assert_allclose(seen, uv_px[0], atol=0.1)  # px


def half_raster_in_memory(raster: Raster) -> Raster:
    """Return the level below, even origin, without the cache folder."""
    skip = (raster.x0_px % 2, raster.y0_px % 2)
    pixels = raster.pixels[skip[1] : skip[1] + 2998, skip[0] : skip[0] + 2998]
    half = cv2.resize(pixels, (1499, 1499), interpolation=cv2.INTER_AREA)
    return Raster(
        raster.name, half, (raster.x0_px + skip[0]) // 2, (raster.y0_px + skip[1]) // 2, raster.level - 1
    )


def test_a_crop_of_the_renderer_is_part_of_its_frame(imagery: HeldImagery, rng: np.random.Generator) -> None:
    view = draw_view(rng, imagery, BOUNDS_DEG)
    whole = picture(view, MODEL_CAMERA)
    part = picture(view, renderer().crop_camera(MODEL_CAMERA, (320, 160, 256, 256)))
    difference = whole[160:416, 320:576].astype(float) - part
    assert np.abs(difference).mean() < 12.0  # grey levels: noise and exposure are drawn anew


def test_landmarks_out_of_view_have_no_pixels(imagery: HeldImagery, rng: np.random.Generator) -> None:
    view = draw_view(rng, imagery, BOUNDS_DEG)
    lat, lon = np.deg2rad(rng.uniform(-80.0, 80.0, 200)), rng.uniform(-np.pi, np.pi, 200)
    uv_px, inside, clear = landmarks_clear(view, MODEL_CAMERA, ecef_from_lla(lat, lon))
    assert np.isnan(uv_px[~inside]).all()
    assert not (clear & ~inside).any()


def test_a_landmark_at_the_edge_of_a_crop_is_not_asked_for() -> None:
    uv_px = np.array([[60.0, 60.0], [EDGE_PX - 1.0, 100.0], [CROP_PX - 1.0, 9.0], [-5.0, 30.0], [np.nan] * 2])
    assert central(uv_px).tolist() == [True, False, False, False, False]


def test_a_wrapping_raster_is_continuous_across_the_date_line() -> None:
    width = 256 << 3
    ramp = np.tile(np.abs(np.arange(width) - width // 2)[None, :, None] // 8, (width, 1, 3))
    raster = Raster("world", ramp.astype(np.uint8), 0, 0, 3)
    crop = raster.crop(width - 4, 900, width + 4, 904)
    assert crop.shape == (4, 8, 3)
    assert np.abs(np.diff(crop[..., 0].astype(int), axis=1)).max() <= 1  # grey level


def test_the_inverse_of_the_mercator_grid_is_the_grid() -> None:
    xy = pixel_from_lonlat(0.3, 0.7, level=7)
    np.testing.assert_allclose(np.array(lonlat_from_pixel(xy, level=7)), [0.3, 0.7], atol=1e-12)  # rad


@pytest.mark.verifies("TRN-005")
def test_the_classifiers_views_are_like_the_flight_path(
    rng: np.random.Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A view rendered at the classifier's pixel is near a whole frame averaged 4 x 4."""
    sampler = pytest.importorskip("vinsat_sim.views", reason="needs the sim extra").ViewSampler
    monkeypatch.setenv("VINSAT_CACHE", str(tmp_path))
    texture = cv2.GaussianBlur(rng.normal(0.0, 1.0, (4096, 4096, 3)).astype(np.float32), (0, 0), 3.0)
    raster = Raster("texture", np.clip(120.0 + 300.0 * texture, 0, 255).astype(np.uint8), 34000, 22000, 8)
    levels = {8: raster}
    for level in (7, 6, 5):
        levels[level] = raster = half_raster(raster)
    middle = np.rad2deg(np.array(lonlat_from_pixel(np.array([36048.0, 24048.0]), level=8)))
    bounds = (middle[0] - 0.2, middle[1] - 0.2, middle[0] + 0.2, middle[1] + 0.2)
    view = sampler(HeldImagery(levels), bounds, cloudy=0.0, colour=0.0).draw(rng)
    exact = rc_input(model_frame_from_rgb(picture(view, MODEL_CAMERA)))[0]
    small = rc_normalise(picture(view, RC_CAMERA)[1:161].astype(np.float32))
    assert np.corrcoef(small.ravel(), exact.ravel())[0, 1] > 0.93
