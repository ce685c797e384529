"""Points to pixels and back: exact derivatives, round trips, and what cannot be seen."""

import numpy as np
import pytest

from flightsw.astro.geodesy import ecef_from_lla, ellipsoid_intersection
from flightsw.camera.model import Camera
from flightsw.camera.project import observe, over_horizon, pixel_from_camera_point, ray_from_pixel

IDEAL = Camera(4608, 2592, 3547.85, 3547.85, 2304.0, 1296.0)
DISTORTED = Camera(4608, 2592, 3550.0, 3541.0, 2310.0, 1290.0, (-0.28, 0.09, 4e-4, -7e-4, -0.011))
CAMERAS = pytest.mark.parametrize("camera", [IDEAL, DISTORTED], ids=["ideal", "distorted"])


def rotation(vector):
    """Return exp(vector x), (3, 3): Rodrigues' formula."""
    angle = np.linalg.norm(vector)
    cross = np.cross(np.eye(3), np.asarray(vector))  # row i: e_i x vector, that is [vector x]
    return np.eye(3) + np.sinc(angle / np.pi) * cross + 0.5 * np.sinc(angle / 2 / np.pi) ** 2 * cross @ cross


@pytest.fixture
def seen(rng):
    """Points in front of the camera, (40, 3) m, all within the field."""
    depth = rng.uniform(4e5, 7e5, 40)
    return (
        np.column_stack([rng.uniform(-0.6, 0.6, 40), rng.uniform(-0.35, 0.35, 40), np.ones(40)])
        * depth[:, None]
    )


def test_the_optical_axis_meets_the_principal_point_and_the_axes_run_right_and_down():
    uv, _ = pixel_from_camera_point(IDEAL, np.array([[0, 0, 5e5], [1e3, 0, 5e5], [0, 1e3, 5e5]]))
    np.testing.assert_allclose(uv[0], [2304.0, 1296.0])
    np.testing.assert_allclose(uv[1] - uv[0], [7.0957, 0.0], atol=1e-4)  # px
    np.testing.assert_allclose(uv[2] - uv[0], [0.0, 7.0957], atol=1e-4)


@pytest.mark.verifies("CAM-001")
def test_distortion_is_browns_formula_written_out():
    k1, k2, p1, p2, k3 = DISTORTED.distortion
    x, y = 0.31, -0.22
    s = x * x + y * y
    radial = 1 + k1 * s + k2 * s**2 + k3 * s**3
    u = 3550.0 * (x * radial + 2 * p1 * x * y + p2 * (s + 2 * x * x)) + 2310.0
    v = 3541.0 * (y * radial + p1 * (s + 2 * y * y) + 2 * p2 * x * y) + 1290.0
    uv, _ = pixel_from_camera_point(DISTORTED, np.array([[x, y, 1.0]]) * 6e5)
    np.testing.assert_allclose(uv[0], [u, v], atol=1e-9)  # px


@pytest.mark.verifies("CAM-001")
@CAMERAS
def test_the_projection_has_its_exact_jacobian(camera, seen, finite_difference):
    _, jacobian = pixel_from_camera_point(camera, seen)
    for point, exact in zip(seen, jacobian, strict=True):
        numeric = finite_difference(lambda p: pixel_from_camera_point(camera, p[None])[0][0], point, 10.0)
        np.testing.assert_allclose(exact, numeric, atol=1e-8 * np.abs(exact).max())


@pytest.mark.verifies("CAM-001")
@CAMERAS
def test_observing_has_exact_jacobians_by_position_and_by_rotation(camera, seen, rng, finite_difference):
    cam_from_ref = rotation(rng.normal(size=3))
    r_ref = rng.normal(size=3) * 7e6
    p_ref = r_ref + seen @ cam_from_ref
    uv, by_position, by_rotation = observe(camera, cam_from_ref, r_ref, p_ref)
    np.testing.assert_allclose(uv, pixel_from_camera_point(camera, seen)[0], atol=1e-6)  # px
    numeric = finite_difference(lambda r: observe(camera, cam_from_ref, r, p_ref)[0], r_ref, 10.0)
    np.testing.assert_allclose(by_position, numeric, atol=1e-8 * np.abs(by_position).max())
    numeric = finite_difference(
        lambda theta: observe(camera, rotation(theta) @ cam_from_ref, r_ref, p_ref)[0], np.zeros(3), 1e-5
    )
    np.testing.assert_allclose(by_rotation, numeric, atol=1e-7 * np.abs(by_rotation).max())


@CAMERAS
def test_one_pose_and_a_pose_for_each_point_give_the_same(camera, seen, rng):
    cam_from_ref, r_ref = rotation(rng.normal(size=3)), rng.normal(size=3) * 7e6
    p_ref = r_ref + seen @ cam_from_ref
    one = observe(camera, cam_from_ref, r_ref, p_ref)
    each = observe(camera, np.tile(cam_from_ref, (40, 1, 1)), np.tile(r_ref, (40, 1)), p_ref)
    for a, b in zip(one, each, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9)


@pytest.mark.verifies("CAM-002")
@CAMERAS
def test_a_pixel_and_its_ray_are_each_others_inverse(camera, rng):
    uv_px = rng.uniform([0.0, 0.0], [4608.0, 2592.0], (500, 2))
    rays = ray_from_pixel(camera, uv_px)
    np.testing.assert_allclose(np.linalg.norm(rays, axis=1), 1.0, atol=1e-14)
    np.testing.assert_allclose(pixel_from_camera_point(camera, rays * 6e5)[0], uv_px, atol=1e-5)  # px


@pytest.mark.verifies("CAM-002")
def test_a_pixel_beyond_the_fold_of_the_lens_has_no_ray():
    fold = Camera(4608, 2592, 3547.85, 3547.85, 2304.0, 1296.0, (-0.9, 0.0, 0.0, 0.0, 0.0))
    rays = ray_from_pixel(fold, np.array([[2304.0, 1296.0], [5500.0, 1296.0]]))
    np.testing.assert_allclose(rays[0], [0.0, 0.0, 1.0])
    assert np.isnan(rays[1]).all()


@pytest.mark.verifies("CAM-003")
@CAMERAS
def test_points_behind_the_camera_are_nan(camera):
    points = np.array([[0.0, 0.0, 5e5], [1e3, 1e3, -5e5], [1e3, 0.0, 0.0]])
    uv, jacobian = pixel_from_camera_point(camera, points)
    assert np.isfinite(uv[0]).all()
    assert np.isnan(uv[1:]).all()
    assert np.isnan(jacobian[1:]).any(axis=(1, 2)).all()
    uv, by_position, _ = observe(camera, np.eye(3), np.zeros(3), points)
    assert np.isnan(uv[1:]).all()
    assert np.isnan(by_position[1:]).any(axis=(1, 2)).all()


@pytest.mark.verifies("CAM-003")
def test_the_horizon_is_where_rays_stop_meeting_the_ground():
    r_ecef = ecef_from_lla(np.radians(40.0), 0.2, 5.5e5)
    lon = 0.2 + np.radians(np.arange(0.0, 60.0, 0.25))
    ground = ecef_from_lla(np.radians(40.0), lon, 0.0)
    hidden = over_horizon(r_ecef, ground)
    first_hit = ellipsoid_intersection(r_ecef, ground - r_ecef)
    blocked = np.linalg.norm(first_hit - ground, axis=1) > 1.0  # m
    np.testing.assert_array_equal(hidden, blocked)
    assert not hidden[0]
    assert hidden[-1]


@pytest.mark.verifies("CAM-003")
def test_the_far_side_is_hidden_and_each_point_may_have_its_own_satellite(rng):
    up = ecef_from_lla(rng.uniform(-1, 1, 30), rng.uniform(-3, 3, 30), 0.0)
    above = up * 1.08
    assert not over_horizon(above, up).any()
    assert over_horizon(-above, up).all()


@CAMERAS
@pytest.mark.parametrize("factor", [0.5, 0.25, 2.0])
def test_a_resized_camera_sees_every_point_at_the_scaled_pixel(camera, factor, seen):
    small = camera.resized(factor)
    assert (small.width_px, small.height_px) == (round(4608 * factor), round(2592 * factor))
    uv, jacobian = pixel_from_camera_point(camera, seen)
    uv_small, jacobian_small = pixel_from_camera_point(small, seen)
    np.testing.assert_allclose(uv_small, factor * uv, atol=1e-9)  # px
    np.testing.assert_allclose(jacobian_small, factor * jacobian, rtol=1e-12)


def test_a_resized_camera_takes_the_same_time_from_its_first_to_its_last_row():
    camera = Camera(4608, 2592, 3547.85, 3547.85, 2304.0, 1296.0, line_time_s=2e-5)
    assert camera.resized(0.25).line_time_s * 648 == pytest.approx(camera.line_time_s * 2592)
