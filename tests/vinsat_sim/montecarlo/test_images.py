from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flightsw.camera.load import load_camera
from flightsw.runtime.tables import read_attitude
from groundtools import models_folder
from vinsat_sim.demo import flight
from vinsat_sim.demo.run import CAMERA_FILE
from vinsat_sim.montecarlo.images import (
    ATTITUDE,
    BLIND_SHARE,
    ESTIMATOR,
    Shots,
    choose_shots,
    outcome_of_files,
    photograph,
)
from vinsat_sim.montecarlo.measurement import sightings
from vinsat_sim.montecarlo.world import World, draw_world
from vinsat_sim.scenario import load_scenario

CLEAR_SEED = 2  # of the thesis's scenario: no cloud


@pytest.fixture(scope="module")
def world() -> World:
    return draw_world(load_scenario("thesis"), CLEAR_SEED, load_camera(CAMERA_FILE))


def test_all_frames_that_can_show_a_landmark_are_taken_and_few_of_the_others(world: World) -> None:
    shots = choose_shots(world)
    assert len(np.unique(shots.index)) == len(shots.index)
    assert (np.diff(shots.index) > 0).all()
    others = len(world.truth.t_s) - int(np.sum(~shots.blind))
    assert shots.blind.sum() == pytest.approx(BLIND_SHARE * others, abs=4.0 * np.sqrt(BLIND_SHARE * others))
    again = choose_shots(world)
    np.testing.assert_array_equal(again.index, shots.index)


def test_by_night_nothing_is_photographed() -> None:
    world = draw_world(load_scenario("honest"), 3, load_camera(CAMERA_FILE))
    up = world.truth.r_ecef / np.linalg.norm(world.truth.r_ecef, axis=1)[:, None]
    elevation_deg = np.degrees(np.arcsin(np.sum(up * world.truth.sun_ecef, axis=1)))
    assert elevation_deg[choose_shots(world).index].min() > 9.5  # deg; geocentric up


@pytest.mark.slow
def test_a_few_frames_go_from_the_world_through_the_flight_program_to_an_outcome(
    world: World, tmp_path: Path
) -> None:
    every = choose_shots(world)
    seen, count = np.unique(sightings(world).image, return_counts=True)
    richest = seen[np.sort(np.argsort(count)[-5:])]  # the most landmarks in view
    chosen = np.concatenate([richest, every.index[every.blind][:1]])
    order = np.argsort(chosen)
    shots = Shots(chosen[order], np.isin(chosen[order], every.index[every.blind]))
    photograph(tmp_path, world, shots)
    assert len(list((tmp_path / flight.FRAMES).glob("*.jpg"))) == 6
    np.testing.assert_allclose(np.linalg.norm(read_attitude(tmp_path / ATTITUDE).q, axis=1), 1.0)
    end = world.truth.epoch + float(world.truth.t_s[-1])
    told = ("--attitude", ATTITUDE, "--estimator", ESTIMATOR)
    flown = flight.fly(tmp_path, models_folder(), end, listen=lambda line: None, told=told)
    assert flown.exit_code in (0, 4), flown.last_words
    outcome = outcome_of_files(world, shots, tmp_path / flight.RESULT)
    assert (outcome.frames, outcome.blind_frames, outcome.false_fixes) == (6, 1, 0)
    assert outcome.sightings > 0
    assert not outcome.wrong


@pytest.mark.slow
def test_a_blurred_camera_takes_blurred_pictures(world: World, tmp_path: Path) -> None:
    import cv2

    every = choose_shots(world)
    shots = Shots(every.index[~every.blind][:1], np.zeros(1, dtype=bool))
    sharpness = []
    for name, blur_px in (("sharp", 0.0), ("blurred", 8.0)):
        (tmp_path / name).mkdir()
        photograph(tmp_path / name, replace(world, blur_px=blur_px), shots)
        (frame,) = (tmp_path / name / flight.FRAMES).glob("*.jpg")
        sharpness.append(cv2.Laplacian(cv2.imread(str(frame), cv2.IMREAD_GRAYSCALE), cv2.CV_64F).var())
    assert sharpness[1] < 0.5 * sharpness[0]
