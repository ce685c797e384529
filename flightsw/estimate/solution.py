"""What the estimator answers: an orbit with its covariance, or the reason why there is none."""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.propagate import Forces, propagate
from flightsw.astro.time import Epoch
from flightsw.estimate.unmodelled import force_noise

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


class Status(Enum):
    """How an estimate ended; the value is the sentence for a human."""

    DETERMINED = "the orbit is determined: two or more passes agree"
    NO_LANDMARKS = "no landmark was seen"
    TOO_FEW_LANDMARKS = "too few landmarks were seen to fix any orbit"
    NO_ORBIT = "no orbit explains enough of the landmarks"
    ONE_PASS = "one pass only: a second one, 20 minutes away or more, must confirm the orbit"
    INCONSISTENT_PASSES = "the passes contradict each other"
    WEAK_GEOMETRY = "the passes agree, but leave the orbit too uncertain"
    NOT_CONVERGED = "the fit did not settle"

    @property
    def is_determined(self) -> bool:
        """Tell whether the orbit may be relied on within its covariance."""
        return self is Status.DETERMINED


@dataclass(frozen=True, slots=True)
class PassStatistics:
    """One pass over landmarks, frames at most 20 min apart.

    start_s, end_s : first and last frame, past the solution's epoch; frames, detections,
    landmarks (distinct) seen; used : detections the orbit rests on; share : used over
    detections, a frame counting for at most ten; rms_px : of the used, per axis; mean_u_px,
    mean_v_px : their mean residual;
    agrees : whether the pass supports the orbit; rival : how many of its detections
    would as well support another orbit; nis, nis_freedom : normalised innovation squared of
    the pass against the orbit of the others, and what it should be about; NaN, 0 where the
    pass was not used.
    """

    start_s: float
    end_s: float
    frames: int
    detections: int
    landmarks: int
    used: int
    share: float
    rms_px: float
    mean_u_px: float
    mean_v_px: float
    agrees: bool
    rival: int = 0
    nis: float = float("nan")
    nis_freedom: int = 0


@dataclass(frozen=True, slots=True)
class SolverStatistics:
    """How the final fit went: its status as a sentence, iterations, cost, and the kernel's end."""

    status: str
    iterations: int
    cost: float
    shape: float
    scale_px: float
    sigma_px: float
    candidates: int


@dataclass(frozen=True, slots=True)
class Solution:
    """An orbit at `epoch`, or none (`r_eci` is None) with the reason in `status`.

    r_eci, v_eci (3,) : m, m/s; covariance_full (13, 13) : of [r, v, drag scale, pointing
    offset, focal error, clock drift, clock offset], SI, zero where not estimated; drag_scale : factor on
    the drag model; pointing_offset_rad (3,) : rotation vector in body axes; focal_error :
    the true focal length over the camera's, less 1; clock_drift : seconds that pass in a
    second of the labels, less 1; clock_offset : s, by how much the labels are late;
    clock_offset_sigma : what was said of it beforehand, 0 for an exact clock; sigma_px : measured noise of
    a detection per axis; used (N,) : which observations the orbit rests on;
    attitude_mode : "given", "nadir", "mixed" or "free"; first_used_s, last_used_s : past `epoch`;
    forces : the model the state belongs to.
    """

    status: Status
    epoch: Epoch
    used: BoolArray
    attitude_mode: str
    forces: Forces
    r_eci: Array | None = None
    v_eci: Array | None = None
    covariance_full: Array | None = None
    drag_scale: float = 1.0
    pointing_offset_rad: Array | None = None
    focal_error: float = 0.0
    clock_drift: float = 0.0
    clock_offset: float = 0.0
    clock_offset_sigma: float = 0.0
    sigma_px: float = float("nan")
    first_used_s: float = 0.0
    last_used_s: float = 0.0
    passes: tuple[PassStatistics, ...] = ()
    solver: SolverStatistics | None = None

    @property
    def has_state(self) -> bool:
        """Tell whether there is a state at all, relied on or not."""
        return self.r_eci is not None

    @property
    def covariance(self) -> Array | None:
        """Return the covariance (6, 6) of [r, v], eci, SI, at epoch; None without a state."""
        return None if self.covariance_full is None else self.covariance_full[:6, :6]

    @property
    def drag_sigma(self) -> float:
        """Return 1 sigma of the drag scale; 0 where it was held."""
        return 0.0 if self.covariance_full is None else float(np.sqrt(self.covariance_full[6, 6]))

    @property
    def pointing_sigma_rad(self) -> Array:
        """Return 1 sigma (3,) of the pointing offset, rad; 0 where it was held."""
        if self.covariance_full is None:
            return np.zeros(3)
        return np.asarray(np.sqrt(np.diag(self.covariance_full)[7:10]))

    def parameters(self) -> Array:
        """Return all that is estimated (13,), as `covariance_full` orders it. Raises ValueError without."""
        if self.r_eci is None or self.v_eci is None:
            raise ValueError(f"there is no state: {self.status.value}")
        offset = np.zeros(3) if self.pointing_offset_rad is None else self.pointing_offset_rad
        rest = [[self.drag_scale], offset, [self.focal_error, self.clock_drift, self.clock_offset]]
        return np.concatenate([self.r_eci, self.v_eci, *rest])

    @property
    def position_sigma(self) -> float:
        """Return sqrt(trace P_rr) at epoch, m; NaN without a state."""
        if self.covariance_full is None:
            return float("nan")
        return float(np.sqrt(np.trace(self.covariance_full[:3, :3])))

    def predict(self, t_s: Array) -> tuple[Array, Array]:
        """Return states (N, 6) and covariances (N, 6, 6), eci, SI, at t_s (N,) past `epoch`.

        t_s in any order. Outside the observed arc the covariance also grows by the force
        model's own error (see `unmodelled`). Raises ValueError without a state.
        """
        if self.r_eci is None or self.v_eci is None or self.covariance_full is None:
            raise ValueError(f"there is no state to predict from: {self.status.value}")
        t_s = np.asarray(t_s, dtype=np.float64)
        times, back = np.unique(t_s, return_inverse=True)
        state0 = np.concatenate([self.r_eci, self.v_eci])
        trajectory = propagate(self.forces, self.epoch, state0, self.drag_scale, times, with_stm=True)
        assert trajectory.stm is not None
        covariance = trajectory.stm @ self.covariance_full[:7, :7] @ np.swapaxes(trajectory.stm, 1, 2)
        covariance += force_noise(np.maximum(times - self.last_used_s, self.first_used_s - times))
        back = back.reshape(-1)
        return trajectory.state[back], covariance[back]
