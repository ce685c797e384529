"""Synthetic passes over random landmarks; the truth has forces that the estimator lacks."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from flightsw.astro.geodesy import ecef_from_lla, ellipsoid_intersection, lla_from_ecef
from flightsw.astro.propagate import Forces, propagate
from flightsw.astro.rotation import ecef_from_eci
from flightsw.astro.time import Epoch
from flightsw.camera.model import Camera
from flightsw.camera.nadir import body_from_ecef_nadir
from flightsw.camera.project import observe, over_horizon, ray_from_pixel
from flightsw.camera.quaternion import quaternion_from_rotation
from flightsw.estimate.observations import AttitudeTable, Observations
from flightsw.estimate.residuals import rotation_and_left_jacobian

Array = NDArray[np.float64]

CAMERA = Camera(width_px=2304, height_px=1296, fx_px=1773.925, fy_px=1773.925, cx_px=1152.0, cy_px=648.0)
EPOCH = Epoch.from_utc("2026-03-01T12:00:00Z")
MU = 3.986004418e14


@dataclass(frozen=True, slots=True)
class Case:
    """What the satellite saw, and the truth: state (M, 6) at t_s (M,) past EPOCH."""

    observations: Observations
    attitude: AttitudeTable | None
    camera: Camera
    t_s: Array
    state: Array
    offset: Array

    def error(self, solution: object, t_s: float) -> float:
        """Return the position error of a solution at t_s, m."""
        state, _ = solution.predict(np.array([t_s - (solution.epoch - EPOCH)]))  # type: ignore[attr-defined]
        k = int(np.argmin(np.abs(self.t_s - t_s)))
        assert abs(self.t_s[k] - t_s) < 1e-6
        return float(np.linalg.norm(state[0, :3] - self.state[k, :3]))


def circular_state(altitude: float, inclination: float, phase: float) -> Array:
    """Return a circular orbit's state (6,), eci, with its node on the x axis."""
    radius = 6_378_137.0 + altitude
    across = np.array([0.0, np.cos(inclination), np.sin(inclination)])
    x = np.array([1.0, 0.0, 0.0])
    r = radius * (np.cos(phase) * x + np.sin(phase) * across)
    v = np.sqrt(MU / radius) * (-np.sin(phase) * x + np.cos(phase) * across)
    return np.concatenate([r, v])


def make_case(
    rng: np.random.Generator,
    *,
    nadir: bool = True,
    windows: tuple[tuple[float, float], ...] = ((0.0, 150.0), (6_000.0, 6_150.0)),
    altitude: float = 550e3,
    inclination: float = 1.2,
    landmarks: int = 60,
    per_frame: int = 12,
    cadence: float = 10.0,
    sigma_px: float = 3.0,
    bias_px: float = 1.0,
    offset_deg: float = 0.3,
    jitter_deg: float = 0.01,
    camera: Camera = CAMERA,
    turned: Callable[[Array], Array] | None = None,
    late_s: float = 0.0,
) -> Case:
    """Return a case whose windows (start, end), s, each see their own random landmarks.

    turned : rotation vectors (M, 3), body axes, rad, of the body from the nadir frame at
    t_s (M,), besides offset and jitter; late_s : by how much the clock's labels are late.
    """
    state0 = circular_state(altitude, inclination, 0.7)
    t_s = np.unique(np.concatenate([np.arange(a, b + 1e-9, cadence) for a, b in windows]))
    truth = propagate(Forces(third_body=True), EPOCH, state0, 1.6, t_s).state
    to_ecef = np.asarray(ecef_from_eci(EPOCH, t_s + late_s)).reshape(-1, 3, 3)
    r = np.einsum("nij,nj->ni", to_ecef, truth[:, :3])
    v = np.einsum("nij,nj->ni", to_ecef, truth[:, 3:])
    axis = rng.normal(size=3)
    offset = np.radians(offset_deg) * axis / np.linalg.norm(axis) if nadir else np.zeros(3)
    jitter = np.radians(jitter_deg) * rng.normal(size=(len(t_s), 3)) if nadir else np.zeros((len(t_s), 3))
    shake = np.stack([rotation_and_left_jacobian(offset + j)[0] for j in jitter])
    if turned is not None:
        shake = shake @ rotation_and_left_jacobian(turned(t_s))[0]
    cam = camera.cam_from_body @ shake @ body_from_ecef_nadir(r, v)
    rows: list[tuple[float, str, float, float, float, float, float]] = []
    for w, (start, end) in enumerate(windows):
        inside = np.flatnonzero((t_s >= start) & (t_s <= end))
        lla = _scatter(rng, camera, cam[inside], r[inside], landmarks)
        p = ecef_from_lla(lla[:, 0], lla[:, 1], lla[:, 2])
        bias = bias_px * rng.normal(size=(landmarks, 2))
        for k in inside:
            uv = observe(camera, cam[k], r[k], p)[0]
            seen = ((uv > 0) & (uv < [camera.width_px, camera.height_px])).all(axis=1) & ~over_horizon(
                r[k], p
            )
            for i in rng.permutation(np.flatnonzero(seen))[:per_frame]:
                u, w_px = uv[i] + bias[i] + sigma_px * rng.standard_t(5, size=2) * np.sqrt(0.6)
                rows.append((t_s[k], f"{w}-{i}", *np.degrees(lla[i, :2]), lla[i, 2], u, w_px))
    columns = list(zip(*rows, strict=True)) if rows else [[]] * 7
    observations = Observations.build(
        epoch=EPOCH,
        t_s=np.array(columns[0]),
        landmark_id=np.array(columns[1], dtype=np.str_),
        lat_deg=np.array(columns[2]),
        lon_deg=np.array(columns[3]),
        height_m=np.array(columns[4]),
        uv_px=np.column_stack([columns[5], columns[6]]),
    )
    q = quaternion_from_rotation(cam @ to_ecef)
    table = None if nadir else AttitudeTable(EPOCH, t_s, q, np.full(len(q), np.nan))
    return Case(observations, table, camera, t_s, truth, offset)


def _scatter(rng: np.random.Generator, camera: Camera, cam: Array, r: Array, count: int) -> Array:
    """Return latitude, longitude (rad) and height (m) (count, 3) of points that the frames see."""
    frame = rng.integers(0, len(r), count)
    uv = rng.uniform(0.0, 1.0, (count, 2)) * [camera.width_px, camera.height_px]
    ray = np.einsum("nij,ni->nj", cam[frame], ray_from_pixel(camera, uv))
    lat, lon, _ = lla_from_ecef(ellipsoid_intersection(r[frame], ray))
    return np.column_stack([lat, lon, rng.uniform(0.0, 1500.0, count)])


@pytest.fixture
def synthetic() -> Callable[..., Case]:
    """Return `make_case`."""
    return make_case
