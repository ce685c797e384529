"""Reproduction `grace-a`: a real orbit, 12 h arcs of the GRACE-A precise orbit.

The truth is a file of Earth-fixed positions every 10 s (GPS time; credit: University of
Bern, CODE), found in the shared data. Landmarks are drawn at random on the ellipsoid in
the 16 regions of the thesis; the reference camera looks to the nadir of the truth, its
attitude is given, it takes an image every 10 s, and every landmark in view is seen: no
night, no clouds. Noise is white, 1 px. With outliers, bursts of frames (60 s on average)
are bad for 30 % of the time: in half of the bursts all detections are shifted alike by
30 to 500 px, in the other half each detection lies anywhere within 600 px.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import ecef_from_lla
from flightsw.astro.propagate import Forces
from flightsw.astro.rotation import OMEGA_EARTH, ecef_from_eci
from flightsw.astro.time import Epoch
from flightsw.camera.nadir import body_from_ecef_nadir
from flightsw.camera.project import observe, over_horizon
from flightsw.camera.quaternion import quaternion_from_rotation
from flightsw.estimate.batch import EstimatorOptions, estimate_orbit
from flightsw.estimate.observations import AttitudeTable, Observations
from flightsw.estimate.solution import Solution
from groundtools.imagery.shared import shared_data_dir
from groundtools.landmarks.regions import REGIONS
from groundtools.registry import Check, Reproduction, Scale, at_most, noted
from vinsat_sim.measurement.conditions import CAMERA, draw_landmarks
from vinsat_sim.measurement.detector import Bursts

Array = NDArray[np.float64]

TAI_MINUS_GPS = 19  # s
ARC = 43_200.0  # s
STEP = 10.0  # s, of the file and between images
NOISE_PX = 1.0
LANDMARKS_PER_REGION = 400
BAD_SHARE = 0.30  # of the frames
CLEAN_LIMIT, OUTLIER_LIMIT = 80.0, 160.0  # m
ARCS = {"quick": 20, "full": 60}
BOUNDS_DEG = tuple(region.bounds_deg for region in REGIONS)  # west, south, east, north


@dataclass(frozen=True, slots=True)
class PreciseOrbit:
    """epoch; t_s (M,) past it; r_ecef (M, 3) m; v_ecef (M, 3) m/s, relative to the turning Earth."""

    epoch: Epoch
    t_s: Array
    r_ecef: Array
    v_ecef: Array


def read_precise_orbit(path: Path) -> PreciseOrbit:
    """Read date, GPS time, x, y, z in km and vx, vy, vz in dm/s, Earth-fixed and relative.

    That the velocities are relative to the Earth is checked by differencing positions
    (inertial ones would differ by up to 500 m/s). Raises ValueError if they are not.
    """
    with path.open(encoding="utf-8") as file:
        rows = list(csv.reader(file))
    day, month, year = (int(part) for part in rows[0][0].split("/"))
    start = Epoch.from_utc(f"{year:04d}-{month:02d}-{day:02d}T00:00:00Z")
    # The label reads GPS time; the same reading in UTC is later by TAI - UTC - 19 s.
    epoch = start - (start.tai_minus_utc_s - TAI_MINUS_GPS)
    t_s = STEP * np.arange(len(rows))
    values = np.array([[float(cell) for cell in row[2:]] for row in rows])
    r, v = values[:, :3] * 1e3, values[:, 3:] * 0.1
    by_difference = (r[2:] - r[:-2]) / (2.0 * STEP)
    if np.max(np.linalg.norm(by_difference - v[1:-1], axis=1)) > 5.0:
        raise ValueError(f"{path}: velocities are not those of the positions")
    return PreciseOrbit(epoch, t_s, r, v)


@dataclass(frozen=True, slots=True)
class Arc:
    """A part of the truth, inertial: epoch, t_s (M,), state (M, 6), ecef_from_eci (M, 3, 3)."""

    epoch: Epoch
    t_s: Array
    state: Array
    to_ecef: Array


def cut_arc(orbit: PreciseOrbit, start_s: float, duration_s: float = ARC) -> Arc:
    """Return an arc from start_s on."""
    part = (orbit.t_s >= start_s) & (orbit.t_s <= start_s + duration_s)
    epoch, t_s = orbit.epoch + start_s, orbit.t_s[part] - start_s
    to_ecef = np.asarray(ecef_from_eci(epoch, t_s))
    spin = np.cross(OMEGA_EARTH, orbit.r_ecef[part])
    r = np.einsum("nji,nj->ni", to_ecef, orbit.r_ecef[part])
    v = np.einsum("nji,nj->ni", to_ecef, orbit.v_ecef[part] + spin)
    return Arc(epoch, t_s, np.concatenate([r, v], axis=1), to_ecef)


def sighted(arc: Arc, seed: int, *, with_outliers: bool) -> tuple[Observations, AttitudeTable]:
    """Return what the satellite sees along an arc, and its attitude."""
    rng = np.random.default_rng(seed)
    landmarks = draw_landmarks(LANDMARKS_PER_REGION, seed)
    p = landmarks.p_ecef
    r = np.einsum("nij,nj->ni", arc.to_ecef, arc.state[:, :3])
    v = np.einsum("nij,nj->ni", arc.to_ecef, arc.state[:, 3:])
    cam_from_ecef = CAMERA.cam_from_body @ body_from_ecef_nadir(r, v)
    times, ids, pixels = [], [], []
    size = np.array([CAMERA.width_px, CAMERA.height_px])
    bursts = Bursts(rng, bad_share=BAD_SHARE) if with_outliers else None
    for k in _frames_near_regions(r):
        near = np.flatnonzero(np.linalg.norm(p - r[k], axis=1) < 1.2e6)
        if not near.size:
            continue
        uv = observe(CAMERA, cam_from_ecef[k], r[k], p[near])[0]
        seen = ((uv > 0.0) & (uv < size)).all(axis=1) & ~over_horizon(r[k], p[near])
        if not seen.any():
            continue
        noisy = uv[seen] + NOISE_PX * rng.standard_normal((int(seen.sum()), 2))
        pixels.append(noisy if bursts is None else bursts.spoil(noisy))
        ids.append(near[seen])
        times.append(np.full(int(seen.sum()), arc.t_s[k]))
    which = np.concatenate(ids)
    observations = Observations.build(
        epoch=arc.epoch,
        t_s=np.concatenate(times),
        landmark_id=which.astype(np.str_),
        lon_deg=landmarks.lon_deg[which],
        lat_deg=landmarks.lat_deg[which],
        height_m=np.zeros(len(which)),
        uv_px=np.concatenate(pixels),
    )
    q = quaternion_from_rotation(cam_from_ecef @ arc.to_ecef)
    return observations, AttitudeTable(arc.epoch, arc.t_s, q, np.full(len(q), np.nan))


def _frames_near_regions(r_ecef: Array) -> Array:
    """Return the indices of the positions (M, 3) within 1,600 km of the middle of a region."""
    middle = np.radians(
        [[0.5 * (north + south), 0.5 * (west + east)] for west, south, east, north in BOUNDS_DEG]
    )
    centre = ecef_from_lla(middle[:, 0], middle[:, 1])
    distance = np.linalg.norm(r_ecef[:, None] - centre[None], axis=2)
    return np.flatnonzero(distance.min(axis=1) < 1.6e6)


def rms_error(arc: Arc, solution: Solution) -> float:
    """Return the 3-D RMS position error over the whole arc, m; infinite without a state."""
    if not solution.has_state:
        return float("inf")
    state, _ = solution.predict(arc.t_s - (solution.epoch - arc.epoch))
    return float(np.sqrt(np.mean(np.sum((state[:, :3] - arc.state[:, :3]) ** 2, axis=1))))


def starts_and_seeds(scale: Scale) -> list[tuple[float, int]]:
    """Return the arcs: starts evenly over the half day that 12 h arcs can start in."""
    count = ARCS[scale]
    return [(STEP * round(k * (43_190.0 / STEP) / (count - 1)), 1000 + k) for k in range(count)]


def run(scale: Scale) -> tuple[Check, ...]:
    """Measure both medians; without the shared data the checks fail and say why."""
    folder = shared_data_dir()
    path = None if folder is None else folder / "orbits" / "grace_a_2010-07-27.csv"
    if path is None or not path.is_file():
        missing = "orbits/grace_a_2010-07-27.csv in the shared data (VINSAT_DATA)"
        return (Check(name="precise orbit found", value=False, passed=False, threshold=missing),)
    orbit = read_precise_orbit(path)
    checks: list[Check] = []
    for label, with_outliers, limit in (("", False, CLEAN_LIMIT), (", 30 % outliers", True, OUTLIER_LIMIT)):
        rms, determined = [], 0
        for start, seed in starts_and_seeds(scale):
            arc = cut_arc(orbit, start)
            observations, attitude = sighted(arc, seed, with_outliers=with_outliers)
            options = EstimatorOptions(forces=Forces(third_body=True))
            solution = estimate_orbit(observations, CAMERA, attitude=attitude, options=options)
            rms.append(rms_error(arc, solution))
            determined += solution.status.is_determined
        interval = _median_interval(np.array(rms))
        checks += [
            at_most(f"median 3-D RMS{label}", float(np.median(rms)), limit, unit="m", interval=interval),
            noted(f"largest 3-D RMS{label}, m", float(np.max(rms))),
            noted(f"determined{label}", f"{determined} of {len(rms)}"),
        ]
    return tuple(checks)


def _median_interval(values: Array) -> tuple[float, float]:
    """Return the 95 % interval of the median by resampling."""
    rng = np.random.default_rng(0)
    draws = rng.choice(values, size=(2000, len(values)))
    low, high = np.percentile(np.median(draws, axis=1), [2.5, 97.5])
    return float(low), float(high)


REPRODUCTION = Reproduction(
    id="grace-a",
    title="GRACE-A, 12 h arcs, attitude known, all landmarks visible",
    run=run,
    seeds=lambda scale: tuple(seed for _, seed in starts_and_seeds(scale)),
)
