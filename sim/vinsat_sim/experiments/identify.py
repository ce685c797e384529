"""Reproduction `identify`: which of sixty objects released together is ours?

A deployment is one orbit of the demo's scenario and 60 objects that leave it with 1 m/s
in directions uniform on the sphere; their mean elements are fitted to where that puts
them. At day 1 and day 3 an orbit determination of one of them is drawn: the truth plus an
error from one of our own covariances (claimed by the estimator for simulated passes, in
radial-along-cross axes), scaled to a position RMS over its arc of 0.25 or 1.6 km. The catalogue's
elements carry an error of 1 km (3-D RMS; shape in `groundtools.products.identify`). In a
second set of draws the object is missing from the catalogue.

The errors are drawn from the very distributions the ranking assumes, so the ranking is
Bayes' own: where the object is listed, none can be right more often, on average, than the
mean probability of its first given that. That mean is printed as the bound; and the same figures for a
catalogue ten times better show what the catalogue's error costs.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.propagate import Forces, propagate
from flightsw.astro.time import DAY_S, Epoch
from flightsw.estimate.batch import estimate_orbit
from flightsw.runtime.known_case import known_case
from groundtools.products.ephemeris import Ephemeris
from groundtools.products.fit_elements import fit_elements
from groundtools.products.identify import (
    CATALOG_SHAPE,
    MISSING,
    Verdict,
    catalogue_states,
    element_jacobian,
    polar_axes,
    rank,
)  # fmt: skip
from groundtools.products.mean_elements import MeanElements
from groundtools.registry import Check, Reproduction, Scale, at_least, at_most, noted
from groundtools.statistics import wilson_interval
from vinsat_sim.orbits import draw_orbit

Array = NDArray[np.float64]

OBJECTS = 60
RELEASE_M_S = 1.0
CATALOG_SIGMA_M, BETTER_SIGMA_M = 1000.0, 100.0
OD_RMS_M = (250.0, 1600.0)
DAYS = (1, 3)
DEPLOYMENTS = {"quick": 20, "full": 100}
DRAWS, BETTER_DRAWS = 50, 10  # of each deployment, day and accuracy
FIRST_SEED = 5000
REVOLUTION_S = 5_740.0  # of the known case's orbit
BINS = (0.0, 0.7, 0.9, 0.95, 0.99, 1.0)  # of the reliability


@dataclass(slots=True)
class Tally:
    """Draws of one kind: probability of the first, whether it was right, the verdict."""

    probability: list[float]
    if_listed: list[float]  # the same, given that the object is in the catalogue
    right: list[bool]
    verdict: list[Verdict]


# Passes in revolutions past the first: places of one latitude are met going up or going down,
# 0.3 of a revolution apart, so passes are n or n +- 0.3 revolutions apart.
PASSES = (
    (0.0, 0.7), (0.0, 1.3), (0.0, 2.7), (0.0, 3.3), (0.0, 1.0, 1.3), (0.0, 0.7, 3.7), (0.0, 2.0, 2.3),
    (0.0, 1.3, 3.0),
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """What the estimator claims: covariance (6, 6) at the last sighting, RTN, SI; rms_m : of the
    position over the arc, 1 sigma, 3-D."""

    covariance: Array
    rms_m: float


def own_covariances() -> list[Claim]:
    """Return what the estimator claims for two and three passes of a simulated satellite."""
    found = []
    for number, passes in enumerate(PASSES):
        case = known_case(
            passes_s=tuple(k * REVOLUTION_S for k in passes),
            frames=8, landmarks=25, noise_px=2.0, seed=number,
        )  # fmt: skip
        solution = estimate_orbit(case.observations, case.camera)
        if not solution.status.is_determined:
            continue
        arc = np.linspace(solution.first_used_s, solution.last_used_s, 200)
        states, covariance = solution.predict(arc)
        axes = np.kron(np.eye(2), _rtn(states[-1]))
        rms_m = float(np.sqrt(np.mean(np.trace(covariance[:, :3, :3], axis1=1, axis2=2))))
        found.append(Claim(axes @ covariance[-1] @ axes.T, rms_m))
    return found


def deploy(seed: int) -> tuple[MeanElements, ...]:
    """Return the true mean elements of a deployment, all of one epoch."""
    rng = np.random.default_rng([seed, 1])
    epoch, mother = draw_orbit(rng)
    direction = rng.normal(size=(OBJECTS, 3))
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    t_s = np.arange(0.0, 2.0 * REVOLUTION_S, 60.0)
    carrier = fit_elements(_flown(epoch, mother, t_s), bstar_sigma=0.0).elements
    start = carrier.states(epoch, np.zeros(1))[0]
    sets = []
    for push in RELEASE_M_S * direction:
        pushed = start + np.concatenate([np.zeros(3), push])
        sets.append(fit_elements(_flown(epoch, pushed, t_s), bstar_sigma=0.0).elements)
    return tuple(sets)


def _flown(epoch: Epoch, state: Array, t_s: Array) -> Ephemeris:
    forces = Forces(degree=2, drag=False)
    return Ephemeris(epoch, t_s, propagate(forces, epoch, state, 1.0, t_s).state)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of draw: day, position RMS of the OD, m, catalogue error, m, object missing or not."""

    day: int
    rms_m: float
    catalog_m: float
    missing: bool

    @property
    def label(self) -> str:
        """The kind in a check's name."""
        better = "" if self.catalog_m == CATALOG_SIGMA_M else f", catalogue {self.catalog_m / 1e3:g} km"
        return f"OD {self.rms_m / 1e3:g} km, day {self.day}{better}"


def run(scale: Scale) -> tuple[Check, ...]:
    """Draw, rank and count."""
    claims = own_covariances()
    catalogues = ((CATALOG_SIGMA_M, DRAWS), (BETTER_SIGMA_M, BETTER_DRAWS))
    kinds = [
        (Kind(day, rms_m, catalog_m, missing), draws)
        for catalog_m, draws in catalogues for day in DAYS for rms_m in OD_RMS_M for missing in (False, True)
    ]  # fmt: skip
    tallies = {kind: Tally([], [], [], []) for kind, _ in kinds}
    for seed in seeds(scale):
        sets = deploy(seed)
        rng = np.random.default_rng([seed, 2])
        truths = {day: catalogue_states(sets, sets[0].epoch + day * DAY_S) for day in DAYS}
        maps = {day: _maps(truth) for day, truth in truths.items()}
        for kind, draws in kinds:
            for _ in range(draws):
                _draw(rng, kind, truths[kind.day], maps[kind.day], claims, tallies[kind])
    return tuple(_checks(tallies, len(claims)))


def _maps(truth: Array) -> Array:
    """Return d(state)/d(relative elements) (K, 6, 6) at each state."""
    return np.linalg.inv(np.array([element_jacobian(polar_axes(one), one) for one in truth]))


def _draw(
    rng: np.random.Generator, kind: Kind, truth: Array, maps: Array, claims: list[Claim], tally: Tally
) -> None:
    ours = int(rng.integers(len(truth)))
    claim = claims[int(rng.integers(len(claims)))]
    covariance = claim.covariance * (kind.rms_m / claim.rms_m) ** 2
    axes = np.kron(np.eye(2), _rtn(truth[ours]))
    covariance = axes.T @ covariance @ axes
    state = truth[ours] + _normal(rng, covariance)
    elements = rng.normal(size=maps.shape[:2]) * CATALOG_SHAPE * kind.catalog_m
    listed = truth + np.einsum("kij,kj->ki", maps, elements)
    keep = np.delete(np.arange(len(truth)), ours) if kind.missing else np.arange(len(truth))
    ranking = rank(state, covariance, listed[keep], catalog_sigma=kind.catalog_m)
    first = int(ranking.order[0])
    tally.probability.append(float(ranking.probability[first]))
    tally.if_listed.append(float(ranking.probability[first] / max(1.0 - ranking.missing, 1e-12)))
    tally.right.append(int(keep[first]) == ours)
    tally.verdict.append(ranking.verdict)


def _normal(rng: np.random.Generator, covariance: Array) -> Array:
    scale = np.sqrt(np.diag(covariance))
    root = np.linalg.cholesky(covariance / np.outer(scale, scale) + 1e-12 * np.eye(6))
    return np.asarray(scale * (root @ rng.normal(size=6)))


def _rtn(state: Array) -> Array:
    """Return the rotation (3, 3) from eci to radial, along-track and cross-track."""
    radial = state[:3] / np.linalg.norm(state[:3])
    cross = np.cross(state[:3], state[3:])
    cross /= np.linalg.norm(cross)
    return np.stack([radial, np.cross(cross, radial), cross])


def _checks(tallies: dict[Kind, Tally], shapes: int) -> list[Check]:
    checks = [noted("own covariances", shapes)]
    for kind, tally in tallies.items():
        checks += _of_missing(kind, tally) if kind.missing else _of_listed(kind, tally)
    asked = {kind: tally for kind, tally in tallies.items() if kind.catalog_m == CATALOG_SIGMA_M}
    return [*checks, *_reliability(asked)]


def _of_listed(kind: Kind, tally: Tally) -> list[Check]:
    limits = {(1, 1600.0): (0.90, 0.35), (3, 1600.0): (0.96, 0.15), (1, 250.0): (0.98, None)}
    asked = kind.catalog_m == CATALOG_SIGMA_M
    right, ambiguous = limits.get((kind.day, kind.rms_m), (None, None)) if asked else (None, None)
    n = len(tally.right)
    named = [r for r, v in zip(tally.right, tally.verdict, strict=True) if v is Verdict.IDENTIFIED]
    unsure = sum(verdict is Verdict.AMBIGUOUS for verdict in tally.verdict)
    none = sum(verdict is Verdict.NONE for verdict in tally.verdict)
    checks = [
        _share(f"{kind.label}: first is right", sum(tally.right), n, least=right),
        noted(f"{kind.label}: bound of that, mean probability of the first", float(np.mean(tally.if_listed))),
        _share(f"{kind.label}: called ambiguous", unsure, n, most=ambiguous),
    ]
    least, most = (0.99, 0.02) if asked else (None, None)
    checks.append(_share(f"{kind.label}: right among those named", sum(named), len(named), least=least))
    checks.append(_share(f"{kind.label}: falsely called none of these", none, n, most=most))
    return checks


def _of_missing(kind: Kind, tally: Tally) -> list[Check]:
    n = len(tally.verdict)
    none = sum(verdict is Verdict.NONE for verdict in tally.verdict)
    named = sum(verdict is Verdict.IDENTIFIED for verdict in tally.verdict)
    asked = kind.catalog_m == CATALOG_SIGMA_M
    least = 0.95 if asked and kind.rms_m < 1000.0 else None
    return [
        _share(f"{kind.label}: missing object called none of these", none, n, least=least),
        _share(f"{kind.label}: missing object given a rival's name", named, n, most=0.05 if asked else None),
    ]


def _share(name: str, count: int, n: int, *, least: float | None = None, most: float | None = None) -> Check:
    value, interval = count / n if n else float("nan"), wilson_interval(count, n)
    if least is not None:
        return at_least(name, value, least, interval=interval)
    if most is not None:
        return at_most(name, value, most, interval=interval)
    return noted(name, value, interval=interval)


def _reliability(tallies: dict[Kind, Tally]) -> list[Check]:
    """Return stated probability less the share of right answers, by bins, and the largest of them.

    Draws with a missing object weigh as the ranking's prior says they occur.
    """
    stated = np.concatenate([tally.probability for tally in tallies.values()])
    right = np.concatenate([tally.right for tally in tallies.values()]).astype(float)
    share = [MISSING if kind.missing else 1.0 - MISSING for kind in tallies]
    weight = np.repeat(share, [len(tally.right) for tally in tallies.values()])
    gaps = {}
    for low, high in pairwise(BINS):
        inside = (stated > low) & (stated <= high)
        name = f"stated {low:g} to {high:g}, {int((inside & (weight > 0.5)).sum())} draws: stated less true"
        if inside.sum() >= 50:
            gaps[name] = float(np.average((stated - right)[inside], weights=weight[inside]))
    largest = max(abs(gap) for gap in gaps.values())
    checks = [noted(name, gap) for name, gap in gaps.items()]
    return [*checks, at_most("largest gap of stated probability and truth", largest, 0.05)]


def seeds(scale: Scale) -> tuple[int, ...]:
    """Return one seed for each deployment."""
    return tuple(range(FIRST_SEED, FIRST_SEED + DEPLOYMENTS[scale]))


REPRODUCTION = Reproduction(
    id="identify",
    title="Which of 60 objects released together is ours: right, ambiguous, none of these",
    run=run,
    seeds=seeds,
)
