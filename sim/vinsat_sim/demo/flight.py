"""Run the flight program as a satellite would: alone, with frames, camera and models only.

It gets a folder of its own as working directory, an environment of three variables, no
open file but its standard ones, and arguments that name frames, camera, models, output
and the time until which to propagate. Nothing of the simulation is on that list.
"""

import json
import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flightsw.astro.time import Epoch
from vinsat_sim.demo import measure

FRAMES, CAMERA, RESULT = "frames", "camera.toml", "result"  # inside the flight folder
ENTRY = "import sys; from flightsw.cli import main; sys.exit(main())"
LINES_KEPT = 20  # of what the flight program says, for the message when it fails
LAUNCHER_FAILED = 1


@dataclass(frozen=True, slots=True)
class FlightRun:
    """How the flight program ended: its exit code, wall time, peak memory and last words."""

    exit_code: int
    wall_s: float
    peak_rss_mb: float
    result: Path
    last_words: str


def flight_command(models: Path, until: Epoch, told: tuple[str, ...] = ()) -> list[str]:
    """Return the command line of the flight program, as seen from the flight folder.

    told : options for what else is known (`--attitude FILE`), files in that folder.
    """
    # -P keeps the working directory off the import path.
    return [
        sys.executable, "-P", "-c", ENTRY, "run",
        "--frames", FRAMES, "--camera", CAMERA, "--models", str(models.resolve()),
        "--out", RESULT, "--until", until.utc_iso(digits=3), *told,
    ]  # fmt: skip


def flight_environment(folder: Path) -> dict[str, str]:
    """Return the whole environment of the flight program: nothing of ours is passed on."""
    return {"PATH": os.defpath, "HOME": str(folder.resolve()), "LANG": "C.UTF-8"}


def fly(
    folder: Path, models: Path, until: Epoch, *, listen: Callable[[str], None], told: tuple[str, ...] = ()
) -> FlightRun:
    """Run the flight program over `folder` (frames/ and camera.toml) and return how it ended.

    listen(line) is called with every line it says; told : see `flight_command`. Its
    results are in folder/result.
    """
    command = [sys.executable, "-P", measure.__file__, *flight_command(models, until, told)]
    kept: deque[str] = deque(maxlen=LINES_KEPT)
    with subprocess.Popen(
        command,
        cwd=folder,
        env=flight_environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        for line in process.stderr:
            kept.append(line.rstrip())
            listen(line.rstrip())
        report = process.stdout.read()
    words = "\n".join(kept)
    if not report:
        return FlightRun(LAUNCHER_FAILED, 0.0, 0.0, folder / RESULT, words)
    record = json.loads(report)
    return FlightRun(record["exit_code"], record["wall_s"], record["peak_rss_mb"], folder / RESULT, words)
