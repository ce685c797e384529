import numpy as np
import pytest

from flightsw.vision.blocks import BLOCK, place_blocks
from flightsw.vision.match import FrameSearch, match_place
from flightsw.vision.match_blocks import improve
from flightsw.vision.match_coarse import coarse_search, frame_features, make_bank, turned_spectrum
from flightsw.vision.preprocess import model_frame_from_rgb
from flightsw.vision.settle import Mounting
from flightsw.vision.track import middle_of


@pytest.fixture(scope="module")
def bank(toy_map):
    return make_bank(toy_map)


def km_apart(one, other) -> float:
    return float(np.linalg.norm(middle_of(one) - middle_of(other))) / 1e3


@pytest.mark.parametrize("yaw", [0.0, 1.3, 3.0, -2.2])
def test_the_coarse_search_names_place_height_and_yaw(toy, toy_field, bank, yaw):
    pose = toy.pose_above(43.1, 14.2, 470e3, yaw=yaw)
    frame = model_frame_from_rgb(toy.render(toy_field, pose))
    found, score = coarse_search(turned_spectrum(frame_features(frame)), bank, count=3)
    assert km_apart(found[0], pose) < 20.0
    assert abs(found[0].altitude / pose.altitude - 1.0) < 0.06
    assert found[0].cam_from_ecef[0] @ pose.cam_from_ecef[0] > np.cos(np.deg2rad(8.0))
    assert score[0] > 1.3 * score[1]


def test_blocks_draw_a_rough_pose_in_to_a_fraction_of_a_cell(toy, toy_map, toy_frame):
    rough = toy.pose_above(44.3, 15.3, 500e3, yaw=0.75)
    features = frame_features(model_frame_from_rgb(toy_frame))
    support = improve(features, rough, toy_map, prior=Mounting().prior(2.0))
    assert support.blocks > 25  # of those that are not open sea
    assert km_apart(support.pose, toy.TRUE_POSE) < 0.5


def test_nothing_is_proposed_over_other_places(toy, toy_map, bank):
    frame = model_frame_from_rgb(toy.render(toy.texture(2), toy.TRUE_POSE))
    proposed = match_place(FrameSearch(frame, Mounting()), bank, toy_map)
    assert all(km_apart(one.pose, toy.TRUE_POSE) > 0.0 and one.correlation < 4.0 for one in proposed)


def test_an_image_moved_by_a_known_shift_says_so_with_its_error(rng):
    field = rng.standard_normal((3, 160, 160)).cumsum(axis=1).cumsum(axis=2)
    field = np.stack([plane - plane.mean() for plane in np.diff(np.diff(field, axis=1), axis=2)])
    smooth = np.stack([sum(np.roll(plane, k, axis=0) for k in range(4)) for plane in field])
    smooth = np.stack([sum(np.roll(plane, k, axis=1) for k in range(4)) for plane in smooth])
    image = smooth[:, 8 : 8 + 6 * BLOCK, 8 : 8 + 6 * BLOCK].astype(np.float32)
    window = smooth[:, 8 - 4 - 2 : 8 + 6 * BLOCK + 4 - 2, 8 - 4 + 1 : 8 + 6 * BLOCK + 4 + 1].astype(
        np.float32
    )
    usable = np.ones(image.shape[1:], bool)
    usable[:, :BLOCK] = False
    found = place_blocks(image, usable, window, reach=4, least_usable=0.3)
    assert len(found.at) == 30
    assert found.is_good.all()
    np.testing.assert_allclose(found.moved, np.tile([2.0, -1.0], (30, 1)), atol=0.1)  # cells
    assert (found.peak > 0.98).all()
    noisy = image + 2.0 * image.std() * rng.standard_normal(image.shape).astype(np.float32)
    worse = place_blocks(noisy, usable, window, reach=4, least_usable=0.3)
    assert np.median(worse.sigma) > 1.5 * np.median(found.sigma)
