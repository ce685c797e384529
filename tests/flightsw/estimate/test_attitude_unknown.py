"""Attitude that is not known: told by the frames themselves, or followed by a gyro."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from flightsw.astro.propagate import Forces, propagate
from flightsw.astro.rotation import ecef_from_eci
from flightsw.camera.nadir import body_from_ecef_nadir
from flightsw.estimate.batch import EstimatorOptions, estimate_orbit
from flightsw.estimate.chain import GyroNoise
from flightsw.estimate.gyro import integrated, measured_turns
from flightsw.estimate.observations import GyroTable
from flightsw.estimate.orbit_fit import states_at
from flightsw.estimate.own_attitude import with_own_attitudes
from flightsw.estimate.residuals import rotation_and_left_jacobian
from flightsw.estimate.sightings import prepare_sightings
from flightsw.estimate.solution import Status

TILT = np.radians(2.5)
FREE = EstimatorOptions(free_tilt_sigma=float(TILT))
BIAS = np.array([0.01, -0.02, 0.005])  # rad/s
NOISE = GyroNoise(white=2e-5, bias=0.05, walk=1e-7)


def sideways(t_s: np.ndarray) -> np.ndarray:
    """Return a body turned by 2 rad about the nadir and tilted by up to 4 degrees."""
    return np.column_stack([0.05 * np.sin(t_s / 70.0), 0.07 * np.cos(t_s / 90.0), np.full(len(t_s), 2.0)])


def slowly(t_s: np.ndarray) -> np.ndarray:
    """Return half a degree of pointing error that comes and goes in some minutes."""
    phase = t_s[:, None] / np.array([210.0, 260.0, 330.0])
    return np.asarray(0.009 * np.sin(phase + np.array([0.0, 1.0, 2.0])))


def gyro_of(case, rng: np.random.Generator, windows) -> GyroTable:
    """Return what a gyro of NOISE and BIAS says of a body that turns `slowly`, ten times a second."""
    rows = np.concatenate([np.arange(a - 1.0, b + 1.0, 0.1) for a, b in windows])
    start = case.t_s[0]
    both = np.concatenate([rows - 0.05, rows + 0.05])
    order = np.argsort(both)
    state = np.empty((len(both), 6))
    state[order] = propagate(
        Forces(third_body=True), case.observations.epoch + start, case.state[0], 1.6, both[order] - start
    ).state
    to_ecef = np.asarray(ecef_from_eci(case.observations.epoch, both)).reshape(-1, 3, 3)
    r, v = (np.einsum("fij,fj->fi", to_ecef, part) for part in (state[:, :3], state[:, 3:]))
    body = rotation_and_left_jacobian(slowly(both))[0] @ body_from_ecef_nadir(r, v) @ to_ecef
    before, after = body[: len(rows)], body[len(rows) :]
    small = after @ np.swapaxes(before, 1, 2)
    rate = -np.stack([small[:, 2, 1], small[:, 0, 2], small[:, 1, 0]], axis=1) / 0.1
    noise = NOISE.white / np.sqrt(0.1) * rng.normal(size=rate.shape)
    return GyroTable(case.observations.epoch, rows, rate + BIAS + noise)


@pytest.mark.verifies("EST-022")
def test_frames_tell_their_own_attitude_at_any_yaw(synthetic: Callable, rng: np.random.Generator) -> None:
    case = synthetic(rng, per_frame=30, offset_deg=0.0, turned=sideways)
    assert estimate_orbit(case.observations, case.camera).status is not Status.DETERMINED
    solution = estimate_orbit(case.observations, case.camera, options=FREE)
    assert solution.status is Status.DETERMINED
    assert solution.attitude_mode == "free"
    last = case.t_s[-1]
    _, covariance = solution.predict(np.array([last - (solution.epoch - case.observations.epoch)]))
    assert case.error(solution, last) < 3.0 * np.sqrt(np.trace(covariance[0, :3, :3])) < 9e3  # m


@pytest.mark.verifies("EST-022")
def test_frames_that_do_not_tell_are_left_out(synthetic: Callable, rng: np.random.Generator) -> None:
    case = synthetic(rng, per_frame=30, offset_deg=0.0, turned=sideways)
    o = case.observations
    uv = o.uv_px.copy()
    scattered, thin = o.frame_index == 3, (o.frame_index == 5) & (np.arange(len(o)) % 8 != 0)
    uv[scattered] = rng.uniform(0.0, 1000.0, (int(scattered.sum()), 2))
    sightings = prepare_sightings(replace(o, uv_px=uv).subset(~thin), case.camera, None)
    left = with_own_attitudes(sightings, float(TILT), rng)
    assert set(sightings.t_s) - set(left.t_s) == {sightings.t_s[3], sightings.t_s[5]}
    true = np.stack([case.state[np.searchsorted(case.t_s, t)] for t in left.t_s])
    to_ecef = left.pointing.ecef_from_eci
    r, v = (np.einsum("fij,fj->fi", to_ecef, part) for part in (true[:, :3], true[:, 3:]))
    body = rotation_and_left_jacobian(sideways(left.t_s))[0] @ body_from_ecef_nadir(r, v) @ to_ecef
    off = left.pointing.given_cam_from_eci @ np.swapaxes(case.camera.cam_from_body @ body, 1, 2)
    angle = np.linalg.norm(np.stack([off[:, 2, 1], off[:, 0, 2], off[:, 1, 0]], axis=1), axis=1)
    assert np.median(angle / left.attitude_sigma) == pytest.approx(np.sqrt(2.4), rel=0.5)  # of 3 axes
    assert np.all(angle < 5.0 * left.attitude_sigma)


@pytest.mark.verifies("EST-023")
def test_the_gyro_tells_how_pointing_changed(synthetic: Callable, rng: np.random.Generator) -> None:
    windows = ((0.0, 150.0), (6_000.0, 6_150.0))
    case = synthetic(rng, windows=windows, offset_deg=0.0, jitter_deg=0.0, turned=slowly)
    sightings = prepare_sightings(case.observations, case.camera, None)
    angle, run = integrated(gyro_of(case, rng, windows), sightings.epoch, sightings.t_s)
    assert (np.diff(run) == 1).sum() == 1  # nobody knows what happened between the windows
    sightings = replace(sightings, gyro_angle=angle, gyro_run=run)
    x = np.concatenate([case.state[0], [1.6], np.zeros(6)])
    turns = measured_turns(sightings, states_at(sightings, Forces(), 0.0, x)[0], np.zeros(3))
    assert turns is not None
    known = np.isfinite(turns.turned).all(axis=1)
    assert known.sum() == len(known) - 1
    delta, step = slowly(sightings.t_s), np.diff(sightings.t_s)
    miss = delta[1:] - np.einsum("fij,fj->fi", turns.carry, delta[:-1]) - turns.turned
    rate = miss[known] / step[known, None]
    assert np.abs(rate.mean(axis=0)).max() < 2e-4  # rad/s: of a bias of 2e-2
    np.testing.assert_allclose(rate - rate.mean(axis=0), 0.0, atol=4.0 * NOISE.white / np.sqrt(10.0))


@pytest.mark.verifies("EST-023")
def test_a_good_gyro_sharpens_the_orbit(synthetic: Callable, rng: np.random.Generator) -> None:
    windows = ((0.0, 150.0), (6_000.0, 6_150.0))
    case = synthetic(rng, per_frame=5, windows=windows, offset_deg=0.0, jitter_deg=0.0, turned=slowly)
    options = EstimatorOptions(slow_pointing_sigma=0.009, slow_pointing_s=250.0, gyro=NOISE)
    without = estimate_orbit(case.observations, case.camera, options=options)
    solution = estimate_orbit(
        case.observations, case.camera, gyro=gyro_of(case, rng, windows), options=options
    )
    assert solution.status is without.status is Status.DETERMINED
    assert solution.position_sigma < 0.99 * without.position_sigma
    for t_s in case.t_s[[0, -1]]:
        _, covariance = solution.predict(np.array([t_s - (solution.epoch - case.observations.epoch)]))
        assert case.error(solution, t_s) < 3.5 * np.sqrt(np.trace(covariance[0, :3, :3]))
