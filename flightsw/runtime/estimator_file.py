"""What is known of the satellite and may be told to the estimate: a TOML file.

Every key is optional; the defaults are for a 3U CubeSat that points to the nadir within
half a degree and a calibrated camera:

    pointing_sigma_deg = 0.5        # of a constant pointing error, per axis
    slow_pointing_sigma_deg = 0.0   # of one that varies besides: a Gauss-Markov process
    slow_pointing_s = 1000.0        # its correlation time; 0 frees every frame
    free_tilt_sigma_deg = 0.0       # > 0: attitude unknown, nadir to so much, any yaw
    gyro_noise = 5e-3               # rad/sqrt(s), of the --gyro file; a coarse MEMS gyro's
    gyro_bias_sigma = 0.087         # rad/s
    gyro_bias_walk = 5e-4           # rad/s/sqrt(s)
    focal_sigma = 0.0               # of the focal length, relative; 0: exact
    clock_drift_sigma = 0.0         # s/s; 0: the clock runs right
    clock_offset_sigma_s = 0.0      # of a constant error of the clock; 0: it is set right
    drag_sigma = 1.0                # of the drag model's scale
    pass_bias_fraction = 0.2        # detector bias common to a pass, of its noise
"""

import math
import os
from dataclasses import dataclass, fields

from flightsw.config import load_toml
from flightsw.errors import InputError
from flightsw.estimate.batch import EstimatorOptions
from flightsw.estimate.chain import GyroNoise

LARGEST = {"pointing_sigma_deg": 10.0, "slow_pointing_sigma_deg": 10.0, "focal_sigma": 0.1,
           "clock_drift_sigma": 1e-3, "drag_sigma": 10.0, "pass_bias_fraction": 10.0,
           "slow_pointing_s": 1e6, "free_tilt_sigma_deg": 20.0, "clock_offset_sigma_s": 60.0,
           "gyro_noise": 1.0, "gyro_bias_sigma": 1.0, "gyro_bias_walk": 1.0}  # fmt: skip
POSITIVE = ("drag_sigma", "gyro_noise", "gyro_bias_sigma")


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimatorFile:
    """The keys of the file, see the module."""

    pointing_sigma_deg: float = 0.5
    slow_pointing_sigma_deg: float = 0.0
    slow_pointing_s: float = 1000.0
    free_tilt_sigma_deg: float = 0.0
    gyro_noise: float = 5e-3
    gyro_bias_sigma: float = 0.087
    gyro_bias_walk: float = 5e-4
    focal_sigma: float = 0.0
    clock_drift_sigma: float = 0.0
    clock_offset_sigma_s: float = 0.0
    drag_sigma: float = 1.0
    pass_bias_fraction: float = 0.2

    def __post_init__(self) -> None:
        """Check the ranges. Raises InputError."""
        for key in fields(self):
            if not 0.0 <= getattr(self, key.name) <= LARGEST[key.name]:
                raise InputError(f"must lie in 0..{LARGEST[key.name]:g}", field=key.name)
        for name in POSITIVE:
            if getattr(self, name) == 0.0:
                raise InputError("must be positive", field=name)


def read_estimator_options(path: str | os.PathLike[str]) -> EstimatorOptions:
    """Return the options of a file. Raises InputError naming file, key and fix."""
    told = load_toml(path, EstimatorFile)
    return EstimatorOptions(
        pointing_sigma=math.radians(told.pointing_sigma_deg),
        slow_pointing_sigma=math.radians(told.slow_pointing_sigma_deg),
        slow_pointing_s=told.slow_pointing_s,
        free_tilt_sigma=math.radians(told.free_tilt_sigma_deg),
        gyro=GyroNoise(white=told.gyro_noise, bias=told.gyro_bias_sigma, walk=told.gyro_bias_walk),
        focal_sigma=told.focal_sigma,
        clock_drift_sigma=told.clock_drift_sigma,
        clock_offset_sigma=told.clock_offset_sigma_s,
        drag_sigma=told.drag_sigma,
        pass_bias_fraction=told.pass_bias_fraction,
    )
