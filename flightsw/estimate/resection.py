"""Where the satellite was in one frame: linear two-landmark resection with RANSAC.

Attitude given: each detection says that r lies on a line, (I - d d')(r - p) = 0 with the
ray d in eci, so two of them give r by a 3 x 3 system. Nadir: r, altitude and yaw follow
from two detections by a similarity. With g = north + i east of a landmark in the local
frame below the satellite, U its height there, q = (x + i y) / z of its ray in body axes,
    g = exp(i yaw) (h - U) q,
exact but for the place of that frame, which a few fixed-point steps find.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import ecef_from_lla, geodetic_up, lla_from_ecef
from flightsw.camera.project import pixel_from_camera_point, ray_from_pixel
from flightsw.estimate.sightings import Sightings

Array = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

DRAWS = 20
MIN_ALTITUDE, MAX_ALTITUDE = 200e3, 1_250e3  # m; 250 to 1,200 km with room for a poor resection
FIXED_POINT_STEPS = 4
REFINEMENTS = 2
NADIR_GATE_FACTOR = 1.5  # a tilt of 0.5 deg leaves up to 14 px that no similarity explains


@dataclass(frozen=True, slots=True)
class FrameFix:
    """A frame's own idea of where the satellite was.

    r_eci (3,) m; heading_eci (3,) unit, the body's x axis, or NaN where only the attitude
    is known; inliers : how many distinct landmarks agree.
    """

    frame: int
    t_s: float
    r_eci: Array
    heading_eci: Array
    inliers: int


def _draw_pairs(count: int, uv_px: Array, rng: np.random.Generator) -> IntArray:
    """Return up to DRAWS pairs (K, 2) of detections, wide ones preferred."""
    first, second = np.triu_indices(count, k=1)
    apart = np.hypot(*(uv_px[first] - uv_px[second]).T)
    if len(first) > DRAWS:
        chosen = rng.choice(len(first), size=min(2 * DRAWS, len(first)), replace=False)
        chosen = chosen[np.argsort(-apart[chosen], kind="stable")[:DRAWS]]
        return np.stack([first[chosen], second[chosen]], axis=1)
    return np.stack([first, second], axis=1)


def _intersect_lines(d: Array, p: Array, weights: Array) -> Array:
    """Return the points (K, 3) nearest to lines through p (n, 3) along d (n, 3), weights (K, n)."""
    across = np.eye(3) - d[:, :, None] * d[:, None, :]
    matrix = np.einsum("kn,nij->kij", weights, across)
    rhs = np.einsum("kn,nij,nj->ki", weights, across, p)
    return np.asarray(np.linalg.solve(matrix + 1e-9 * np.eye(3), rhs[:, :, None])[:, :, 0])


def _similarity(
    q: Array, p_ecef: Array, weights: Array, start_lat: Array, start_lon: Array
) -> tuple[Array, Array]:
    """Return r (K, 3) and body_from_ecef (K, 3, 3) from weighted detections (K, n), nadir pointing.

    q (n,) complex tangents of the rays; p_ecef (n, 3); start_lat, start_lon (K,) rad.
    """
    lat, lon, height = start_lat, start_lon, np.full(len(start_lat), 550e3)
    total = np.sum(weights, axis=1)
    for _ in range(FIXED_POINT_STEPS):
        ground = ecef_from_lla(lat, lon)
        up = geodetic_up(lat, lon)
        east = np.stack([-np.sin(lon), np.cos(lon), np.zeros_like(lon)], axis=1)
        north = np.cross(up, east)
        offset = p_ecef[None] - ground[:, None]
        g = np.einsum("kni,ki->kn", offset, north) + 1j * np.einsum("kni,ki->kn", offset, east)
        depth = 1.0 - np.einsum("kni,ki->kn", offset, up) / height[:, None]
        s = q * depth
        g_mean, s_mean = np.sum(weights * g, 1) / total, np.sum(weights * s, 1) / total
        g_off, s_off = g - g_mean[:, None], s - s_mean[:, None]
        spread = np.sum(weights * np.abs(s_off) ** 2, 1)
        scale = np.sum(weights * g_off * np.conj(s_off), 1) / np.where(spread > 0.0, spread, np.nan)
        shift = g_mean - scale * s_mean
        height = np.clip(np.abs(scale), 100e3, 3_000e3)
        moved = ground + shift.real[:, None] * north + shift.imag[:, None] * east
        lat, lon, _ = lla_from_ecef(np.where(np.isfinite(moved), moved, ground))
    turn = scale / np.abs(scale)
    up = geodetic_up(lat, lon)
    east = np.stack([-np.sin(lon), np.cos(lon), np.zeros_like(lon)], axis=1)
    north = np.cross(up, east)
    x = turn.real[:, None] * north + turn.imag[:, None] * east
    body = np.stack([x, np.cross(-up, x), -up], axis=1)
    return ecef_from_lla(lat, lon, np.abs(scale)), body


def _misfit(sightings: Sightings, rows: IntArray, cam: Array, r: Array, p: Array) -> Array:
    """Return the pixel misfit (K, n) of each detection under each hypothesis; inf where unseen."""
    k, n = len(r), len(rows)
    p_cam = np.einsum("kij,knj->kni", cam, p[None] - r[:, None])
    uv, _ = pixel_from_camera_point(sightings.camera, p_cam.reshape(k * n, 3))
    misfit = np.hypot(*(uv.reshape(k, n, 2) - sightings.uv_px[rows]).transpose(2, 0, 1))
    return np.where(np.isfinite(misfit), misfit, np.inf)


def fix_frame(
    sightings: Sightings, frame: int, rows: IntArray, gate_px: float, rng: np.random.Generator
) -> FrameFix | None:
    """Return the best fix of one frame from its detections `rows`, or None without one.

    At least two distinct landmarks and an altitude of 200-1,250 km are needed. The fix of
    most inliers within `gate_px` wins; ties go to the smaller misfit.
    """
    if len(rows) < 2:
        return None
    pairs = _draw_pairs(len(rows), sightings.uv_px[rows], rng)
    pairs = pairs[sightings.landmark[rows[pairs[:, 0]]] != sightings.landmark[rows[pairs[:, 1]]]]
    if not len(pairs):
        return None
    to_ecef = sightings.pointing.ecef_from_eci[frame]
    is_nadir = bool(sightings.pointing.is_nadir[frame])
    rays = ray_from_pixel(sightings.camera, sightings.uv_px[rows])
    p = sightings.p_eci[rows]
    gate = gate_px * (NADIR_GATE_FACTOR if is_nadir else 1.0)
    weights = np.zeros((len(pairs), len(rows)))
    np.put_along_axis(weights, pairs, 1.0, axis=1)
    for refinement in range(1 + REFINEMENTS):
        r, cam, heading = _solve(sightings, frame, rays, p, weights)
        misfit = _misfit(sightings, rows, cam, r, p)
        height = lla_from_ecef(r @ to_ecef.T)[2]
        misfit[~((height > MIN_ALTITUDE) & (height < MAX_ALTITUDE))] = np.inf
        close = misfit < gate
        score = np.sum(np.maximum(0.0, 1.0 - (misfit / gate) ** 2), axis=1)
        best = int(np.argmax(score))
        if close[best].sum() < 2:
            return None
        if refinement < REFINEMENTS:
            weights = close[best : best + 1].astype(np.float64)
    inliers = len(np.unique(sightings.landmark[rows[close[best]]]))
    if inliers < 2:
        return None
    return FrameFix(frame, float(sightings.t_s[frame]), r[best], heading[best], inliers)


def _solve(
    sightings: Sightings, frame: int, rays: Array, p_eci: Array, weights: Array
) -> tuple[Array, Array, Array]:
    """Return r_eci (K, 3), cam_from_eci (K, 3, 3) and heading_eci (K, 3) of each weighting (K, n)."""
    k = len(weights)
    if not sightings.pointing.is_nadir[frame]:
        cam = sightings.pointing.given_cam_from_eci[frame]
        r = _intersect_lines(rays @ cam, p_eci, weights)
        return r, np.broadcast_to(cam, (k, 3, 3)), np.full((k, 3), np.nan)
    to_ecef = sightings.pointing.ecef_from_eci[frame]
    body = rays @ sightings.camera.cam_from_body
    with np.errstate(divide="ignore", invalid="ignore"):
        q = np.where(body[:, 2] > 0.05, (body[:, 0] + 1j * body[:, 1]) / body[:, 2], np.nan)
    p_ecef = p_eci @ to_ecef.T
    bad = ~np.isfinite(q)
    q, weights = np.where(bad, 0.0, q), np.where(bad, 0.0, weights)
    total = np.maximum(np.sum(weights, axis=1, keepdims=True), 1e-12)
    lat, lon, _ = lla_from_ecef(weights @ p_ecef / total)
    with np.errstate(divide="ignore", invalid="ignore"):
        r_ecef, body_from_ecef = _similarity(q, p_ecef, weights, lat, lon)
    cam = sightings.camera.cam_from_body @ body_from_ecef @ to_ecef
    return r_ecef @ to_ecef, cam, body_from_ecef[:, 0] @ to_ecef
