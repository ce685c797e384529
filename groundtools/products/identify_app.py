"""Find which object of a catalogue a solution is, with its probability.

`vinsat identify runs/demo catalogue.json` ranks the objects and says "identified",
"ambiguous" or "none of these"; where rivals are left, when they will have drifted apart.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from cyclopts import App, Parameter
from numpy.typing import NDArray

from flightsw.astro.time import DAY_S, Epoch
from flightsw.errors import EXIT_NOT_DETERMINED, EXIT_OK, UsageError
from flightsw.estimate.solution import Solution
from groundtools.products import formats
from groundtools.products.formats import ElementSets
from groundtools.products.identify import (
    CATALOG_SHAPE,
    MISSING,
    Ranking,
    Verdict,
    catalogue_states,
    polar_axes,
    rank,
    relative_elements,
)  # fmt: skip

Array = NDArray[np.float64]

HELP = """Find which object of a catalogue a solution is, with its probability.

For example:

`vinsat identify runs/demo catalogue.json`

`vinsat identify runs/demo deployment.tle --catalog-sigma-km 2 --top 10`

The catalogue is an OMM file (JSON, CSV, XML or KVN) or a TLE file. Its elements should
be of about the solution's day: their error at that day is --catalog-sigma-km.
"""
app = App(name="identify", help=HELP)

HORIZON_DAYS = 14
APART_SIGMA = 6.0  # along the track, in sigmas of a comparison


@dataclass(frozen=True, slots=True)
class Rival:
    """One object that may be ours: its place in the catalogue, and when it can be told from the first.

    apart_days : from now until the two are APART_SIGMA of a comparison apart along the
    track; None where they already are, or will not be within HORIZON_DAYS.
    """

    index: int
    apart_days: int | None


@app.default
def identify(
    run: Annotated[Path, Parameter(help="A run folder or solution.json.")],
    catalogue: Annotated[Path, Parameter(help="OMM or TLE file with the objects it may be.")],
    /,
    *,
    catalog_sigma_km: Annotated[
        float, Parameter(help="Position error of the catalogue, 3-D, 1 sigma.")
    ] = 1.0,
    missing: Annotated[float, Parameter(help="Prior probability of not being listed.")] = MISSING,
    top: Annotated[int, Parameter(help="Objects shown.")] = 5,
    as_json: Annotated[
        bool, Parameter(name="--json", negative="", help="Print one JSON object on stdout.")
    ] = False,
) -> int:
    """Rank the objects of CATALOGUE for RUN.

    Exit codes: 0 identified, 2 usage, 3 cannot be read, 4 ambiguous, none of these, or
    the orbit is not determined.
    """
    if not 0.0 < catalog_sigma_km < 1e4 or not 0.0 < missing < 1.0:
        raise UsageError("--catalog-sigma-km must be above 0 km, --missing between 0 and 1")
    solution = formats.load_solution(run)
    sets = formats.load_elements(catalogue)
    ranking = ranked(solution, sets, catalog_sigma_km, missing)
    rivals = rivals_of(solution, sets, ranking, catalog_sigma_km, top)
    lines = _table(solution, sets, ranking, rivals)
    sys.stdout.write((json.dumps(_as_json(solution, sets, ranking, rivals)) if as_json else lines) + "\n")
    good = ranking.verdict is Verdict.IDENTIFIED and solution.status.is_determined
    return EXIT_OK if good else EXIT_NOT_DETERMINED


def identification(
    solution: Solution, sets: ElementSets, *, catalog_sigma_km: float = 1.0, missing: float = MISSING,
    top: int = 5,
) -> str:  # fmt: skip
    """Return what `--json` prints, as one line of JSON."""
    ranking = ranked(solution, sets, catalog_sigma_km, missing)
    rivals = rivals_of(solution, sets, ranking, catalog_sigma_km, top)
    return json.dumps(_as_json(solution, sets, ranking, rivals))


def ranked(solution: Solution, sets: ElementSets, catalog_sigma_km: float, missing: float) -> Ranking:
    """Return the ranking at the solution's last observation."""
    state, covariance = solution.predict(np.array([solution.last_used_s]))
    candidates = catalogue_states(sets, _when(solution))
    return rank(state[0], covariance[0], candidates, catalog_sigma=1e3 * catalog_sigma_km, missing=missing)


def rivals_of(
    solution: Solution, sets: ElementSets, ranking: Ranking, catalog_sigma_km: float, top: int
) -> list[Rival]:
    """Return the objects shown, most probable first, with the day that tells each from the first."""
    shown = [int(k) for k in ranking.order[: max(top, 1)] if np.isfinite(ranking.relative[k]).all()]
    if not shown:
        return []
    own = solution.position_sigma / 1e3
    needed_km = APART_SIGMA * float(np.hypot(own, CATALOG_SHAPE[1] * catalog_sigma_km))
    along_km = np.array(
        [_along_km(sets, shown, _when(solution) + d * DAY_S) for d in range(HORIZON_DAYS + 1)]
    )
    rivals = []
    for place, index in enumerate(shown):
        apart = np.abs(along_km[:, place]) > needed_km
        days = int(np.argmax(apart)) if place and apart.any() and not apart[0] else None
        rivals.append(Rival(index, days))
    return rivals


def _along_km(sets: ElementSets, shown: list[int], epoch: Epoch) -> Array:
    """Return the distance (len(shown),) along the track from the first of those shown, km."""
    states = catalogue_states(tuple(sets[k] for k in shown), epoch)
    if not np.isfinite(states[0]).all():
        return np.full(len(shown), np.nan)
    return relative_elements(polar_axes(states[0]), states[0], states)[:, 1] / 1e3


def _when(solution: Solution) -> Epoch:
    return solution.epoch + solution.last_used_s


def _as_json(solution: Solution, sets: ElementSets, ranking: Ranking, rivals: list[Rival]) -> dict[str, Any]:
    objects = [
        {
            "name": sets[rival.index].body.name,
            "catalog_id": sets[rival.index].body.catalog_id,
            "designator": sets[rival.index].body.designator,
            "probability": float(ranking.probability[rival.index]),
            "sigmas": float(np.sqrt(ranking.distance2[rival.index])),
            "along_km": float(ranking.relative[rival.index, 1] / 1e3),
            "apart_days": rival.apart_days,
        }
        for rival in rivals
    ]
    return {
        "verdict": ranking.verdict.name,
        "reason": ranking.verdict.value,
        "missing_probability": ranking.missing,
        "time_utc": _when(solution).utc_iso(),
        "compared": len(sets),
        "objects": objects,
        "status": solution.status.name,
    }


def _table(solution: Solution, sets: ElementSets, ranking: Ranking, rivals: list[Rival]) -> str:
    lines = [f"{ranking.verdict.name}: {ranking.verdict.value}"]
    lines.append(f"{len(sets)} objects compared at {_when(solution)}; not listed: {ranking.missing:.1%}")
    lines.append(f"{'object':<34}{'probability':>12}{'sigmas':>9}{'along track':>14}   told from the first")
    for rival in rivals:
        body = sets[rival.index].body
        name = f"{body.catalog_id or '-'} {body.name}"[:33]
        sigmas = float(np.sqrt(ranking.distance2[rival.index]))
        along = ranking.relative[rival.index, 1] / 1e3
        when = "" if rival.apart_days is None else f"   in {rival.apart_days} days"
        lines.append(
            f"{name:<34}{ranking.probability[rival.index]:>12.1%}{sigmas:>9.1f}{along:>11.1f} km{when}"
        )
    if not solution.status.is_determined:
        lines.append(f"note: the orbit is not to be relied on: {solution.status.value}")
    return "\n".join(lines)
