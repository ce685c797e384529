"""Add places to a models folder: their reference maps and landmarks, without training.

`vinsat maps build --name ID --bounds-deg W,S,E,N --imagery PATH --out DIR` writes ID.map
and ID.cat and seals the manifest. The flight program then finds fixes there by matching.
`vinsat maps build --all-land --imagery PATH --out DIR` makes tiles of all land instead.
"""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from flightsw.errors import UsageError
from groundtools.landmarks.app import default_imagery

HELP = """Add places to a models folder: reference maps, without training.

For example:

`vinsat maps build --name ALPS --bounds-deg 6,44,16,48 --imagery embedded --out models-mine`
"""
app = App(name="maps", help=HELP)


@app.command
def build(
    *,
    name: Annotated[str, Parameter(help="Up to 8 letters, digits or -.")] = "",
    bounds_deg: Annotated[
        str, Parameter(help="W,S,E,N in degrees; W to E may cross 180.", allow_leading_hyphen=True)
    ] = "",
    all_land: Annotated[
        bool,
        Parameter(
            negative="",
            help="Tiles of all land from 60 S to 72 N (or inside --bounds-deg), for tracking; goes on "
            "where it was stopped.",
        ),
    ] = False,
    imagery: Annotated[
        list[str] | None, Parameter(help="Sources, the richest first; all at hand without it.")
    ] = None,
    terrain: Annotated[Path | None, Parameter(help="Heights in metres, a GeoTIFF; zero without it.")] = None,
    out: Annotated[Path, Parameter(help="Models folder, new or existing.")],
) -> int:
    """Build a place's reference map and landmarks; write or extend the folder's manifest."""
    from groundtools.imagery import open_imagery

    if all_land:
        return _all_land(name, bounds_deg, imagery, terrain, out)
    from groundtools.landmarks.place import add_place, parse_bounds, parse_name

    place, bounds = parse_name(name), parse_bounds(bounds_deg)
    opened = [open_imagery(spec) for spec in imagery or default_imagery()]
    entry = add_place(out, place, bounds, opened, terrain=terrain)
    sys.stdout.write(
        f"{place}: map of {entry.map.bytes / 1e3:.0f} kB, {entry.landmarks} landmarks in {out}\n"
    )
    return 0


def _all_land(name: str, bounds_deg: str, imagery: list[str] | None, terrain: Path | None, out: Path) -> int:
    from groundtools.imagery import open_imagery
    from groundtools.landmarks.all_land import build_all_land
    from groundtools.landmarks.place import parse_box

    if name:
        raise UsageError("--name: tiles of all land have names of their own; leave it out")
    within = parse_box(bounds_deg) if bounds_deg else None
    opened = [open_imagery(spec) for spec in imagery or default_imagery()]
    count, size = build_all_land(out, opened, terrain=terrain, within_deg=within)
    sys.stdout.write(f"{count} tiles, {size / 1e6:.1f} MB in {out}\n")
    return 0
