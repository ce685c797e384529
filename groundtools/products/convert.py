"""Turn an orbit into any format: OEM, OPM, OMM, TLE, SP3, STK, CZML, GeoJSON, CSV.

`vinsat convert runs/demo --to czml --out orbit.czml`, `vinsat convert sat.tle --to oem`.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from flightsw.astro.time import Epoch
from flightsw.errors import EXIT_NOT_DETERMINED, EXIT_OK, InputError, UsageError
from flightsw.estimate.solution import Solution
from flightsw.files import write_together
from groundtools.products import formats, omm
from groundtools.products.ephemeris import Body, Ephemeris, from_solution, grid
from groundtools.products.formats import ElementSets

HELP = """Turn an orbit into any format.

For example:

`vinsat convert runs/demo --out orbit.czml`

`vinsat convert runs/demo --to oem --hours 24 --step-s 60 --out tomorrow.oem`

`vinsat convert catalogue.json --to tle --id 25544`
"""
app = App(name="convert", help=HELP)

DEFAULT_HOURS = 24.0
DEFAULT_STEP_S = 10.0


@app.default
def convert(
    source: Annotated[
        Path, Parameter(help="A run folder, solution.json, OEM, OPM, OMM, TLE, SP3 or states as CSV.")
    ],
    /,
    *,
    to: Annotated[str, Parameter(help="The format; without it that of the suffix of --out.")] = "",
    out: Annotated[Path | None, Parameter(help="The file; without it standard output.")] = None,
    start: Annotated[str, Parameter(help="First time, UTC; default: where the data begin.")] = "",
    hours: Annotated[float | None, Parameter(help="Span; default: the data's own, 24 for elements.")] = None,
    step_s: Annotated[float, Parameter(help="Between states, s; tables keep their own.")] = DEFAULT_STEP_S,
    id_: Annotated[str, Parameter(name="--id", help="Take this object of a catalogue.")] = "",
    name: Annotated[str, Parameter(help="Name to write.")] = "",
    catalog_id: Annotated[str, Parameter(help="Catalogue id to write.")] = "",
    designator: Annotated[str, Parameter(help="International designator to write: 2026-014C.")] = "",
) -> int:
    """Convert SOURCE. Exit codes: 0 ok, 2 usage, 3 cannot be read, 4 the orbit is not determined."""
    target = formats.format_of(to, out)
    content = formats.load(source)
    body = Body(name, designator, omm.normal_id(catalog_id))
    comments: tuple[str, ...] = ()
    if isinstance(content, Solution):
        comments = (f"status {content.status.name}: {content.status.value}",)
    try:
        text = _text(content, target, body, _Span(start, hours, step_s), id_, comments)
    except InputError as error:
        if error.file:
            raise
        raise InputError(error.problem, file=source, field=error.field, fix=error.fix) from None
    if out is None:
        sys.stdout.write(text)
    else:
        write_together(out.parent, {out.name: text})
        sys.stderr.write(f"{out}: {target.describes}, {len(text) / 1e3:.1f} kB\n")
    if isinstance(content, Solution) and not content.status.is_determined:
        sys.stderr.write(f"{source}: not to be relied on: {content.status.value}\n")
        return EXIT_NOT_DETERMINED
    return EXIT_OK


class _Span:
    """The asked span: start (UTC text or empty), hours or None, step in s."""

    def __init__(self, start: str, hours: float | None, step_s: float) -> None:
        if hours is not None and not 0.0 <= hours < 1e5:
            raise UsageError(f"--hours: {hours!r} is no span; give a number of hours")
        if not step_s > 0.0:
            raise UsageError(f"--step-s: {step_s!r} is no step; give seconds above zero")
        self.hours, self.step_s = hours, step_s
        try:
            self.start = Epoch.from_utc(start) if start else None
        except ValueError as error:
            raise UsageError(f"--start: {error}") from None


def _text(
    content: formats.Content, target: formats.Format, body: Body, span: _Span, id_: str,
    comments: tuple[str, ...],
) -> str:  # fmt: skip
    if isinstance(content, tuple):
        content = _chosen(content, id_)
        if target.from_elements:
            return target.from_elements(tuple(replace(one, body=_merged(one.body, body)) for one in content))
    if target.from_states is None:
        fix = "`vinsat fit-tle` fits mean elements to an orbit, then convert those"
        raise InputError(f"{target.name} holds mean elements, this is not one", field="--to", fix=fix)
    table = _table(content, span)
    return target.from_states(replace(table, body=_merged(table.body, body)), comments)


def _merged(own: Body, given: Body) -> Body:
    return Body(
        given.name or own.name, given.designator or own.designator, given.catalog_id or own.catalog_id
    )


def _chosen(sets: ElementSets, id_: str) -> ElementSets:
    if not id_:
        return sets
    wanted = omm.normal_id(id_)
    found = tuple(one for one in sets if one.body.catalog_id == wanted)
    if not found:
        raise InputError(f"has no object {id_}", field="--id", fix="look at its NORAD_CAT_IDs")
    return found


def _table(content: formats.Content, span: _Span) -> Ephemeris:
    """Return the table to write: propagated, or cut out of the one there is."""
    if isinstance(content, Ephemeris):
        return _cut(content, span)
    if isinstance(content, Solution):
        first = content.first_used_s if span.start is None else span.start - content.epoch
        last = content.last_used_s if span.hours is None else first + 3600.0 * span.hours
        return from_solution(content, first, max(first, last), span.step_s)
    if len(content) > 1:
        raise InputError(f"holds {len(content)} objects", field="--id", fix="choose one with --id")
    epoch = span.start or content[0].epoch
    hours = DEFAULT_HOURS if span.hours is None else span.hours
    return content[0].ephemeris(epoch, grid(0.0, 3600.0 * hours, span.step_s))


def _cut(table: Ephemeris, span: _Span) -> Ephemeris:
    first = table.t_s[0] if span.start is None else span.start - table.epoch
    last = table.t_s[-1] if span.hours is None else first + 3600.0 * span.hours
    keep = (table.t_s >= first - 1e-6) & (table.t_s <= last + 1e-6)
    if not keep.any():
        raise InputError("has no state in the asked span", field="--start")
    inside = (table.covariance_t_s >= first - 1e-6) & (table.covariance_t_s <= last + 1e-6)
    return Ephemeris(
        table.epoch, table.t_s[keep], table.state[keep], table.covariance_t_s[inside],
        table.covariance[inside], table.body,
    )  # fmt: skip
