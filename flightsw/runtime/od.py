"""Observations to products: what `flightsw od` does, and the second half of `flightsw run`."""

import os
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from flightsw.astro.time import Epoch
from flightsw.camera.load import load_camera
from flightsw.camera.model import Camera
from flightsw.errors import InputError, UsageError
from flightsw.estimate.batch import EstimatorOptions, estimate_orbit
from flightsw.estimate.observations import AttitudeTable, GyroTable, Observations
from flightsw.estimate.solution import Solution
from flightsw.files import prepare_folder
from flightsw.runtime.csv_cells import parse_time
from flightsw.runtime.estimator_file import read_estimator_options
from flightsw.runtime.orbit_file import is_in_orbit
from flightsw.runtime.products import SOLUTION, write_solution
from flightsw.runtime.solution_file import read_solution
from flightsw.runtime.tables import MAX_SPAN_DAYS, read_attitude, read_gyro, read_observations

DAY_S = 86_400.0  # s
MAX_PRIOR_DAYS = 10.0  # an older prior is off by more than the search can find anew
GYRO_NOTE = (
    "the gyro is not used: it helps where nadir pointing varies, slow_pointing_sigma_deg in --estimator"
)

PRIOR_NOTE = "the prior contradicts the observations and was left out"


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What is known besides the observations: attitude, rates, an earlier solution, the end.

    until : where the ephemeris is to end; options : what the estimate is told of the satellite.
    """

    attitude: AttitudeTable | None = None
    gyro: GyroTable | None = None
    prior: Solution | None = None
    until: Epoch | None = None
    options: EstimatorOptions = EstimatorOptions()


@dataclass(frozen=True, slots=True)
class Outcome:
    """A solution, the text of its solution.json, the names of the files that were written.

    frames : a sentence on the frames it came from, where there were any.
    """

    solution: Solution
    text: str
    written: tuple[str, ...]
    frames: str = ""


def read_knowledge(
    *,
    attitude: str | os.PathLike[str] | None = None,
    gyro: str | os.PathLike[str] | None = None,
    prior: str | os.PathLike[str] | None = None,
    until: str | None = None,
    estimator: str | os.PathLike[str] | None = None,
) -> Knowledge:
    """Read the optional files of a command. Raises InputError, UsageError."""
    return Knowledge(
        attitude=None if attitude is None else read_attitude(attitude),
        gyro=None if gyro is None else read_gyro(gyro),
        prior=None if prior is None else read_solution(prior),
        until=None if until is None else _until(until),
        options=EstimatorOptions() if estimator is None else read_estimator_options(estimator),
    )


def _until(text: str) -> Epoch:
    try:
        return parse_time(text)
    except ValueError as error:
        raise UsageError(f"--until: {error}") from None


def check_span(knowledge: Knowledge, first: Epoch, last: Epoch) -> None:
    """Refuse an end or a prior that does not belong to data from `first` to `last`.

    Raises UsageError for --until, InputError for the prior. An end inside the data is
    legal: the ephemeris always reaches the last used observation.
    """
    limit = MAX_SPAN_DAYS * DAY_S
    until, prior = knowledge.until, knowledge.prior
    if until is not None and until < first:
        problem = f"--until: {until.utc_iso(0)} is before the data, which begin at {first.utc_iso(0)}"
        raise UsageError(f"{problem}; give a later time")
    if until is not None and until - last > limit:
        problem = f"--until: {until.utc_iso(0)} is more than {MAX_SPAN_DAYS:g} days after the data"
        raise UsageError(f"{problem}, which end at {last.utc_iso(0)}; give an earlier time")
    if prior is not None and abs(prior.epoch - first) > MAX_PRIOR_DAYS * DAY_S:
        problem = f"{prior.epoch.utc_iso(0)} is more than {MAX_PRIOR_DAYS:g} days from the observations"
        raise InputError(problem, field="--prior, epoch_utc", fix="give a prior of about the same time")


def determine(
    observations: Observations, camera: Camera, knowledge: Knowledge
) -> tuple[Solution, tuple[str, ...]]:
    """Return the orbit that the observations determine, or the reason why there is none, and notes.

    A prior that contradicts the observations is left out, with a note: where it leads to
    no state, or to none that is determined while the observations alone determine one.
    Raises UsageError or InputError only where `knowledge` does not belong to the
    observations (`check_span`).
    """
    notes = _notes(knowledge)
    prior = knowledge.prior
    estimate = partial(
        estimate_orbit,
        observations,
        camera,
        attitude=knowledge.attitude,
        gyro=knowledge.gyro,
        options=knowledge.options,
    )
    if len(observations):
        check_span(knowledge, observations.epoch, observations.epoch + float(observations.t_s[-1]))
    if prior is None or len(observations) == 0:
        return estimate(), notes
    if _reaches(prior, observations):
        solution = estimate(prior=prior)
        if solution.status.is_determined:
            return solution, notes
        alone = estimate()
        if solution.has_state and not alone.status.is_determined:
            return solution, notes
    else:
        alone = estimate()
    return alone, (*notes, PRIOR_NOTE)


def _notes(knowledge: Knowledge) -> tuple[str, ...]:
    """Return sentences on what was given and is not used."""
    unused = knowledge.gyro is not None and knowledge.options.slow_pointing_sigma == 0.0
    return (GYRO_NOTE,) if unused else ()


def _reaches(prior: Solution, observations: Observations) -> bool:
    """Tell whether a prior's orbit still exists at both ends of the observations."""
    ends = observations.t_s[[0, -1]] + (observations.epoch - prior.epoch)
    state, covariance = prior.predict(ends)
    return bool(is_in_orbit(state).all() and np.isfinite(covariance).all())


def determine_and_write(
    folder: str | os.PathLike[str],
    observations: Observations,
    camera: Camera,
    knowledge: Knowledge,
    *,
    inputs: dict[str, Any] | None = None,
) -> Outcome:
    """Estimate, and write the products into a folder. Raises as `determine`, `write_solution`."""
    solution, notes = determine(observations, camera, knowledge)
    given: dict[str, Any] = {
        **(inputs or {}),
        "observations": len(observations),
        "frames_with_observations": len(observations.frame_t_s),
        "attitude_rows": None if knowledge.attitude is None else len(knowledge.attitude.t_s),
        "gyro_rows": None if knowledge.gyro is None else len(knowledge.gyro.t_s),
        "prior_epoch_utc": None if knowledge.prior is None else knowledge.prior.epoch.utc_iso(),
        "until_utc": None if knowledge.until is None else knowledge.until.utc_iso(),
    }
    products = write_solution(folder, solution, until=knowledge.until, inputs=given, notes=notes)
    return Outcome(solution, products[SOLUTION], tuple(products))


def od(
    *,
    observations: str | os.PathLike[str],
    camera: str | os.PathLike[str],
    out: str | os.PathLike[str],
    attitude: str | os.PathLike[str] | None = None,
    gyro: str | os.PathLike[str] | None = None,
    prior: str | os.PathLike[str] | None = None,
    until: str | None = None,
    estimator: str | os.PathLike[str] | None = None,
) -> Outcome:
    """Do what `flightsw od` does: read all files, prove `out` writable, estimate, write.

    Raises InputError and UsageError; nothing is written then.
    """
    optics = load_camera(camera)
    knowledge = read_knowledge(attitude=attitude, gyro=gyro, prior=prior, until=until, estimator=estimator)
    seen = read_observations(observations)
    prepare_folder(out)
    return determine_and_write(out, seen, optics, knowledge)
