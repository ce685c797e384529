"""What a campaign at measurement level draws from: orbits, dates, landmarks, weather."""

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.elements import Elements
from flightsw.astro.geodesy import WGS84_A, ecef_from_lla
from flightsw.astro.time import DAY_S, Epoch
from flightsw.camera.model import Camera
from groundtools.landmarks.regions import REGIONS
from vinsat_sim.scenario import OrbitFamily

Array = NDArray[np.float64]

# The camera and the orbits of the reference system.
CAMERA = Camera(width_px=4608, height_px=2592, fx_px=3547.85, fy_px=3547.85, cx_px=2304.0, cy_px=1296.0)
ORBITS = (
    OrbitFamily("polar", 0.5, (550.0, 650.0), 0.01, (84.3, 95.7)),
    OrbitFamily("ISS-like", 0.5, (370.0, 470.0), 0.01, (45.8, 57.2)),
)
ORBIT_STREAM, SKY_STREAM, ATTITUDE_STREAM, DETECTOR_STREAM, GYRO_STREAM = 1, 2, 3, 4, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """One satellite as a distribution.

    duration_s, cadence_s : of the arc and between images; landmarks_per_region :
    uniform on each of the 16 regions' area; sun_elevation_min_deg : at the landmark, None
    without night; cloudy : a share of the landmarks drawn from Beta(0.7, 0.9) is hidden
    for a whole pass; kept : share of the visible landmarks that the detector reports.
    """

    orbits: tuple[OrbitFamily, ...] = ORBITS
    duration_s: float = 21_600.0
    cadence_s: float = 10.0
    first_day: str = "2025-01-01"
    last_day: str = "2025-12-31"
    landmarks_per_region: int = 500
    sun_elevation_min_deg: float | None = 10.0
    cloudy: bool = True
    kept: float = 0.65


ALL_VISIBLE = Conditions(sun_elevation_min_deg=None, cloudy=False, kept=1.0)


def draw_orbit(seed: int, conditions: Conditions) -> tuple[Epoch, Elements]:
    """Return the start, a whole second, and the osculating elements of a seed."""
    rng = np.random.default_rng([seed, ORBIT_STREAM])
    weights = np.array([family.weight for family in conditions.orbits])
    family = conditions.orbits[rng.choice(len(weights), p=weights / weights.sum())]
    first, last = (date.fromisoformat(day) for day in (conditions.first_day, conditions.last_day))
    start = int(rng.integers(((last - first).days + 1) * int(DAY_S)))
    elements = Elements(
        a=WGS84_A + 1e3 * rng.uniform(*family.altitude_km),
        e=rng.uniform(0.0, family.eccentricity_max),
        inclination=float(np.radians(rng.uniform(*family.inclination_deg))),
        raan=rng.uniform(0.0, 2.0 * np.pi),
        argument_of_perigee=rng.uniform(0.0, 2.0 * np.pi),
        true_anomaly=rng.uniform(0.0, 2.0 * np.pi),
    )
    return Epoch.from_utc(f"{first.isoformat()}T00:00:00Z") + float(start), elements


@dataclass(frozen=True, slots=True)
class Landmarks:
    """L landmarks: lon_deg, lat_deg (L,), on the ellipsoid; p_ecef (L, 3), m."""

    lon_deg: Array
    lat_deg: Array
    p_ecef: Array

    def first_of_each(self, share: float) -> "Landmarks":
        """Return the first `share` of every region's landmarks: subsets are nested."""
        per_region = len(self.lon_deg) // len(REGIONS)
        keep = np.arange(len(self.lon_deg)) % per_region < round(share * per_region)
        return Landmarks(self.lon_deg[keep], self.lat_deg[keep], self.p_ecef[keep])


def draw_landmarks(per_region: int, seed: int = 0) -> Landmarks:
    """Return landmarks uniform on the area of each of the 16 regions."""
    rng = np.random.default_rng(seed)
    lon, lat = [], []
    for region in REGIONS:
        west, south, east, north = region.bounds_deg
        lon.append(rng.uniform(west, east, per_region))
        low, high = np.sin(np.radians([south, north]))
        lat.append(np.degrees(np.arcsin(rng.uniform(low, high, per_region))))
    lon_deg, lat_deg = np.concatenate(lon), np.concatenate(lat)
    return Landmarks(lon_deg, lat_deg, ecef_from_lla(np.radians(lat_deg), np.radians(lon_deg)))
