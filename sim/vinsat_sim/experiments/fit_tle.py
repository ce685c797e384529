"""Reproduction `fit-tle`: how far mean elements follow an orbit, and for how long.

Noise-free. Orbits are drawn from the demo's scenario (half polar at 600 km, half ISS-like
at 420 km, any day of 2025). Two truths: zonal harmonics and NRLMSISE-00 drag alone, by
brahe, which SGP4 is made for; and what our own predictions hold (20x20, Sun, Moon, drag).
Elements fitted to a 6 h and to a 24 h arc are carried on and compared with the truth at
hours past the arc's end; elements fitted to the 72 h of use, within those.
"""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.propagate import Forces, propagate
from flightsw.astro.time import Epoch
from groundtools.products.ephemeris import Ephemeris
from groundtools.products.fit_elements import error_against, fit_elements
from groundtools.registry import Check, Reproduction, Scale, at_most, noted
from groundtools.statistics import median_interval
from vinsat_sim.orbits import draw_orbit
from vinsat_sim.truth import TruthForces, fly_truth

Array = NDArray[np.float64]

STEP_S = 120.0
HOUR_S = 3600.0
ORBITS = {"quick": 20, "full": 100}
FIRST_SEED = 4000
ZONAL = TruthForces(degree=20, order=0, third_body=False)
LIMITS_24_KM = {24: 0.4, 48: 0.9, 72: 1.3}  # past a 24 h arc, zonal truth
ARC_LIMIT_M, LIMIT_6_KM, USE_LIMIT_M, TIME_LIMIT_S = 40.0, 3.0, 800.0, 0.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """One fit: RMS in its span, m; error, km, by hours past its end; how long it took, s."""

    rms_m: float
    past_km: dict[int, float]
    wall_s: float


def truth_of(epoch: Epoch, state: Array, *, hours: float, zonal: bool) -> Ephemeris:
    """Return a true table of states every 120 s."""
    t_s = np.arange(0.0, hours * HOUR_S + 1.0, STEP_S)
    if zonal:
        return Ephemeris(epoch, t_s, fly_truth(epoch, state, t_s, ZONAL).state_eci)
    return Ephemeris(epoch, t_s, propagate(Forces(third_body=True), epoch, state, 1.0, t_s).state)


def fit_part(truth: Ephemeris, hours: float) -> Outcome:
    """Fit the first hours of a truth; the rest is what the fit has not seen."""
    part = truth.t_s <= hours * HOUR_S + 1e-6
    begin = time.perf_counter()
    fit = fit_elements(Ephemeris(truth.epoch, truth.t_s[part], truth.state[part]))
    wall_s = time.perf_counter() - begin
    error = error_against(fit.elements, truth)
    past = {h: round((hours + h) * HOUR_S / STEP_S) for h in (24, 48, 72)}
    return Outcome(fit.rms_m, {h: float(error[k]) / 1e3 for h, k in past.items() if k < len(error)}, wall_s)


def run(scale: Scale) -> tuple[Check, ...]:
    """Measure all fits; the same orbits for both truths."""
    by_kind: dict[str, list[Outcome]] = {}
    for seed in seeds(scale):
        epoch, state = draw_orbit(np.random.default_rng(seed))
        for label, zonal in (("zonal", True), ("full", False)):
            truth = truth_of(epoch, state, hours=96.0, zonal=zonal)
            for hours in (6, 24, 72):
                by_kind.setdefault(f"{label} {hours}", []).append(fit_part(truth, float(hours)))
    return (*_zonal(by_kind), *_full(by_kind), _slowest(by_kind))


def seeds(scale: Scale) -> tuple[int, ...]:
    """Return one seed for each orbit."""
    return tuple(range(FIRST_SEED, FIRST_SEED + ORBITS[scale]))


def _zonal(by_kind: dict[str, list[Outcome]]) -> list[Check]:
    short, day = by_kind["zonal 6"], by_kind["zonal 24"]
    rms = np.array([one.rms_m for one in short])
    checks = [
        _median("zonal, 6 h arc: RMS in the arc, median", rms, ARC_LIMIT_M, "m"),
        noted("zonal, 6 h arc: RMS in the arc, largest, m", float(rms.max())),
        _median("zonal, 6 h arc: error 24 h past it, median", _past(short, 24), LIMIT_6_KM, "km"),
    ]
    for hours, limit in LIMITS_24_KM.items():
        name = f"zonal, 24 h arc: error {hours} h past it, median"
        checks.append(_median(name, _past(day, hours), limit, "km"))
    return checks


def _full(by_kind: dict[str, list[Outcome]]) -> list[Check]:
    rms = np.array([one.rms_m for one in by_kind["full 72"]])
    checks = [
        _median("full forces, fitted to the 72 h of use: RMS there, median", rms, USE_LIMIT_M, "m"),
        noted("full forces, fitted to the 72 h of use: RMS there, largest, m", float(rms.max())),
    ]
    for hours in (6, 24):
        outcomes = by_kind[f"full {hours}"]
        arc = np.array([one.rms_m for one in outcomes])
        checks.append(noted(f"full forces, {hours} h arc: RMS in the arc, median, m", float(np.median(arc))))
        for past in (24, 48, 72):
            error = _past(outcomes, past)
            name = f"full forces, {hours} h arc: error {past} h past it"
            interval = median_interval(error)
            checks.append(noted(f"{name}, median, km", float(np.median(error)), interval=interval))
            checks.append(noted(f"{name}, p90, km", float(np.percentile(error, 90))))
    return checks


def _slowest(by_kind: dict[str, list[Outcome]]) -> Check:
    worst = max(one.wall_s for outcomes in by_kind.values() for one in outcomes)
    return at_most("slowest fit", worst, TIME_LIMIT_S, unit="s")


def _past(outcomes: list[Outcome], hours: int) -> Array:
    return np.array([one.past_km[hours] for one in outcomes if hours in one.past_km])


def _median(name: str, values: Array, limit: float, unit: str) -> Check:
    return at_most(name, float(np.median(values)), limit, unit=unit, interval=median_interval(values))


REPRODUCTION = Reproduction(
    id="fit-tle",
    title="Mean elements fitted to an orbit: error in the span and after it",
    run=run,
    seeds=seeds,
)
