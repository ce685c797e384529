import numpy as np
import pytest

from flightsw.vision.check import dense_score
from flightsw.vision.cloud import Refusal, cloudy, quick_refusal
from flightsw.vision.preprocess import model_frame_from_rgb


def test_a_true_pose_correlates_and_stands_out(toy, toy_map, toy_frame):
    score = dense_score(model_frame_from_rgb(toy_frame), toy.TRUE_POSE, toy_map)
    assert score.peak > 0.6
    assert score.contrast > 20.0
    assert score.cells > 30_000
    assert score.shift == (0, 0)


@pytest.mark.verifies("VIS-103")
def test_wrong_poses_and_other_places_do_not(toy, toy_map, toy_frame, rng):
    elsewhere = model_frame_from_rgb(toy.render(toy.texture(2), toy.TRUE_POSE))
    mirrored = model_frame_from_rgb(np.ascontiguousarray(toy_frame[:, ::-1]))
    noise = model_frame_from_rgb(rng.integers(0, 256, toy_frame.shape, dtype=np.uint8))
    right = model_frame_from_rgb(toy_frame)
    for frame in (elsewhere, mirrored, noise):
        assert dense_score(frame, toy.TRUE_POSE, toy_map).peak < 0.1
    for lat, lon, yaw in ((44.8, 15.4, 0.7), (44.2, 14.6, 0.7), (44.2, 15.4, 0.9), (44.2, 15.4, 3.8)):
        wrong = toy.pose_above(lat, lon, 520e3, yaw=yaw, tilt=(0.03, -0.02))
        assert dense_score(right, wrong, toy_map).peak < 0.12


def test_a_pose_some_kilometres_off_still_shows_its_peak_beside_it(toy, toy_map, toy_frame):
    off = toy.pose_above(44.2 + 0.0432, 15.4, 520e3, yaw=0.7, tilt=(0.03, -0.02))  # two cells north
    score = dense_score(model_frame_from_rgb(toy_frame), off, toy_map)
    assert score.peak > 0.5
    assert score.shift == (2, 0)


def test_cloud_is_masked_not_matched(toy, toy_map, toy_frame, rng):
    whitened = toy_frame.copy()
    whitened[:, 500:] = 245
    score = dense_score(model_frame_from_rgb(whitened), toy.TRUE_POSE, toy_map)
    assert score.peak > 0.5
    assert score.cells < 25_000
    everything = np.full_like(toy_frame, 240)
    assert np.isnan(dense_score(model_frame_from_rgb(everything), toy.TRUE_POSE, toy_map).peak)


def test_a_view_off_the_map_or_off_the_earth_has_no_score(toy, toy_map, toy_frame):
    frame = model_frame_from_rgb(toy_frame)
    for pose in (
        toy.pose_above(10.0, 15.0, 520e3),
        toy.pose_above(44.0, -165.0, 520e3),
        toy.pose_above(44.0, 15.0, 520e3, tilt=(2.5, 0.0)),
    ):
        score = dense_score(frame, pose, toy_map)
        assert np.isnan(score.peak)
        assert score.cells == 0


def test_a_map_across_the_date_line_serves_both_its_sides(toy, toy_field, toy_frame):
    import dataclasses

    reference = toy.reference_map(toy_field)
    shifted = dataclasses.replace(
        reference, grid=dataclasses.replace(reference.grid, west_deg=reference.grid.west_deg + 164.6)
    )
    pose = toy.pose_above(44.2, -180.0, 520e3, yaw=0.7, tilt=(0.03, -0.02))
    assert dense_score(model_frame_from_rgb(toy_frame), pose, shifted).peak > 0.6


@pytest.mark.verifies("VIS-104")
@pytest.mark.parametrize(
    ("level", "refusal"), [(4, Refusal.BLACK), (255, Refusal.SATURATED), (225, Refusal.CLOUD), (90, None)]
)
def test_useless_frames_are_refused_before_any_network_runs(level, refusal, rng):
    rgb = np.clip(level + rng.normal(0, 3, (648, 1152, 3)), 0, 255).astype(np.uint8)
    if level == 255:
        rgb[:] = 255
    assert quick_refusal(model_frame_from_rgb(rgb)) is refusal


def test_a_frame_outside_the_users_view_is_black():
    empty = model_frame_from_rgb(np.zeros((648, 1152, 3), np.uint8), np.zeros((648, 1152), bool))
    assert quick_refusal(empty) is Refusal.BLACK


def test_desert_is_not_cloud_and_haze_over_land_is_not_either():
    colours = np.array([[210, 180, 130], [120, 130, 140], [235, 238, 245], [30, 40, 90]], np.uint8)
    assert cloudy(colours).tolist() == [False, False, True, False]
