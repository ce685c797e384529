"""Every product of one orbit, as texts by file name: what `vinsat ground ingest` writes.

A solution.json gives all of them. Where only the SOLUTION packet came there is a state
without a covariance: its files of positions and mean elements, and no more.
"""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flightsw.astro.propagate import Forces, propagate
from flightsw.astro.time import Epoch
from flightsw.camera.load import load_camera
from flightsw.errors import InputError, UsageError
from flightsw.estimate.solution import Solution, Status
from flightsw.runtime.known_case import CAMERA
from flightsw.runtime.link import dictionary
from flightsw.runtime.orbit_file import is_in_orbit
from flightsw.runtime.products import SOLUTION
from groundtools import models_folder
from groundtools.link.client import Received
from groundtools.products import omm, tle
from groundtools.products.ephemeris import Body, Ephemeris, from_solution, grid
from groundtools.products.fit_elements import fit_elements
from groundtools.products.fit_tle import elements_of
from groundtools.products.formats import FORMATS, load_elements, load_solution
from groundtools.products.mean_elements import MeanElements

POSITIONS = ("oem", "opm", "sp3", "stk", "czml", "csv")
TRACK = "track.geojson"
ELEMENTS = ("elements.omm", "elements.json", "elements.tle")
ALL_NAMES = (
    SOLUTION, "observations.csv", *(f"orbit{FORMATS[one].suffix}" for one in POSITIONS), TRACK, *ELEMENTS,
    "report.html", "schedule.csv", "identification.json",
)  # fmt: skip
STEP_S = 60.0
MOST_HOURS = 720.0
FRAMES, CADENCE_S, PLAN_HOURS = 200, 10.0, 24.0


@dataclass(frozen=True, slots=True)
class Options:
    """Whose orbit, span past the last sighting, and the files that some products need."""

    body: Body
    hours: float
    camera: Path | None = None
    models: Path | None = None
    catalogue: Path | None = None

    def __post_init__(self) -> None:
        """Refuse a senseless span. Raises UsageError."""
        if not 1.0 <= self.hours <= MOST_HOURS:
            raise UsageError(f"--hours: {self.hours!r} is outside 1..{MOST_HOURS:g}")


@dataclass(frozen=True, slots=True)
class Products:
    """files by name; status of the solution; is_partial : newer is known than what came; notes."""

    files: dict[str, str]
    status: str
    is_determined: bool
    is_partial: bool
    notes: tuple[str, ...] = ()


def of_solution_file(content: bytes, options: Options, sightings: bytes | None = None) -> Products:
    """Return all products of a solution.json (and of observations.csv where it came)."""
    text = content.decode("utf-8", "replace")
    files = {SOLUTION: text}
    if sightings is not None:
        files["observations.csv"] = sightings.decode("utf-8", "replace")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name, held in files.items():
            (folder / name).write_text(held, encoding="utf-8")
        try:
            solution = load_solution(folder)
        except InputError as error:
            return _without_state(files, text, str(error).replace(f"{folder}/", ""))
        notes: list[str] = []
        last = solution.last_used_s + 3600.0 * options.hours
        table = from_solution(solution, solution.first_used_s, last, STEP_S, options.body)
        files |= positions(table, (f"status {solution.status.name}: {solution.status.value}",))
        elements, _ = elements_of(solution, hours=options.hours, arc=False, body=options.body)
        files |= element_files(elements, notes)
        files["report.html"] = _report(folder, options)
    files |= _plan(solution, options, notes)
    files |= _identification(solution, options)
    determined = solution.status.is_determined
    if not determined:
        notes.append(f"not to be relied on: {solution.status.value}")
    return Products(files, solution.status.name, determined, False, tuple(notes))


def of_packet(packet: Received | None, options: Options) -> Products:
    """Return the products of a SOLUTION packet alone: positions and elements, no covariance."""
    if packet is None:
        return Products({}, "NONE", False, True, (f"no solution has come: get products/{SOLUTION}",))
    values = packet.values
    status = status_of(packet)
    keys = ("x_m", "y_m", "z_m", "vx_m_s", "vy_m_s", "vz_m_s")
    state = np.array([float(values[key]) for key in keys])
    determined = status == Status.DETERMINED.name
    notes = [f"from the SOLUTION packet alone: no covariance, no report; get products/{SOLUTION}"]
    if not is_in_orbit(state[None])[0]:
        return Products({}, status, False, True, (*notes, "the packet holds no state"))
    epoch = Epoch(int(values["epoch_tai_ns"]))
    t_s = grid(0.0, 3600.0 * options.hours, STEP_S)
    states = propagate(Forces(), epoch, state, 1.0, t_s).state
    good = is_in_orbit(states)
    stop = len(t_s) if good.all() else int(np.argmin(good))
    table = Ephemeris(epoch, t_s[:stop], states[:stop], body=options.body)
    files = positions(table, (f"status {status}", notes[0]))
    files |= element_files(fit_elements(table, body=options.body).elements, notes)
    return Products(files, status, determined, True, tuple(notes))


def status_of(packet: Received) -> str:
    """Return the name of the status in a SOLUTION packet."""
    entry = dictionary.telemetry("SOLUTION")
    assert entry is not None
    return next(str(one.named(packet.values["status"])) for one in entry.field if one.name == "status")


def positions(table: Ephemeris, comments: tuple[str, ...]) -> dict[str, str]:
    """Return a table in every format of positions."""
    files = {}
    for name in (*POSITIONS, "geojson"):
        write = FORMATS[name].from_states
        assert write is not None
        files[TRACK if name == "geojson" else f"orbit{FORMATS[name].suffix}"] = write(table, comments)
    return files


def element_files(elements: MeanElements, notes: list[str]) -> dict[str, str]:
    """Return mean elements in the formats that can hold them; what cannot becomes a note."""
    files = {"elements.omm": omm.write_kvn(elements, created=elements.epoch)}
    files["elements.json"] = omm.write_json((elements,))
    try:
        files["elements.tle"] = tle.write_tle(elements)
    except InputError as error:
        notes.append(f"no TLE: {error}")
    return files


def _without_state(files: dict[str, str], text: str, refusal: str) -> Products:
    """Return what a solution without a state is worth: its own file and its status."""
    try:
        status, reason = (str(json.loads(text)[key]) for key in ("status", "reason"))
    except (ValueError, KeyError, TypeError):
        status, reason = "NONE", refusal
    return Products(files, status, False, False, (reason,))


def _report(folder: Path, options: Options) -> str:
    from groundtools.products.report import page
    from groundtools.products.report_data import read_run

    run = read_run(folder, camera=options.camera, attitude=None)
    return page(run, name=options.body.name, command="vinsat ground ingest")


def _plan(solution: Solution, options: Options, notes: list[str]) -> dict[str, str]:
    from groundtools.products.plan import places_of, schedule_csv
    from groundtools.products.planning import make_plan, windows_ahead

    camera = load_camera(options.camera) if options.camera else CAMERA
    begin = solution.epoch + solution.last_used_s
    try:
        places = places_of(options.models or models_folder(), None)
        windows = windows_ahead(solution, camera, places, start=begin, hours=PLAN_HOURS)
        made = make_plan(begin, windows, frames=FRAMES, cadence_s=CADENCE_S)
    except InputError as error:
        notes.append(f"no plan: {error}")
        return {}
    return {"schedule.csv": schedule_csv(made)}


def _identification(solution: Solution, options: Options) -> dict[str, str]:
    if options.catalogue is None:
        return {}
    from groundtools.products.identify_app import identification

    return {"identification.json": identification(solution, load_elements(options.catalogue)) + "\n"}
