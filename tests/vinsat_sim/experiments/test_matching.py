import dataclasses
import json

import numpy as np
import pytest

from flightsw.astro.geodesy import ecef_from_lla
from flightsw.camera.pose_fit import Pose
from flightsw.camera.project import observe
from flightsw.vision.detections import Detections
from flightsw.vision.finder import FrameResult, FrameStatus
from flightsw.vision.preprocess import MODEL_CAMERA, model_frame_from_rgb
from groundtools.imagery.shared import shared_data_dir
from vinsat_sim.experiments import iss_photos, unseen_source
from vinsat_sim.experiments.matching import Judged, Shot, judge, tally
from vinsat_sim.views import View


def pose_above(lat_deg: float, lon_deg: float) -> Pose:
    lat, lon = np.deg2rad(lat_deg), np.deg2rad(lon_deg)
    east = np.array([-np.sin(lon), np.cos(lon), 0.0])
    up = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    return Pose(ecef_from_lla(lat, lon, 500e3), np.stack([east, np.cross(-up, east), -up]))


def shot() -> Shot:
    pose = pose_above(42.0, 12.0)
    frame = model_frame_from_rgb(np.zeros((648, 1152, 3), np.uint8))
    return Shot(frame, View(pose.r_ecef, pose.cam_from_ecef, np.zeros(3), None, 0, 90))


def seen(one: Shot, off_px: float) -> FrameResult:
    lon, lat = np.array([11.5, 12.0, 12.6]), np.array([41.6, 42.2, 42.4])
    p_ecef = ecef_from_lla(np.deg2rad(lat), np.deg2rad(lon))
    uv_px, _, _ = observe(MODEL_CAMERA, one.pose.cam_from_ecef, one.pose.r_ecef, p_ecef)
    ones = np.ones(3)
    found = Detections(["a"] * 3, ["X"] * 3, lon, lat, 0 * ones, uv_px + np.array([off_px, 0.0]), ones, ones)
    return FrameResult(FrameStatus.FIX, pose=one.pose, detections=found)


def test_a_fix_is_judged_by_where_the_truth_shows_what_was_found():
    one = shot()
    assert judge(one, seen(one, 1.0), fixable=True).error_px == pytest.approx(4.0)
    assert not judge(one, seen(one, 7.0), fixable=True).wrong
    assert judge(one, seen(one, 8.0), fixable=True).wrong
    behind = dataclasses.replace(seen(one, 0.0).detections, lon_deg=np.full(3, -168.0))
    assert judge(one, FrameResult(FrameStatus.FIX, detections=behind), fixable=False).wrong
    assert not judge(one, FrameResult(FrameStatus.NO_POSE), fixable=True).fixed


def test_a_wrong_fix_counts_against_and_never_for_the_rate():
    right, wrong = (Judged(True, True, error, np.array([error]), np.zeros(2)) for error in (1.0, 90.0))
    nothing = Judged(True, False, float("nan"), np.empty(0), np.zeros(2))
    luck = Judged(False, True, 1.0, np.array([1.0]), np.zeros(2))
    found = tally([right, wrong, nothing, luck])
    assert (found.frames, found.fixable, found.fixed, found.wrong, found.right) == (4, 3, 1, 1, 2)
    assert found.rate == pytest.approx(1 / 3)
    checks = {check.name: check for check in unseen_source.checks({"tiles_to_embedded": found})}
    assert not checks["wrong_fixes_in_all"].passed
    assert not checks["tiles_to_embedded_fix_rate"].passed
    json.dumps([check.as_json() for check in checks.values()])


def test_a_station_at_its_true_place_turned_freely_explains_a_right_frame_only():
    one = shot()
    photo = iss_photos.Photo("x.jpg", 0.0, b"", one.pose.r_ecef, np.zeros(3), is_sea=False)
    scale = iss_photos.CAMERA.fx_px / MODEL_CAMERA.fx_px
    centre = np.array([iss_photos.CAMERA.cx_px, iss_photos.CAMERA.cy_px])

    def in_user_px(result: FrameResult) -> FrameResult:
        uv_px = (result.detections.uv_px - [MODEL_CAMERA.cx_px, MODEL_CAMERA.cy_px]) * scale + centre
        return dataclasses.replace(result, detections=dataclasses.replace(result.detections, uv_px=uv_px))

    assert iss_photos.ground_miss(photo, in_user_px(seen(one, 0.0))) < 10.0  # m
    away = dataclasses.replace(photo, r_true=pose_above(44.0, 15.0).r_ecef)
    assert iss_photos.ground_miss(away, in_user_px(seen(one, 0.0))) > 3e3  # m


@pytest.mark.skipif(
    shared_data_dir() is None or not (shared_data_dir() / "iss").is_dir(),
    reason="the photographs are not on this machine (VINSAT_DATA)",
)
def test_the_photographs_come_with_times_and_true_states():
    photos = iss_photos.read_photos(shared_data_dir() / "iss")
    assert len(photos) == 38
    speed = [np.linalg.norm(photo.v_true) for photo in photos[2:-2]]
    assert 7.3e3 < min(speed) <= max(speed) < 7.9e3  # m/s, of times to the second
    assert sum(photo.is_sea for photo in photos) > 15
