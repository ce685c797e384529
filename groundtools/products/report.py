"""Write a one-page report of an orbit solution: one HTML file, no network.

`vinsat report runs/demo` writes report.html: status in plain words, ground track,
landmarks used and refused, residuals, covariance ahead, a table of passes.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from cyclopts import App, Parameter

from flightsw.astro.time import Epoch
from flightsw.errors import EXIT_NOT_DETERMINED, EXIT_OK
from flightsw.estimate.solution import Solution
from flightsw.files import write_together
from groundtools.products.ephemeris import from_solution
from groundtools.products.report_data import Run, read_run, sigmas_ahead
from groundtools.products.writers import ground_track

HELP = """Write a one-page report of an orbit solution: one HTML file, no network.

For example:

`vinsat report runs/demo --camera sim/scenarios/camera.toml`

`vinsat report runs/demo --out orbit.html --name VINSAT-1`
"""
app = App(name="report", help=HELP)

TEMPLATE = Path(__file__).with_name("report.html")
STYLE_SHEET = Path(__file__).with_name("page.css")
STEP_S = 30.0
LEAST_TRACK_S = 600.0


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing with its title and caption."""

    title: str
    svg: str
    caption: str


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table of sigmas."""

    label: str
    values: list[float]


@app.default
def report(
    run: Annotated[Path, Parameter(help="A run folder or solution.json.")],
    /,
    *,
    camera: Annotated[Path | None, Parameter(help="Camera file (default: RUN/camera.toml).")] = None,
    attitude: Annotated[Path | None, Parameter(help="Attitude file the run was given.")] = None,
    name: Annotated[str, Parameter(help="Name of the satellite.")] = "",
    out: Annotated[Path | None, Parameter(help="The file; default: RUN/report.html.")] = None,
) -> int:
    """Write the report of RUN. Exit codes: 0 ok, 2 usage, 3 cannot be read, 4 not determined."""
    read = read_run(run, camera=camera, attitude=attitude)
    folder = run if run.is_dir() else run.parent
    path = out or folder / "report.html"
    text = page(read, name=name, command=f"vinsat report {run}")
    write_together(path.parent, {path.name: text})
    sys.stderr.write(f"{path}: {len(text) / 1e3:.0f} kB\n")
    return EXIT_OK if read.solution.status.is_determined else EXIT_NOT_DETERMINED


@app.command(name="frame")
def report_frame(
    frame: Annotated[Path, Parameter(help="A JPEG frame.")],
    /,
    *,
    camera: Annotated[Path, Parameter(help="Camera file.")],
    models: Annotated[Path | None, Parameter(help="Models folder; the shipped one without it.")] = None,
    out: Annotated[Path | None, Parameter(help="The file; default: FRAME.html beside the frame.")] = None,
) -> int:
    """Show what is seen in one frame: frame, map, patches, and the correlation that decided.

    Exit codes: 0 a fix, 2 usage, 3 cannot be read, 4 no fix.
    """
    from flightsw.camera.load import load_camera
    from flightsw.files import read_bytes
    from flightsw.runtime.pipeline import MAX_FRAME_BYTES
    from flightsw.vision.models import load_models
    from groundtools import models_folder
    from groundtools.products.frame_report import frame_page

    jpeg = read_bytes(frame, max_bytes=MAX_FRAME_BYTES)
    made = frame_page(load_models(models or models_folder()), jpeg, load_camera(camera), name=frame.name)
    path = out or frame.with_suffix(".html")
    write_together(path.parent, {path.name: made.html})
    sys.stderr.write(f"{path}: {made.result.status.value}\n")
    return EXIT_OK if made.result.pose is not None else EXIT_NOT_DETERMINED


def page(run: Run, *, name: str, command: str) -> str:
    """Return the page of a run."""
    from jinja2 import Environment

    solution = run.solution
    first, last = (solution.epoch + t for t in (solution.first_used_s, solution.last_used_s))
    template = Environment(autoescape=True).from_string(TEMPLATE.read_text(encoding="utf-8"))
    inputs = run.fields.get("inputs") or {}
    frames = inputs.get("frames_by_status") if isinstance(inputs, dict) else None
    return template.render(
        css=STYLE_SHEET.read_text(encoding="utf-8"),
        title=f"Orbit of {name or 'a satellite'}",
        span=f"Sightings from {first.utc_iso(0)} to {last.utc_iso(0)}",
        determined=solution.status.is_determined,
        headline=f"{solution.status.value[0].upper()}{solution.status.value[1:]}.",
        sentences=sentences(run),
        figures=figures(run),
        passes=[_pass(one) for one in run.passes],
        epoch=solution.epoch.utc_iso(3),
        drag=f"{solution.drag_scale:.2f} ± {solution.drag_sigma:.2f}",
        r=np.asarray(solution.r_eci).tolist(),
        v=np.asarray(solution.v_eci).tolist(),
        sigmas=[Line(*row) for row in sigmas_ahead(solution)],
        frames=sorted(frames.items(), key=lambda one: -one[1]) if isinstance(frames, dict) else [],
        notes=[*(str(note) for note in run.fields.get("notes") or []), *run.missing],
        command=command,
    )


def sentences(run: Run) -> list[str]:
    """Return what the solution means, in plain words."""
    solution = run.solution
    sigma = {label: values[3] for label, values in sigmas_ahead(solution)}
    used, refused = (run.fields.get(key) for key in ("observations_used", "observations_rejected"))
    lines = []
    if isinstance(used, int) and isinstance(refused, int):
        count = len(run.passes)
        passes = "one pass" if count == 1 else f"{count} passes"
        lines.append(f"It rests on {used} landmark sightings of {passes}; {refused} were refused.")
    if "at the last sighting" in sigma:
        text = f"At the last sighting the position is known to {_distance(sigma['at the last sighting'])}"
        later = [
            f"{_distance(sigma[f'{h} h later'])} after {h} h" for h in (6, 24) if f"{h} h later" in sigma
        ]
        lines.append(text + (f", {' and '.join(later)} (1 sigma)." if later else " (1 sigma)."))
    if not solution.status.is_determined:
        lines.append("Do not point an antenna by this orbit, and do not publish it.")
    return lines


def figures(run: Run) -> list[Figure]:
    """Return the drawings that the run's files allow."""
    from groundtools.products.figures import draw_residuals, draw_sigma, draw_track

    solution, sighted = run.solution, run.sighted
    table = from_solution(
        solution, solution.first_used_s, max(solution.last_used_s, solution.first_used_s + 600.0), STEP_S
    )
    lon, lat, _ = ground_track(table)
    none = np.zeros((0, 2))
    if sighted is not None:
        seen, refused = sighted.place_deg[sighted.agrees], sighted.place_deg[~sighted.agrees]
    else:
        o = run.observations
        seen, refused = (none if o is None else np.column_stack([o.lon_deg, o.lat_deg])), none
    drawn = [
        Figure(
            "Where it flew, and what it recognised", draw_track(lon, lat, np.unique(seen, axis=0), refused),
            "Ground track of the found orbit over the observed arc.",
        )
    ]  # fmt: skip
    if sighted is not None:
        minutes = (sighted.t_s - sighted.t_s.min()) / 60.0
        drawn.append(
            Figure(
                "Residuals", draw_residuals(minutes, sighted.residual_px, sighted.agrees, run.sigma_px),
                f"Seen minus predicted, full-resolution pixels; {int((~sighted.agrees).sum())} of "
                f"{len(sighted.agrees)} sightings do not agree with the orbit (grey).",
            )
        )  # fmt: skip
    drawn.append(Figure("How well it is known", _sigma_over_time(solution, run, draw_sigma), _AHEAD))
    return drawn


_AHEAD = "1 sigma of the position, and a day beyond the last sighting (dotted)."


def _sigma_over_time(solution: Solution, run: Run, draw: Any) -> str:
    times = np.linspace(solution.first_used_s, solution.last_used_s + 86_400.0, 241)
    covariance = solution.predict(times)[1]
    sigma_km = np.sqrt(np.trace(covariance[:, :3, :3], axis1=1, axis2=2)) / 1e3
    start = solution.epoch + solution.first_used_s
    spans = [
        tuple((Epoch.from_utc(str(one[key])) - start) / 3600.0 for key in ("start_utc", "end_utc"))
        for one in run.passes
    ]
    hours = (times - solution.first_used_s) / 3600.0
    good = np.isfinite(sigma_km)
    return str(
        draw(hours[good], sigma_km[good], spans, (solution.last_used_s - solution.first_used_s) / 3600.0)
    )


def _pass(one: dict[str, Any]) -> dict[str, str]:
    start, end = Epoch.from_utc(str(one["start_utc"])), Epoch.from_utc(str(one["end_utc"]))
    return {
        "start": start.utc_iso(0).replace("T", " ").removesuffix("Z"),
        "minutes": f"{(end - start) / 60.0:.1f}",
        **{key: str(one.get(key, "")) for key in ("frames", "landmarks", "detections", "used")},
        "rms": _number(one.get("rms_px")),
        "mean": f"{_number(one.get('mean_u_px'))}, {_number(one.get('mean_v_px'))}",
        "agrees": "yes" if one.get("agrees") else "no",
    }


def _number(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, int | float) else "-"


def _distance(metres: float) -> str:
    return f"{metres:.0f} m" if metres < 1000.0 else f"{metres / 1e3:.1f} km"
