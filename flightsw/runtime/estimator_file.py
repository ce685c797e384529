"""What is known of the satellite and may be told to the estimate: a TOML file.

Every key is optional; the defaults are for a 3U CubeSat that points to the nadir within
half a degree and a calibrated camera:

    pointing_sigma_deg = 0.5        # of a constant pointing error, per axis
    slow_pointing_sigma_deg = 0.0   # of one that varies besides: a Gauss-Markov process
    slow_pointing_s = 1000.0        # its correlation time; 0 frees every frame
    focal_sigma = 0.0               # of the focal length, relative; 0: exact
    clock_drift_sigma = 0.0         # s/s; 0: the clock runs right
    drag_sigma = 1.0                # of the drag model's scale
    pass_bias_fraction = 0.2        # detector bias common to a pass, of its noise
"""

import math
import os
from dataclasses import dataclass, fields

from flightsw.config import load_toml
from flightsw.errors import InputError
from flightsw.estimate.batch import EstimatorOptions

LARGEST = {"pointing_sigma_deg": 10.0, "slow_pointing_sigma_deg": 10.0, "focal_sigma": 0.1,
           "clock_drift_sigma": 1e-3, "drag_sigma": 10.0, "pass_bias_fraction": 10.0,
           "slow_pointing_s": 1e6}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimatorFile:
    """The keys of the file, see the module."""

    pointing_sigma_deg: float = 0.5
    slow_pointing_sigma_deg: float = 0.0
    slow_pointing_s: float = 1000.0
    focal_sigma: float = 0.0
    clock_drift_sigma: float = 0.0
    drag_sigma: float = 1.0
    pass_bias_fraction: float = 0.2

    def __post_init__(self) -> None:
        """Check the ranges. Raises InputError."""
        for key in fields(self):
            if not 0.0 <= getattr(self, key.name) <= LARGEST[key.name]:
                raise InputError(f"must lie in 0..{LARGEST[key.name]:g}", field=key.name)
        if self.drag_sigma == 0.0:
            raise InputError("must be positive", field="drag_sigma")


def read_estimator_options(path: str | os.PathLike[str]) -> EstimatorOptions:
    """Return the options of a file. Raises InputError naming file, key and fix."""
    told = load_toml(path, EstimatorFile)
    return EstimatorOptions(
        pointing_sigma=math.radians(told.pointing_sigma_deg),
        slow_pointing_sigma=math.radians(told.slow_pointing_sigma_deg),
        slow_pointing_s=told.slow_pointing_s,
        focal_sigma=told.focal_sigma,
        clock_drift_sigma=told.clock_drift_sigma,
        drag_sigma=told.drag_sigma,
        pass_bias_fraction=told.pass_bias_fraction,
    )
