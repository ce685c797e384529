"""Fit mean elements (OMM, TLE) to a solution, with their error over time.

`vinsat fit-tle runs/demo` fits them to the solution's own propagation over the 72 h to
come, and writes elements.omm, elements.json and elements.tle beside the solution.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from cyclopts import App, Parameter
from numpy.typing import NDArray

from flightsw.errors import EXIT_NOT_DETERMINED, EXIT_OK, InputError, UsageError
from flightsw.estimate.solution import Solution
from flightsw.files import write_together
from groundtools.products import formats, omm, tle
from groundtools.products.ephemeris import Body, from_solution
from groundtools.products.fit_elements import (
    BSTAR_PER_BALLISTIC,
    BSTAR_PRIOR,
    BSTAR_SIGMA,
    error_against,
    fit_elements,
)  # fmt: skip
from groundtools.products.mean_elements import MeanElements

Array = NDArray[np.float64]

HELP = """Fit mean elements (OMM, TLE) to a solution, with their error over time.

For example:

`vinsat fit-tle runs/demo`

`vinsat fit-tle runs/demo --hours 24 --name VINSAT-1 --catalog-id 100042 --out for-the-antenna`

`vinsat fit-tle runs/demo --arc` fits to the observed arc alone (and says what that costs)
"""
app = App(name="fit-tle", help=HELP)

DEFAULT_HOURS = 72.0
STEP_S = 60.0
SHOWN_H = (0.0, 3.0, 6.0, 12.0, 24.0, 48.0, 72.0, 120.0, 168.0)
MOST_HOURS = 720.0
SHORT_ARC_H = 24.0


@dataclass(frozen=True, slots=True)
class Row:
    """At one time past the last observation: error of the elements against the solution's own
    propagation, and 1 sigma of that propagation, km."""

    hours: float
    error_km: float
    sigma_km: float


@app.default
def fit_tle(
    run: Annotated[Path, Parameter(help="A run folder or solution.json.")],
    /,
    *,
    hours: Annotated[float, Parameter(help="Span of use past the last observation.")] = DEFAULT_HOURS,
    arc: Annotated[bool, Parameter(negative="", help="Fit to the observed arc alone instead.")] = False,
    name: Annotated[str, Parameter(help="Name of the object.")] = "",
    catalog_id: Annotated[str, Parameter(help="Catalogue id, any length; TLE holds up to 339999.")] = "",
    designator: Annotated[str, Parameter(help="International designator: 2026-014C.")] = "",
    bstar: Annotated[float | None, Parameter(help="Hold B* at this value.")] = None,
    out: Annotated[Path | None, Parameter(help="Folder; default: that of the solution.")] = None,
    dry_run: Annotated[bool, Parameter(negative="", help="Write nothing.")] = False,
    as_json: Annotated[
        bool, Parameter(name="--json", negative="", help="Print one JSON object on stdout.")
    ] = False,
) -> int:
    """Fit elements to RUN. Exit codes: 0 ok, 2 usage, 3 cannot be read, 4 not determined."""
    if not 1.0 <= hours <= MOST_HOURS:
        raise UsageError(f"--hours: {hours!r} is outside 1..{MOST_HOURS:g}")
    solution = formats.load_solution(run)
    body = Body(name, designator, omm.normal_id(catalog_id))
    elements, rms_m = elements_of(solution, hours=hours, arc=arc, body=body, bstar=bstar)
    rows = error_over_time(solution, elements, hours)
    notes = warnings_of(solution, hours=hours, arc=arc, rows=rows)
    contents = {"elements.omm": omm.write_kvn(elements, created=elements.epoch)}
    contents["elements.json"] = omm.write_json((elements,))
    try:
        contents["elements.tle"] = tle.write_tle(elements)
    except InputError as error:
        notes.append(f"no TLE: {error}")
    if not dry_run:
        folder = out or (run if run.is_dir() else run.parent)
        write_together(folder, contents, stale=("elements.tle",))
        sys.stderr.write(f"{folder}: {', '.join(contents)}\n")
    _print(elements, rms_m, rows, notes, contents, as_json=as_json)
    return EXIT_OK if solution.status.is_determined else EXIT_NOT_DETERMINED


def elements_of(
    solution: Solution, *, hours: float, arc: bool, body: Body, bstar: float | None = None
) -> tuple[MeanElements, float]:
    """Return elements as a TLE can print them where it can, and their RMS over the span, m.

    With `arc` the span is the observed one, else `hours` from the last observation on.
    """
    if arc:
        span = from_solution(solution, solution.first_used_s, solution.last_used_s, STEP_S, body)
    else:
        first = solution.last_used_s
        span = from_solution(solution, first, first + 3600.0 * hours, STEP_S, body)
    ballistic = solution.forces.ballistic_m2_kg * BSTAR_PER_BALLISTIC
    prior = BSTAR_PRIOR if bstar is None else bstar
    sigma = max(BSTAR_SIGMA, 0.5 * ballistic) if bstar is None else 0.0
    fit = fit_elements(span, bstar_prior=prior, bstar_sigma=sigma, body=body)
    return fit.elements, fit.rms_m


def error_over_time(solution: Solution, elements: MeanElements, hours: float) -> list[Row]:
    """Return errors against the solution's own propagation, from the last observation on."""
    first = solution.last_used_s
    wanted = np.array([h for h in SHOWN_H if h <= hours + 1e-9])
    table = from_solution(solution, first, first + 3600.0 * wanted[-1], STEP_S)
    error = error_against(elements, table)
    hours_there = (table.t_s - first) / 3600.0
    rows = []
    for h in wanted[wanted <= hours_there[-1] + 1e-6]:
        near = np.abs(hours_there - h) <= 0.8  # the largest around: errors swing once a revolution
        covariance = solution.predict(np.array([first + 3600.0 * h]))[1][0]
        sigma = float(np.sqrt(np.trace(covariance[:3, :3])))
        rows.append(Row(float(h), float(np.max(error[near])) / 1e3, sigma / 1e3))
    return rows


def warnings_of(solution: Solution, *, hours: float, arc: bool, rows: list[Row]) -> list[str]:
    """Return what deserves attention, in sentences."""
    notes = []
    span_h = (solution.last_used_s - solution.first_used_s) / 3600.0
    if not solution.status.is_determined:
        notes.append(f"not to be relied on: {solution.status.value}")
    if arc and span_h < SHORT_ARC_H:
        notes.append(
            f"fitted to {span_h:.1f} h alone: SGP4 has no tesseral harmonics, so a short arc bends the "
            "elements and the error grows; without --arc they are fitted to the span of use"
        )
    if rows and rows[-1].sigma_km > rows[-1].error_km:
        notes.append(
            f"the orbit itself is the limit: after {rows[-1].hours:g} h its 1 sigma is "
            f"{rows[-1].sigma_km:.1f} km, the elements add {rows[-1].error_km:.1f} km"
        )
    if rows and rows[-1].hours < hours - 1e-6 and rows[-1].hours < SHOWN_H[-1] and hours in SHOWN_H:
        notes.append(f"the orbit ends before the span does ({rows[-1].hours:g} h are shown)")
    return notes


def _print(
    elements: MeanElements, rms_m: float, rows: list[Row], notes: list[str], contents: dict[str, str], *,
    as_json: bool,
) -> None:  # fmt: skip
    if as_json:
        printed: dict[str, Any] = {
            "omm": json.loads(contents["elements.json"])[0],
            "tle": contents.get("elements.tle"),
            "rms_m": rms_m,
            "error": [{"hours": r.hours, "error_km": r.error_km, "sigma_km": r.sigma_km} for r in rows],
            "notes": notes,
        }
        sys.stdout.write(json.dumps(printed) + "\n")
        return
    lines = [contents.get("elements.tle", contents["elements.omm"]).rstrip(), ""]
    lines.append(f"epoch {elements.epoch}, RMS {rms_m:.0f} m over the fitted span, B* {elements.bstar:.2e}")
    lines.append("hours past the last image   elements against the solution   solution's own 1 sigma")
    lines += [f"{r.hours:>8g} h {r.error_km:>28.2f} km {r.sigma_km:>26.2f} km" for r in rows]
    sys.stdout.write("\n".join([*lines, *(f"note: {note}" for note in notes)]) + "\n")
