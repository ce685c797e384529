import dataclasses

import numpy as np
import pytest
import simplejpeg

from flightsw.astro.geodesy import ecef_from_lla
from flightsw.camera.model import Camera
from flightsw.camera.project import observe
from flightsw.vision.detections import Detections
from flightsw.vision.finder import Finder, FrameStatus, find_landmarks
from flightsw.vision.landmarks import Candidates, decode
from flightsw.vision.models import load_models
from flightsw.vision.preprocess import MODEL_CAMERA, model_frame_from_rgb
from flightsw.vision.regions import likely_regions, sigmoid
from flightsw.vision.settle import mounting_of


@pytest.fixture(scope="module")
def models(toy_set):
    return load_models(toy_set)


def jpeg(rgb: np.ndarray) -> bytes:
    return simplejpeg.encode_jpeg(np.ascontiguousarray(rgb), 92, colorsubsampling="444")


def true_pixels(toy, camera: Camera, found: Detections) -> np.ndarray:
    """Return where the true pose shows what was found, px."""
    p_ecef = ecef_from_lla(np.deg2rad(found.lat_deg), np.deg2rad(found.lon_deg), found.height)
    return observe(camera, toy.TRUE_POSE.cam_from_ecef, toy.TRUE_POSE.r_ecef, p_ecef)[0]


def test_a_frame_of_the_region_is_matched_without_any_detector(toy, models, toy_frame):
    result = find_landmarks(models, jpeg(toy_frame), MODEL_CAMERA)
    assert result.status is FrameStatus.FIX
    assert result.finder is Finder.MATCH
    assert result.regions == ("33T",)
    found = result.detections
    assert len(found) >= 30
    assert all(name.startswith("33T/") for name in found.landmark_id)
    assert len(set(found.landmark_id)) == len(found)
    error = np.linalg.norm(found.uv_px - true_pixels(toy, MODEL_CAMERA, found), axis=1)
    assert np.median(error) < 0.3  # px
    assert error.max() < 1.5  # px


def test_the_detector_alone_gives_its_true_landmarks_and_no_lie(toy, models, toy_frame):
    result = find_landmarks(models, jpeg(toy_frame), MODEL_CAMERA, finders=(Finder.LANDMARKS,))
    assert result.status is FrameStatus.FIX
    assert result.finder is Finder.LANDMARKS
    found, catalog = result.detections, toy.catalog()
    is_landmark = np.array([name in catalog.ids for name in found.landmark_id])
    assert is_landmark.sum() == result.inliers >= 10
    true_uv = true_pixels(toy, MODEL_CAMERA, found)
    np.testing.assert_allclose(found.uv_px[is_landmark], true_uv[is_landmark], atol=0.01)  # px
    np.testing.assert_allclose(found.confidence[is_landmark], 0.8, atol=1e-3)
    np.testing.assert_allclose(found.sigma_px[is_landmark], 0.8)


def test_pixels_and_sigmas_are_those_of_the_users_camera(toy, models, toy_field):
    camera = Camera(1400, 800, 1064.355, 1064.355, 710.0, 390.0)
    rgb = toy.render(toy_field, toy.TRUE_POSE, camera=camera)
    result = find_landmarks(models, jpeg(rgb), camera, finders=(Finder.LANDMARKS,))
    assert result.status is FrameStatus.FIX
    found, catalog = result.detections, toy.catalog()
    is_landmark = np.array([name in catalog.ids for name in found.landmark_id])
    error = np.abs(found.uv_px - true_pixels(toy, camera, found))
    assert error[is_landmark].max() < 0.01  # px
    assert np.median(error[~is_landmark]) < 0.3  # px
    np.testing.assert_allclose(found.sigma_px[is_landmark], 0.8 * 1.2)


def test_a_camera_that_looks_ahead_by_its_mounting_is_matched_too(toy, models, toy_field):
    ahead = np.deg2rad(12.0)
    mounting = np.array([[1, 0, 0], [0, np.cos(ahead), np.sin(ahead)], [0, -np.sin(ahead), np.cos(ahead)]])
    camera = dataclasses.replace(MODEL_CAMERA, cam_from_body=mounting)
    pose = toy.pose_above(44.2, 15.4, 520e3, yaw=1.9)
    pose = dataclasses.replace(pose, cam_from_ecef=mounting @ pose.cam_from_ecef)
    result = find_landmarks(models, jpeg(toy.render(toy_field, pose)), camera)
    assert result.status is FrameStatus.FIX
    assert np.linalg.norm(result.pose.r_ecef - pose.r_ecef) < 5e3  # m
    assert result.pose.tilt_from(mounting_of(camera).down_cam) < np.deg2rad(0.5)


@pytest.mark.verifies("VIS-103")
def test_other_places_are_refused_by_the_check_though_the_detector_is_certain(toy, models, toy_frame):
    other = toy.render(toy.texture(2), toy.TRUE_POSE)
    for rgb in (other, toy_frame[:, ::-1], toy_frame[::-1]):
        result = find_landmarks(models, jpeg(rgb), MODEL_CAMERA)
        assert result.status is FrameStatus.FAILED_CHECK
        assert result.detections is None
        assert result.inliers >= 10


@pytest.mark.verifies("VIS-104")
def test_black_saturated_cloudy_and_broken_frames_say_so(models, toy_frame):
    grey = np.zeros((648, 1152, 3), np.uint8)
    expected = {
        FrameStatus.BLACK: jpeg(grey + 3),
        FrameStatus.SATURATED: jpeg(grey + 255),
        FrameStatus.CLOUD: jpeg(grey + 220),
        FrameStatus.UNREADABLE: jpeg(toy_frame)[:5000],
    }
    for status, data in expected.items():
        result = find_landmarks(models, data, MODEL_CAMERA)
        assert result.status is status
        assert result.regions == ()
    assert "damaged" in find_landmarks(models, jpeg(toy_frame)[:5000], MODEL_CAMERA).detail


def test_a_frame_the_classifier_places_elsewhere_runs_no_detector(models, toy_frame):
    manifest = models.manifest
    strict = dataclasses.replace(manifest, rc=dataclasses.replace(manifest.rc, threshold=0.95))
    result = find_landmarks(dataclasses.replace(models, manifest=strict), jpeg(toy_frame), MODEL_CAMERA)
    assert result.status is FrameStatus.ELSEWHERE
    assert result.regions == ()


def test_without_enough_candidates_there_is_no_pose(models, toy_frame):
    deaf = dataclasses.replace(
        models.manifest.region[0],
        detector=dataclasses.replace(models.manifest.region[0].detector, threshold=0.99),
    )
    manifest = dataclasses.replace(models.manifest, region=(deaf,))
    result = find_landmarks(
        dataclasses.replace(models, manifest=manifest, _held=type(models._held)()),
        jpeg(toy_frame),
        MODEL_CAMERA,
        finders=(Finder.LANDMARKS,),
    )
    assert result.status is FrameStatus.NO_POSE


def test_arg_max_decoding_gives_place_offset_and_peak():
    heat = np.full((3, 164, 288), -8.0, np.float32)
    offset = np.zeros((2, 164, 288), np.float32)
    heat[0, 10, 20] = 2.0
    heat[1, 163, 5] = 5.0  # in the padding below the frame: never a landmark
    heat[2, 100, 287] = -1.0
    offset[:, 10, 20] = (0.25, -0.5)
    frame = model_frame_from_rgb(np.zeros((648, 1152, 3), np.uint8))
    found = decode(heat, offset, frame, threshold=0.2)
    assert isinstance(found, Candidates)
    assert found.label.tolist() == [0, 2]
    np.testing.assert_allclose(found.uv_px, [[83.0, 40.0], [1150.0, 402.0]])  # px
    np.testing.assert_allclose(found.score, sigmoid(np.array([2.0, -1.0], np.float32)))


def test_what_the_users_camera_does_not_see_holds_no_candidate():
    heat = np.full((1, 164, 288), -8.0, np.float32)
    heat[0, 10, 20], heat[0, 80, 150] = 4.0, 1.0
    valid = np.zeros((648, 1152), bool)
    valid[200:400, 400:800] = True
    frame = model_frame_from_rgb(np.zeros((648, 1152, 3), np.uint8), valid)
    found = decode(heat, np.zeros((2, 164, 288), np.float32), frame, threshold=0.1)
    np.testing.assert_allclose(found.uv_px, [[602.0, 322.0]])


def test_regions_are_tried_likeliest_first_and_never_elsewhere():
    probability = np.array([0.2, 0.9, 0.6, 0.7, 0.99])
    classes = ("10S", "10T", "11R", "12R", "elsewhere")
    assert likely_regions(probability, classes, threshold=0.5, most=2) == ["10T", "12R"]
    assert likely_regions(probability, classes, threshold=0.95, most=3) == []
