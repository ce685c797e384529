"""What a seed decides: the date, the orbit, the pointing offset, the clouds.

Orbits are drawn until one makes enough passes in daylight over places with a detector
(the scenario's `PassRule`); the number of draws is reported. Clouds are drawn after
that and not looked at: a pass under a closed cover counts like any other.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.elements import Elements, state_from_elements
from flightsw.astro.geodesy import WGS84_A
from flightsw.astro.time import Epoch
from flightsw.camera.model import Camera
from flightsw.camera.project import observe, over_horizon
from flightsw.errors import InputError
from vinsat_sim.attitude import draw_offset
from vinsat_sim.demo.arc import Arc, quick_arc, true_arc
from vinsat_sim.scenario import OrbitFamily, PassRule, Scenario

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

MAX_DRAWS = 1000
NEAR_M = 1.2e6  # a landmark further than this from the sub-satellite point is out of view
ORBIT_STREAM, POINTING_STREAM, WEATHER_STREAM = 1, 2, 3  # independent random streams of one seed


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """What a seed gave.

    elements : osculating, at the arc's start; offset_rad (3,) : the constant pointing
    offset, a rotation vector in body axes; passes : daylit ones over places with a
    detector; draws : orbits drawn, this one included.
    """

    seed: int
    draws: int
    family: str
    elements: Elements
    offset_rad: Array
    cloud_cover: float
    cloud_seed: int
    passes: int
    arc: Arc

    @property
    def orbit_in_words(self) -> str:
        """The orbit for a reader."""
        altitude_km = (self.elements.a - WGS84_A) / 1e3
        inclination_deg = np.degrees(self.elements.inclination)
        article = "an" if self.family[0] in "AEIOU" else "a"
        kind = f"{article} {self.family} orbit"
        return f"{kind} at {altitude_km:.0f} km, inclined {inclination_deg:.1f} degrees"


def draw(seed: int, scenario: Scenario, camera: Camera, landmarks: dict[str, Array]) -> Draw:
    """Draw until an arc passes often enough; landmarks : p_ecef (K, 3), m, by region.

    InputError where no draw of many does.
    """
    rng = np.random.default_rng([seed, ORBIT_STREAM])
    pointing = np.random.default_rng([seed, POINTING_STREAM])
    offset_rad = draw_offset(pointing, max_deg=scenario.pointing_offset_max_deg)
    weather = np.random.default_rng([seed, WEATHER_STREAM])
    for count in range(1, MAX_DRAWS + 1):
        family = _family(rng, scenario.orbit)
        epoch, elements = _epoch(rng, scenario), _elements(rng, family)
        state = state_from_elements(elements)
        if _passes(quick_arc(epoch, state, scenario), camera, landmarks, scenario) is None:
            continue
        arc = true_arc(epoch, state, scenario)
        passes = _passes(arc, camera, landmarks, scenario)
        if passes is not None:
            return Draw(
                seed=seed,
                draws=count,
                family=family.name,
                elements=elements,
                offset_rad=offset_rad,
                cloud_cover=float(weather.uniform(*scenario.cloud_cover)),
                cloud_seed=int(weather.integers(2**31)),
                passes=passes,
                arc=arc,
            )
    wanted = f"{scenario.passes.required} daylit passes over places with a detector"
    fix = "ask for fewer, or take models with more detectors"
    raise InputError(f"none of {MAX_DRAWS} orbits makes {wanted}", file="scenario", fix=fix)


def _passes(arc: Arc, camera: Camera, landmarks: dict[str, Array], scenario: Scenario) -> int | None:
    """Return the number of passes, None where they are fewer than the scenario asks for."""
    count = daylit_passes(arc, camera, landmarks, scenario.passes)
    return count if count >= scenario.passes.required else None


def daylit_passes(arc: Arc, camera: Camera, landmarks: dict[str, Array], rule: PassRule) -> int:
    """Return the number of passes that satisfy the rule, pointing exactly to the nadir."""
    frames = np.flatnonzero(arc.sun_elevation > np.radians(rule.sun_elevation_min_deg))
    seen = [index for index in frames if _sees(arc, index, camera, landmarks, rule.landmarks)]
    if not seen:
        return 0
    breaks = np.flatnonzero(np.diff(arc.t_s[seen]) > rule.gap_min * 60.0) + 1
    return sum(len(group) >= rule.frames for group in np.split(np.array(seen), breaks))


def _sees(arc: Arc, index: int, camera: Camera, landmarks: dict[str, Array], least: int) -> bool:
    """Tell whether a frame shows at least `least` landmarks of one region."""
    r_ecef = arc.r_ecef[index]
    below = r_ecef * (WGS84_A / np.linalg.norm(r_ecef))
    for p_ecef in landmarks.values():
        near = p_ecef[np.linalg.norm(p_ecef - below, axis=1) < NEAR_M]
        if len(near) < least:
            continue
        uv_px = observe(camera, arc.nadir_cam_from_ecef(camera, index), r_ecef, near)[0]
        inside = ((uv_px > 0.0) & (uv_px < [camera.width_px, camera.height_px])).all(axis=1)
        if np.count_nonzero(inside & ~over_horizon(r_ecef, near)) >= least:
            return True
    return False


def _family(rng: np.random.Generator, families: tuple[OrbitFamily, ...]) -> OrbitFamily:
    weights = np.array([family.weight for family in families])
    return families[rng.choice(len(families), p=weights / weights.sum())]


def _epoch(rng: np.random.Generator, scenario: Scenario) -> Epoch:
    """Return a start at a whole second, uniform over the scenario's days."""
    first, last = scenario.days
    seconds = int(rng.integers(((last - first).days + 1) * 86_400))
    return Epoch.from_utc(f"{first.isoformat()}T00:00:00Z") + float(seconds)


def _elements(rng: np.random.Generator, family: OrbitFamily) -> Elements:
    return Elements(
        a=WGS84_A + 1e3 * rng.uniform(*family.altitude_km),
        e=rng.uniform(0.0, family.eccentricity_max),
        inclination=float(np.radians(rng.uniform(*family.inclination_deg))),
        raan=rng.uniform(0.0, 2.0 * np.pi),
        argument_of_perigee=rng.uniform(0.0, 2.0 * np.pi),
        true_anomaly=rng.uniform(0.0, 2.0 * np.pi),
    )
