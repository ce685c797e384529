import dataclasses

import numpy as np
import pytest

from flightsw.astro.geodesy import ecef_from_lla, lla_from_ecef
from flightsw.vision.finder import Finder, FrameStatus, search_frame
from flightsw.vision.manifest import FileEntry, Region
from flightsw.vision.models import load_models
from flightsw.vision.preprocess import MODEL_CAMERA, model_frame_from_rgb
from flightsw.vision.track import Expectation, carried, maps_in_view, middle_of

TRACKING = (Finder.TRACKING,)


@pytest.fixture(scope="module")
def models(toy_set):
    return load_models(toy_set)


def track(models, rgb, pose, sigma=20e3):
    frame = model_frame_from_rgb(np.ascontiguousarray(rgb))
    return search_frame(models, frame, MODEL_CAMERA, finders=TRACKING, expected=Expectation(pose, sigma))


def region(name: str, bounds_deg: tuple[float, float, float, float]) -> Region:
    entry = FileEntry(f"{name}.x", "0" * 64, 1)
    return Region(name, bounds_deg, 1, entry, entry)


@pytest.mark.verifies("VIS-110")
@pytest.mark.parametrize(
    ("lat_deg", "lon_deg", "yaw", "tilt"),
    [(44.2, 15.4, 0.7, (0.0, 0.0)), (44.45, 15.1, 0.73, (0.05, 0.0)), (43.9, 15.7, 0.66, (0.0, -0.05))],
)
def test_a_frame_tens_of_km_from_where_it_is_expected_is_found(
    toy, models, toy_frame, lat_deg, lon_deg, yaw, tilt
):
    expected = toy.pose_above(lat_deg, lon_deg, 524e3, yaw=yaw, tilt=tilt)
    result = track(models, toy_frame, expected)
    assert result.status is FrameStatus.FIX
    assert result.finder is Finder.TRACKING
    assert np.linalg.norm(middle_of(result.pose) - middle_of(toy.TRUE_POSE)) < 300.0  # m


@pytest.mark.verifies("VIS-111")
def test_a_wrong_prior_confirms_nothing(toy, models, toy_frame):
    other = toy.render(toy.texture(2), toy.TRUE_POSE)
    for rgb, pose in (
        (other, toy.TRUE_POSE),
        (toy_frame[:, ::-1], toy.TRUE_POSE),
        (toy_frame, toy.pose_above(46.4, 15.4, 520e3, yaw=0.7)),  # 245 km north of the truth
        (toy_frame, toy.pose_above(44.2, 15.4, 520e3, yaw=2.3)),
    ):
        result = track(models, rgb, pose, sigma=10e3)
        assert result.status is not FrameStatus.FIX
        assert result.detections is None


@pytest.mark.verifies("VIS-111")
def test_a_prior_too_far_off_cannot_move_what_is_found(toy, models, toy_frame):
    """Where the search still reaches the truth, the truth is found, not the prior."""
    near, far = (
        track(models, toy_frame, toy.pose_above(lat, 15.4, 520e3, yaw=0.7)) for lat in (44.25, 44.55)
    )
    assert near.status is far.status is FrameStatus.FIX
    assert np.linalg.norm(middle_of(near.pose) - middle_of(far.pose)) < 300.0  # m


def test_expected_over_no_map_nothing_is_tried(toy, models, toy_frame):
    result = track(models, toy_frame, toy.pose_above(0.0, 15.4, 520e3))
    assert result.status is FrameStatus.ELSEWHERE
    assert result.regions == ()


def test_the_maps_tried_are_those_below_the_middle_of_the_frame(toy):
    places = (
        region("A", (10.0, 40.0, 16.0, 48.0)),
        region("B", (14.0, 40.0, 20.0, 48.0)),
        region("C", (-160.0, 40.0, -150.0, 48.0)),
        region("D", (176.0, 40.0, 182.0, 48.0)),
    )
    assert maps_in_view(places, toy.pose_above(44.0, 18.0, 520e3)) == ["B", "A"]
    assert maps_in_view(places, toy.pose_above(44.0, -178.5, 520e3)) == ["D"]
    assert maps_in_view(places, toy.pose_above(0.0, 15.0, 520e3)) == []


def test_a_pose_carried_over_the_earth_sees_the_other_place_just_so(toy):
    pose = toy.TRUE_POSE
    here = middle_of(pose)
    lat, lon, _ = lla_from_ecef(here)
    there = ecef_from_lla(lat + 0.01, lon - 0.02)
    moved = carried(pose, here, there)
    towards, before = moved.cam_from_ecef @ (there - moved.r_ecef), pose.cam_from_ecef @ (here - pose.r_ecef)
    assert np.linalg.norm(towards[:2]) / towards[2] < 1e-4  # rad: the Earth is not a sphere
    assert towards[2] == pytest.approx(before[2], rel=1e-3)
    assert carried(pose, here, here) is pose


def test_an_expectation_wider_than_any_search_is_of_no_use(toy):
    assert Expectation(toy.TRUE_POSE, 20e3).is_useful
    assert not Expectation(toy.TRUE_POSE, 80e3).is_useful
    assert dataclasses.replace(Expectation(toy.TRUE_POSE, 80e3), sigma=1.0).is_useful
