"""The camera: a pinhole with Brown distortion, read from a TOML file.

Pixels have their origin at the outer corner of the first pixel, so a camera of half
the size is the same camera with every pixel quantity halved (`Camera.resized`).
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Camera:
    """A calibrated camera and its mounting.

    width_px, height_px : image size; fx_px, fy_px : focal lengths; cx_px, cy_px :
    principal point; distortion : Brown's (k1, k2, p1, p2, k3); cam_from_body : (3, 3)
    rotation; line_time_s : rolling shutter, time from one row to the next (time labels
    are mid-exposure of the centre row).
    """

    width_px: int
    height_px: int
    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float
    distortion: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)
    cam_from_body: Array = field(default_factory=lambda: np.eye(3))
    line_time_s: float = 0.0

    def resized(self, factor: float) -> "Camera":
        """Return the same camera with `factor` times as many pixels a side."""
        return replace(
            self,
            width_px=round(self.width_px * factor),
            height_px=round(self.height_px * factor),
            fx_px=self.fx_px * factor,
            fy_px=self.fy_px * factor,
            cx_px=self.cx_px * factor,
            cy_px=self.cy_px * factor,
            line_time_s=self.line_time_s / factor,
        )
