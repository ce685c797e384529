"""Compare an orbit with a reference: radial, along-track, cross-track, and a plot.

`vinsat compare runs/demo runs/demo/truth/states.csv` prints RMS and largest differences;
`--plot error.svg` draws them beside the solution's own 3 sigma.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import App, Parameter

from flightsw.errors import EXIT_OK, InputError
from flightsw.estimate.solution import Solution
from flightsw.files import write_together
from groundtools.products import formats
from groundtools.products.comparison import Difference, difference
from groundtools.products.ephemeris import Ephemeris

HELP = """Compare an orbit with a reference: radial, along-track, cross-track.

For example:

`vinsat compare runs/demo runs/demo/truth/states.csv`

`vinsat compare runs/demo precise.sp3 --plot error.svg`
"""
app = App(name="compare", help=HELP)

AXES = ("radial", "along-track", "cross-track")


@app.default
def compare(
    found: Annotated[Path, Parameter(help="A run folder, solution.json, or a table of states.")],
    reference: Annotated[Path, Parameter(help="OEM, SP3 or CSV of states.")],
    /,
    *,
    plot: Annotated[Path | None, Parameter(help="Draw the difference into this SVG.")] = None,
    as_json: Annotated[
        bool, Parameter(name="--json", negative="", help="Print one JSON object on stdout.")
    ] = False,
) -> int:
    """Compare FOUND with REFERENCE. Exit codes: 0 ok, 2 usage, 3 cannot be read or no common time."""
    content = formats.load(found)
    if not isinstance(content, Solution | Ephemeris):
        raise InputError("is neither a solution nor a table of states", file=found, fix="convert it first")
    result = difference(content, formats.load_states(reference))
    if plot is not None:
        from groundtools.products.figures import draw_difference

        write_together(plot.parent, {plot.name: draw_difference(result)})
    sys.stdout.write((json.dumps(as_object(result)) if as_json else _table(result)) + "\n")
    return EXIT_OK


def as_object(result: Difference) -> dict[str, object]:
    """Return what `--json` prints."""
    rms, inside = result.rms(), share_inside(result)
    return {
        "first_utc": (result.epoch + float(result.t_s[0])).utc_iso(),
        "last_utc": (result.epoch + float(result.t_s[-1])).utc_iso(),
        "states": len(result.t_s),
        "rms_m": dict(zip((*AXES, "3d"), rms.tolist(), strict=True)),
        "largest_m": float(result.distance.max()),
        "last_m": float(result.distance[-1]),
        "velocity_rms_m_s": float(np.sqrt(np.mean(np.sum(result.velocity_rtn**2, axis=1)))),
        "inside_3_sigma": inside,
    }


def share_inside(result: Difference) -> float | None:
    """Return the share of samples whose three components all lie within 3 sigma; None without sigmas."""
    if not np.isfinite(result.sigma).all():
        return None
    return float(np.mean((np.abs(result.rtn) <= 3.0 * result.sigma).all(axis=1)))


def _table(result: Difference) -> str:
    first, last = (result.epoch + float(t) for t in (result.t_s[0], result.t_s[-1]))
    rms, largest = result.rms(), np.abs(result.rtn).max(axis=0)
    lines = [f"{len(result.t_s)} states from {first} to {last}"]
    lines.append(f"{'':<14}{'RMS':>12}{'largest':>12}")
    for name, one, most in zip((*AXES, "3-D"), rms, (*largest, result.distance.max()), strict=True):
        lines.append(f"{name:<14}{one:>10.1f} m{most:>10.1f} m")
    lines.append(f"at the end {result.distance[-1]:.1f} m")
    inside = share_inside(result)
    if inside is not None:
        lines.append(f"within 3 sigma of its own covariance: {inside:.0%} of the states")
    return "\n".join(lines)
