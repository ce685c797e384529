"""When to take frames so as to be determined soonest: windows over landmarks in daylight.

A look is an instant at which the nadir camera would show landmarks. Looks in a row are a
window; it is widened by twice the along-track uncertainty of the orbit (a poorly known
satellite comes early or late) and gets frames so close that LEAST_IN_VIEW of them fall
onto the landmarks wherever it really is. What the budget has left goes to the earliest
windows. A window succeeds when the sky over it is clear and the satellite inside the
margin; windows count as independent.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import ecef_from_lla, geodetic_up, lla_from_ecef
from flightsw.astro.propagate import propagate
from flightsw.astro.rotation import ecef_from_eci
from flightsw.astro.sun import sun_direction_eci
from flightsw.astro.time import Epoch
from flightsw.camera.model import Camera
from flightsw.camera.nadir import body_from_ecef_nadir
from flightsw.camera.project import observe, over_horizon
from flightsw.errors import InputError
from flightsw.estimate.solution import Solution

Array = NDArray[np.float64]

STEP_S = 10.0
SUN_MIN_DEG = 10.0
LEAST_LANDMARKS = 4  # in view, for a frame that can be a fix
LEAST_IN_VIEW = 3  # frames over the landmarks: two make a pass, one may fail
GAP_S = 60.0  # looks further apart belong to different windows
MARGIN_SIGMAS = 2.0
INSIDE_MARGIN = 0.954  # of a normal distribution
MOST_MARGIN_S = 300.0
CLEAR = 0.5  # share of passes with enough clear sky
NEAR_M = 1.4e6  # a place further than this from the sub-satellite point is out of view


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Landmarks (L,) : p_ecef (L, 3), m, and the name of the place each belongs to."""

    p_ecef: Array
    name: NDArray[np.str_]

    @classmethod
    def of_degrees(cls, lon_deg: Array, lat_deg: Array, name: NDArray[np.str_]) -> "Places":
        """Return places on the ellipsoid."""
        return cls(ecef_from_lla(np.radians(lat_deg), np.radians(lon_deg)), name)


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """At t_s (T,) past `epoch`: landmarks in view of the nadir camera (T,), and the index into
    `names` of the place that shows most (T,); 0 in the dark."""

    epoch: Epoch
    t_s: Array
    count: NDArray[np.int64]
    place: NDArray[np.int64]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """start_s, end_s : with the margin, past the plan's epoch; core_s : length over the landmarks;
    place; landmarks : most in one frame; margin_s; chance : of success; frames_s (n,) : when to image.
    """

    start_s: float
    end_s: float
    core_s: float
    place: str
    landmarks: int
    margin_s: float
    chance: float
    frames_s: Array

    @property
    def middle_s(self) -> float:
        """The middle of the window."""
        return 0.5 * (self.start_s + self.end_s)


@dataclass(frozen=True, slots=True)
class Plan:
    """Windows in order of time, and the epoch their times count from."""

    epoch: Epoch
    windows: tuple[Window, ...]

    @property
    def frames(self) -> int:
        """How many frames the plan takes."""
        return sum(len(window.frames_s) for window in self.windows)

    def chance_by(self, t_s: float) -> float:
        """Return the probability that some window succeeds until t_s."""
        missed = [1.0 - window.chance for window in self.windows if window.end_s <= t_s]
        return 1.0 - float(np.prod(missed)) if missed else 0.0


def looks(
    epoch: Epoch, t_s: Array, state: Array, camera: Camera, places: Places, *, sun_min_deg: float
) -> Looks:
    """Return what the nadir camera would show along states (T, 6), eci, at t_s (T,) past `epoch`."""
    to_ecef = ecef_from_eci(epoch, t_s)
    r = np.einsum("tij,tj->ti", to_ecef, state[:, :3])
    v = np.einsum("tij,tj->ti", to_ecef, state[:, 3:])
    lat, lon, _ = lla_from_ecef(r)
    sun = np.einsum("tij,tj->ti", to_ecef, sun_direction_eci(epoch, t_s))
    daylit = np.sum(sun * geodetic_up(lat, lon), axis=1) > np.sin(np.radians(sun_min_deg))
    names, belongs = np.unique(places.name, return_inverse=True)
    below = ecef_from_lla(lat, lon)
    near = _near_any(below, places.p_ecef, belongs, len(names))
    count, place = np.zeros(len(t_s), dtype=np.int64), np.zeros(len(t_s), dtype=np.int64)
    chosen = np.flatnonzero(daylit & near)
    cam_from_ecef = camera.cam_from_body @ body_from_ecef_nadir(r[chosen], v[chosen])
    for k, cam in zip(chosen, cam_from_ecef, strict=True):
        seen = in_view(camera, cam, r[k], places.p_ecef)
        by_place = np.bincount(belongs[seen], minlength=len(names))
        place[k] = int(np.argmax(by_place))
        count[k] = int(by_place[place[k]])
    return Looks(epoch, t_s, count, place, tuple(names.tolist()))


def in_view(camera: Camera, cam_from_ecef: Array, r_ecef: Array, p_ecef: Array) -> NDArray[np.intp]:
    """Return the indices of the points (L, 3) that a camera at r_ecef (3,) shows."""
    near = np.flatnonzero(np.linalg.norm(p_ecef - r_ecef, axis=1) < NEAR_M)
    if not near.size:
        return near
    uv_px = observe(camera, cam_from_ecef, r_ecef, p_ecef[near])[0]
    with np.errstate(invalid="ignore"):
        inside = ((uv_px > 0.0) & (uv_px < [camera.width_px, camera.height_px])).all(axis=1)
    return near[inside & ~over_horizon(r_ecef, p_ecef[near])]


def _near_any(below: Array, p_ecef: Array, belongs: NDArray[np.intp], count: int) -> NDArray[np.bool_]:
    """Return which sub-satellite points (T, 3) lie near the middle of some place."""
    middle = np.array([p_ecef[belongs == k].mean(axis=0) for k in range(count)])
    reach = [float(np.linalg.norm(p_ecef[belongs == k] - middle[k], axis=1).max()) for k in range(count)]
    near = np.zeros(len(below), dtype=bool)
    for centre, size in zip(middle, reach, strict=True):
        near |= np.linalg.norm(below - centre, axis=1) < NEAR_M + size
    return near


def windows_of(solution: Solution, seen: Looks, *, clear: dict[str, float]) -> list[Window]:
    """Return every window with its margin and the fewest frames that serve, in order of time.

    clear : share of clear passes by place; "" is the rest's.
    """
    useful = np.flatnonzero(seen.count >= LEAST_LANDMARKS)
    if not useful.size:
        return []
    breaks = np.flatnonzero(np.diff(seen.t_s[useful]) > GAP_S) + 1
    groups = [group for group in np.split(useful, breaks) if len(group) >= 2]
    middles = np.array([seen.t_s[group].mean() for group in groups])
    margins = _margin_s(solution, middles + (seen.epoch - solution.epoch)) if groups else np.zeros(0)
    found = []
    for group, margin in zip(groups, margins, strict=True):
        place = seen.names[int(seen.place[group[np.argmax(seen.count[group])]])]
        start, end = float(seen.t_s[group[0]]), float(seen.t_s[group[-1]])
        chance = clear.get(place, clear.get("", CLEAR)) * INSIDE_MARGIN
        if margin >= MOST_MARGIN_S:  # hardly known where it is: the share of the margin that is covered
            chance *= MOST_MARGIN_S / margin
        margin = min(margin, MOST_MARGIN_S)
        window = Window(
            start - margin, end + margin, end - start, place, int(seen.count[group].max()), margin, chance,
            np.zeros(0),
        )  # fmt: skip
        found.append(replace(window, frames_s=spread(window, least_frames(window))))
    return found


def least_frames(window: Window) -> int:
    """Return how many evenly spaced frames leave LEAST_IN_VIEW over the landmarks."""
    spacing = max(window.core_s / (LEAST_IN_VIEW - 1), STEP_S)
    return int(np.ceil((window.end_s - window.start_s) / spacing)) + 1


def spread(window: Window, frames: int) -> Array:
    """Return times (frames,) evenly over a window, to the second."""
    return np.round(np.linspace(window.start_s, window.end_s, max(frames, 2)))


def make_plan(epoch: Epoch, windows: list[Window], *, frames: int, cadence_s: float = STEP_S) -> Plan:
    """Return the plan that a budget of frames allows: all windows with the fewest frames that
    serve, as long as it lasts, and the rest to the earliest. InputError for no window at all.
    """
    if not windows:
        raise InputError("sees no landmark in daylight", fix="plan for a longer time, or more places")
    kept, left = [], frames
    for window in windows:
        if len(window.frames_s) <= left:
            kept.append(window)
            left -= len(window.frames_s)
    filled = []
    for window in kept:
        most = int((window.end_s - window.start_s) / cadence_s) + 1
        extra = max(min(most - len(window.frames_s), left), 0)
        left -= extra
        count = len(window.frames_s) + extra
        filled.append(replace(window, frames_s=spread(window, count)) if extra else window)
    return Plan(epoch, tuple(filled))


def windows_ahead(
    solution: Solution, camera: Camera, places: Places, *, start: Epoch, hours: float,
    clear: dict[str, float] | None = None, sun_min_deg: float = SUN_MIN_DEG,
) -> list[Window]:  # fmt: skip
    """Return the windows of a solution from `start` on; times count from `start`."""
    t_s = np.arange(0.0, 3600.0 * hours + 0.5 * STEP_S, STEP_S)
    first = np.concatenate([np.asarray(solution.r_eci), np.asarray(solution.v_eci)])
    shift = start - solution.epoch
    state = propagate(solution.forces, solution.epoch, first, solution.drag_scale, t_s + shift).state
    good = np.isfinite(state).all(axis=1)
    if not good.all():
        t_s, state = t_s[: int(np.argmin(good))], state[: int(np.argmin(good))]
    seen = looks(start, t_s, state, camera, places, sun_min_deg=sun_min_deg)
    return [window for window in windows_of(solution, seen, clear=clear or {}) if window.start_s >= 0.0]


def _margin_s(solution: Solution, t_s: Array) -> Array:
    """Return MARGIN_SIGMAS of how early or late the satellite may be, s, at t_s past the solution's epoch."""
    states, covariance = solution.predict(t_s)
    v = states[:, 3:]
    speed = np.linalg.norm(v, axis=1)
    along = v / speed[:, None]
    variance = np.einsum("ni,nij,nj->n", along, covariance[:, :3, :3], along)
    return np.asarray(MARGIN_SIGMAS * np.sqrt(np.maximum(variance, 0.0)) / speed)
