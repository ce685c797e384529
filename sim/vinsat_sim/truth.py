"""Where the satellite truly is: brahe, an author apart from the flight program.

Gravity EGM2008 50x50, NRLMSISE-00 drag with brahe's own space weather, Sun and Moon
(low-precision positions, no download), brahe's own frames (IAU 2006/2000A). The flight
program models 20x20 and another atmosphere, so the simulation holds what it cannot know.
"""

from dataclasses import dataclass

import brahe
import numpy as np
from numpy.typing import NDArray

from flightsw.astro.time import DAY_S, NS, Epoch

Array = NDArray[np.float64]

DEGREE = 50  # of the gravity field
MASS_KG, AREA_M2, DRAG_COEFFICIENT = 1.3, 0.01, 2.2  # the reference 3U CubeSat
ABSOLUTE_TOLERANCE, RELATIVE_TOLERANCE = 1e-6, 1e-11  # of a step; dense output is good to 1 cm


@dataclass(frozen=True, slots=True)
class Truth:
    """A true arc at N instants.

    epoch, t_s (N,) : start and seconds past it; state_eci (N, 6) m, m/s (GCRF);
    ecef_from_eci (N, 3, 3), brahe's own; sun_ecef (N, 3) unit vectors to the Sun.
    """

    epoch: Epoch
    t_s: Array
    state_eci: Array
    ecef_from_eci: Array
    sun_ecef: Array

    @property
    def r_ecef(self) -> Array:
        """Positions (N, 3), Earth-fixed, m."""
        return np.einsum("nij,nj->ni", self.ecef_from_eci, self.state_eci[:, :3])

    @property
    def v_inertial_ecef(self) -> Array:
        """Inertial velocities in ecef axes (N, 3), m/s: what the nadir frame takes."""
        return np.einsum("nij,nj->ni", self.ecef_from_eci, self.state_eci[:, 3:])

    @property
    def state_ecef(self) -> Array:
        """States (N, 6) relative to the rotating Earth, m and m/s."""
        omega = np.array([0.0, 0.0, brahe.OMEGA_EARTH])
        r_ecef = self.r_ecef
        return np.hstack([r_ecef, self.v_inertial_ecef - np.cross(omega, r_ecef)])


@dataclass(frozen=True, slots=True)
class TruthForces:
    """What acts on the satellite: gravity degree and order (None: the same), its body, and the switches."""

    degree: int = DEGREE
    order: int | None = None
    mass_kg: float = MASS_KG
    area_m2: float = AREA_M2
    drag_coefficient: float = DRAG_COEFFICIENT
    drag: bool = True
    third_body: bool = True


def fly_truth(epoch: Epoch, state_eci: Array, t_s: Array, forces: TruthForces | None = None) -> Truth:
    """Return the true arc from a state (6,) at `epoch`, m and m/s, at sorted t_s (N,) >= 0.

    6 h take about 2 s. Raises ValueError for instants before the epoch.
    """
    t_s = np.asarray(t_s, dtype=float)
    if len(t_s) == 0 or t_s[0] < 0.0 or (np.diff(t_s) < 0.0).any():
        raise ValueError("t_s must be sorted, not empty, and not before the epoch")
    _prepare()
    start = brahe_epoch(epoch)
    numbers = (
        brahe.NumericalPropagationConfig.default()
        .with_abs_tol(ABSOLUTE_TOLERANCE)
        .with_rel_tol(RELATIVE_TOLERANCE)
    )
    orbit = brahe.NumericalOrbitPropagator(
        start, np.asarray(state_eci, float), numbers, _config(forces or TruthForces())
    )
    orbit.propagate_to(start + (float(t_s[-1]) + 1.0))
    instants = [start + float(t) for t in t_s]
    rotation = np.array(brahe.rotation_gcrf_to_itrf(instants)).reshape(-1, 3, 3)
    sun = np.array([brahe.sun_position(instant) for instant in instants])
    sun_ecef = np.einsum("nij,nj->ni", rotation, sun)
    return Truth(
        epoch=epoch,
        t_s=t_s,
        state_eci=np.array(orbit.states_gcrf(instants)),
        ecef_from_eci=rotation,
        sun_ecef=sun_ecef / np.linalg.norm(sun_ecef, axis=1, keepdims=True),
    )


def brahe_epoch(epoch: Epoch) -> "brahe.Epoch":
    """Return brahe's epoch of the same instant, exact to a nanosecond."""
    seconds, ns = divmod(epoch.tai_ns, NS)
    days, second = divmod(seconds, DAY_S)
    noon = brahe.Epoch.from_date(2000, 1, 1, brahe.TimeSystem.TAI) + DAY_S / 2.0
    return noon + float(days * DAY_S) + float(second) + ns / NS


def _prepare() -> None:
    """Give brahe the tables that come with it; it would download newer ones."""
    brahe.set_global_eop_provider(brahe.FileEOPProvider.from_default_standard(True, "Hold"))
    brahe.set_global_space_weather_provider(brahe.FileSpaceWeatherProvider.from_default_file())


def _config(forces: TruthForces) -> "brahe.ForceModelConfig":
    value = brahe.ParameterSource.value
    order = forces.degree if forces.order is None else forces.order
    drag = brahe.DragConfiguration(
        model=brahe.AtmosphericModel.NRLMSISE00,
        area=value(forces.area_m2),
        cd=value(forces.drag_coefficient),
    )
    bodies = [
        brahe.ThirdBodyConfiguration(body, brahe.EphemerisSource.LowPrecision)
        for body in (brahe.ThirdBody.SUN, brahe.ThirdBody.MOON)
    ]
    return brahe.ForceModelConfig(
        gravity=brahe.GravityConfiguration(degree=forces.degree, order=order),
        drag=drag if forces.drag else None,
        mass=value(forces.mass_kg),
        third_body=bodies if forces.third_body else None,
    )
