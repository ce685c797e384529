"""A small case whose answer is known: landmarks seen from an orbit that we made up.

The self-test runs it on board; tests run larger ones. It uses this program's own force
model, so it shows that the parts fit together, not that they are right: that is for the
tests against other programs.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.elements import Elements, state_from_elements
from flightsw.astro.forces import Forces
from flightsw.astro.geodesy import WGS84_A, ellipsoid_intersection, lla_from_ecef
from flightsw.astro.propagate import propagate
from flightsw.astro.rotation import ecef_from_eci
from flightsw.astro.time import Epoch
from flightsw.camera.model import Camera
from flightsw.camera.nadir import body_from_ecef_nadir
from flightsw.camera.project import observe, ray_from_pixel
from flightsw.estimate.observations import Observations

Array = NDArray[np.float64]

CAMERA = Camera(width_px=4608, height_px=2592, fx_px=3547.85, fy_px=3547.85, cx_px=2304.0, cy_px=1296.0)
EPOCH = Epoch.from_utc("2026-03-01T12:00:00Z")
ORBIT = Elements(
    a=6_928_137.0, e=0.002, inclination=1.703, raan=0.6, argument_of_perigee=1.0, true_anomaly=0.3
)
TWO_PASSES = (0.0, 6000.0)  # s past EPOCH


@dataclass(frozen=True, slots=True)
class KnownCase:
    """Observations, and the truth: state (F, 6) eci and cam_from_eci (F, 3, 3) of each frame."""

    camera: Camera
    observations: Observations
    state: Array
    cam_from_eci: Array


def known_case(
    *,
    passes_s: tuple[float, ...] = TWO_PASSES,
    frames: int = 6,
    every_s: float = 10.0,
    landmarks: int = 60,
    noise_px: float = 1.0,
    altitude_m: float = 550e3,
    seed: int = 7,
) -> KnownCase:
    """Return a case of nadir pointing over `passes_s` (s past EPOCH), `frames` a pass.

    landmarks : scattered on the ground below each pass; noise_px : 1 sigma per axis.
    """
    rng = np.random.default_rng(seed)
    t_s = np.concatenate([start + every_s * np.arange(frames) for start in passes_s])
    orbit = replace(ORBIT, a=WGS84_A + altitude_m)
    state = propagate(Forces(), EPOCH, state_from_elements(orbit), 1.0, t_s).state
    to_ecef = ecef_from_eci(EPOCH, t_s)
    r_ecef = np.einsum("fij,fj->fi", to_ecef, state[:, :3])
    v_ecef = np.einsum("fij,fj->fi", to_ecef, state[:, 3:])
    cam_from_ecef = CAMERA.cam_from_body @ body_from_ecef_nadir(r_ecef, v_ecef)
    rows = []
    for start in range(len(passes_s)):
        members = range(start * frames, (start + 1) * frames)
        ground = _ground(rng, landmarks, r_ecef[members], cam_from_ecef[members])
        for f in members:
            uv_px = observe(CAMERA, cam_from_ecef[f], r_ecef[f], ground)[0]
            uv_px += noise_px * rng.normal(size=uv_px.shape)
            size = np.array([CAMERA.width_px, CAMERA.height_px])
            rows += [
                (t_s[f], f"{start}-{k:03d}", *ground[k], *uv_px[k])
                for k in np.flatnonzero(((uv_px > 0.0) & (uv_px < size)).all(axis=1))
            ]
    return KnownCase(CAMERA, _observations(rows), state, cam_from_ecef @ to_ecef)


def _ground(rng: np.random.Generator, count: int, r_ecef: Array, cam_from_ecef: Array) -> Array:
    """Return points (count, 3) on the ellipsoid, each in the view of some frame of a pass."""
    frame = rng.integers(0, len(r_ecef), count)
    pixel = rng.uniform(0.0, 1.0, (count, 2)) * [CAMERA.width_px, CAMERA.height_px]
    rays = np.einsum("kji,kj->ki", cam_from_ecef[frame], ray_from_pixel(CAMERA, pixel))
    return ellipsoid_intersection(r_ecef[frame], rays)


def _observations(rows: list[tuple[float, str, float, float, float, float, float]]) -> Observations:
    t_s, names, x, y, z, u, v = (list(column) for column in zip(*rows, strict=True))
    lat, lon, height = lla_from_ecef(np.column_stack([x, y, z]).astype(np.float64))
    return Observations.build(
        epoch=EPOCH,
        t_s=np.array(t_s, dtype=np.float64),
        landmark_id=np.array(names, dtype=np.str_),
        lon_deg=np.degrees(lon),
        lat_deg=np.degrees(lat),
        height_m=height,
        uv_px=np.column_stack([u, v]).astype(np.float64),
        confidence=np.full(len(rows), 0.9),
    )
