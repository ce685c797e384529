"""Mean elements by least squares over SGP4, fitted to a table of states.

Unknown are equinoctial-type variables, which have no singularity for circular or
equatorial orbits, and B*:
    n, h = e sin(w + O), k = e cos(w + O), p = tan(i/2) sin O, q = tan(i/2) cos O,
    L = M + w + O
(for orbits beyond 135 degrees of inclination with cot(i/2) and -O in place). Residuals are
TEME positions over the span. SGP4 lacks the tesseral harmonics, so they are not noise:
their sum counts as EFFECTIVE_PER_REV independent samples a revolution against the prior
of B*. The fit grows from two hours to the whole span, so that no revolution is lost.
Source of the variables: Broucke and Cefola, Celestial Mechanics 5 (1972).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from flightsw.astro.drag import CUBESAT_BALLISTIC
from flightsw.astro.elements import elements_from_state
from flightsw.errors import InputError
from groundtools.products.ephemeris import Body, Ephemeris
from groundtools.products.frames import rotated, teme_from_eci
from groundtools.products.mean_elements import REV_PER_DAY, MeanElements, teme_states
from groundtools.products.tle import rounded_epoch

Array = NDArray[np.float64]

BSTAR_PER_BALLISTIC = 1.0 / 12.741_621  # B* of 1 m^2/kg, by SGP4's own density at 120 km
BSTAR_PRIOR = CUBESAT_BALLISTIC * BSTAR_PER_BALLISTIC * 0.3  # between solar minimum and maximum
BSTAR_SIGMA = 1e-3
MODEL_KM = 0.3  # what SGP4 is off by, typically
EFFECTIVE_PER_REV = 4.0
REV_S = 5_700.0
STAGES_S = (7_200.0, 43_200.0)
RETROGRADE_DEG = 135.0
SCALE = np.array([1e-6, 1e-4, 1e-4, 1e-4, 1e-4, 1e-4, 1e-4])  # of the unknowns: about 1 to 5 km each
STEP = 1e-2  # of the derivative, in SCALE
GM_WGS72_KM = 398_600.8
MAX_SAMPLES = 3_000


@dataclass(frozen=True, slots=True, eq=False)
class ElementFit:
    """elements; rms_m : 3-D over the fitted samples; error_m (N,) at t_s (N,) past their epoch."""

    elements: MeanElements
    rms_m: float
    t_s: Array
    error_m: Array


def fit_elements(
    target: Ephemeris,
    *,
    bstar_prior: float = BSTAR_PRIOR,
    bstar_sigma: float = BSTAR_SIGMA,
    body: Body | None = None,
) -> ElementFit:
    """Return the mean elements that follow a table of states best; epoch at its first state.

    The epoch is one a TLE can print. bstar_sigma : 1 sigma of the prior; 0 holds B*.
    Raises InputError for less than a quarter of a revolution or fewer than eight states.
    """
    if len(target.t_s) < 8 or target.t_s[-1] - target.t_s[0] < 0.25 * REV_S:
        raise InputError("is too short for mean elements", fix="give a quarter of a revolution or more")
    thin = np.unique(np.linspace(0, len(target.t_s) - 1, min(len(target.t_s), MAX_SAMPLES)).astype(int))
    epoch = rounded_epoch(target.epoch + float(target.t_s[0]))
    since_s = target.t_s[thin] + (target.epoch - epoch)
    teme = rotated(teme_from_eci(target.epoch, target.t_s[thin]), target.state[thin])
    osculating = elements_from_state(teme[0] * 1e-3, gm=GM_WGS72_KM)
    start = MeanElements(
        epoch=epoch,
        mean_motion_rev_day=float(np.sqrt(GM_WGS72_KM / osculating.a**3) * 60.0 * REV_PER_DAY),
        eccentricity=osculating.e,
        inclination_deg=float(np.degrees(osculating.inclination)),
        raan_deg=float(np.degrees(osculating.raan)),
        argument_of_perigee_deg=float(np.degrees(osculating.argument_of_perigee)),
        mean_anomaly_deg=float(np.degrees(osculating.mean_anomaly)),
        bstar=bstar_prior,
        body=body or target.body,
    )
    spans = [span for span in STAGES_S if span < since_s[-1]]
    elements = start
    for span in (*spans, float(since_s[-1]) + 1.0):
        part = since_s <= span
        elements = _fitted(elements, since_s[part], teme[part, :3], bstar_prior, bstar_sigma)
    error = np.linalg.norm(teme_states(elements.satrec(), since_s)[:, :3] - teme[:, :3], axis=1)
    if not np.isfinite(error).all():
        raise InputError("is followed by no SGP4 orbit over its whole span", fix="give a shorter span")
    return ElementFit(elements, float(np.sqrt(np.mean(error**2))), since_s, error)


def error_against(elements: MeanElements, reference: Ephemeris) -> Array:
    """Return the 3-D position error (N,), m, at the times of a reference; NaN where SGP4 gives up."""
    states = elements.states(reference.epoch, reference.t_s)
    return np.asarray(np.linalg.norm(states[:, :3] - reference.state[:, :3], axis=1))


def _fitted(
    start: MeanElements, since_s: Array, target: Array, bstar_prior: float, bstar_sigma: float
) -> MeanElements:
    """Return the elements fitted to TEME positions (N, 3), m, at since_s (N,) past their epoch."""
    sign = -1.0 if start.inclination_deg > RETROGRADE_DEG else 1.0
    free = 7 if bstar_sigma > 0.0 else 6
    x0 = _unknowns(start, sign)
    effective = max(EFFECTIVE_PER_REV * float(since_s[-1] - since_s[0]) / REV_S, 1.0)
    weight = np.sqrt(effective / len(since_s)) / (MODEL_KM * 1e3)

    def residual(dx: Array) -> Array:
        x = x0.copy()
        x[:free] += dx * SCALE[:free]
        try:
            states = teme_states(_elements(x, start, sign).satrec(), since_s)
        except InputError:  # a trial step out of range
            states = np.full((len(since_s), 6), np.nan)
        off = np.nan_to_num((states[:, :3] - target) * weight, nan=1e6, posinf=1e6, neginf=1e6).ravel()
        return np.append(off, (x[6] - bstar_prior) / bstar_sigma) if free == 7 else off

    def slope(dx: Array) -> Array:
        middle = residual(dx)
        return np.stack([(residual(dx + STEP * unit) - middle) / STEP for unit in np.eye(free)], axis=1)

    solved = least_squares(residual, np.zeros(free), slope, method="lm", max_nfev=100)
    x = x0.copy()
    x[:free] += solved.x * SCALE[:free]
    return _elements(x, start, sign)


def _unknowns(e: MeanElements, sign: float) -> Array:
    """Return n (rad/min), h, k, p, q, L, B*."""
    node = np.radians(e.raan_deg)
    perigee = np.radians(e.argument_of_perigee_deg) + sign * node
    half = np.tan(0.5 * np.radians(e.inclination_deg)) ** sign
    return np.array(
        [
            e.mean_motion_rev_day / REV_PER_DAY,
            e.eccentricity * np.sin(perigee),
            e.eccentricity * np.cos(perigee),
            half * np.sin(node),
            half * np.cos(node),
            np.radians(e.mean_anomaly_deg) + perigee,
            e.bstar,
        ]
    )


def _elements(x: Array, like: MeanElements, sign: float) -> MeanElements:
    """Return the elements of unknowns (7,), with the epoch and names of `like`."""
    n, h, k, p, q, longitude, bstar = (float(value) for value in x)
    perigee, node = np.arctan2(h, k), np.arctan2(p, q)
    half = np.arctan(np.hypot(p, q))
    return replace(
        like,
        mean_motion_rev_day=n * REV_PER_DAY,
        eccentricity=float(np.hypot(h, k)),
        inclination_deg=float(np.degrees(2.0 * half if sign > 0.0 else np.pi - 2.0 * half)),
        raan_deg=float(np.degrees(node) % 360.0),
        argument_of_perigee_deg=float(np.degrees(perigee - sign * node) % 360.0),
        mean_anomaly_deg=float(np.degrees(longitude - perigee) % 360.0),
        bstar=bstar,
    )
