"""Turn what a payload sent into every product, in one command.

`vinsat ground ingest pass1.bin pass2.bin --out runs/today` takes recorded telemetry (lost,
repeated, overlapping: all the same) and writes the solution, the orbit in every format, mean
elements, a report and a plan, and names what is missing.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from flightsw.errors import EXIT_NOT_DETERMINED, EXIT_OK
from flightsw.files import write_together
from flightsw.runtime.products import SOLUTION
from groundtools.link.captures import Capture, Carried, files_of, read_captures, runs_of
from groundtools.products import omm
from groundtools.products.ephemeris import Body
from groundtools.products.product_set import (
    ALL_NAMES,
    Options,
    Products,
    of_packet,
    of_solution_file,
    status_of,
)

HELP = """Turn recorded telemetry into every product.

For example:

`vinsat link listen --to tcp:127.0.0.1:7070 --record pass.bin` records a pass

`vinsat ground ingest pass.bin --out runs/today`

`vinsat ground ingest monday.bin tuesday.bin --catalogue deployment.json --name VINSAT-1 --out runs/today`

`vinsat ground ingest pass.bin --dry-run --json` says what came and what is missing
"""
ABOUT = """Turn what a payload sent into every product.

For example:

`vinsat ground ingest pass.bin --out runs/today`
"""
app = App(name="ground", help=ABOUT)

EXIT_PARTIAL = 5
SUMMARY = "ingest.json"
HOURS = 72.0


@app.command(help=HELP)
def ingest(
    *captures: Annotated[Path, Parameter(help="Recorded bytes of the link, or CCSDS packets.")],
    out: Annotated[Path, Parameter(help="Folder of the products.")] = Path("products"),
    camera: Annotated[Path | None, Parameter(help="Camera file, for the report and the plan.")] = None,
    models: Annotated[Path | None, Parameter(help="Models folder, for the plan.")] = None,
    catalogue: Annotated[Path | None, Parameter(help="OMM or TLE file to find the object in.")] = None,
    hours: Annotated[float, Parameter(help="Span of use past the last sighting.")] = HOURS,
    name: Annotated[str, Parameter(help="Name of the satellite.")] = "",
    catalog_id: Annotated[str, Parameter(help="Catalogue id, any length.")] = "",
    designator: Annotated[str, Parameter(help="International designator: 2026-014C.")] = "",
    dry_run: Annotated[bool, Parameter(negative="", help="Write nothing.")] = False,
    as_json: Annotated[
        bool, Parameter(name="--json", negative="", help="Print one JSON object on stdout.")
    ] = False,
) -> int:
    """Make products of CAPTURES.

    Exit codes: 0 ok, 2 usage, 3 no telemetry in a file, 4 the orbit is not determined,
    5 the newest solution has not come down whole.
    """
    options = Options(Body(name, designator, omm.normal_id(catalog_id)), hours, camera, models, catalogue)
    capture = read_captures(captures)
    carried = files_of(capture.packets)
    made = products_of(capture, carried, options)
    said = summary(capture, carried, made)
    if not dry_run:
        contents = {**made.files, SUMMARY: json.dumps(said, indent=2) + "\n"}
        write_together(out, contents, stale=tuple(n for n in (*ALL_NAMES, SUMMARY) if n not in contents))
        sys.stderr.write(f"{out}: {', '.join(contents)}\n")
    sys.stdout.write((json.dumps(said) if as_json else "\n".join(lines_of(said))) + "\n")
    if made.is_partial:
        return EXIT_PARTIAL
    return EXIT_OK if made.is_determined else EXIT_NOT_DETERMINED


def products_of(capture: Capture, carried: list[Carried], options: Options) -> Products:
    """Return the products of the newest solution that came: its file where it is whole, else its packet."""
    versions = [one for one in carried if one.name == SOLUTION]
    whole = [one for one in versions if one.is_whole]
    packets = [p for p in capture.packets if p.name == "SOLUTION"]
    newest = versions[-1] if versions else None
    late = [p for p in packets if whole and p.tai_ns > whole[-1].sent_tai_ns]
    is_partial = not whole or whole[-1] is not newest or bool(late)
    if whole:
        sightings = [one for one in carried if one.name == "observations.csv" and one.is_whole]
        made = of_solution_file(whole[-1].content, options, sightings[-1].content if sightings else None)
    else:
        made = of_packet(packets[-1] if packets else None, options)
    notes = list(made.notes)
    if late:
        notes.append(f"a newer estimate was made ({status_of(late[-1])}); get products/{SOLUTION} again")
    return Products(made.files, made.status, made.is_determined, is_partial, tuple(notes))


def summary(capture: Capture, carried: list[Carried], made: Products) -> dict[str, Any]:
    """Return what `--json` prints and ingest.json keeps."""
    counts: dict[str, int] = {}
    for packet in capture.packets:
        counts[packet.name] = counts.get(packet.name, 0) + 1
    return {
        "status": made.status,
        "is_whole": not made.is_partial,
        "packets": counts,
        "repeated": capture.repeats,
        "broken": capture.broken,
        "gaps": [
            {"packet": g.name, "lost": g.lost, "after_utc": g.after_utc, "before_utc": g.before_utc}
            for g in capture.gaps
        ],
        "files": [
            {
                "file": f"products/{one.name}", "bytes": one.size, "is_whole": one.is_whole,
                "missing": [{"first_chunk": first, "chunks": count} for first, count in runs_of(one.missing)],
            }
            for one in carried
        ],
        "products": sorted(made.files),
        "notes": list(made.notes),
    }  # fmt: skip


def lines_of(said: dict[str, Any]) -> list[str]:
    """Return the summary for a reader: what came, every gap, what to ask for again."""
    counts = ", ".join(f"{count} {name}" for name, count in sorted(said["packets"].items()))
    lines = [f"{said['status']}; {counts}; {said['repeated']} repeated, {said['broken']} broken"]
    for gap in said["gaps"]:
        lines.append(f"lost: {gap['lost']} {gap['packet']} from {gap['after_utc']} to {gap['before_utc']}")
    for one in said["files"]:
        for run in one["missing"]:
            lines.append(
                f"missing of {one['file']}: ask by `vinsat link send DOWNLINK file={one['file']} "
                f"first_chunk={run['first_chunk']} chunks={run['chunks']}`"
            )
    return [*lines, *(f"note: {note}" for note in said["notes"])]
