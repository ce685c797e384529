import numpy as np
import pytest

from flightsw.camera.quaternion import quaternion_from_rotation, rotation_from_quaternion, slerp


def random_quaternions(rng: np.random.Generator, n: int) -> np.ndarray:
    q = rng.normal(size=(n, 4))
    return q / np.linalg.norm(q, axis=1, keepdims=True)


def test_a_quarter_turn_about_z_takes_x_to_y() -> None:
    rotation = rotation_from_quaternion(np.array([np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)]))
    np.testing.assert_allclose(rotation @ [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], atol=1e-15)


def test_rotations_and_back_are_exact_also_near_a_half_turn(rng: np.random.Generator) -> None:
    q = random_quaternions(rng, 500)
    q = np.vstack([q, np.eye(4), [[1e-9, 1.0, 0.0, 0.0], [1e-9, 0.6, 0.8, 0.0]]])
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    rotation = rotation_from_quaternion(q)
    np.testing.assert_allclose(
        rotation @ rotation.swapaxes(1, 2), np.tile(np.eye(3), (len(q), 1, 1)), atol=4e-15
    )
    back = quaternion_from_rotation(rotation)
    assert np.all(back[:, 0] >= 0.0)
    np.testing.assert_allclose(np.abs(np.sum(back * q, axis=1)), 1.0, atol=1e-14)


def test_against_scipy(rng: np.random.Generator) -> None:
    spatial = pytest.importorskip("scipy.spatial.transform")
    q = random_quaternions(rng, 50)
    theirs = spatial.Rotation.from_quat(q[:, [1, 2, 3, 0]]).as_matrix()
    np.testing.assert_allclose(rotation_from_quaternion(q), theirs, atol=1e-14)


def test_slerp_turns_evenly_the_short_way(rng: np.random.Generator) -> None:
    q0, q1 = random_quaternions(rng, 100), random_quaternions(rng, 100)
    third = slerp(q0, q1, np.full(100, 1.0 / 3.0))
    whole = np.arccos(np.clip(np.abs(np.sum(q0 * q1, axis=1)), 0.0, 1.0))
    part = np.arccos(np.clip(np.abs(np.sum(q0 * third, axis=1)), 0.0, 1.0))
    np.testing.assert_allclose(part, whole / 3.0, atol=1e-7)  # rad, arccos near 1
    np.testing.assert_allclose(np.abs(np.sum(slerp(q0, -q1, np.full(100, 1.0 / 3.0)) * third, axis=1)), 1.0)


def test_slerp_between_equal_quaternions_is_that_quaternion(rng: np.random.Generator) -> None:
    q = random_quaternions(rng, 10)
    np.testing.assert_allclose(slerp(q, q, np.linspace(0.0, 1.0, 10)), q, atol=1e-15)
