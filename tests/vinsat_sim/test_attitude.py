"""True pointing: nadir, a bounded constant offset, a small jitter."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from flightsw.camera.model import Camera
from flightsw.camera.nadir import body_from_ecef_nadir
from flightsw.camera.pose_fit import rotation_from_vector
from vinsat_sim.attitude import draw_offset, pointed_attitude

CAMERA = Camera(1152, 648, 887.0, 887.0, 576.0, 324.0)


def test_rotation_vectors_turn_as_scipys_do(rng):
    vectors = rng.normal(size=(20, 3)) * np.array([[1e-9], [1e-4], [0.01], [1.0]]).repeat(5, axis=0)
    np.testing.assert_allclose(
        rotation_from_vector(vectors), Rotation.from_rotvec(vectors).as_matrix(), atol=1e-14
    )
    np.testing.assert_allclose(rotation_from_vector(np.zeros((1, 3)))[0], np.eye(3))


def test_offsets_are_bounded(rng):
    lengths = [np.rad2deg(np.linalg.norm(draw_offset(rng))) for _ in range(200)]
    assert max(lengths) < 0.5
    assert np.mean(lengths) == pytest.approx(0.25, abs=0.04)


@pytest.mark.verifies("SIM-005")
def test_pointing_is_nadir_plus_offset_plus_jitter(rng):
    r_ecef = np.tile([[5.0e6, 3.0e6, 3.7e6]], (400, 1))
    v_ecef = np.tile([[-1.0e3, 6.0e3, 4.0e3]], (400, 1))
    offset = np.deg2rad([0.2, -0.1, 0.3])
    attitude = pointed_attitude(r_ecef, v_ecef, CAMERA, offset=offset, rng=rng)
    error = attitude @ np.swapaxes(body_from_ecef_nadir(r_ecef, v_ecef), 1, 2)
    turns = Rotation.from_matrix(error).as_rotvec(degrees=True)
    np.testing.assert_allclose(turns.mean(axis=0), np.rad2deg(offset), atol=2e-3)  # deg
    np.testing.assert_allclose(turns.std(axis=0), 0.01, atol=2e-3)  # deg
