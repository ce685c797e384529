"""The images level: frames are rendered, and the flight program makes an orbit of them.

The frames are those that can show a landmark, and a random BLIND_SHARE of the others,
which stand for the rest: a fix claimed in one of them is counted as false. The flight
program runs in a process of its own and gets frames, camera, models, and the attitude
where the scenario says it is known.
"""

import csv
import functools
import json
import math
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from flightsw.astro.forces import Forces
from flightsw.astro.geodesy import geodetic_up, lla_from_ecef
from flightsw.camera.load import load_camera
from flightsw.camera.quaternion import quaternion_from_rotation
from flightsw.errors import EXIT_NOT_DETERMINED, EXIT_OK, InputError
from flightsw.estimate.observations import Observations
from flightsw.estimate.sightings import PASS_GAP, REFERENCE_FOCAL_PX, split_by_gap
from flightsw.estimate.solution import Solution, Status
from flightsw.runtime.products import SOLUTION
from flightsw.runtime.solution_file import read_solution
from flightsw.runtime.tables import read_observations
from groundtools import models_folder
from groundtools.imagery import Imagery, open_imagery
from vinsat_sim.clouds import cloud_field
from vinsat_sim.demo import flight
from vinsat_sim.demo.frames import TIMES, frame_name
from vinsat_sim.demo.run import CAMERA_FILE, FlightFailed
from vinsat_sim.measurement.conditions import Conditions, Landmarks, draw_landmarks
from vinsat_sim.measurement.satellite import Satellite, look
from vinsat_sim.montecarlo.measurement import estimator_options
from vinsat_sim.montecarlo.outcome import Outcome, outcome_of
from vinsat_sim.montecarlo.world import World, draw_world
from vinsat_sim.scenario import Scenario
from vinsat_sim.scene.frame import Scene, encode_jpeg, render_frame
from vinsat_sim.score import OBSERVATIONS

IntArray = NDArray[np.intp]

BLIND_SHARE = 0.03  # of the frames that can show no landmark, taken all the same
BLIND_STREAM, NOISE_STREAM = 21, 22  # independent random streams of one seed
PROBES_PER_REGION = 200  # points about 50 km apart: a frame over a region shows one
ATTITUDE, ESTIMATOR = "attitude.csv", "estimator.toml"  # inside the flight folder


@dataclass(frozen=True, slots=True)
class Shots:
    """Which of a world's instants are photographed: index (F,) ascending, blind (F,)."""

    index: IntArray
    blind: NDArray[np.bool_]


def fly(scenario: Scenario, seed: int) -> Outcome:
    """Return how the trial of a seed ends."""
    world = draw_world(scenario, seed, load_camera(CAMERA_FILE))
    shots = choose_shots(world)
    with tempfile.TemporaryDirectory(prefix="vinsat-") as name:
        folder = Path(name)
        photograph(folder, world, shots)
        end = world.truth.epoch + float(world.truth.t_s[-1])
        told = ["--estimator", ESTIMATOR]
        told += ["--attitude", ATTITUDE] if scenario.attitude.given else []
        flown = flight.fly(folder, models_folder(), end, listen=lambda line: None, told=tuple(told))
        if flown.exit_code not in (EXIT_OK, EXIT_NOT_DETERMINED):
            raise FlightFailed(f"the flight program ended with code {flown.exit_code}: {flown.last_words}")
        return outcome_of_files(world, shots, folder / flight.RESULT)


def choose_shots(world: World) -> Shots:
    """Return the frames that can show a landmark and a few of the others, in daylight all."""
    truth = world.truth
    lat, lon, _ = lla_from_ecef(truth.r_ecef)
    sine = np.sum(geodetic_up(lat, lon) * truth.sun_ecef, axis=1)
    lit = sine > np.sin(np.radians(world.scenario.sun_elevation_min_deg))
    conditions = Conditions(sun_elevation_min_deg=None, cloudy=False, kept=1.0)
    seen = look(world.seed, truth, world.cam_from_ecef, conditions, _probes(), world.true_camera).image
    can_show = np.zeros(len(truth.t_s), dtype=bool)
    can_show[seen] = True
    chance = np.random.default_rng([world.seed, BLIND_STREAM]).random(len(truth.t_s))
    index = np.flatnonzero(lit & (can_show | (chance < BLIND_SHARE)))
    return Shots(index, ~can_show[index])


def photograph(folder: Path, world: World, shots: Shots) -> None:
    """Write frames, their times, the camera and what else is known into a flight folder."""
    cv2.setNumThreads(1)
    frames = folder / flight.FRAMES
    frames.mkdir()
    shutil.copyfile(CAMERA_FILE, folder / flight.CAMERA)
    scene = Scene(_imagery(), cloud_field(world.cloud_seed, cover=world.cloud_cover))
    truth, camera = world.truth, world.true_camera
    names = [frame_name(truth.epoch + float(truth.t_s[k])) for k in shots.index]
    for name, k in zip(names, shots.index):
        noise = (world.seed, NOISE_STREAM, int(k))
        pixels = render_frame(
            scene, camera, truth.r_ecef[k], world.cam_from_ecef[k], truth.sun_ecef[k], seed=noise
        )
        if world.blur_px > 0.0:  # stated for the reference camera, as every pixel error
            sigma = world.blur_px * world.camera.fx_px / REFERENCE_FOCAL_PX
            pixels = cv2.GaussianBlur(pixels, (0, 0), sigma)
        (frames / name).write_bytes(encode_jpeg(pixels, quality=world.scenario.jpeg_quality))
    _write_tables(folder, world, shots, names)


def outcome_of_files(world: World, shots: Shots, result: Path) -> Outcome:
    """Compare what a flight program left in a folder with the world it flew in."""
    observations = read_observations(result / OBSERVATIONS)
    solution = _solution(result, observations)
    satellite = _seen(world, observations)
    blind = set(shots.index[shots.blind].tolist())
    return outcome_of(
        satellite,
        solution,
        frames=len(shots.index),
        blind_frames=len(blind),
        false_fixes=len(blind & set(satellite.image.tolist())),
    )


def _write_tables(folder: Path, world: World, shots: Shots, names: list[str]) -> None:
    truth = world.truth
    times = [(truth.epoch + float(truth.t_s[k])).utc_iso(digits=6) for k in shots.index]
    _write(folder / flight.FRAMES / TIMES, ["file", "time_utc"], zip(names, times))
    if world.scenario.attitude.given:
        k = shots.index
        q = quaternion_from_rotation(world.cam_from_ecef[k] @ truth.ecef_from_eci[k])
        rows = ([time, *(f"{x:.12f}" for x in one)] for time, one in zip(times, q))
        _write(folder / ATTITUDE, ["time_utc", "qw", "qx", "qy", "qz"], rows)
    told = estimator_options(world.scenario)
    text = (
        f"slow_pointing_sigma_deg = {math.degrees(told.slow_pointing_sigma)}\n"
        f"slow_pointing_s = {told.slow_pointing_s}\n"
        f"focal_sigma = {told.focal_sigma}\n"
    )
    (folder / ESTIMATOR).write_text(text, encoding="utf-8")


def _write(path: Path, header: list[str], rows: Iterable[Iterable[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _solution(result: Path, observations: Observations) -> Solution:
    """Return the solution of a flight, with or without a state."""
    with suppress(InputError):
        return read_solution(result / SOLUTION)
    status = json.loads((result / SOLUTION).read_text(encoding="utf-8"))["status"]
    return Solution(
        status=Status[status],
        epoch=observations.epoch,
        used=np.zeros(len(observations), dtype=bool),
        attitude_mode="nadir",
        forces=Forces(),
    )


def _seen(world: World, observations: Observations) -> Satellite:
    """Return the observations as sightings of the world's satellite."""
    t_s = observations.t_s + (observations.epoch - world.truth.epoch)
    image = np.round(t_s / world.scenario.cadence_s).astype(np.intp)
    _, landmark = np.unique(observations.landmark_id, return_inverse=True)
    passes = split_by_gap(world.truth.t_s[image], PASS_GAP)
    return Satellite(
        world.seed, world.truth, _probes(), world.cam_from_ecef, image, landmark, observations.uv_px, passes
    )


@functools.cache
def _probes() -> Landmarks:
    return draw_landmarks(PROBES_PER_REGION)


@functools.cache
def _imagery() -> Imagery:
    return open_imagery("embedded")
