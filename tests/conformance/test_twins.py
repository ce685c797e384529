"""Twin = flight to 1e-12, and jacrev(twin) = the flight code's analytic Jacobian."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the twins need the extra [layers]")

from flightsw.astro import drag, geodesy, gravity, propagate  # noqa: E402
from flightsw.astro.time import Epoch  # noqa: E402
from flightsw.camera import nadir, project, quaternion  # noqa: E402
from flightsw.camera.model import Camera  # noqa: E402
from flightsw.estimate import residuals, robust  # noqa: E402
from groundtools.layers.twins import camera as camera_twin  # noqa: E402
from groundtools.layers.twins import dynamics, rotations  # noqa: E402
from groundtools.layers.twins import geodesy as geodesy_twin  # noqa: E402
from groundtools.layers.twins import robust as robust_twin  # noqa: E402

EPOCH = Epoch.from_utc("2026-03-01T12:00:00Z")
CAMERA = Camera(
    width_px=4608, height_px=2592, fx_px=3547.0, fy_px=3551.0, cx_px=2300.0, cy_px=1290.0,
    distortion=(-0.05, 0.01, 1e-3, -2e-3, 1e-3),
)  # fmt: skip
STATE = np.array([6.9e6, 3e5, -2e5, 100.0, 4_000.0, 6_400.0])
FORCES = {
    "J2": propagate.Forces.j2(),
    "20x20": propagate.Forces(drag=False),
    "drag": propagate.Forces(degree=8),
    "third body": propagate.Forces(degree=4, third_body=True),
}


def t(a):
    return torch.as_tensor(np.asarray(a, dtype=float))


def same(twin, original, rtol=1e-12, floor=0.0):
    original = np.asarray(original)
    scale = max(float(np.nanmax(np.abs(original))), floor)
    np.testing.assert_allclose(twin.detach().numpy(), original, rtol=rtol, atol=rtol * scale)


@pytest.mark.parametrize("shape", [2.0, 1.0, 0.0, -1.0, -2.0, 0.3])
def test_kernel_is_flights_and_its_weight_the_slope_over_the_residual(shape, rng):
    e = rng.normal(size=50) * 5.0
    same(robust_twin.barron_loss(t(e), shape=shape, scale=1.7), robust.barron_loss(e, shape=shape, scale=1.7))
    weight = robust.barron_weight(e, shape=shape, scale=1.7)
    same(robust_twin.barron_weight(t(e), shape=shape, scale=1.7), weight)
    slope = torch.func.jacrev(lambda x: robust_twin.barron_loss(x, shape=shape, scale=1.7).sum())(t(e))
    same(slope / t(e), weight)


def test_kernel_refuses_what_flight_refuses():
    with pytest.raises(ValueError, match="scale"):
        robust_twin.barron_loss(t([1.0]), shape=1.0, scale=0.0)
    with pytest.raises(ValueError, match="shape"):
        robust_twin.barron_weight(t([1.0]), shape=2.5, scale=1.0)


@pytest.mark.parametrize("size", [0.0, 1e-8, 1e-3, 1.0, 3.0])
def test_rotations_and_their_left_jacobian_are_flights(size, rng):
    axis = rng.normal(size=3)
    delta = size * axis / np.linalg.norm(axis)
    rotation, left = rotations.rotation_and_left_jacobian(t(delta))
    original, original_left = residuals.rotation_and_left_jacobian(delta)
    same(rotation, original)
    same(left, original_left)
    # exp((delta + d) x) = exp((J d) x) exp(delta x): the derivative of R is [J e_k x] R.
    derivative = torch.func.jacrev(lambda d: rotations.rotation_and_left_jacobian(d)[0])(t(delta))
    for k in range(3):
        same(derivative[..., k], residuals.skew(original_left[:, k]) @ original, rtol=1e-10)


def test_quaternions_are_flights(rng):
    q = rng.normal(size=(60, 4))
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    matrices = quaternion.rotation_from_quaternion(q)
    same(rotations.rotation_from_quaternion(t(q)), matrices)
    same(rotations.quaternion_from_rotation(t(matrices)), quaternion.quaternion_from_rotation(matrices))


def test_projection_and_its_jacobians_are_flights(rng):
    p = rng.normal(size=(40, 3)) * [2e5, 1e5, 1e5] + [0.0, 0.0, 6e5]
    uv, jacobian = project.pixel_from_camera_point(CAMERA, p)
    same(camera_twin.pixel_from_camera_point(CAMERA, t(p)), uv)
    twin = torch.func.vmap(torch.func.jacrev(lambda x: camera_twin.pixel_from_camera_point(CAMERA, x)))(t(p))
    same(twin, jacobian)
    turn = residuals.rotation_and_left_jacobian(np.array([0.1, -0.2, 0.3]))[0]
    r = np.array([1e4, 2e4, -3e4])
    _, by_r, by_theta = project.observe(CAMERA, turn, r, p)

    def seen(position, theta):
        rotation = rotations.rotation_and_left_jacobian(theta)[0] @ t(turn)
        return camera_twin.observe(CAMERA, rotation, position, t(p))

    same(torch.func.jacrev(seen, argnums=0)(t(r), t(np.zeros(3))), by_r)
    same(torch.func.jacrev(seen, argnums=1)(t(r), t(np.zeros(3))), by_theta)


def test_points_behind_the_camera_are_nan_in_both():
    assert torch.isnan(camera_twin.pixel_from_camera_point(CAMERA, t([[0.0, 0.0, -1.0]]))).all()


def test_geodesy_and_the_nadir_frame_are_flights(rng):
    lat, lon, height = rng.uniform(-1.5, 1.5, 30), rng.uniform(-3, 3, 30), rng.uniform(0, 9e5, 30)
    r = geodesy.ecef_from_lla(lat, lon, height)
    same(geodesy_twin.ecef_from_lla(t(lat), t(lon), t(height)), r)
    for twin, original in zip(geodesy_twin.lla_from_ecef(t(r)), geodesy.lla_from_ecef(r)):
        same(twin, original, floor=6.4e6 if original is height else 1.0, rtol=1e-12)
    v = rng.normal(size=(30, 3)) * 7e3
    body = nadir.body_from_ecef_nadir(r, v)
    same(camera_twin.body_from_ecef_nadir(t(r), t(v)), body)
    # dR = [theta x] R, so theta_k is read off dR R'.
    by_r, by_v = residuals.nadir_attitude_jacobian(body, r, v)
    for arg, original in ((0, by_r), (1, by_v)):
        d_r = torch.func.vmap(torch.func.jacrev(camera_twin.body_from_ecef_nadir, argnums=arg))(t(r), t(v))
        turn = torch.einsum("fijk,flj->filk", d_r, t(body))
        theta = torch.stack([turn[:, 2, 1], turn[:, 0, 2], turn[:, 1, 0]], dim=1)
        same(theta, original, rtol=1e-9)


def test_gravity_and_its_gradient_are_flights(rng):
    r = rng.normal(size=(10, 3))
    r *= 6.9e6 / np.linalg.norm(r, axis=1, keepdims=True)
    field = gravity.load_gravity(20)
    same(dynamics.gravity_acceleration(field, t(r)), gravity.gravity_acceleration(field, r))
    twin = torch.func.vmap(torch.func.jacrev(lambda x: dynamics.gravity_acceleration(field, x)))(t(r))
    same(twin, gravity.gravity_gradient(field, r), rtol=1e-11)
    pole = np.array([0.0, 0.6, 0.8])
    same(dynamics.j2_acceleration(t(r), t(pole)), gravity.j2_acceleration(r, pole))
    twin = torch.func.vmap(torch.func.jacrev(lambda x: dynamics.j2_acceleration(x, t(pole))))(t(r))
    same(twin, gravity.j2_gradient(r, pole))


def test_drag_and_its_partials_are_flights(rng):
    r = rng.normal(size=(20, 3))
    r *= rng.uniform(6.5e6, 7.5e6, size=(20, 1)) / np.linalg.norm(r, axis=1, keepdims=True)
    v, sun = rng.normal(size=(20, 3)) * 7e3, rng.normal(size=(20, 3))
    sun /= np.linalg.norm(sun, axis=1, keepdims=True)
    original = drag.drag_acceleration(r, v, sun, ballistic_m2_kg=0.017, scale=1.3)

    def twin(a, b, s):
        return dynamics.drag_acceleration(a, b, s, ballistic_m2_kg=0.017, scale=1.3)

    same(twin(t(r), t(v), t(sun)), original.acceleration)
    by_r, by_v = torch.func.vmap(torch.func.jacrev(twin, argnums=(0, 1)))(t(r), t(v), t(sun))
    same(by_v, original.d_velocity)
    # Flight takes d(height)/dr as the normal, exact; the twin differentiates four Bowring steps.
    same(by_r, original.d_position, rtol=1e-9)


@pytest.mark.parametrize("name", FORCES)
def test_a_step_and_its_transition_matrix_are_flights(name):
    forces = FORCES[name]
    end, matrix = propagate.step(forces, EPOCH, 30.0, STATE, 240.0, 1.2)
    same(dynamics.step(forces, EPOCH, 30.0, t(STATE), 240.0, 1.2), end)
    by_state, by_scale = torch.func.jacrev(
        lambda x, s: dynamics.step(forces, EPOCH, 30.0, x, 240.0, s), argnums=(0, 1)
    )(t(STATE), t(1.2))
    scale = np.array([1e6, 1e6, 1e6, 1e3, 1e3, 1e3])  # columns made comparable
    same(by_state / t(1.0 / scale), matrix[:, :6] * scale, rtol=1e-11)
    same(by_scale, matrix[:, 6], rtol=1e-9, floor=1e-6)
