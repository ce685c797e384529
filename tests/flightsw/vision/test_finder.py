import dataclasses

import numpy as np
import pytest
import simplejpeg

from flightsw.camera.model import Camera
from flightsw.camera.project import observe
from flightsw.vision.finder import FrameStatus, find_landmarks
from flightsw.vision.landmarks import Candidates, decode
from flightsw.vision.models import load_models
from flightsw.vision.preprocess import MODEL_CAMERA, model_frame_from_rgb
from flightsw.vision.regions import likely_regions, sigmoid


@pytest.fixture(scope="module")
def models(toy_set):
    return load_models(toy_set)


def jpeg(rgb: np.ndarray) -> bytes:
    return simplejpeg.encode_jpeg(np.ascontiguousarray(rgb), 92, colorsubsampling="444")


def test_a_frame_of_the_region_is_a_fix_with_its_true_landmarks_only(toy, models, toy_frame):
    result = find_landmarks(models, jpeg(toy_frame), MODEL_CAMERA)
    assert result.status is FrameStatus.FIX
    assert result.regions == ("33T",)
    found = result.detections
    catalog = toy.catalog()
    index = [catalog.ids.index(name) for name in found.landmark_id]
    true_uv = observe(MODEL_CAMERA, toy.TRUE_POSE.cam_from_ecef, toy.TRUE_POSE.r_ecef, catalog.p_ecef[index])[
        0
    ]
    assert len(found) >= 10
    np.testing.assert_allclose(found.uv_px, true_uv, atol=0.01)  # px
    np.testing.assert_allclose(found.confidence, 0.8, atol=1e-3)
    np.testing.assert_allclose(found.sigma_px, 0.8)
    assert result.inliers == len(found)


def test_pixels_and_sigmas_are_those_of_the_users_camera(toy, models, toy_field):
    camera = Camera(1400, 800, 1064.355, 1064.355, 710.0, 390.0)
    rgb = toy.render(toy_field, toy.TRUE_POSE, camera=camera)
    result = find_landmarks(models, jpeg(rgb), camera)
    assert result.status is FrameStatus.FIX
    found, catalog = result.detections, toy.catalog()
    index = [catalog.ids.index(name) for name in found.landmark_id]
    true_uv = observe(camera, toy.TRUE_POSE.cam_from_ecef, toy.TRUE_POSE.r_ecef, catalog.p_ecef[index])[0]
    np.testing.assert_allclose(found.uv_px, true_uv, atol=0.01)  # px
    np.testing.assert_allclose(found.sigma_px, 0.8 * 1.2)


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
