"""The nadir frame: where a nadir-pointing body points.

body +z is the geodetic nadir (the inward normal of the ellipsoid below the satellite),
+x the part of the velocity orthogonal to it, +y completes. "Velocity" is the inertial
one; over the ground the difference is a yaw of up to 4 deg, so it is stated here.
"""

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import geodetic_up, lla_from_ecef

Array = NDArray[np.float64]


def body_from_ecef_nadir(r_ecef: Array, v_inertial_ecef: Array) -> Array:
    """Return the nadir attitude (..., 3, 3).

    r_ecef (..., 3) : position, m; v_inertial_ecef (..., 3) : the inertial velocity
    expressed in ecef axes (ecef_from_eci @ v_eci, no transport term), m/s.
    """
    lat, lon, _ = lla_from_ecef(r_ecef)
    z_body = -geodetic_up(lat, lon)
    along = np.sum(v_inertial_ecef * z_body, axis=-1, keepdims=True)
    x_body = v_inertial_ecef - along * z_body
    x_body = x_body / np.linalg.norm(x_body, axis=-1, keepdims=True)
    return np.stack([x_body, np.cross(z_body, x_body), z_body], axis=-2)
