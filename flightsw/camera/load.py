"""The camera file: TOML with the keys of `CameraFile`, checked, becomes a `Camera`."""

import os
from dataclasses import dataclass

import numpy as np

from flightsw.camera.model import Camera
from flightsw.config import load_toml
from flightsw.errors import InputError

Row = tuple[float, float, float]

MAX_SIDE_PX = 100_000
MAX_FOCAL_PX = 1e7
ROTATION_TOLERANCE = 1e-4  # per element of M M^T - 1: five decimals written by hand pass
MAX_READOUT_S = 10.0  # from the first row to the last
MAX_DISTORTION = 100.0


@dataclass(frozen=True, slots=True)
class CameraFile:
    """The keys of a camera file. All are required but line_time_s.

    width_px, height_px, fx_px, fy_px, cx_px, cy_px : of the full-resolution frame;
    distortion : [k1, k2, p1, p2, k3]; cam_from_body : rows of the rotation;
    line_time_s : rolling shutter, from one row to the next.
    """

    width_px: int
    height_px: int
    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float
    distortion: tuple[float, float, float, float, float]
    cam_from_body: tuple[Row, Row, Row]
    line_time_s: float = 0.0

    def __post_init__(self) -> None:
        """Check every value. Raises InputError naming the key."""
        for key, size in (("width_px", self.width_px), ("height_px", self.height_px)):
            if not 1 <= size <= MAX_SIDE_PX:
                raise InputError(f"{size} is not an image size", field=key, fix=f"give 1 to {MAX_SIDE_PX}")
        for key, focal in (("fx_px", self.fx_px), ("fy_px", self.fy_px)):
            if not 0.0 < focal <= MAX_FOCAL_PX:
                fix = "give the focal length in pixels, positive (a mirror image belongs into cam_from_body)"
                raise InputError(f"{focal:g} is not a focal length", field=key, fix=fix)
        centres = (("cx_px", self.cx_px, self.width_px), ("cy_px", self.cy_px, self.height_px))
        for key, centre, size in centres:
            if not -size <= centre <= 2 * size:
                fix = f"give pixels from the outer corner of the first one, about {size / 2:g}"
                raise InputError(f"{centre:g} is far outside the image", field=key, fix=fix)
        for index, coefficient in enumerate(self.distortion):
            if abs(coefficient) > MAX_DISTORTION:
                fix = "give [k1, k2, p1, p2, k3] for normalised coordinates"
                raise InputError(f"{coefficient:g} is too large", field=f"distortion[{index}]", fix=fix)
        if abs(self.line_time_s) * self.height_px > MAX_READOUT_S:
            fix = f"give the time from one row to the next; a frame takes at most {MAX_READOUT_S:g} s"
            raise InputError(f"{self.line_time_s:g} s is too long", field="line_time_s", fix=fix)
        _rotation(self.cam_from_body)


def _rotation(rows: tuple[Row, Row, Row]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return the exact rotation (3, 3) nearest to nearly orthonormal rows, or raise InputError."""
    matrix = np.array(rows, dtype=np.float64)
    field = "cam_from_body"
    if np.abs(matrix).max() > 1.0 + ROTATION_TOLERANCE:  # also keeps the products below finite
        raise InputError("is not a rotation: an element exceeds 1", field=field, fix="give a rotation matrix")
    error = float(np.abs(matrix @ matrix.T - np.eye(3)).max())
    if error > ROTATION_TOLERANCE:
        problem = f"is not a rotation: its rows are not orthonormal (off by {error:.2g})"
        raise InputError(problem, field=field, fix="give a rotation matrix, with at least 6 decimals")
    if np.linalg.det(matrix) < 0.0:
        fix = "swap the sign of one row: +x is along u (right), +y along v (down), +z out of the lens"
        raise InputError("is a reflection, not a rotation (determinant -1)", field=field, fix=fix)
    left, _, right = np.linalg.svd(matrix)
    return np.asarray(left @ right)


def load_camera(path: str | os.PathLike[str]) -> Camera:
    """Return the camera of a TOML file. Raises InputError naming file, key and fix."""
    file = load_toml(path, CameraFile)
    return Camera(
        width_px=file.width_px,
        height_px=file.height_px,
        fx_px=file.fx_px,
        fy_px=file.fy_px,
        cx_px=file.cx_px,
        cy_px=file.cy_px,
        distortion=file.distortion,
        cam_from_body=_rotation(file.cam_from_body),
        line_time_s=file.line_time_s,
    )
