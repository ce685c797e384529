"""Every format by name: which there are, what a file's content is, how each is written.

A file is known by its content, not by its name. Content is one of three: a `Solution`
(with its covariance and forces, so it can be propagated), an `Ephemeris` (a table), or
mean elements.
"""

import csv
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flightsw.errors import InputError
from flightsw.estimate.solution import Solution
from flightsw.files import MB, read_text
from flightsw.runtime.orbit_file import EPHEMERIS_HEADER
from flightsw.runtime.products import SOLUTION
from flightsw.runtime.solution_file import read_solution
from groundtools.products import kvn, oem, omm, opm, sp3, tle, writers
from groundtools.products.ephemeris import Ephemeris
from groundtools.products.mean_elements import MeanElements

MAX_BYTES = 400 * MB
ElementSets = tuple[MeanElements, ...]
Content = Solution | Ephemeris | ElementSets


@dataclass(frozen=True, slots=True)
class Format:
    """One format to write: name, usual suffix, what it holds, and how it is written."""

    name: str
    suffix: str
    describes: str
    from_states: Callable[[Ephemeris, tuple[str, ...]], str] | None = None
    from_elements: Callable[[ElementSets], str] | None = None


def _each(write: Callable[[MeanElements], str]) -> Callable[[ElementSets], str]:
    return lambda sets: "".join(write(one) for one in sets)


FORMATS = {
    one.name: one
    for one in (
        Format("oem", ".oem", "CCSDS ephemeris, GCRF", from_states=lambda e, c: oem.write_oem(e, comments=c)),
        Format("opm", ".opm", "CCSDS state", from_states=lambda e, c: opm.write_opm(e, comments=c)),
        Format("sp3", ".sp3", "SP3-d, ITRF, GPS time", from_states=lambda e, _: sp3.write_sp3(e)),
        Format("stk", ".e", "STK ephemeris, ICRF", from_states=lambda e, _: writers.write_stk(e)),
        Format("czml", ".czml", "for Cesium globes", from_states=lambda e, _: writers.write_czml(e)),
        Format("geojson", ".geojson", "ground track", from_states=lambda e, _: writers.write_track(e)),
        Format("csv", ".csv", "states, GCRF", from_states=lambda e, _: write_csv(e)),
        Format(
            "omm", ".omm", "CCSDS mean elements, KVN",
            from_elements=_each(lambda one: omm.write_kvn(one, created=one.epoch)),
        ),
        Format("omm-xml", ".xml", "the same, XML",
               from_elements=lambda s: omm.write_xml(s, created=s[0].epoch)),
        Format("omm-json", ".json", "the same, JSON", from_elements=omm.write_json),
        Format("omm-csv", ".omm.csv", "the same, CSV", from_elements=omm.write_csv),
        Format("tle", ".tle", "two-line elements", from_elements=_each(tle.write_tle)),
    )
}  # fmt: skip


def format_of(name: str, path: Path | None) -> Format:
    """Return the format of a name, or of a file's suffix where the name is empty. InputError."""
    if name:
        if name not in FORMATS:
            raise InputError(f"{name!r} is not a format", field="--to", fix=f"there are {', '.join(FORMATS)}")
        return FORMATS[name]
    for one in sorted(FORMATS.values(), key=lambda one: -len(one.suffix)):
        if path is not None and path.name.endswith(one.suffix):
            return one
    raise InputError("is not given", field="--to", fix=f"name one of {', '.join(FORMATS)}")


def load(path: str | os.PathLike[str]) -> Content:
    """Return what a file holds; a folder stands for its solution.json. InputError names the file."""
    file = Path(path)
    if file.is_dir():
        file = file / SOLUTION
    text = read_text(file, max_bytes=MAX_BYTES)
    head = text[:4000].lstrip()
    if head.startswith("{") and '"r_gcrf_m"' in text:
        return read_solution(file)
    try:
        return _reader(head)(text)
    except InputError as error:
        raise InputError(error.problem, file=file, field=error.field, fix=error.fix) from None


def load_states(path: str | os.PathLike[str]) -> Ephemeris:
    """Return a table of states from a file that holds one. InputError for anything else."""
    content = load(path)
    if not isinstance(content, Ephemeris):
        raise InputError("holds no table of states", file=path, fix="give an OEM, SP3, or CSV of states")
    return content


def load_elements(path: str | os.PathLike[str]) -> ElementSets:
    """Return the element sets of a catalogue file. InputError for anything else."""
    content = load(path)
    if not isinstance(content, tuple):
        raise InputError("holds no mean elements", file=path, fix="give an OMM (any notation) or TLE file")
    return content


def load_solution(path: str | os.PathLike[str]) -> Solution:
    """Return the solution of a run folder or solution.json. InputError for anything else."""
    content = load(path)
    if not isinstance(content, Solution):
        raise InputError("is no solution", file=path, fix="give a folder or solution.json of `flightsw od`")
    return content


def _reader(head: str) -> Callable[[str], Ephemeris | ElementSets]:
    first = head.partition("\n")[0]
    if head.startswith(("[", "{")):
        return omm.read_json
    if head.startswith("<"):
        return oem.read_oem if "oem" in head.lower().partition("<omm")[0] else omm.read_xml
    if first.startswith("CCSDS_OEM_VERS"):
        return oem.read_oem
    if first.startswith("CCSDS_OPM_VERS"):
        return opm.read_opm
    if first.startswith("CCSDS_OMM_VERS"):
        return omm.read_kvn
    if first.startswith(("#a", "#b", "#c", "#d")):
        return sp3.read_sp3
    if "time_utc" in first:
        return read_csv
    if "MEAN_MOTION" in first and "," in first:
        return omm.read_csv
    return tle.read_tle


def write_csv(ephemeris: Ephemeris) -> str:
    """Return states as ephemeris.csv has them: GCRF, 0.1 mm and 0.1 um/s."""
    lines = [EPHEMERIS_HEADER]
    for epoch, state in zip(ephemeris.epochs, ephemeris.state, strict=True):
        r = ",".join(f"{value:.4f}" for value in state[:3])
        lines.append(f"{epoch.utc_iso()},{r}," + ",".join(f"{value:.7f}" for value in state[3:]))
    return "\n".join(lines) + "\n"


def read_csv(text: str) -> Ephemeris:
    """Return the table of an ephemeris.csv. InputError names the row."""
    columns = EPHEMERIS_HEADER.split(",")
    try:
        rows = list(csv.DictReader(text.splitlines()))
    except csv.Error as error:
        raise InputError(f"is not CSV ({error})") from None
    if not rows or any(column not in rows[0] for column in columns):
        raise InputError("has the wrong columns", fix=f"write {EPHEMERIS_HEADER}")
    times, state = [], np.empty((len(rows), 6))
    for index, row in enumerate(rows):
        where = f"line {index + 2}"
        times.append(kvn.parse_time(row["time_utc"] or "", field=f"{where}, time_utc"))
        fields = {key: value for key, value in row.items() if key and isinstance(value, str)}
        try:
            state[index] = [kvn.number(fields, column) for column in columns[1:]]
        except InputError as error:
            raise InputError(error.problem, field=f"{where}, {error.field}", fix=error.fix) from None
    order = sorted(range(len(times)), key=lambda k: times[k])
    first = times[order[0]]
    return Ephemeris(first, np.array([times[k] - first for k in order]), state[order])
