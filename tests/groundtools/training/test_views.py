"""Training views: geometry is the camera's, labels are exact, classes are what they say."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from flightsw.astro.geodesy import ecef_from_lla
from flightsw.vision.preprocess import MODEL_CAMERA, model_frame_from_rgb, rc_input, rc_normalise
from groundtools.imagery.mercator import bounds_px, lonlat_from_pixel, pixel_from_lonlat
from groundtools.training.clouds import cloud_bank, cloud_thickness
from groundtools.training.ld_samples import CROP_PX, visibility
from groundtools.training.rasters import Raster, half_raster
from groundtools.training.rc_samples import RC_CAMERA
from groundtools.training.views import (
    cut_view,
    near_nadir_pose,
    pose_looking_at,
    project,
    random_attitude,
)

BOUNDS_DEG = (8.0, 38.0, 20.0, 46.0)


def dotted_raster(lonlat_deg: np.ndarray) -> Raster:
    """Return a dark raster with a smooth white dot at each place."""
    level = 8
    x0, y0, x1, y1 = bounds_px(BOUNDS_DEG, level=level)
    pixels = np.zeros((y1 - y0, x1 - x0, 3), np.uint8)
    for lon, lat in np.deg2rad(lonlat_deg):
        x, y = pixel_from_lonlat(lon, lat, level=level) - (x0, y0)
        rows, columns = np.mgrid[int(y) - 12 : int(y) + 13, int(x) - 12 : int(x) + 13]
        dot = 255.0 * np.exp(-((columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2) / (2 * 3.0**2))
        pixels[rows, columns] = np.round(dot)[..., None]
    return Raster("dots", pixels, x0, y0, level)


@pytest.mark.verifies("TRN-001")
def test_labels_fall_on_what_the_view_shows(rng: np.random.Generator) -> None:
    place = np.array([[13.1, 42.2]])
    raster = dotted_raster(place)
    point = ecef_from_lla(np.deg2rad(place[:, 1]), np.deg2rad(place[:, 0]))
    for _ in range(10):
        uv_px = rng.uniform((100.0, 100.0), (1052.0, 548.0))
        lon, lat = np.deg2rad(place[0])
        pose = pose_looking_at(MODEL_CAMERA, lon, lat, uv_px, random_attitude(rng))
        label = project(MODEL_CAMERA, pose, point)[0]
        np.testing.assert_allclose(label, uv_px, atol=15.0)  # px: aiming is approximate
        u0, v0 = (int(x) - 64 for x in label)
        view = cut_view(raster, MODEL_CAMERA, pose, (u0, v0, 128, 128))[..., 0].astype(float)
        rows, columns = np.mgrid[:128, :128] + 0.5
        seen = np.array([(view * columns).sum(), (view * rows).sum()]) / view.sum() + (u0, v0)
        np.testing.assert_allclose(seen, label, atol=0.1)  # px


def test_a_crop_equals_the_same_part_of_the_frame(rng: np.random.Generator) -> None:
    raster = dotted_raster(rng.uniform((9.0, 39.0), (19.0, 45.0), (300, 2)))
    pose = near_nadir_pose(np.deg2rad(14.0), np.deg2rad(42.0), 500e3, 0.7, (0.03, -0.02))
    whole = cut_view(raster, MODEL_CAMERA, pose, (0, 0, 1152, 648))
    part = cut_view(raster, MODEL_CAMERA, pose, (320, 160, 256, 256))
    difference = np.abs(whole[160:416, 320:576].astype(int) - part.astype(int))
    assert difference.max() <= 2  # grey levels


def test_yaw_zero_has_east_to_the_right_and_south_down() -> None:
    pose = near_nadir_pose(0.2, 0.7, 500e3, 0.0, (0.0, 0.0))
    points = ecef_from_lla(np.array([0.7, 0.7, 0.69]), np.array([0.2, 0.21, 0.2]))
    centre, east, south = project(MODEL_CAMERA, pose, points)
    np.testing.assert_allclose(centre, [576.0, 324.0], atol=1e-6)  # px
    assert east[0] > centre[0]
    assert south[1] > centre[1]


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


def test_clouds_cover_what_they_are_asked_to(rng: np.random.Generator) -> None:
    cloud_bank()
    covered = [
        (cloud_thickness(rng, (256, 256), cover, 2.4) > 0.3).mean()
        for cover in (0.2, 0.5, 0.8)
        for _ in range(12)
    ]
    mean = np.reshape(covered, (3, 12)).mean(axis=1)
    np.testing.assert_allclose(mean, [0.2, 0.5, 0.8], atol=0.15)


def test_a_landmark_under_cloud_is_neither_wanted_nor_forbidden() -> None:
    uv_px = np.array([[60.0, 60.0], [200.0, 60.0], [2.0, 100.0], [-5.0, 3.0], [np.nan, np.nan]])
    thickness = np.zeros((CROP_PX, CROP_PX), np.float32)
    thickness[:, 128:] = 1.0
    visible, ignored = visibility(uv_px, thickness)
    assert visible.tolist() == [True, False, False, False, False]
    assert ignored.tolist() == [False, True, True, False, False]


@pytest.mark.verifies("TRN-005")
def test_the_classifiers_quick_views_bracket_the_flight_path(
    rng: np.random.Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Level 6 is softer, level 7 sharper than a model frame averaged 4 x 4; both are near."""
    monkeypatch.setenv("VINSAT_CACHE", str(tmp_path))
    x0, y0, x1, y1 = bounds_px(BOUNDS_DEG, level=8)
    texture = cv2.GaussianBlur(rng.normal(0.0, 1.0, (y1 - y0, x1 - x0, 3)).astype(np.float32), (0, 0), 3.0)
    native = Raster("texture", np.clip(120.0 + 300.0 * texture, 0, 255).astype(np.uint8), x0, y0, 8)
    sharp = half_raster(native)
    soft = half_raster(sharp)
    pose = near_nadir_pose(np.deg2rad(14.0), np.deg2rad(42.0), 520e3, 0.7, (0.03, -0.02))
    frame = cut_view(native, MODEL_CAMERA, pose, (0, 0, 1152, 648))
    exact = rc_input(model_frame_from_rgb(frame))[0]

    def quick(raster: Raster) -> np.ndarray:
        return rc_normalise(cut_view(raster, RC_CAMERA, pose, (0, 0, 288, 162))[1:161].astype(np.float32))

    assert quick(soft).std() < exact.std() < quick(sharp).std()
    for raster in (soft, sharp):
        assert np.corrcoef(quick(raster).ravel(), exact.ravel())[0, 1] > 0.93
