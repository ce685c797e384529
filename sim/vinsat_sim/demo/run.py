"""One demo from seed to page: draw, render, fly, score, tell.

The flight program runs in a temporary folder that holds the frames and the camera file;
the truth exists in this process's memory only until the flight program has ended, and is
then written to the output's `truth/`.
"""

import json
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flightsw.camera.load import load_camera
from flightsw.camera.model import Camera
from flightsw.errors import EXIT_NOT_DETERMINED, EXIT_OK, ModelError, UsageError, VinsatError
from flightsw.estimate.observations import Observations
from flightsw.runtime.products import EPHEMERIS, OEM, SOLUTION
from flightsw.runtime.tables import read_observations
from flightsw.vision.models import Models, load_models
from groundtools import models_folder
from groundtools.imagery import Imagery, open_imagery
from vinsat_sim.demo import flight
from vinsat_sim.demo.draw import Draw, draw
from vinsat_sim.demo.frames import Exposure, SceneSpec, exposures, render, write_times
from vinsat_sim.demo.progress import Ticker
from vinsat_sim.demo.show import show
from vinsat_sim.demo.story import Story
from vinsat_sim.demo.truth_files import write_truth
from vinsat_sim.scenario import SCENARIOS, Scenario, load_scenario
from vinsat_sim.score import OBSERVATIONS, TrueArc, score

Array = NDArray[np.float64]

CAMERA_FILE = SCENARIOS / "camera.toml"
PRODUCTS = (OBSERVATIONS, SOLUTION, OEM, EPHEMERIS, "frames.csv")
SUMMARY, TRUTH = "summary.json", "truth"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """How to run a demo: where to, over which imagery, with which models; `workers` processes."""

    out: Path
    imagery: str = "embedded"
    models: Path | None = None
    scenario: str = "demo"
    keep_frames: bool = False
    workers: int = 0


class FlightFailed(VinsatError):
    """The flight program ended with an error of its own (exit code 3)."""


def run_demo(seed: int, options: DemoOptions, ticker: Ticker | None = None) -> Story:
    """Run the demo of a seed and return what happened; everything is left in `options.out`.

    Raises InputError or ModelError for what cannot be read, UsageError where `out` cannot
    be written, FlightFailed where the flight program ends with an error.
    """
    started = time.monotonic()
    ticker = ticker or Ticker(shown=False)
    out = _writable(options.out)
    scenario, camera = load_scenario(options.scenario), load_camera(CAMERA_FILE)
    imagery = open_imagery(options.imagery)
    models_dir = options.models or models_folder()
    models = load_models(models_dir)
    ticker.stage("drawing an orbit")
    drawn = draw(seed, scenario, camera, detector_landmarks(models))
    with tempfile.TemporaryDirectory(prefix="vinsat-", dir=_roomy()) as name:
        folder = Path(name)
        frames = _photograph(folder, drawn, scenario, camera, options, ticker)
        ticker.stage("flying: frames to orbit")
        end = drawn.arc.epoch + float(drawn.arc.t_s[-1])
        flown = flight.fly(folder, models_dir, end, listen=lambda line: ticker.step())
        if flown.exit_code not in (EXIT_OK, EXIT_NOT_DETERMINED):
            raise FlightFailed(f"the flight program ended with code {flown.exit_code}: {flown.last_words}")
        _collect(folder, out, keep_frames=options.keep_frames)
        write_truth(out / TRUTH, drawn)
        observations = read_observations(out / OBSERVATIONS)
        story = _story(drawn, scenario, len(frames), observations, flown, imagery, out, started)
        frames_folder = (out if options.keep_frames else folder) / flight.FRAMES
        show(out, story, drawn, frames, frames_folder, observations, models, imagery)
    _write_json(out / SUMMARY, story.as_json())
    return story


def detector_landmarks(models: Models) -> dict[str, Array]:
    """Return the landmarks, p_ecef (K, 3) in m, of every region with a detector."""
    places = [place.id for place in models.manifest.region if place.detector]
    if not places:
        raise ModelError("names no region with a detector", file=models.folder, fix="take other models")
    return {place: models.region(place).catalog.p_ecef for place in places}


def _photograph(
    folder: Path, drawn: Draw, scenario: Scenario, camera: Camera, options: DemoOptions, ticker: Ticker
) -> list[Exposure]:
    """Render the frames of the arc into folder/frames, beside the camera file."""
    frames = exposures(drawn, scenario, camera)
    ticker.stage(f"rendering {len(frames)} frames", len(frames))
    shutil.copyfile(CAMERA_FILE, folder / flight.CAMERA)
    (folder / flight.FRAMES).mkdir()
    write_times(folder / flight.FRAMES, frames, drawn)
    render(
        folder / flight.FRAMES,
        frames,
        SceneSpec(options.imagery, drawn.cloud_seed, drawn.cloud_cover),
        camera,
        quality=scenario.jpeg_quality,
        workers=options.workers or min(2, os.cpu_count() or 1),
        step=ticker.step,
    )
    return frames


def _collect(folder: Path, out: Path, *, keep_frames: bool) -> None:
    """Move what the flight program wrote, and the frames where they are wanted, to `out`."""
    for name in PRODUCTS:
        (out / name).unlink(missing_ok=True)
    for path in sorted((folder / flight.RESULT).iterdir()):
        shutil.copyfile(path, out / path.name)
    if keep_frames:
        shutil.rmtree(out / flight.FRAMES, ignore_errors=True)
        shutil.move(folder / flight.FRAMES, out / flight.FRAMES)
        shutil.copyfile(folder / flight.CAMERA, out / flight.CAMERA)


def _story(
    drawn: Draw,
    scenario: Scenario,
    frames: int,
    observations: Observations,
    flown: flight.FlightRun,
    imagery: Imagery,
    out: Path,
    started: float,
) -> Story:
    arc = drawn.arc
    scored = score(out, TrueArc(arc.epoch, arc.t_s, arc.state_eci))
    return Story(
        seed=drawn.seed,
        orbit=drawn.orbit_in_words,
        start_utc=arc.epoch.utc_iso(digits=0),
        draws=drawn.draws,
        daylit_passes=drawn.passes,
        frames=frames,
        frames_fixed=len(observations.frame_t_s),
        duration_h=scenario.duration_h,
        cadence_s=scenario.cadence_s,
        offset_deg=float(np.degrees(np.linalg.norm(drawn.offset_rad))),
        cloud_cover=drawn.cloud_cover,
        imagery=f"{imagery.name} imagery",
        credit=imagery.credit,
        score=scored,
        flight=flown,
        wall_s=time.monotonic() - started,
    )


def _writable(out: Path) -> Path:
    """Make the output folder. Raises UsageError where that cannot be done."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            return out
    except OSError as error:
        raise UsageError(f"--out {out}: cannot be written ({error.strerror}); name another folder") from None


def _roomy() -> str | None:
    """Return where frames may take hundreds of MB: TMPDIR, else /var/tmp (/tmp may be memory)."""
    if "TMPDIR" in os.environ or not os.access("/var/tmp", os.W_OK):
        return None
    return "/var/tmp"


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
