"""The bound against what it is made of, and the other fits that are compared with ours."""

from dataclasses import replace

import numpy as np
import pytest

from flightsw.astro.propagate import propagate
from flightsw.camera.pose_fit import rotation_from_vector, vector_from_rotation
from flightsw.estimate.sightings import prepare_sightings
from vinsat_sim.measurement.ablations import Softness, frames_alone, least_squares, soft_dynamics
from vinsat_sim.measurement.bound import bound_km, effective_sigma, known_of, true_unknowns
from vinsat_sim.measurement.conditions import CAMERA, Conditions, draw_landmarks
from vinsat_sim.measurement.confidence import detect
from vinsat_sim.measurement.detector import PUBLISHED, white
from vinsat_sim.measurement.figures import ratio_of_rms, solvability
from vinsat_sim.measurement.satellite import PointingErrors, Satellite, fly
from vinsat_sim.measurement.trial import check_times, options

SEED = 2  # two usable passes in honest conditions
SLOW = options(slow_pointing_sigma=float(np.radians(0.5)))


@pytest.fixture(scope="module")
def satellite() -> Satellite:
    return fly(SEED, Conditions(), draw_landmarks(500), PointingErrors())


def test_the_bound_grows_with_the_noise_and_with_what_is_not_known(satellite: Satellite) -> None:
    known = options(drag_sigma=1e-6)  # a prior that matters would spoil the proportion
    one, two = (bound_km(satellite, white(px), attitude_given=True, how=known) for px in (1.0, 2.0))
    assert two / one == pytest.approx(2.0, rel=1e-3)
    one = bound_km(satellite, white(1.0), attitude_given=True)
    biased = bound_km(satellite, replace(white(1.0), pass_px=1.0), attitude_given=True)
    per_landmark = bound_km(satellite, replace(white(1.0), landmark_px=1.0), attitude_given=True)
    unknown = bound_km(satellite, white(1.0), attitude_given=False)
    slow = bound_km(satellite, white(1.0), attitude_given=False, how=SLOW)
    assert one < per_landmark < 1.5 * biased
    assert one < unknown < slow
    assert one < biased


def test_what_is_left_out_is_not_in_the_bound(satellite: Satellite) -> None:
    every_other = np.arange(len(satellite.image)) % 2 == 0
    whole = bound_km(satellite, white(2.0), attitude_given=True)
    half = bound_km(satellite, white(2.0), attitude_given=True, good=every_other)
    assert half / whole == pytest.approx(np.sqrt(2.0), rel=0.1)
    nothing = np.zeros(len(satellite.image), dtype=bool)
    assert bound_km(satellite, white(2.0), attitude_given=True, good=nothing) == np.inf


def test_biases_and_a_chain_together_are_refused(satellite: Satellite) -> None:
    with pytest.raises(ValueError, match="not both"):
        bound_km(satellite, PUBLISHED, attitude_given=False, how=SLOW)


def test_the_information_in_a_heavy_tail_is_that_of_its_score(rng: np.random.Generator) -> None:
    """Fisher information per axis: the mean square of d(log density)/du over draws."""
    nu, sigma = PUBLISHED.tails, PUBLISHED.noise_px
    n = 400_000
    e = sigma * rng.standard_normal((n, 2)) * np.sqrt(nu / rng.chisquare(nu, n))[:, None]
    score = (nu + 2.0) * e[:, 0] / (nu * sigma**2 + np.sum(e**2, axis=1))
    assert effective_sigma(PUBLISHED) == pytest.approx(np.mean(score**2) ** -0.5, rel=0.01)


def test_plain_least_squares_attain_the_bound_of_white_noise(satellite: Satellite) -> None:
    """Over draws of the noise the RMS over the arc is the bound."""
    setup = known_of(options(), attitude_given=True)
    exact = prepare_sightings(satellite.reported(satellite.uv_px), CAMERA, satellite.attitude())
    t_s = float(exact.t_s[len(exact.t_s) // 2])
    x0 = least_squares(exact, t_s, true_unknowns(satellite, t_s), setup)  # what the forces leave
    assert np.linalg.norm(x0[:3] - true_unknowns(satellite, t_s)[:3]) < 100.0  # m
    instants = check_times(satellite.truth) - t_s

    def positions(x: np.ndarray) -> np.ndarray:
        return propagate(setup.forces, exact.epoch + t_s, x[:6], float(x[6]), instants).state[:, :3]

    mean, squares = positions(x0), []
    for seed in range(12):
        uv_px = exact.uv_px + np.random.default_rng(seed).normal(0.0, 2.0, exact.uv_px.shape)
        fitted = least_squares(replace(exact, uv_px=uv_px), t_s, x0, setup)
        squares.append(np.mean(np.sum((positions(fitted) - mean) ** 2, axis=1)))
    rms_km = np.sqrt(np.mean(squares)) / 1e3
    # One direction dominates, so twelve draws are good to a fifth.
    assert rms_km / bound_km(satellite, white(2.0), attitude_given=True) == pytest.approx(1.0, abs=0.5)


def test_soft_dynamics_drawn_tight_are_hard_and_frames_alone_are_worse(satellite: Satellite) -> None:
    seen = satellite.observations(white(2.0))
    sightings = prepare_sightings(seen, CAMERA, satellite.attitude())
    t_s = float(sightings.t_s[len(sightings.t_s) // 2])
    setup = known_of(options(), attitude_given=True)
    x = least_squares(sightings, t_s, true_unknowns(satellite, t_s), setup)
    times, tight = soft_dynamics(sightings, setup.forces, t_s, x, Softness(position=1e-3, velocity=1e-6))
    truth = satellite.truth.state_eci[np.searchsorted(satellite.truth.t_s, times - 1e-3)]
    at_frame = np.searchsorted(times, sightings.t_s)
    hard = np.linalg.norm(tight[:, :3] - truth[:, :3], axis=1)
    assert np.sqrt(np.mean(hard**2)) < 500.0  # m
    alone = frames_alone(sightings, tight[at_frame])
    error = np.linalg.norm(alone - truth[at_frame, :3], axis=1)
    fit = np.isfinite(error)
    assert np.bincount(sightings.frame)[fit].min() >= 3
    assert np.sqrt(np.mean(error[fit] ** 2)) > 3.0 * np.sqrt(np.mean(hard[at_frame][fit] ** 2))


def test_an_unsure_detection_is_a_bad_one_more_often(satellite: Satellite) -> None:
    found = detect(satellite, PUBLISHED)
    sure, unsure = found.confidence >= 0.8, found.confidence < 0.6
    assert sure.mean() == pytest.approx(0.65, abs=0.05)
    assert found.is_bad[unsure].mean() > found.is_bad[sure].mean() + 0.2
    again = detect(satellite, PUBLISHED)
    assert np.array_equal(found.uv_px, again.uv_px)


def test_a_rotation_vector_comes_back(rng: np.random.Generator) -> None:
    vector = 0.3 * rng.normal(size=(20, 3))
    vector[0] = 0.0
    assert np.allclose(vector_from_rotation(rotation_from_vector(vector)), vector, atol=1e-12)


def test_a_ratio_is_of_root_mean_squares_and_satellites_count_once() -> None:
    rows = [{"rms_km": 2.0, "bound_km": 1.0}, {"rms_km": 1.0, "bound_km": 1.0}]
    assert ratio_of_rms(rows)[0] == pytest.approx(np.sqrt(2.5))
    twice = [{"seed": seed, "usable_passes": seed % 3} for seed in range(6)] * 2
    assert solvability(twice).value == "2 / 2 / 2"
