"""A satellite over landmarks under a patchy sky, as a linearised estimation problem.

Which landmarks a frame shows and what they tell of the orbit (information matrices of
state, drag scale and pointing offset) without rendering and without search: for studies
of hundreds of orbits. Each visit of a place has one sky, clear by Beta(0.7, 0.9); a landmark is
seen if its part of the sky is clear and the detector finds it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.propagate import Forces, propagate
from flightsw.astro.rotation import ecef_from_eci
from flightsw.astro.time import Epoch
from flightsw.camera.nadir import body_from_ecef_nadir
from flightsw.camera.project import observe
from flightsw.estimate.residuals import Pointing, camera_residual
from flightsw.estimate.solution import Solution, Status
from flightsw.runtime.known_case import CAMERA
from groundtools.landmarks.regions import DETECTOR_IDS, REGIONS
from groundtools.products.planning import SUN_MIN_DEG, Looks, Places, in_view, looks

Array = NDArray[np.float64]

HOURS = 48.0
STEP_S = 10.0
LANDMARKS, SEEN_AT_MOST = 64, 20
FOUND, CLEAR_A, CLEAR_B = 0.65, 0.7, 0.9
NOISE_PX = 5.0
PASS_GAP_S = 1200.0
VISIT_S = 600.0  # a place seen again within it is the same visit, under the same sky
DETERMINED_M = 2500.0
PRIOR = np.diag([1e-12] * 3 + [1e-6] * 3 + [1.0] + [np.radians(0.5) ** -2] * 3)  # 1,000 km, 1 km/s


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
    found = camera_residual(CAMERA, pointing, state[None], np.zeros(3), p_eci, uv_px, frame)
    moved = np.concatenate([found.by_state @ world.stm[index], found.by_offset], axis=2)
    h = moved.reshape(-1, 10) / NOISE_PX
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
