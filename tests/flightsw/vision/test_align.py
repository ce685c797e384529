import numpy as np

from flightsw.camera.pose_fit import Fit, Pose, Prior
from flightsw.camera.project import observe
from flightsw.vision.align import align
from flightsw.vision.preprocess import MODEL_CAMERA, model_frame_from_rgb


def pixel_error(toy, pose: Pose) -> np.ndarray:
    """Return how far a pose puts the visible landmarks from where the true one does, px."""
    points = toy.catalog().p_ecef
    true, ours = (observe(MODEL_CAMERA, p.cam_from_ecef, p.r_ecef, points)[0] for p in (toy.TRUE_POSE, pose))
    inside = ((true > 0) & (true < [1152, 648])).all(axis=1)
    return np.linalg.norm(true - ours, axis=1)[inside]


def test_a_pose_some_kilometres_off_is_drawn_tight_on_the_map(toy, toy_map, toy_frame):
    frame = model_frame_from_rgb(toy_frame)
    off = toy.pose_above(44.225, 15.43, 525e3, yaw=0.705, tilt=(0.032, -0.018))
    assert pixel_error(toy, off).mean() > 4.0  # px
    aligned = align(frame, off, toy_map)
    assert aligned is not None
    assert aligned.blocks > 30
    assert aligned.residual_px < 0.5  # px
    assert pixel_error(toy, aligned.pose).max() < 0.3  # px


def test_the_true_pose_stays_where_it_is(toy, toy_map, toy_frame):
    aligned = align(model_frame_from_rgb(toy_frame), toy.TRUE_POSE, toy_map)
    assert pixel_error(toy, aligned.pose).max() < 0.2  # px


def test_half_a_frame_under_cloud_still_aligns(toy, toy_map, toy_frame):
    cloudy = toy_frame.copy()
    cloudy[:, 600:] = 240
    off = toy.pose_above(44.21, 15.41, 522e3, yaw=0.703, tilt=(0.03, -0.02))
    aligned = align(model_frame_from_rgb(cloudy), off, toy_map)
    assert pixel_error(toy, aligned.pose).max() < 1.0  # px


def test_other_places_and_views_off_the_map_do_not_align(toy, toy_map, toy_frame):
    other = model_frame_from_rgb(toy.render(toy.texture(2), toy.TRUE_POSE))
    assert align(other, toy.TRUE_POSE, toy_map) is None
    assert align(model_frame_from_rgb(toy_frame), toy.pose_above(10.0, 15.0, 520e3), toy_map) is None


def test_the_fits_jacobian_is_the_derivative_of_its_residual(toy, finite_difference):
    points = toy.catalog().p_ecef[:6]
    pose = toy.TRUE_POSE

    def residual(x: np.ndarray) -> np.ndarray:
        from flightsw.camera.pose_fit import rotation_from_vector

        turned = rotation_from_vector(x[None, 3:])[0] @ pose.cam_from_ecef
        moved = pose.r_ecef + 1e3 * x[:3]
        return Fit(MODEL_CAMERA, np.zeros((6, 2)), points, moved[None], turned[None]).residual[0]

    fit = Fit(MODEL_CAMERA, np.zeros((6, 2)), points, pose.r_ecef[None], pose.cam_from_ecef[None])
    expected = finite_difference(residual, np.zeros(6), np.array([1e-3] * 3 + [1e-6] * 3))
    np.testing.assert_allclose(-fit.jacobian[0], expected, rtol=1e-5, atol=1e-4)


def test_a_fit_without_inliers_goes_to_the_nadir_and_no_further(toy):
    points = toy.catalog().p_ecef
    fit = Fit(MODEL_CAMERA, np.zeros((40, 2)), points, *(x[None] for x in (toy.TRUE_POSE.r_ecef, np.eye(3))))
    fit.move(toy.TRUE_POSE.r_ecef[None], toy.TRUE_POSE.cam_from_ecef[None])
    for _ in range(3):
        fit.step(np.zeros((1, 40), bool), Prior())
    assert Pose(fit.r_ecef[0], fit.cam_from_ecef[0]).tilt < 1e-4  # rad
    assert np.linalg.norm(fit.r_ecef[0] - toy.TRUE_POSE.r_ecef) < 200e3  # m
