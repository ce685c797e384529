"""How the satellite truly points: nadir, a constant offset, and a little jitter."""

import numpy as np
from numpy.typing import NDArray

from flightsw.camera.model import Camera
from flightsw.camera.nadir import body_from_ecef_nadir
from flightsw.camera.pose_fit import rotation_from_vector

Array = NDArray[np.float64]

MAX_OFFSET_DEG = 0.5
JITTER_DEG = 0.01  # 1 sigma about each axis, from frame to frame


def draw_offset(rng: np.random.Generator, *, max_deg: float = MAX_OFFSET_DEG) -> Array:
    """Return a constant pointing offset (3,): a rotation vector in body axes, rad.

    Uniform in direction, and in length up to `max_deg`.
    """
    direction = rng.normal(size=3)
    length = np.deg2rad(rng.uniform(0.0, max_deg))
    return np.asarray(direction / np.linalg.norm(direction) * length)


def pointed_attitude(
    r_ecef: Array,
    v_inertial_ecef: Array,
    camera: Camera,
    *,
    offset: Array,
    rng: np.random.Generator,
    jitter_deg: float = JITTER_DEG,
) -> Array:
    """Return cam_from_ecef (N, 3, 3) of a satellite that means to point to the nadir.

    r_ecef, v_inertial_ecef (N, 3) as in `body_from_ecef_nadir`; offset (3,) rad. The
    true body is exp(jitter) exp(offset) of the nadir frame, both in body axes.
    """
    jitter = np.deg2rad(jitter_deg) * rng.normal(size=(len(r_ecef), 3))
    nadir = body_from_ecef_nadir(r_ecef, v_inertial_ecef)
    error = rotation_from_vector(jitter) @ rotation_from_vector(offset[None])
    return np.asarray(camera.cam_from_body @ error @ nadir)
