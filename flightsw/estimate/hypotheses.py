"""Orbits through one pass from nothing: two frame fixes, or one with a heading.

Two fixes r1, r2 within 200 s give v1 = (r2 - f r1) / g with the Lagrange series
    f = 1 - mu t^2 / (2 r^3) + mu^2 t^4 / (24 r^6),    g = t - mu t^3 / (6 r^3).
The orbits looked for are nearly circular, so the radial speed is dropped, and the
horizontal speed must be that of a circular orbit of the altitude range, within
SPEED_SLACK. One fix with a heading (nadir pointing) gives the circular orbit itself.
Each hypothesis is scored by how many detections of +- 200 s it explains.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import WGS84_A
from flightsw.astro.gravity import j2_acceleration
from flightsw.camera.nadir import body_from_ecef_nadir
from flightsw.camera.project import pixel_from_camera_point, ray_from_pixel
from flightsw.estimate.resection import MAX_ALTITUDE, MIN_ALTITUDE, FrameFix
from flightsw.estimate.sightings import Sightings

Array = NDArray[np.float64]

MU = 3.986_004_418e14  # m^3/s^2, WGS 84
PAIR_MIN, PAIR_MAX = 8.0, 260.0  # s between the two frames of a hypothesis
SPAN = 200.0  # s on either side that score a hypothesis
SPEED_SLACK = 300.0  # m/s: eccentricity to 0.02, and 2 km of error over 20 s
MAX_PAIRS = 60
ALTITUDES = np.geomspace(250e3, 1_200e3, 9)  # m
HEADING_STEP = np.radians(2.5)
MISFIT_POINTS = 20_000  # detections times hypotheses at once: bounds the memory
MAX_SCORED, MAX_RANKED = 1_000, 60  # detections a pass is scored by; hypotheses compared
GRID_STEP = 20.0  # s; cubic Hermite between RK4 steps of 20 s is good to 1 cm


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A guessed orbit: state (6,) eci at t_s past the sightings' epoch, and its score."""

    t_s: float
    state: Array
    score: float


def _rate(state: Array) -> Array:
    return np.concatenate([state[..., 3:], j2_acceleration(state[..., :3])], axis=-1)


def short_arcs(states: Array, start: Array, t_s: Array) -> Array:
    """Return states (K, F, 6) of K orbits at F times, gravity with J2; for short arcs.

    states (K, 6) hold at start (K,); the arcs run on a common grid of +-GRID_STEP.
    """
    tau = t_s[None, :] - start[:, None]
    reach = int(np.ceil(max(float(np.max(np.abs(tau), initial=0.0)), GRID_STEP) / GRID_STEP))
    halves = []
    for step in (-GRID_STEP, GRID_STEP):
        y, path = states, [states]
        for _ in range(reach):
            k1 = _rate(y)
            k2 = _rate(y + 0.5 * step * k1)
            k3 = _rate(y + 0.5 * step * k2)
            k4 = _rate(y + step * k3)
            y = y + step / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)
            path.append(y)
        halves.append(path)
    grid = np.stack(halves[0][:0:-1] + halves[1], axis=1)
    slope = _rate(grid) * GRID_STEP
    position = tau / GRID_STEP + reach
    cell = np.clip(np.floor(position).astype(np.intp), 0, 2 * reach - 1)
    s = (position - cell)[..., None]
    row = np.arange(len(states))[:, None]
    a, b, da, db = grid[row, cell], grid[row, cell + 1], slope[row, cell], slope[row, cell + 1]
    return np.asarray(
        (1.0 + 2.0 * s) * (1.0 - s) ** 2 * a
        + s * (1.0 - s) ** 2 * da
        + s * s * (3.0 - 2.0 * s) * b
        + s * s * (s - 1.0) * db
    )


def _pair_velocity(first: FrameFix, second: FrameFix) -> Array:
    """Return the velocity (3,) at the first fix, without its radial part."""
    dt = second.t_s - first.t_s
    radius = 0.5 * float(np.linalg.norm(first.r_eci) + np.linalg.norm(second.r_eci))
    rate2 = MU / radius**3
    f = 1.0 - 0.5 * rate2 * dt**2 + rate2**2 * dt**4 / 24.0
    g = dt - rate2 * dt**3 / 6.0
    v = (second.r_eci - f * first.r_eci) / g
    up = first.r_eci / np.linalg.norm(first.r_eci)
    return np.asarray(v - up * (up @ v))


def candidate_states(fixes: list[FrameFix]) -> tuple[Array, Array]:
    """Return states (K, 6) and their times (K,) of all plausible pairs, and of headings."""
    slowest = np.sqrt(MU / (WGS84_A + MAX_ALTITUDE)) - SPEED_SLACK
    fastest = np.sqrt(MU / (WGS84_A + MIN_ALTITUDE)) + SPEED_SLACK
    pairs = [
        (min(a.inliers, b.inliers), abs(b.t_s - a.t_s - 60.0), i, j)
        for i, a in enumerate(fixes)
        for j, b in enumerate(fixes[i + 1 :], i + 1)
        if PAIR_MIN <= b.t_s - a.t_s <= PAIR_MAX
    ]
    pairs.sort(key=lambda pair: (-min(pair[0], 8), pair[1]))
    states, times = [], []
    for _, _, i, j in pairs:
        v = _pair_velocity(fixes[i], fixes[j])
        if slowest < np.linalg.norm(v) < fastest:
            states.append(np.concatenate([fixes[i].r_eci, v]))
            times.append(fixes[i].t_s)
        if len(states) >= MAX_PAIRS:
            break
    for fix in sorted(fixes, key=lambda fix: -fix.inliers)[:MAX_PAIRS]:
        if np.isfinite(fix.heading_eci).all():
            up = fix.r_eci / np.linalg.norm(fix.r_eci)
            along = fix.heading_eci - up * (up @ fix.heading_eci)
            speed = np.sqrt(MU / np.linalg.norm(fix.r_eci))
            states.append(np.concatenate([fix.r_eci, speed * along / np.linalg.norm(along)]))
            times.append(fix.t_s)
    return np.array(states).reshape(-1, 6), np.array(times)


def heading_states(sightings: Sightings, row: int) -> Array:
    """Return states (K, 6) at which one detection is seen where it is, over a grid.

    The grid is of altitudes (ALTITUDES) and headings (every HEADING_STEP), on circular
    orbits. For passes that show one landmark at a time; nadir frames and given ones.
    """
    frame, p = int(sightings.frame[row]), sightings.p_eci[row]
    ray = ray_from_pixel(sightings.camera, sightings.uv_px[row : row + 1])[0]
    heading = np.arange(0.0, 2.0 * np.pi, HEADING_STEP)
    to_ecef = sightings.pointing.ecef_from_eci[frame]
    up0 = p / np.linalg.norm(p)
    east0 = np.cross(to_ecef[2], up0)
    east0 /= np.linalg.norm(east0)
    north0 = np.cross(up0, east0)
    along0 = np.cos(heading)[:, None] * north0 + np.sin(heading)[:, None] * east0
    states = []
    for altitude in ALTITUDES:
        radius = float(np.linalg.norm(p)) + altitude
        if sightings.pointing.is_nadir[frame]:
            body = ray @ sightings.camera.cam_from_body
            right0 = np.cross(-up0, along0)
            r = p - altitude / body[2] * (body[0] * along0 + body[1] * right0)
        else:
            d = ray @ sightings.pointing.given_cam_from_eci[frame]
            reach = d @ p + np.sqrt(max((d @ p) ** 2 - p @ p + radius**2, 0.0))
            r = np.broadcast_to(p - reach * d, along0.shape)
        up = r / np.linalg.norm(r, axis=1)[:, None]
        along = along0 - np.sum(along0 * up, axis=1)[:, None] * up
        along *= (np.sqrt(MU / radius) / np.linalg.norm(along, axis=1))[:, None]
        states.append(np.concatenate([up * radius, along], axis=1))
    return np.concatenate(states)


def misfits(sightings: Sightings, states: Array) -> Array:
    """Return the pixel misfit (K, N) of each detection under states (K, F, 6); inf where unseen."""
    frame = sightings.frame
    cam = _cam_from_eci(sightings, states)
    offset = sightings.p_eci[None] - states[:, frame, :3]
    p_cam = np.einsum("knij,knj->kni", cam[:, frame], offset)
    uv, _ = pixel_from_camera_point(sightings.camera, p_cam.reshape(-1, 3))
    e = uv.reshape(len(states), len(sightings), 2) - sightings.uv_px
    misfit = np.hypot(e[..., 0], e[..., 1])
    return np.where(np.isfinite(misfit), misfit, np.inf)


def _cam_from_eci(sightings: Sightings, states: Array) -> Array:
    """Return the attitudes (K, F, 3, 3) under states (K, F, 6), without a pointing offset."""
    pointing = sightings.pointing
    cam = np.broadcast_to(pointing.given_cam_from_eci, (len(states), *pointing.given_cam_from_eci.shape))
    nadir = np.flatnonzero(pointing.is_nadir)
    if nadir.size:
        to_ecef = pointing.ecef_from_eci[nadir]
        r = np.einsum("fij,kfj->kfi", to_ecef, states[:, nadir, :3])
        v = np.einsum("fij,kfj->kfi", to_ecef, states[:, nadir, 3:])
        cam = cam.copy()
        cam[:, nadir] = sightings.camera.cam_from_body @ body_from_ecef_nadir(r, v) @ to_ecef
    return cam


def rank_hypotheses(
    sightings: Sightings, states: Array, times: Array, *, gate_px: float, keep: int
) -> list[Hypothesis]:
    """Return the `keep` best distinct hypotheses of one pass, best first.

    states (K, 6) at times (K,). A detection within `gate_px` counts
    1 - (misfit / gate)^2, in +- SPAN of the hypothesis.
    """
    if not len(states):
        return []
    sightings = _even_choice(sightings)
    score = np.concatenate(
        [_scores(sightings, states[k], times[k], gate_px)[0] for k in _batches(states, sightings)]
    )
    best = np.argsort(-score, kind="stable")[:MAX_RANKED]
    _, explained = _scores(sightings, states[best], times[best], gate_px)
    chosen: list[int] = []
    for k in range(len(best)):
        # One that explains the same detections as a better one is no second idea.
        same = [np.sum(explained[k] & explained[j]) > 0.8 * np.sum(explained[k]) for j in chosen]
        if not explained[k].any() or any(same):
            continue
        chosen.append(k)
        if len(chosen) == keep:
            break
    return [Hypothesis(float(times[best[k]]), states[best[k]], float(score[best[k]])) for k in chosen]


def _even_choice(sightings: Sightings) -> Sightings:
    """Return at most MAX_SCORED of the detections, evenly chosen."""
    n = len(sightings)
    if n <= MAX_SCORED:
        return sightings
    keep = np.zeros(n, dtype=bool)
    keep[np.linspace(0, n - 1, MAX_SCORED).astype(int)] = True
    return sightings.select(keep)


def _batches(states: Array, sightings: Sightings) -> list[slice]:
    """Return slices of the states small enough for the memory."""
    size = max(1, MISFIT_POINTS // max(len(sightings), 1))
    return [slice(start, start + size) for start in range(0, len(states), size)]


def _scores(
    sightings: Sightings, states: Array, times: Array, gate_px: float
) -> tuple[Array, NDArray[np.bool_]]:
    """Return the score (K,) of each hypothesis and the detections (K, N) that it explains."""
    misfit = misfits(sightings, short_arcs(states, times, sightings.t_s))
    near = np.abs(sightings.t_s[sightings.frame][None, :] - times[:, None]) <= SPAN
    value = near * np.maximum(0.0, 1.0 - (misfit / gate_px) ** 2)
    return value @ sightings.worth, value > 0.0
