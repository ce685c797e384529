"""Reproduction `plan`: sooner determined, with fewer frames, than a fixed duty cycle.

Orbits of the demo's scenario, random landmarks in the places with a detector, the
reference camera at the nadir. A first pass over some of them, clear enough, leaves a
solution that is not determined; the truth is that solution plus an error drawn from its
covariance. From then on the satellite either images one minute in ten wherever the
ground is sunlit (the fixed duty cycle), or by the plan made from the solution: with as many
frames as the cycle would take in the time planned for, or with a fifth of what the
cycle took. Sky as measured (facts of the estimator's study): each
visit of a place is clear by Beta(0.7, 0.9), a landmark is seen if its part of the sky is
clear and the detector finds it (0.65), at most 20 a frame, 5 px. Determined is what the
flight program calls so: two passes more than 20 minutes apart, each of two frames, five
detections and three landmarks, and 1 sigma under 2.5 km; the covariance is that of the
exact linearised problem (state, drag, pointing offset), without running the search.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.propagate import Forces, propagate
from flightsw.astro.rotation import ecef_from_eci
from flightsw.astro.sun import sun_direction_eci
from flightsw.astro.time import Epoch
from flightsw.camera.nadir import body_from_ecef_nadir
from flightsw.camera.project import observe
from flightsw.estimate.residuals import Pointing, camera_residual
from flightsw.estimate.solution import Solution, Status
from flightsw.runtime.known_case import CAMERA
from groundtools.landmarks.regions import DETECTOR_IDS, REGIONS
from groundtools.products.planning import (
    SUN_MIN_DEG,
    Looks,
    Places,
    in_view,
    looks,
    make_plan,
    windows_ahead,
)  # fmt: skip
from groundtools.registry import Check, Reproduction, Scale, at_least, noted
from groundtools.statistics import median_interval
from vinsat_sim.experiments.orbits import draw_orbit

Array = NDArray[np.float64]

HOURS = 48.0
STEP_S = 10.0
ON_S, OFF_S = 60.0, (540.0, 1140.0)  # one minute in ten; noted beside it: one in twenty
LANDMARKS, SEEN_AT_MOST = 64, 20
FOUND, CLEAR_A, CLEAR_B = 0.65, 0.7, 0.9
CLEAR_ENOUGH = 0.4  # what the plan is told of the sky: the share of visits that succeed
NOISE_PX = 5.0
PASS_GAP_S = 1200.0
VISIT_S = 600.0  # a place seen again within it is the same visit, under the same sky
DETERMINED_M = 2500.0
PRIOR = np.diag([1e-12] * 3 + [1e-6] * 3 + [1.0] + [np.radians(0.5) ** -2] * 3)  # 1,000 km, 1 km/s
CASES = {"quick": 60, "full": 200}  # orbits with a first pass and a window after it
SAME_S = 600.0  # two endings closer than this are of one visit
FIRST_SEED = 6000
SOONER, FEWER = 0.25, 5.0


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """One truth: epoch, t_s (T,), states (T, 6), stm (T, 6, 7), what its camera would show, the sky."""

    epoch: Epoch
    t_s: Array
    state: Array
    stm: Array
    seen: Looks
    places: Places
    sky_seed: int


@dataclass(frozen=True, slots=True)
class Sighting:
    """One frame with detections: time, information (10, 10), ids seen, its number of detections."""

    t_s: float
    information: Array
    landmarks: frozenset[int]


@dataclass(frozen=True, slots=True)
class Ending:
    """When it was determined, s after the solution; frames taken until then. Infinite if never."""

    t_s: float
    frames: int


def draw_places(rng: np.random.Generator) -> Places:
    """Return random landmarks in the places with a detector."""
    lon, lat, name = [], [], []
    for region in REGIONS:
        if region.id in DETECTOR_IDS:
            lon.append(rng.uniform(region.west_deg, region.east_deg, LANDMARKS))
            lat.append(rng.uniform(region.south_deg, region.north_deg, LANDMARKS))
            name += [region.id] * LANDMARKS
    return Places.of_degrees(np.concatenate(lon), np.concatenate(lat), np.array(name))


def make_world(epoch: Epoch, state: Array, places: Places, sky_seed: int) -> World:
    """Return the truth from a state on, every 10 s for HOURS."""
    t_s = np.arange(0.0, 3600.0 * HOURS + 1.0, STEP_S)
    arc = propagate(Forces(), epoch, state, 1.0, t_s, with_stm=True)
    assert arc.stm is not None
    seen = looks(epoch, t_s, arc.state, CAMERA, places, sun_min_deg=SUN_MIN_DEG)
    return World(epoch, t_s, arc.state, arc.stm, seen, places, sky_seed)


def sight(world: World, index: int) -> Sighting | None:
    """Return what a frame at one of the world's instants brings; None where nothing is detected.

    Chance belongs to the world: the same frame brings the same, whoever takes it.
    """
    if world.seen.count[index] == 0:
        return None
    epoch, t = world.epoch, float(world.t_s[index])
    state = world.state[index]
    to_ecef = ecef_from_eci(epoch, t)
    r, v = to_ecef @ state[:3], to_ecef @ state[3:]
    cam = (CAMERA.cam_from_body @ body_from_ecef_nadir(r[None], v[None]))[0]
    near = in_view(CAMERA, cam, r, world.places.p_ecef)
    # One visit, one sky: a threshold that each landmark's own cloudiness meets or not.
    visit = int(t // VISIT_S)
    clear = np.random.default_rng([world.sky_seed, 1, visit]).beta(CLEAR_A, CLEAR_B)
    cloud = np.random.default_rng([world.sky_seed, 2, visit]).random(len(world.places.p_ecef))
    chance = np.random.default_rng([world.sky_seed, 3, index])
    kept = near[(cloud[near] < clear) & (chance.random(len(near)) < FOUND)]
    kept = chance.permutation(kept)[:SEEN_AT_MOST]
    if len(kept) == 0:
        return None
    p_eci = world.places.p_ecef[kept] @ to_ecef
    pointing = Pointing(np.full((1, 3, 3), np.nan), to_ecef[None], np.ones(1, dtype=bool))
    uv_px = observe(CAMERA, cam, r, world.places.p_ecef[kept])[0]
    frame = np.zeros(len(kept), dtype=np.intp)
    _, by_state, by_offset = camera_residual(CAMERA, pointing, state[None], np.zeros(3), p_eci, uv_px, frame)
    h = np.concatenate([by_state @ world.stm[index], by_offset], axis=2).reshape(-1, 10) / NOISE_PX
    return Sighting(t, h.T @ h, frozenset(kept.tolist()))


def fly(world: World, times: Array, first: list[Sighting]) -> Ending:
    """Take frames at sorted instants until the orbit is determined."""
    information = PRIOR + sum(one.information for one in first)
    passes = [list(first)]
    for count, t in enumerate(times, 1):
        index = round(float(t) / STEP_S)
        if index >= len(world.t_s):
            break
        one = sight(world, index)
        if one is None:
            continue
        information = information + one.information
        if one.t_s - passes[-1][-1].t_s > PASS_GAP_S:
            passes.append([])
        passes[-1].append(one)
        if sum(_is_pass(p) for p in passes) >= 2 and _sigma(world, information, index) < DETERMINED_M:
            return Ending(one.t_s, count)
    return Ending(float("inf"), len(times))


def _is_pass(sightings: list[Sighting]) -> bool:
    seen = frozenset().union(*(one.landmarks for one in sightings))
    detections = sum(len(one.landmarks) for one in sightings)
    return len(sightings) >= 2 and detections >= 5 and len(seen) >= 3


def _sigma(world: World, information: Array, index: int) -> float:
    """Return sqrt(trace P_rr) at one of the world's instants, m."""
    covariance = _inverse(information)[0]
    turned = world.stm[index, :3] @ covariance[:7, :7] @ world.stm[index, :3].T
    return float(np.sqrt(np.trace(turned)))


def _inverse(information: Array) -> tuple[Array, Array]:
    """Return the covariance (10, 10) of an information matrix and a square root of it."""
    scale = 1.0 / np.sqrt(np.diag(information))
    values, vectors = np.linalg.eigh(information * np.outer(scale, scale))
    root = scale[:, None] * vectors / np.sqrt(np.maximum(values, 1e-14))
    return root @ root.T, root


def first_pass(world: World) -> list[Sighting]:
    """Return the sightings of the first pass that is one, in the first half of the time."""
    useful = np.flatnonzero(world.seen.count[: len(world.t_s) // 4] > 0)
    if not useful.size:
        return []
    for group in np.split(useful, np.flatnonzero(np.diff(world.t_s[useful]) > PASS_GAP_S) + 1):
        found = [one for one in (sight(world, int(k)) for k in group) if one is not None]
        if len(found) >= 3 and _is_pass(found):
            return found
    return []


def solution_of(world: World, first: list[Sighting], rng: np.random.Generator) -> Solution:
    """Return what one pass leaves: the truth less an error drawn from its covariance."""
    covariance, root = _inverse(PRIOR + sum(one.information for one in first))
    error = root @ rng.normal(size=10)
    start = world.state[0] - error[:6]
    return Solution(
        status=Status.ONE_PASS, epoch=world.epoch, used=np.ones(1, dtype=bool), attitude_mode="nadir",
        forces=Forces(), r_eci=start[:3], v_eci=start[3:], covariance_full=covariance,
        drag_scale=1.0 - error[6], first_used_s=first[0].t_s, last_used_s=first[-1].t_s,
    )  # fmt: skip


def duty_cycle(world: World, after_s: float, off_s: float, phase: float) -> Array:
    """Return when the fixed cycle images: ON_S in every ON_S + off_s, in daylight; phase 0 to 1."""
    t_s = np.arange(after_s + STEP_S, 3600.0 * HOURS, STEP_S)
    on = np.mod(t_s + phase * (ON_S + off_s), ON_S + off_s) < ON_S
    index = np.round(t_s / STEP_S).astype(int)
    return np.asarray(t_s[on & _daylit(world)[index]])


def _daylit(world: World) -> NDArray[np.bool_]:
    up = world.state[:, :3] / np.linalg.norm(world.state[:, :3], axis=1)[:, None]
    sun = sun_direction_eci(world.epoch, world.t_s)
    return np.asarray(np.sum(up * sun, axis=1) > np.sin(np.radians(SUN_MIN_DEG)))


@dataclass(frozen=True, slots=True)
class Case:
    """One orbit's endings, times from the end of the first pass."""

    cycle: Ending
    same: Ending
    fifth: Ending


def run_case(seed: int, off_s: float) -> Case | None:
    """Return the endings of one orbit; None where no first pass, or no window after it, is seen."""
    rng = np.random.default_rng(seed)
    epoch, state = draw_orbit(rng)
    world = make_world(epoch, state, draw_places(rng), seed)
    first = first_pass(world)
    if not first:
        return None
    solution = solution_of(world, first, rng)
    after = first[-1].t_s
    cycle_times = duty_cycle(world, after, off_s, float(rng.uniform(0.0, 1.0)))
    cycle = fly(world, cycle_times, first)
    begin = after + PASS_GAP_S
    windows = windows_ahead(
        solution, CAMERA, world.places, start=epoch + begin, hours=HOURS - begin / 3600.0,
        clear={"": CLEAR_ENOUGH},
    )  # fmt: skip
    if not windows:
        return None
    planned = []
    for budget in (len(cycle_times), int(cycle.frames / FEWER)):
        plan = make_plan(epoch + begin, windows, frames=budget)
        times = np.concatenate([np.zeros(0), *(window.frames_s for window in plan.windows)])
        planned.append(fly(world, np.round((times + begin) / STEP_S) * STEP_S, first))
    past = [Ending(e.t_s - after, e.frames) for e in (cycle, *planned)]
    return Case(*past)


def cases(scale: Scale, off_s: float, count: int) -> list[Case]:
    """Return the first `count` cases that are one."""
    found: list[Case] = []
    seed = FIRST_SEED
    while len(found) < count:
        case = run_case(seed, off_s)
        if case is not None:
            found.append(case)
        seed += 1
    return found


def run(scale: Scale) -> tuple[Check, ...]:
    """Measure both gains, and note them for a cycle half as busy."""
    checks: list[Check] = []
    for off_s, count in zip(OFF_S, (CASES[scale], CASES[scale] // 4), strict=True):
        found = cases(scale, off_s, count)
        label = "" if off_s == OFF_S[0] else f", cycle of one minute in {(ON_S + off_s) / 60.0:.0f}"
        checks += _checks(found, label, asked=off_s == OFF_S[0])
    return tuple(checks)


def _checks(found: list[Case], label: str, *, asked: bool) -> list[Check]:
    cycle, same, fifth = (
        np.array([getattr(case, name).t_s for case in found]) / 3600.0 for name in ("cycle", "same", "fifth")
    )
    sooner = 1.0 - float(np.median(same)) / float(np.median(cycle))
    interval = _sooner_interval(cycle, same)
    ratio = np.array([case.cycle.frames / case.fifth.frames for case in found])
    on_time = fifth <= cycle + SAME_S / 3600.0
    fewer = np.where(on_time & np.isfinite(cycle), ratio, 0.0)[np.isfinite(cycle)]
    many, value = median_interval(fewer), float(np.median(fewer))
    first, second = f"sooner with as many frames{label}", f"fewer frames at the same time, median{label}"
    gains = [noted(first, sooner, interval=interval), noted(second, value, interval=many)]
    if asked:
        gains = [
            at_least(first, sooner, SOONER, interval=interval),
            at_least(second, value, FEWER, unit="times", interval=many),
        ]
    return [
        noted(f"orbits{label}", len(found)),
        noted(f"fixed cycle: median hours to determined{label}", float(np.median(cycle))),
        noted(f"planned: median hours to determined{label}", float(np.median(same))),
        *gains,
        noted(f"share no later than the cycle with a fifth of its frames{label}", float(on_time.mean())),
        noted(f"not determined within 48 h, cycle{label}", int((~np.isfinite(cycle)).sum())),
        noted(f"not determined within 48 h, planned{label}", int((~np.isfinite(same)).sum())),
    ]


def _sooner_interval(cycle: Array, same: Array) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    pick = rng.integers(len(cycle), size=(2000, len(cycle)))
    gain = 1.0 - np.median(same[pick], axis=1) / np.median(cycle[pick], axis=1)
    low, high = np.nanpercentile(gain, [2.5, 97.5])
    return float(low), float(high)


def seeds(scale: Scale) -> tuple[int, ...]:
    """Return the first seed; the next whole numbers follow until there are enough cases."""
    return (FIRST_SEED,)


REPRODUCTION = Reproduction(
    id="plan",
    title="A planned schedule against a fixed duty cycle: sooner determined, fewer frames",
    run=run,
    seeds=seeds,
)
