from collections.abc import Callable

import numpy as np
import pytest

from flightsw.astro.rotation import ecef_from_eci
from flightsw.astro.time import Epoch
from flightsw.camera.model import Camera
from flightsw.camera.nadir import body_from_ecef_nadir
from flightsw.estimate.residuals import (
    Pointing,
    camera_residual,
    nadir_attitude_jacobian,
    rotation_and_left_jacobian,
    skew,
)

TURN = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
CAMERA = Camera(
    width_px=2304, height_px=1296, fx_px=1774.0, fy_px=1780.0, cx_px=1150.0, cy_px=650.0,
    distortion=(-0.1, 0.02, 1e-3, -5e-4, 0.0), cam_from_body=TURN,
)  # fmt: skip
EPOCH = Epoch.from_utc("2026-03-01T12:00:00Z")
STATE = np.array([5.2e6, 2.9e6, 3.6e6, -4.3e3, 5.9e3, 1.4e3])


def scene(given: bool) -> tuple[Pointing, np.ndarray]:
    """Return one frame's pointing and three landmarks below it (3, 3), eci."""
    to_ecef = np.asarray(ecef_from_eci(EPOCH, np.zeros(1))).reshape(1, 3, 3)
    body = body_from_ecef_nadir(to_ecef @ STATE[:3], to_ecef @ STATE[3:])
    table = CAMERA.cam_from_body @ body @ to_ecef if given else np.full((1, 3, 3), np.nan)
    along = STATE[3:] / np.linalg.norm(STATE[3:])
    ground = STATE[:3] * 6.371e6 / np.linalg.norm(STATE[:3])
    p = ground + np.array([[0.0], [1e5], [-1.3e5]]) * along + np.array([[0.0], [0.0], [6e4]])
    return Pointing(table, to_ecef, np.array([not given])), p


def test_a_rotation_and_its_left_jacobian_agree(finite_difference: Callable[..., np.ndarray]) -> None:
    for delta in (np.array([0.3, -0.2, 0.5]), np.array([1e-8, 2e-8, 0.0])):
        rotation, left = rotation_and_left_jacobian(delta)
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-14)
        slope = finite_difference(lambda d: rotation_and_left_jacobian(d)[0], delta, 1e-6)
        for k in range(3):
            np.testing.assert_allclose(slope[:, :, k] @ rotation.T, skew(left[:, k]), atol=1e-9)


def test_the_nadir_attitude_turns_with_the_state_as_its_jacobian_says(
    finite_difference: Callable[..., np.ndarray],
) -> None:
    r, v = STATE[:3], STATE[3:] + 200.0 * STATE[:3] / 7e6  # climbing, so that v.z counts
    body = body_from_ecef_nadir(r[None], v[None])
    by_r, by_v = nadir_attitude_jacobian(body, r[None], v[None])

    def turned(x: np.ndarray) -> np.ndarray:
        small = body_from_ecef_nadir(x[:3], x[3:]) @ body[0].T - np.eye(3)
        return np.array([small[2, 1], small[0, 2], small[1, 0]])

    slope = finite_difference(turned, np.concatenate([r, v]), np.repeat([10.0, 0.01], 3))
    np.testing.assert_allclose(slope[:, :3], by_r[0], atol=1e-12)  # rad/m; 1 / R is 1.5e-7
    np.testing.assert_allclose(slope[:, 3:], by_v[0], atol=1e-9)  # rad s/m; 1 / v is 1.3e-4


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.verifies("EST-002")
def test_the_residual_has_exact_jacobians(given: bool, finite_difference: Callable[..., np.ndarray]) -> None:
    pointing, p = scene(given)
    frame = np.zeros(3, dtype=np.intp)
    x0 = np.concatenate([STATE, [0.004, -0.006, 0.01]])

    def residual(x: np.ndarray) -> np.ndarray:
        return camera_residual(CAMERA, pointing, x[None, :6], x[6:], p, np.zeros((3, 2)), frame).e

    found = camera_residual(CAMERA, pointing, x0[None, :6], x0[6:], p, np.zeros((3, 2)), frame)
    by_state, by_offset = found.by_state, found.by_offset
    slope = finite_difference(residual, x0, np.repeat([5.0, 0.05, 1e-6], 3))
    np.testing.assert_allclose(slope[:, :, :3], by_state[:, :, :3], atol=2e-8)  # px/m; size 3e-3
    np.testing.assert_allclose(slope[:, :, 3:6], by_state[:, :, 3:], atol=1e-6)  # px s/m
    np.testing.assert_allclose(slope[:, :, 6:], by_offset, rtol=1e-6, atol=1e-3)  # px/rad; size 2e3
    if given:
        assert not by_state[:, :, 3:].any()  # a given attitude does not follow the velocity


def test_nadir_pointing_couples_position_and_attitude_as_facts_say() -> None:
    """100 km along the track with the nadir law differs from a held attitude by 0.9 deg."""
    pointing, p = scene(False)
    frame = np.zeros(3, dtype=np.intp)
    by_state = camera_residual(
        CAMERA, pointing, STATE[None], np.zeros(3), p, np.zeros((3, 2)), frame
    ).by_state
    held, _ = scene(True)
    held_state = camera_residual(CAMERA, held, STATE[None], np.zeros(3), p, np.zeros((3, 2)), frame).by_state
    along = STATE[3:] / np.linalg.norm(STATE[3:])
    shift = np.linalg.norm((by_state - held_state)[0, :, :3] @ along) * 100e3  # px
    assert np.degrees(shift / CAMERA.fx_px) == pytest.approx(0.9, rel=0.15)


def test_hidden_landmarks_are_nan_and_nothing_else() -> None:
    pointing, p = scene(True)
    p[2] = -p[2]  # the other side of the Earth
    e = camera_residual(
        CAMERA, pointing, STATE[None], np.zeros(3), p, np.zeros((3, 2)), np.zeros(3, dtype=np.intp)
    ).e
    np.testing.assert_array_equal(np.isnan(e).any(axis=1), [False, False, True])
