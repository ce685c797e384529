"""A table of states: what every file of positions is read into and written from.

GCRF, SI, seconds past an `Epoch`, as everywhere; a reader turns frames and units at the
door, a writer on the way out. Between samples states follow Hermite's cubic through
positions and velocities of the two around (10 s apart: below 1 mm).
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.propagate import propagate
from flightsw.astro.time import Epoch
from flightsw.errors import InputError
from flightsw.estimate.solution import Solution
from flightsw.runtime.orbit_file import is_in_orbit

Array = NDArray[np.float64]

COVARIANCE_STEP_S = 600.0
SAME_TIME_S = 1e-6
MAX_SAMPLES = 2_000_000


@dataclass(frozen=True, slots=True)
class Body:
    """Whose orbit it is. Ids are strings: catalogue numbers have outgrown their columns.

    name; designator : international, such as 2026-014C; catalog_id : of the public
    catalogue, such as 25544 or 799501234. Empty where not known.
    """

    name: str = ""
    designator: str = ""
    catalog_id: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Ephemeris:
    """States (N, 6) [r; v] in GCRF, m and m/s, at t_s (N,) past `epoch`, ascending.

    covariance (M, 6, 6), SI, GCRF, at covariance_t_s (M,). InputError if it is no table.
    """

    epoch: Epoch
    t_s: Array
    state: Array
    covariance_t_s: Array = field(default_factory=lambda: np.zeros(0))
    covariance: Array = field(default_factory=lambda: np.zeros((0, 6, 6)))
    body: Body = Body()

    def __post_init__(self) -> None:
        """Check shapes, order and finiteness. Raises InputError."""
        if len(self.t_s) == 0 or self.state.shape != (len(self.t_s), 6):
            raise InputError("holds no state", fix="give a file with at least one state of six numbers")
        if not np.isfinite(self.state).all() or not np.isfinite(self.covariance).all():
            raise InputError("holds a number that is not finite")
        if (np.diff(self.t_s) <= 0.0).any():
            raise InputError("has times that do not ascend", fix="sort the states, one for each time")

    @property
    def epochs(self) -> list[Epoch]:
        """The instants of the states."""
        return [self.epoch + float(t) for t in self.t_s]

    def at(self, epoch: Epoch, t_s: Array) -> Array:
        """Return states (M, 6) at t_s (M,) past another epoch; NaN outside the table.

        Hermite's cubic; one sample alone answers for its own time only.
        """
        t = np.asarray(t_s, dtype=float) + (epoch - self.epoch)
        out = np.full((len(t), 6), np.nan)
        inside = (t >= self.t_s[0] - SAME_TIME_S) & (t <= self.t_s[-1] + SAME_TIME_S)
        if len(self.t_s) == 1:
            out[inside] = self.state[0]
            return out
        left = np.clip(np.searchsorted(self.t_s, t[inside], side="right") - 1, 0, len(self.t_s) - 2)
        h = (self.t_s[left + 1] - self.t_s[left])[:, None]
        x = (t[inside, None] - self.t_s[left, None]) / h
        out[inside] = _hermite(self.state[left], self.state[left + 1], h, x)
        return out


def _hermite(first: Array, second: Array, h: Array, x: Array) -> Array:
    """Return states between two, at fractions x (N, 1) of steps h (N, 1)."""
    p0, v0, p1, v1 = first[:, :3], h * first[:, 3:], second[:, :3], h * second[:, 3:]
    gap = p1 - p0
    r = p0 + x * (v0 + x * ((3.0 * gap - 2.0 * v0 - v1) + x * (v0 + v1 - 2.0 * gap)))
    v = (v0 + x * (2.0 * (3.0 * gap - 2.0 * v0 - v1) + 3.0 * x * (v0 + v1 - 2.0 * gap))) / h
    return np.concatenate([r, v], axis=1)


def grid(first_s: float, last_s: float, step_s: float) -> Array:
    """Return every step_s from first to last, both included. InputError for a senseless step."""
    if not step_s > 0.0 or not (last_s - first_s) / step_s < MAX_SAMPLES:
        raise InputError(f"every {step_s:g} s would be too many states", fix="take a longer step")
    times = first_s + step_s * np.arange(int((last_s - first_s + SAME_TIME_S) / step_s) + 1)
    return times if last_s - times[-1] < SAME_TIME_S else np.append(times, last_s)


def from_solution(
    solution: Solution, first_s: float, last_s: float, step_s: float, body: Body | None = None
) -> Ephemeris:
    """Return a solution's own propagation from first_s to last_s past its epoch, with covariance.

    Ends where the orbit does. Raises InputError where the solution has no state.
    """
    if not solution.has_state:
        raise InputError(f"has no state: {solution.status.value}", field="r_gcrf_m")
    t_s = grid(first_s, last_s, step_s)
    start = np.concatenate([np.asarray(solution.r_eci), np.asarray(solution.v_eci)])
    state = propagate(solution.forces, solution.epoch, start, solution.drag_scale, t_s).state
    good = is_in_orbit(state)
    stop = len(t_s) if good.all() else int(np.argmin(good))
    if stop == 0:
        raise InputError("is not in orbit at the start of the span", fix="ask for a span near its epoch")
    stride = max(1, round(COVARIANCE_STEP_S / step_s))
    chosen = np.unique(np.append(np.arange(0, stop, stride), stop - 1))
    covariance = solution.predict(t_s[chosen])[1]
    return Ephemeris(solution.epoch, t_s[:stop], state[:stop], t_s[chosen], covariance, body or Body())
