"""The measurement level: no images, the landmarks in view in pixels, spoiled as a detector would."""

import functools
import math
from dataclasses import replace

from flightsw.estimate.batch import EstimatorOptions, estimate_orbit
from vinsat_sim.measurement.conditions import CAMERA, Conditions, Landmarks, draw_landmarks
from vinsat_sim.measurement.detector import ERRORS, DetectorErrors
from vinsat_sim.measurement.satellite import Satellite, look
from vinsat_sim.measurement.trial import options
from vinsat_sim.montecarlo.outcome import Outcome, outcome_of
from vinsat_sim.montecarlo.world import World, draw_world
from vinsat_sim.scenario import Scenario


def fly(scenario: Scenario, seed: int) -> Outcome:
    """Return how the trial of a seed ends."""
    world = draw_world(scenario, seed, CAMERA)
    satellite = sightings(world)
    solution = estimate_orbit(
        satellite.observations(detector_errors(world)),
        CAMERA,
        attitude=satellite.attitude() if scenario.attitude.given else None,
        options=estimator_options(scenario),
    )
    return outcome_of(satellite, solution)


def sightings(world: World) -> Satellite:
    """Return the landmarks that a world's camera sees, exact, after clouds and confidence."""
    scenario = world.scenario
    conditions = Conditions(
        duration_s=scenario.duration_s,
        cadence_s=scenario.cadence_s,
        landmarks_per_region=scenario.detector.landmarks_per_region,
        sun_elevation_min_deg=scenario.sun_elevation_min_deg if scenario.night else None,
        cloudy=scenario.cloud_cover[1] > 0.0,
        kept=scenario.detector.kept,
    )
    sky = (*scenario.cloud_cover, *scenario.cloud_shape)
    landmarks = _landmarks(scenario.detector.landmarks_per_region)
    return look(
        world.seed, world.truth, world.cam_from_ecef, conditions, landmarks, world.true_camera, cover=sky
    )


def detector_errors(world: World) -> DetectorErrors:
    """Return the errors of the scenario's detector, on pictures as blurred as the world's."""
    errors = ERRORS[world.scenario.detector.errors]
    return replace(errors, noise_px=math.hypot(errors.noise_px, world.blur_px))


def estimator_options(scenario: Scenario) -> EstimatorOptions:
    """Return what the estimator is told: no more than the team that flies it knows."""
    return options(
        slow_pointing_sigma=math.radians(scenario.attitude.slow_deg),
        slow_pointing_s=scenario.attitude.slow_s,
        focal_sigma=scenario.focal_sigma_percent / 100.0,
    )


@functools.cache
def _landmarks(per_region: int) -> Landmarks:
    return draw_landmarks(per_region)
