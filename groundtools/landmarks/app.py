"""Choose landmarks and build catalogues and reference maps.

`vinsat landmarks select` writes ID.cat and ID.map of regions into a models folder;
`vinsat landmarks show` prints what a catalogue holds.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from groundtools import models_folder
from groundtools.imagery import shared_data_dir

HELP = """Choose landmarks and build catalogues and reference maps.

For example:

`vinsat landmarks select --region 33T --out models`

`vinsat landmarks show 33T`
"""
app = App(name="landmarks", help=HELP)

TILES = "bmng_z8_land_60S_72N.tar"
DETECTOR_COUNT = 100


def default_imagery() -> list[str]:
    """Return the imageries at hand, the richest first: shared tiles, then the embedded one."""
    shared = shared_data_dir()
    tiles = shared / "imagery" / TILES if shared else None
    return [str(tiles), "embedded"] if tiles and tiles.is_file() else ["embedded"]


@app.command
def select(
    *,
    region: Annotated[list[str] | None, Parameter(help="Region ids; all 16 without it.")] = None,
    imagery: Annotated[list[str] | None, Parameter(help="Imageries, the richest first.")] = None,
    count: int = DETECTOR_COUNT,
    maps_only: bool = False,
    out: Path | None = None,
) -> int:
    """Choose landmarks that every imagery shows and write catalogues and reference maps."""
    from flightsw.vision.catalog import write_catalog
    from flightsw.vision.maps import write_map
    from groundtools.imagery import open_imagery
    from groundtools.landmarks.maps import build_map, seas_of
    from groundtools.landmarks.regions import REGION_IDS, region_by_id
    from groundtools.landmarks.select import catalog_of, select_landmarks

    folder = out or models_folder()
    folder.mkdir(parents=True, exist_ok=True)
    opened = [open_imagery(spec) for spec in imagery or default_imagery()]
    for name in region or REGION_IDS:
        place = region_by_id(name)
        if not maps_only:
            selection = select_landmarks(place, opened, count)
            write_catalog(folder / f"{name}.cat", catalog_of(place, selection))
            sys.stderr.write(f"{name}: {len(selection.score)} landmarks\n")
        views = [(one, seas_of(one)) for one in opened]
        write_map(folder / f"{name}.map", build_map(name, place.bounds_deg, views))
    return 0


@app.command
def show(
    region: str,
    *,
    models: Path | None = None,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
) -> int:
    """Print the landmarks of a region's catalogue."""
    from flightsw.vision.catalog import read_catalog

    catalog = read_catalog((models or models_folder()) / f"{region}.cat")
    rows = [
        {"landmark_id": name, "lon_deg": float(lon), "lat_deg": float(lat), "height_m": float(height)}
        for name, lon, lat, height in zip(
            catalog.ids, catalog.lon_deg, catalog.lat_deg, catalog.height, strict=True
        )
    ]
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
    else:
        for row in rows:
            sys.stdout.write(f"{row['landmark_id']}  {row['lon_deg']:11.6f} {row['lat_deg']:10.6f}\n")
    return 0
