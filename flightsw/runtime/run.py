"""Frames to products: what `flightsw run` does."""

import os
from dataclasses import replace
from pathlib import Path

from flightsw.camera.load import load_camera
from flightsw.camera.model import Camera
from flightsw.errors import InputError
from flightsw.files import prepare_folder
from flightsw.runtime.frame_times import read_frame_times
from flightsw.runtime.od import Knowledge, Outcome, check_span, determine_and_write, read_knowledge
from flightsw.runtime.pipeline import OBSERVATIONS, REPORT, FramesSummary, FrameSweep
from flightsw.runtime.products import remove_products
from flightsw.runtime.tables import read_observations, write_observations
from flightsw.runtime.tracking import expected_poses
from flightsw.vision.preprocess import check_camera

SWEEPS = 3  # at most: each finds frames that the one before had no orbit for


def run(
    *,
    frames: str | os.PathLike[str],
    camera: str | os.PathLike[str],
    models: str | os.PathLike[str],
    out: str | os.PathLike[str],
    attitude: str | os.PathLike[str] | None = None,
    gyro: str | os.PathLike[str] | None = None,
    prior: str | os.PathLike[str] | None = None,
    until: str | None = None,
    estimator: str | os.PathLike[str] | None = None,
    tracking: bool = True,
) -> Outcome:
    """Turn a folder of frames into observations.csv and the products of an estimate.

    Everything the user gave is read, and `out` proved writable, before the first frame is
    decoded. observations.csv is written even when it is empty, also where the camera is
    too coarse or too narrow for the models. Raises InputError, ModelError, UsageError.

    With `tracking`, fixes show where to look in the frames beside them, and, once there is
    an orbit, frames that gave nothing are measured again where it puts them; the estimate
    is then made anew. Without it every frame stands alone and is looked at once.
    """
    optics = load_camera(camera)
    knowledge = read_knowledge(attitude=attitude, gyro=gyro, prior=prior, until=until, estimator=estimator)
    files = read_frame_times(frames)
    check_span(knowledge, files[0].epoch, files[-1].epoch)
    folder = prepare_folder(out)
    try:
        check_camera(optics, file=camera)
    except InputError:
        remove_products(folder, also=(REPORT,))
        write_observations(folder / OBSERVATIONS, [])
        raise
    sweep = FrameSweep(Path(frames), optics, Path(models), folder)
    summary = sweep.look(neighbours=tracking)
    outcome = _determine(folder, optics, knowledge, sweep, summary)
    for _ in range(SWEEPS if tracking else 0):
        expected = expected_poses(outcome.solution, sweep.epochs, optics, knowledge.attitude)
        summary, found = sweep.look_again(expected)
        if not found:
            break
        outcome = _determine(folder, optics, knowledge, sweep, summary)
    return replace(outcome, frames=summary.sentence, written=(OBSERVATIONS, REPORT, *outcome.written))


def _determine(
    folder: Path, optics: Camera, knowledge: Knowledge, sweep: FrameSweep, summary: FramesSummary
) -> Outcome:
    """Estimate from the observations written so far."""
    remove_products(folder)  # of an earlier run: they do not belong to the new observations
    seen = read_observations(folder / OBSERVATIONS)
    counts = {status.name: count for status, count in summary.counts.items()}
    inputs = {"frames": len(sweep.epochs), "frames_by_status": counts}
    return determine_and_write(folder, seen, optics, knowledge, inputs=inputs)
