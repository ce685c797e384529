"""Orbits drawn from a scenario's families: epoch and state, nothing else."""

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.elements import Elements, state_from_elements
from flightsw.astro.geodesy import WGS84_A
from flightsw.astro.sun import sun_direction_eci
from flightsw.astro.time import DAY_S, Epoch
from vinsat_sim.scenario import Scenario, load_scenario

Array = NDArray[np.float64]


def draw_orbit(rng: np.random.Generator, scenario: Scenario | None = None) -> tuple[Epoch, Array]:
    """Return a start at a whole second and an osculating state (6,), eci, m and m/s."""
    scenario = scenario or load_scenario()
    weights = np.array([family.weight for family in scenario.orbit])
    family = scenario.orbit[int(rng.choice(len(weights), p=weights / weights.sum()))]
    first, last = scenario.days
    seconds = int(rng.integers(((last - first).days + 1) * DAY_S))
    epoch = Epoch.from_utc(f"{first.isoformat()}T00:00:00Z") + float(seconds)
    elements = Elements(
        a=WGS84_A + 1e3 * rng.uniform(*family.altitude_km),
        e=rng.uniform(0.0, family.eccentricity_max),
        inclination=float(np.radians(rng.uniform(*family.inclination_deg))),
        raan=_node(rng, epoch, family.node_local_time_h),
        argument_of_perigee=rng.uniform(0.0, 2.0 * np.pi),
        true_anomaly=rng.uniform(0.0, 2.0 * np.pi),
    )
    return epoch, state_from_elements(elements)


def _node(rng: np.random.Generator, epoch: Epoch, local_time_h: tuple[float, float] | None) -> float:
    """Return the right ascension of the ascending node, rad: anywhere, or at a local solar time.

    The apparent Sun stands in for the mean one: a quarter of an hour at most.
    """
    if local_time_h is None:
        return float(rng.uniform(0.0, 2.0 * np.pi))
    sun = sun_direction_eci(epoch)
    noon = np.arctan2(sun[1], sun[0])
    return float(np.mod(noon + np.radians(15.0 * (rng.uniform(*local_time_h) - 12.0)), 2.0 * np.pi))
