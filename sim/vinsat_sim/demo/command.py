"""Simulate a satellite, let the flight program find its orbit, show the error."""

import json
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from flightsw.errors import EXIT_NOT_DETERMINED, EXIT_OK
from vinsat_sim.demo.progress import Ticker
from vinsat_sim.demo.run import DemoOptions, run_demo
from vinsat_sim.demo.show import PAGE

HELP = """Simulate a satellite, let the flight program find its orbit, show the error.

For example:

`vinsat demo --seed 1`

`vinsat demo --seed 7 --out runs/seven --keep-frames --json`
"""
app = App(name="demo", help=HELP)


@app.default
def demo(
    *,
    seed: Annotated[int, Parameter(help="Decides date, orbit, clouds and pointing.")] = 1,
    out: Annotated[Path, Parameter(help="Folder for the results.")] = Path("runs/demo"),
    imagery: Annotated[
        str, Parameter(help="embedded, a folder or tar of XYZ tiles, a URL with {z}/{x}/{y}, or a GeoTIFF.")
    ] = "embedded",
    models: Annotated[Path | None, Parameter(help="Models folder (default: this repository's).")] = None,
    scenario: Annotated[str, Parameter(help="Name or TOML file of what is drawn.")] = "demo",
    keep_frames: Annotated[
        bool, Parameter(negative="", help="Keep the frames (a few hundred MB) and the camera file.")
    ] = False,
    workers: Annotated[int, Parameter(help="Rendering processes; 0 takes two where there are two.")] = 0,
    as_json: Annotated[
        bool, Parameter(name="--json", negative="", help="Print one JSON object on stdout.")
    ] = False,
) -> int:
    """Simulate six hours of a satellite that photographs the Earth, and find its orbit.

    Exit codes: 0 the orbit is determined, 2 usage, 3 something cannot be read, 4 not
    determined.
    """
    options = DemoOptions(
        out=out, imagery=imagery, models=models, scenario=scenario, keep_frames=keep_frames, workers=workers
    )
    with Ticker() as ticker:
        story = run_demo(seed, options, ticker)
    lines = [json.dumps(story.as_json())]
    if not as_json:
        lines = [story.headline(), "", *story.sentences(), "", f"Picture and page: {out / PAGE}"]
    sys.stdout.write("\n".join(lines) + "\n")
    return EXIT_OK if story.score.determined else EXIT_NOT_DETERMINED
