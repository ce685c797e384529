"""What a command leaves behind: solution.json, orbit.oem, ephemeris.csv, whole or not at all."""

import os
from typing import Any

from flightsw.astro.time import Epoch
from flightsw.estimate.solution import Solution
from flightsw.files import write_together
from flightsw.runtime.orbit_file import ephemeris_csv, orbit_oem, sample
from flightsw.runtime.solution_file import solution_json

SOLUTION = "solution.json"
OEM = "orbit.oem"
EPHEMERIS = "ephemeris.csv"


def write_solution(
    folder: str | os.PathLike[str],
    solution: Solution,
    *,
    until: Epoch | None = None,
    inputs: dict[str, Any] | None = None,
    notes: tuple[str, ...] = (),
) -> dict[str, str]:
    """Write the products of an estimate into a folder; return them, name -> content.

    With a state all three files are written, without one solution.json alone; products
    of an earlier run that no longer hold are removed. solution.json appears last: while
    it is absent the others are not to be relied on. until : where the ephemeris ends
    (at the last used observation without it). Raises UsageError where the folder cannot
    be written, and then leaves what was there.
    """
    contents: dict[str, str] = {}
    if solution.has_state:
        ephemeris = sample(solution, until)
        if ephemeris.is_cut_short:
            end = solution.epoch + float(ephemeris.t_s[-1] if len(ephemeris.t_s) else 0.0)
            notes = (*notes, f"the orbit ends at {end.utc_iso()}: no states are written after it")
        if len(ephemeris.t_s):
            contents[OEM] = orbit_oem(solution, ephemeris)
            contents[EPHEMERIS] = ephemeris_csv(ephemeris)
    text = solution_json(solution, inputs=inputs or {}, notes=notes)
    contents[SOLUTION] = text
    write_together(folder, contents, stale=(SOLUTION, OEM, EPHEMERIS))
    return contents


def remove_products(folder: str | os.PathLike[str], *, also: tuple[str, ...] = ()) -> None:
    """Remove the products of an earlier run from a folder, and files named in `also`.

    Raises UsageError.
    """
    write_together(folder, {}, stale=(SOLUTION, OEM, EPHEMERIS, *also))
