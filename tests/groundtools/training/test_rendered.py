"""Views of the simulator, as training sees them: the same picture, the same labels."""

import numpy as np
import pytest

from flightsw.astro.geodesy import ecef_from_lla
from flightsw.errors import InputError
from flightsw.vision.preprocess import MODEL_CAMERA
from groundtools.training import rendered
from groundtools.training.rasters import Raster
from groundtools.training.rendered import RasterImagery, landmarks_clear, picture, sample_view

BOUNDS_DEG = (12.0, 40.0, 18.0, 48.0)


def checkered(level: int) -> Raster:
    """Return a small world whose squares are the same at every level."""
    size = 256 << level
    squares = (np.add.outer(np.arange(size), np.arange(size)) * 64 // size % 2 * 120 + 60).astype(np.uint8)
    return Raster("squares", np.repeat(squares[..., None], 3, axis=2), 0, 0, level)


@pytest.fixture(scope="module")
def imagery() -> RasterImagery:
    return RasterImagery({level: checkered(level) for level in (2, 3, 4)})


def test_reading_beyond_a_raster_repeats_its_border(imagery: RasterImagery) -> None:
    size = 256 << 4
    pixels = imagery.read(size - 5, -3, size + 5, 4, level=4)
    assert pixels.shape == (7, 10, 3)
    np.testing.assert_array_equal(pixels[0], pixels[3])
    np.testing.assert_array_equal(pixels[3:, 5:], imagery.read(0, 0, 5, 4, level=4))


def test_a_missing_renderer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendered, "NAME", "nobody")
    assert not rendered.is_available()
    with pytest.raises(InputError, match="no renderer"):
        rendered.renderer.__wrapped__()


@pytest.mark.verifies("TRN-001")
def test_labels_are_the_simulators_own(imagery: RasterImagery, rng: np.random.Generator) -> None:
    module = pytest.importorskip("vinsat_sim.views")
    labels = pytest.importorskip("vinsat_sim.scene.labels")
    lat, lon = np.deg2rad(rng.uniform(38.0, 50.0, 60)), np.deg2rad(rng.uniform(8.0, 22.0, 60))
    p_ecef = ecef_from_lla(lat, lon)
    differ, count = 0, 0
    for _ in range(6):
        view = sample_view(module, rng, imagery, BOUNDS_DEG)
        uv_px, inside, clear = landmarks_clear(view, MODEL_CAMERA, p_ecef)
        expected, visible, cover = labels.project_labels(
            MODEL_CAMERA, view.r_ecef, view.cam_from_ecef, p_ecef, view.scene
        )
        np.testing.assert_array_equal(inside, visible)
        np.testing.assert_allclose(uv_px[inside], expected[inside], atol=1e-3)  # px
        differ += int((clear[inside] != (cover[inside] < rendered.CLEAR)).sum())
        count += int(inside.sum())
    assert differ <= 0.08 * count  # 16 points over a chip instead of 25: borderline clouds only


def test_a_crop_of_the_renderer_is_part_of_its_frame(
    imagery: RasterImagery, rng: np.random.Generator
) -> None:
    module = pytest.importorskip("vinsat_sim.views")
    view = sample_view(module, rng, imagery, BOUNDS_DEG)
    whole = picture(module, view, MODEL_CAMERA)
    part = picture(module, view, module.crop_camera(MODEL_CAMERA, (320, 160, 256, 256)))
    difference = whole[160:416, 320:576].astype(float) - part
    assert np.abs(difference).mean() < 12.0  # grey levels: noise and exposure are drawn anew
