"""Plan when to take frames, so that the orbit is determined soonest.

`vinsat plan runs/demo --frames 200` writes schedule.csv: windows over landmarks in
daylight, widened by what the orbit is uncertain, and the probability of a fix by time.
"""

import csv
import io
import json
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import App, Parameter

from flightsw.astro.propagate import Forces
from flightsw.astro.time import Epoch
from flightsw.camera.load import load_camera
from flightsw.errors import EXIT_OK, InputError, UsageError
from flightsw.estimate.solution import Solution, Status
from flightsw.files import MB, read_text, write_together
from flightsw.runtime.known_case import CAMERA
from flightsw.vision.catalog import read_catalog
from groundtools import models_folder
from groundtools.products import formats
from groundtools.products.identify import CATALOG_SHAPE, element_jacobian, polar_axes
from groundtools.products.planning import SUN_MIN_DEG, Places, Plan, make_plan, windows_ahead

HELP = """Plan when to take frames, so that the orbit is determined soonest.

For example:

`vinsat plan runs/demo`

`vinsat plan runs/demo --start 2026-03-02T00:00:00Z --hours 12 --frames 60 --clear cloud.csv`

`vinsat plan runs/demo --page plan.html`

`vinsat plan elements.tle --sigma-km 5` plans before the first image, from the launcher's elements

schedule.csv has the columns start_utc, end_utc, frames, cadence_s, place, landmarks,
margin_s, chance, chance_by_then. cloud.csv has place and clear (share of clear passes);
a row with an empty place is for the rest.
"""
app = App(name="plan", help=HELP)

COLUMNS = (
    "start_utc", "end_utc", "frames", "cadence_s", "place", "landmarks", "margin_s", "chance",
    "chance_by_then",
)  # fmt: skip


@app.default
def plan(
    source: Annotated[Path, Parameter(help="A run folder, solution.json, or one element set (OMM, TLE).")],
    /,
    *,
    start: Annotated[str, Parameter(help="First time, UTC; default: the last used sighting.")] = "",
    hours: Annotated[float, Parameter(help="How long to plan for.")] = 24.0,
    frames: Annotated[int, Parameter(help="Budget of frames.")] = 200,
    cadence_s: Annotated[float, Parameter(help="Least time between frames, s.")] = 10.0,
    camera: Annotated[Path | None, Parameter(help="Camera file (default: the reference camera).")] = None,
    models: Annotated[Path | None, Parameter(help="Models folder with the places' catalogues.")] = None,
    place: Annotated[
        list[str] | None, Parameter(help="Only these places (default: with a detector).")
    ] = None,
    clear: Annotated[Path | None, Parameter(help="CSV of place, clear: share of clear passes.")] = None,
    sun_min_deg: Annotated[float, Parameter(help="Least elevation of the Sun below.")] = SUN_MIN_DEG,
    sigma_km: Annotated[float, Parameter(help="Position error of an element set, 3-D, 1 sigma.")] = 3.0,
    out: Annotated[Path | None, Parameter(help="The schedule; default: schedule.csv beside SOURCE.")] = None,
    page: Annotated[Path | None, Parameter(help="Also write the plan as an HTML page.")] = None,
    dry_run: Annotated[bool, Parameter(negative="", help="Write nothing.")] = False,
    as_json: Annotated[
        bool, Parameter(name="--json", negative="", help="Print one JSON object on stdout.")
    ] = False,
) -> int:
    """Plan for SOURCE. Exit codes: 0 ok, 2 usage, 3 cannot be read or nothing to see."""
    if not 0.0 < hours <= 240.0 or frames < 1 or not cadence_s >= 1.0 or not -90.0 < sun_min_deg < 90.0:
        raise UsageError("--hours is 0..240, --frames at least 1, --cadence-s at least 1, --sun-min-deg +-90")
    solution = orbit_of(source, sigma_km)
    try:
        begin = Epoch.from_utc(start) if start else solution.epoch + solution.last_used_s
    except ValueError as error:
        raise UsageError(f"--start: {error}") from None
    windows = windows_ahead(
        solution, load_camera(camera) if camera else CAMERA, places_of(models or models_folder(), place),
        start=begin, hours=hours, clear=read_clear(clear) if clear else {}, sun_min_deg=sun_min_deg,
    )  # fmt: skip
    made = make_plan(begin, windows, frames=frames, cadence_s=cadence_s)
    path = out or (source if source.is_dir() else source.parent) / "schedule.csv"
    if not dry_run:
        write_together(path.parent, {path.name: schedule_csv(made)})
        sys.stderr.write(f"{path}: {len(made.windows)} windows, {made.frames} frames\n")
    if page is not None and not dry_run:
        from groundtools.products.plan_page import plan_page

        text = plan_page(solution, made, rows_of(made), hours=hours, command=f"vinsat plan {source}")
        write_together(page.parent, {page.name: text})
    sys.stdout.write((json.dumps(as_object(made)) if as_json else table(made, hours)) + "\n")
    return EXIT_OK


def orbit_of(source: Path, sigma_km: float) -> Solution:
    """Return the orbit to plan for; an element set becomes one with an error of sigma_km at its epoch.

    Raises InputError for anything else, UsageError for a senseless sigma.
    """
    content = formats.load(source)
    if isinstance(content, Solution):
        return content
    if not isinstance(content, tuple) or len(content) != 1:
        raise InputError("is neither a solution nor one element set", file=source, fix="give one of them")
    if not 0.0 < sigma_km < 1e4:
        raise UsageError(f"--sigma-km: {sigma_km!r} is outside 0..10000")
    elements = content[0]
    state = elements.states(elements.epoch, np.zeros(1))[0]
    by_elements = np.linalg.inv(element_jacobian(polar_axes(state), state))
    covariance = np.zeros((10, 10))
    covariance[:6, :6] = by_elements @ np.diag((1e3 * sigma_km * CATALOG_SHAPE) ** 2) @ by_elements.T
    return Solution(
        status=Status.NO_LANDMARKS, epoch=elements.epoch, used=np.zeros(0, dtype=np.bool_),
        attitude_mode="nadir", forces=Forces(), r_eci=state[:3], v_eci=state[3:], covariance_full=covariance,
    )  # fmt: skip


def places_of(folder: Path, chosen: list[str] | None) -> Places:
    """Return the landmarks of a models folder's catalogues: of places with a detector, or of those named.

    Raises InputError where there is none.
    """
    if not folder.is_dir():
        raise InputError("is no folder", file=folder, fix="name the models folder with --models")
    files = {path.stem: path for path in sorted(folder.glob("*.cat"))}
    names = chosen or [name for name in files if (folder / f"ld-{name}.onnx").exists()] or list(files)
    missing = [name for name in names if name not in files]
    if missing or not names:
        raise InputError(f"has no catalogue of {', '.join(missing) or 'any place'}", file=folder)
    catalogs = [read_catalog(files[name]) for name in names]
    return Places.of_degrees(
        np.concatenate([one.lon_deg for one in catalogs]),
        np.concatenate([one.lat_deg for one in catalogs]),
        np.concatenate([np.full(len(one), one.region) for one in catalogs]),
    )


def read_clear(path: Path) -> dict[str, float]:
    """Return the share of clear passes by place. InputError names the row."""
    shares: dict[str, float] = {}
    rows = csv.DictReader(io.StringIO(read_text(path, max_bytes=MB)))
    if rows.fieldnames is None or not {"place", "clear"} <= set(rows.fieldnames):
        raise InputError("has the wrong columns", file=path, fix="write place,clear")
    for row in rows:
        where = f"line {rows.line_num}, clear"
        try:
            share = float(row["clear"] or "")
        except ValueError:
            share = float("nan")
        if not 0.0 <= share <= 1.0:
            raise InputError(f"{str(row['clear'])[:20]!r} is no share from 0 to 1", file=path, field=where)
        shares[(row["place"] or "").strip()] = share
    return shares


def rows_of(made: Plan) -> list[dict[str, object]]:
    """Return the schedule's rows."""
    rows: list[dict[str, object]] = []
    for window in made.windows:
        steps = np.diff(window.frames_s)
        values = (
            (made.epoch + float(window.frames_s[0])).utc_iso(0),
            (made.epoch + float(window.frames_s[-1])).utc_iso(0),
            len(window.frames_s), round(float(steps.mean()), 1), window.place, window.landmarks,
            round(window.margin_s, 1), round(window.chance, 3), round(made.chance_by(window.end_s), 3),
        )  # fmt: skip
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    return rows


def schedule_csv(made: Plan) -> str:
    """Return the text of schedule.csv."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows_of(made))
    return buffer.getvalue()


def as_object(made: Plan) -> dict[str, object]:
    """Return what `--json` prints."""
    times = [(made.epoch + float(t)).utc_iso(0) for window in made.windows for t in window.frames_s]
    return {
        "start_utc": made.epoch.utc_iso(0),
        "frames": made.frames,
        "windows": rows_of(made),
        "frames_utc": times,
        "chance": made.chance_by(float("inf")),
    }


def table(made: Plan, hours: float) -> str:
    """Return the plan for a reader."""
    lines = [
        f"{'start, UTC':<21}{'length':>8}{'frames':>8}  {'place':<8}{'margin':>8}{'chance':>8}{'by then':>9}"
    ]
    for row, window in zip(rows_of(made), made.windows, strict=True):
        length = window.frames_s[-1] - window.frames_s[0]
        lines.append(
            f"{row['start_utc']!s:<21}{length:>6.0f} s{len(window.frames_s):>8}  {window.place:<8}"
            f"{window.margin_s:>6.0f} s{window.chance:>8.0%}{made.chance_by(window.end_s):>9.0%}"
        )
    chance = made.chance_by(float("inf"))
    lines.append(f"{made.frames} frames in {hours:g} h; probability of another fix {chance:.0%}")
    return "\n".join(lines)
