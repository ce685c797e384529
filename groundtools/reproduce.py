"""Measure a claim again: `vinsat reproduce list`, `vinsat reproduce ID`.

Each entry prints one JSON object (with --json) or a small table; it exits 0 when every
check passed and 3 when one did not.
"""

import json
from importlib.metadata import EntryPoint
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from flightsw.errors import EXIT_INPUT, EXIT_OK, UsageError
from groundtools import registry
from groundtools.registry import Report, Reproduction

HELP = """Measure a claim again, or list what can be measured.

For example:

`vinsat reproduce list`

`vinsat reproduce fit-tle --json`

`vinsat reproduce grace-a --scale full`
"""
app = App(name="reproduce", help=HELP)


@app.default
def reproduce(
    entry_id: Annotated[str, Parameter(name="ID", help="An entry of `reproduce list`, or `list`.")],
    /,
    *,
    scale: Annotated[
        Literal["quick", "full"],
        Parameter(help="quick: within 5 minutes on 2 cores; full: may take hours, and resumes."),
    ] = "quick",
    as_json: Annotated[
        bool, Parameter(name="--json", negative="", help="Print one JSON object on stdout.")
    ] = False,
) -> int:
    """Run the reproduction ID, or `list` what there is."""
    entries = registry.registered(registry.REPRODUCTIONS)
    if entry_id == "list":
        show_list(registry.REPRODUCTIONS, as_json=as_json)
        return EXIT_OK
    entry: Reproduction = load(entries, entry_id, "reproduce")
    report = entry.report(scale)
    show(report, entry.title, as_json=as_json)
    return EXIT_OK if report.passed else EXIT_INPUT


def load(entries: dict[str, EntryPoint], entry_id: str, command: str) -> Any:
    """Import and return the registered object; UsageError names what there is."""
    if entry_id not in entries:
        known = ", ".join(entries) or "none yet"
        raise UsageError(f"{command}: unknown id {entry_id!r}; there are: {known}")
    return entries[entry_id].load()


def show_list(group: str, *, as_json: bool) -> None:
    """Print the entries of a group: one JSON object, or a line each."""
    entries = registry.registered(group)
    if as_json:
        listed = [{"id": name, "title": entry.load().title} for name, entry in entries.items()]
        _out(json.dumps({"entries": listed}))
        return
    for name, entry in entries.items():
        _out(f"{name:<16} {entry.load().title}")


def show(report: Report, title: str, *, as_json: bool) -> None:
    """Print a report: exactly one JSON object, or a line per check."""
    if as_json:
        _out(json.dumps(report.as_json()))
        return
    _out(f"{report.id}: {title}")
    for check in report.checks:
        mark = "    " if check.threshold is None else ("ok  " if check.passed else "MISS")
        interval = "" if check.low is None else f"  [{check.low:.4g}, {check.high:.4g}]"
        asked = "" if check.threshold is None else f"  asked {check.threshold}"
        published = "" if check.thesis is None else f"  published {check.thesis}"
        _out(f"  {mark} {check.name:<44} {_short(check.value)}{interval}{asked}{published}")
    _out("passed" if report.passed else "not passed")


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _out(line: str) -> None:
    print(line)  # noqa: T201 - this is the command's result
