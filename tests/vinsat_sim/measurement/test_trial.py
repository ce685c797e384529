import numpy as np
import pytest

from vinsat_sim.measurement.conditions import ALL_VISIBLE, CAMERA, Conditions, draw_landmarks, draw_orbit
from vinsat_sim.measurement.detector import white
from vinsat_sim.measurement.satellite import PointingErrors, Satellite, fly
from vinsat_sim.measurement.trial import Trial, estimate

SEED = 2  # two usable passes in honest conditions


@pytest.fixture(scope="module")
def satellite() -> Satellite:
    return fly(SEED, Conditions(), draw_landmarks(500), PointingErrors())


def test_what_a_satellite_sees_is_in_the_frame_and_lit(satellite: Satellite) -> None:
    assert satellite.usable_passes >= 2
    assert (satellite.uv_px > 0.0).all()
    assert (satellite.uv_px < [CAMERA.width_px, CAMERA.height_px]).all()
    assert np.all(np.diff(satellite.image) >= 0)
    sun = satellite.truth.sun_ecef[satellite.image]
    p = satellite.landmarks.p_ecef[satellite.landmark]
    sine = np.sum(sun * p, axis=1) / np.linalg.norm(p, axis=1)
    assert np.degrees(np.arcsin(sine)).min() > 9.5  # geocentric and geodetic up differ by 0.2 deg


def test_an_exact_attitude_and_two_px_make_an_orbit_that_knows_its_error(satellite: Satellite) -> None:
    trial = estimate(satellite, white(2.0), attitude_given=True)
    assert trial.determined
    assert trial.solved
    assert not trial.wrong
    assert trial.rms_km is not None
    assert trial.rms_km < 1.0


def test_subsets_of_landmarks_are_nested() -> None:
    landmarks = draw_landmarks(50)
    few, more = landmarks.first_of_each(0.2), landmarks.first_of_each(0.5)
    assert len(few.lon_deg) == 160
    assert set(few.lon_deg) < set(more.lon_deg) < set(landmarks.lon_deg)


def test_an_orbit_depends_on_its_seed_alone() -> None:
    assert draw_orbit(5, Conditions()) == draw_orbit(5, ALL_VISIBLE)
    assert draw_orbit(5, Conditions()) != draw_orbit(6, Conditions())


def test_slow_pointing_errors_have_their_sigma_and_their_memory(rng: np.random.Generator) -> None:
    t_s = np.arange(0.0, 200_000.0, 10.0)
    error = np.degrees(PointingErrors(slow_deg=0.5, slow_s=1000.0).sampled(t_s, rng))
    assert error.std() == pytest.approx(0.5, rel=0.15)
    lag = np.mean(error[100:] * error[:-100]) / np.mean(error**2)  # 1000 s apart
    assert lag == pytest.approx(np.exp(-1.0), abs=0.15)


@pytest.mark.parametrize(
    ("error", "sigma", "wrong"), [(0.1, 0.1, False), (0.6, 0.1, True), (6.0, 9.0, True), (4.0, 3.0, False)]
)
def test_wrong_is_beyond_five_km_or_five_sigma(error: float, sigma: float, wrong: bool) -> None:
    about = {"seed": 1, "usable_passes": 2, "detections": 9, "wall_s": 0.0, "error_last_image_km": error}
    claimed = Trial(**about, status="DETERMINED", determined=True, sigma_last_image_km=sigma)
    assert claimed.wrong is wrong
    assert not Trial(**about, status="ONE_PASS", determined=False, sigma_last_image_km=sigma).wrong
