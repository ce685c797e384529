"""Reproduction `anywhere`: what tracking on any land adds to an orbit, in the honest scenario.

Night, clouds, a pointing error of 0.5 deg (1000 s) that is estimated, an image every 10 s,
six hours. Patches of the map lie over all land, 75 km apart. Clouds are drawn anew every two
minutes of flight and hide a patch or not. Two orbits are made of each satellite:
    without   from the frames that show a region of the shipped set
    tracked   that orbit tells where to look in all other frames; where it is off by less than
              25 km they are measured, and the orbit is made again, three times at most
How patches err, and which share of the frames is fixed under which cover, is as `tracking`
measured (`TRACKED`, `FIX_RATES`); a frame of a region is fixed as often as a tracked one,
which flatters the first frame of a pass in both. Nothing is measured by a wrong prior
there, so nothing is here. Asked is what is left at the end of six hours by those whose
first fix comes before hour 4.
"""

import functools
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import ecef_from_lla
from flightsw.estimate.batch import estimate_orbit
from flightsw.estimate.sightings import numbered
from flightsw.estimate.solution import Solution
from groundtools.imagery.mercator import pixel_from_lonlat
from groundtools.imagery.open import open_imagery
from groundtools.landmarks.regions import REGIONS
from groundtools.registry import Check, at_least, at_most, noted
from groundtools.statistics import median_interval, wilson_interval
from vinsat_sim.experiments.detector_realism import student_by
from vinsat_sim.experiments.stored import RESULTS
from vinsat_sim.measurement.conditions import CAMERA, DETECTOR_STREAM, SKY_STREAM, Conditions, Landmarks
from vinsat_sim.measurement.detector import TRACKED, detected
from vinsat_sim.measurement.figures import NOT_TRIED, column
from vinsat_sim.measurement.satellite import Satellite, look
from vinsat_sim.measurement.study import Row, Study, Task
from vinsat_sim.measurement.trial import Trial, scored
from vinsat_sim.montecarlo.measurement import estimator_options
from vinsat_sim.montecarlo.world import draw_world
from vinsat_sim.scenario import load_scenario

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

SPACING_DEG = 0.675  # 75 km
SOUTH_DEG, NORTH_DEG = -60.0, 72.0
LEVEL = 4  # of the land mask: 10 km
WEATHER_S = 120.0
FIX_RATES = ((0.2, 1.0), (0.5, 1.0), (1.01, 0.5))  # (cover below, share of frames fixed)
FEWEST = 5  # patches of a fix
REACH_M = 25e3  # of an orbit's error: further off nothing is measured
ROUNDS = 3
SATELLITES = 220
FIRST_FIX_H = 4.0
END_KM, SURE_KM, SURE = 0.5, 1.0, 0.9
ROUNDED_PX = 0.05  # TRACKED is the fit, rounded


@functools.cache
def land_patches() -> Landmarks:
    """Return the patches: a lattice over all land."""
    lat_deg = np.arange(SOUTH_DEG, NORTH_DEG, SPACING_DEG)
    rows = [np.arange(-180.0, 180.0, SPACING_DEG / np.cos(np.radians(one))) for one in lat_deg]
    lon_deg, lat_deg = np.concatenate(rows), np.repeat(lat_deg, [len(row) for row in rows])
    size = 256 << LEVEL
    land = open_imagery("embedded").land(0, 0, size, size, level=LEVEL)
    xy = np.asarray(pixel_from_lonlat(np.radians(lon_deg), np.radians(lat_deg), level=LEVEL))
    x, y = np.clip(xy.reshape(-1, 2).astype(int), 0, size - 1).T
    keep = land[y, x] > 127
    lon_deg, lat_deg = lon_deg[keep], lat_deg[keep]
    return Landmarks(lon_deg, lat_deg, ecef_from_lla(np.radians(lat_deg), np.radians(lon_deg)))


def in_regions(landmarks: Landmarks) -> Mask:
    """Return which landmarks (L,) lie in a region of the shipped set."""
    inside = np.zeros(len(landmarks.lon_deg), dtype=bool)
    for region in REGIONS:
        west, south, east, north = region.bounds_deg
        inside |= (
            (landmarks.lon_deg >= west)
            & (landmarks.lon_deg <= east)
            & (landmarks.lat_deg >= south)
            & (landmarks.lat_deg <= north)
        )
    return inside


def weathered(satellite: Satellite, shape: tuple[float, float]) -> Satellite:
    """Return what clouds leave in view, of the frames that are fixed under so many."""
    rng = np.random.default_rng([satellite.seed, SKY_STREAM])
    t_s = satellite.truth.t_s
    cover = rng.beta(*shape, int(t_s[-1] / WEATHER_S) + 1)[(t_s / WEATHER_S).astype(int)]
    rates = np.select([cover < limit for limit, _ in FIX_RATES], [rate for _, rate in FIX_RATES])
    is_fixed = rng.random(len(t_s)) < rates
    pairs = numbered(np.stack([satellite.one_pass, satellite.landmark]), axis=1)
    luck = rng.random(int(pairs.max(initial=-1)) + 1)[pairs]
    return satellite.subset(is_fixed[satellite.image] & (luck >= cover[satellite.image]))


def in_full_frames(satellite: Satellite, keep: Mask) -> Mask:
    """Return a mask (N,) without the frames of which it keeps too few patches for a fix."""
    count = np.bincount(satellite.image[keep], minlength=len(satellite.truth.t_s))
    return np.asarray(keep & (count[satellite.image] >= FEWEST))


def off_m(satellite: Satellite, solution: Solution) -> Array:
    """Return how far an orbit is off at every image (M,), m."""
    truth = satellite.truth
    state, _ = solution.predict(truth.t_s - (solution.epoch - truth.epoch))
    return np.asarray(np.linalg.norm(state[:, :3] - truth.state_eci[:, :3], axis=1))


def solve(task: Task) -> Row:
    """Fly one satellite, make its orbit from the regions alone, then with tracking."""
    scenario = load_scenario("honest")
    world = draw_world(scenario, task.seed, CAMERA)
    conditions = Conditions(sun_elevation_min_deg=scenario.sun_elevation_min_deg, cloudy=False, kept=1.0)
    patches = land_patches()
    satellite = look(task.seed, world.truth, world.cam_from_ecef, conditions, patches)
    satellite = weathered(satellite, scenario.cloud_shape)
    known = in_full_frames(satellite, in_regions(patches)[satellite.landmark])
    if not known.any():
        return {"status": NOT_TRIED, "usable_passes": 0}
    first_h = float(satellite.truth.t_s[satellite.image[known.argmax()]]) / 3600.0
    rng = np.random.default_rng([task.seed, DETECTOR_STREAM])
    pairs = numbered(np.stack([satellite.one_pass, satellite.landmark]), axis=1)
    uv_px = detected(satellite.uv_px, satellite.image, pairs, satellite.one_pass, TRACKED, rng)[0]
    solution, without = _estimated(satellite, uv_px, known)
    tracked = without
    for _ in range(ROUNDS):
        if not solution.has_state:
            break
        near = off_m(satellite, solution) < REACH_M
        more = in_full_frames(satellite, near[satellite.image]) | known
        if np.array_equal(more, known):
            break
        known = more
        solution, tracked = _estimated(satellite, uv_px, known)
    return {**tracked.as_json(), "first_fix_h": first_h, "without": without.as_json()}


def _estimated(satellite: Satellite, uv_px: Array, keep: Mask) -> tuple[Solution, Trial]:
    part = satellite.subset(keep)
    how = estimator_options(load_scenario("honest"))
    solution = estimate_orbit(part.reported(uv_px[keep]), CAMERA, options=how)
    return solution, scored(part, solution, wall_s=0.0, bound_km=None)


def judge(rows: list[Row]) -> tuple[Check, ...]:
    """Return the checks: those fixed early, tracked and without, and nobody wrong."""
    early = [row for row in rows if row.get("first_fix_h", np.inf) < FIRST_FIX_H]
    bare = [row["without"] for row in early]
    tracked, without = column(early, "error_end_km"), column(bare, "error_end_km")
    everyone = [*rows, *(row["without"] for row in rows if "without" in row)]
    determined = [sum(bool(row["determined"]) for row in part) for part in (early, bare)]
    n = len(early)
    return (
        at_least("satellites", len(rows), 200),
        noted("with a first fix before hour 4", n),
        at_most("median error at 6 h", _median(tracked), END_KM, unit="km", interval=_interval(tracked)),
        at_least("under 1 km at 6 h", _share(tracked), SURE, interval=_of(tracked)),
        noted("called determined", determined[0]),
        noted("without tracking: median error at 6 h, km", _median(without), interval=_interval(without)),
        noted("without tracking: under 1 km at 6 h", _share(without), interval=_of(without)),
        noted("without tracking: called determined", determined[1]),
        at_most("wrong orbits called determined", sum(bool(row.get("wrong")) for row in everyone), 0),
        *_fit_checks(),
    )


def _median(values: Array) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def _interval(values: Array) -> tuple[float, float] | None:
    return median_interval(values) if len(values) else None


def _share(values: Array) -> float:
    return float(np.mean(values < SURE_KM)) if len(values) else float("nan")


def _of(values: Array) -> tuple[float, float] | None:
    return wilson_interval(int(np.sum(values < SURE_KM)), len(values)) if len(values) else None


def _fit_checks() -> tuple[Check, ...]:
    """Return how far the error model in use is from the stored result of `tracking`."""
    found = stored_tracking()
    if found is None:
        return (Check(name="a result of `tracking` is stored", value=False, passed=False),)
    scale, tails = student_by(found["median_error_px"], found["p99_error_px"])
    drift = abs(scale - TRACKED.landmark_px)
    return (
        at_most("the error model in use differs from the fit to `tracking`", drift, ROUNDED_PX, unit="px"),
        noted("fitted tails", tails),
    )


def stored_tracking() -> dict[str, Any] | None:
    """Return the checks of the stored `tracking`, the full one before the quick one, by name."""
    for name in ("tracking.json", "tracking-quick.json"):
        path = RESULTS / name
        if path.is_file():
            checks = json.loads(path.read_text(encoding="utf-8"))["checks"]
            return {check["name"]: check["value"] for check in checks}
    return None


TASKS = tuple(Task("measurement", seed) for seed in range(1, SATELLITES + 1))
STUDY = Study(
    id="anywhere",
    title="the honest scenario with and without tracking on any land",
    tasks=TASKS,
    solve=solve,
    judge=judge,
    anew=(TASKS[0], TASKS[3]),
    recipe=f"honest {TRACKED} {TRACKED.landmark_tails} {FIX_RATES} {FEWEST} {REACH_M} {SPACING_DEG} 1",
)
REPRODUCTION = STUDY.reproduction()
