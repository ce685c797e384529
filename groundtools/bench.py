"""Time a part of the program: `vinsat bench list`, `vinsat bench ID`.

Speeds of one machine mean little on another, so every entry measures a known yardstick
in the same run and reports the ratio. `vinsat bench all` runs them one after the other.
"""

from typing import Annotated

from cyclopts import App, Parameter

from flightsw.errors import EXIT_INPUT, EXIT_OK
from groundtools import registry
from groundtools.registry import Bench
from groundtools.reproduce import load, show, show_list

HELP = """Time a part of the program, or list what can be timed.

For example:

`vinsat bench list`

`vinsat bench propagate --json`
"""
app = App(name="bench", help=HELP)


@app.default
def bench(
    entry_id: Annotated[str, Parameter(name="ID", help="An entry of `bench list`, `all`, or `list`.")],
    /,
    *,
    as_json: Annotated[
        bool, Parameter(name="--json", negative="", help="Print one JSON object per entry on stdout.")
    ] = False,
) -> int:
    """Run the bench ID, `all` of them, or `list` what there is."""
    if entry_id == "list":
        show_list(registry.BENCHES, as_json=as_json)
        return EXIT_OK
    entries = registry.registered(registry.BENCHES)
    passed = True
    for name in entries if entry_id == "all" else [entry_id]:
        entry: Bench = load(entries, name, "bench")
        report = entry.report()
        show(report, entry.title, as_json=as_json)
        passed = passed and report.passed
    return EXIT_OK if passed else EXIT_INPUT
