from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from flightsw.camera.quaternion import quaternion_from_rotation, rotation_from_quaternion
from flightsw.estimate.batch import EstimatorOptions, estimate_orbit
from flightsw.estimate.residuals import rotation_and_left_jacobian
from flightsw.estimate.solution import Status

THREE = ((0.0, 150.0), (5_800.0, 5_950.0), (11_500.0, 11_650.0))


def bad_frames(case, rng: np.random.Generator, share: float):
    """Return the observations with runs of bad frames, half shifted alike, half scattered."""
    o = case.observations
    uv = o.uv_px.copy()
    frames = len(o.frame_t_s)
    left, kind, shift = 0, 0, np.zeros(2)
    for frame in range(frames):
        if left == 0:
            left = int(rng.integers(2, 5))
            kind = int(rng.integers(1, 3)) if rng.random() < share else 0
        left -= 1
        shift = rng.normal(size=2) * 100.0
        rows = o.frame_index == frame
        if kind == 1:
            uv[rows] += shift
        elif kind == 2:
            uv[rows] += rng.uniform(-300, 300, (int(rows.sum()), 2))
    return replace(o, uv_px=uv)


@pytest.mark.parametrize("nadir", [True, False])
@pytest.mark.verifies("EST-005", "EST-008")
def test_two_passes_give_an_orbit_from_nothing_within_its_covariance(
    nadir: bool, synthetic: Callable, rng: np.random.Generator
) -> None:
    case = synthetic(rng, nadir=nadir)
    solution = estimate_orbit(case.observations, case.camera, attitude=case.attitude)
    assert solution.status is Status.DETERMINED
    assert solution.attitude_mode == ("nadir" if nadir else "given")
    assert solution.used.mean() > 0.97
    last = case.t_s[-1]
    _, covariance = solution.predict(np.array([last - (solution.epoch - case.observations.epoch)]))
    sigma = np.sqrt(np.trace(covariance[0, :3, :3]))
    assert case.error(solution, last) < 3.0 * sigma < 9e3  # m
    assert 0.0 < solution.last_used_s <= 6_150.0
    assert solution.first_used_s < 0.0
    if nadir:
        off = solution.pointing_offset_rad - case.offset
        assert np.all(np.abs(off) < 4.0 * solution.pointing_sigma_rad)


@pytest.mark.parametrize("nadir", [True, False])
@pytest.mark.verifies("EST-006")
def test_a_third_of_bad_frames_is_recognised(
    nadir: bool, synthetic: Callable, rng: np.random.Generator
) -> None:
    case = synthetic(rng, nadir=nadir, windows=THREE)
    spoiled = bad_frames(case, rng, 0.35)
    moved = np.hypot(*(spoiled.uv_px - case.observations.uv_px).T) > 20.0
    assert 0.2 < moved.mean() < 0.5
    solution = estimate_orbit(spoiled, case.camera, attitude=case.attitude)
    assert solution.status is Status.DETERMINED
    assert np.mean(solution.used[moved]) < 0.02
    assert case.error(solution, case.t_s[-1]) < 5e3  # m


@pytest.mark.verifies("EST-005")
def test_one_landmark_a_frame_is_enough(synthetic: Callable, rng: np.random.Generator) -> None:
    case = synthetic(rng, windows=((0.0, 250.0), (6_000.0, 6_250.0)), per_frame=1, cadence=5.0)
    solution = estimate_orbit(case.observations, case.camera)
    assert solution.has_state
    assert case.error(solution, case.t_s[-1]) < 5.0 * 2_500.0  # m
    assert solution.status in (Status.DETERMINED, Status.WEAK_GEOMETRY)


@pytest.mark.parametrize(
    ("altitude", "inclination"), [(260e3, 1.7), (1_190e3, 1.1), (500e3, 0.0), (500e3, 3.0)]
)
@pytest.mark.verifies("EST-005")
def test_low_high_equatorial_and_retrograde_orbits_are_found(
    altitude: float, inclination: float, synthetic: Callable, rng: np.random.Generator
) -> None:
    case = synthetic(
        rng, altitude=altitude, inclination=inclination, windows=((0.0, 150.0), (5_000.0, 5_150.0))
    )
    solution = estimate_orbit(case.observations, case.camera)
    assert solution.status is Status.DETERMINED
    assert case.error(solution, case.t_s[-1]) < 3e3  # m


@pytest.mark.verifies("EST-007")
def test_one_pass_is_an_orbit_but_not_determined(synthetic: Callable, rng: np.random.Generator) -> None:
    case = synthetic(rng, windows=((0.0, 200.0),))
    solution = estimate_orbit(case.observations, case.camera)
    assert solution.status is Status.ONE_PASS
    assert solution.has_state
    assert case.error(solution, 200.0) < 20e3  # m


@pytest.mark.verifies("EST-007")
def test_two_passes_that_contradict_each_other_are_not_believed(
    synthetic: Callable, rng: np.random.Generator
) -> None:
    first = synthetic(rng, nadir=False, windows=((0.0, 150.0),))
    other = synthetic(rng, nadir=False, windows=((6_000.0, 6_150.0),), inclination=1.0)
    late = other.observations
    a = first.observations
    both = replace(
        a,
        **{
            name: np.concatenate([getattr(a, name), getattr(late, name)])
            for name in (
                "t_s", "landmark_id", "p_ecef", "lon_deg", "lat_deg", "height_m",
                "uv_px", "confidence", "sigma_px", "region",
            )
        },
    )  # fmt: skip
    attitude = replace(
        first.attitude,
        t_s=np.concatenate([first.attitude.t_s, other.attitude.t_s]),
        q=np.concatenate([first.attitude.q, other.attitude.q]),
        sigma_rad=np.concatenate([first.attitude.sigma_rad, other.attitude.sigma_rad]),
    )
    solution = estimate_orbit(both, first.camera, attitude=attitude)
    assert solution.status is Status.INCONSISTENT_PASSES


@pytest.mark.parametrize(
    "kind", ["none", "one row", "one landmark", "one frame", "a line", "random", "all alike", "far apart"]
)
@pytest.mark.parametrize("nadir", [True, False])
@pytest.mark.verifies("EST-009")
def test_degenerate_input_ends_in_a_status_and_is_never_determined(
    kind: str, nadir: bool, synthetic: Callable, rng: np.random.Generator
) -> None:
    case = synthetic(rng, nadir=nadir, windows=((0.0, 100.0), (6_000.0, 6_100.0)), landmarks=30)
    o = case.observations
    ids, counts = np.unique(o.landmark_id, return_counts=True)
    frames = np.bincount(o.frame_index)
    middle = np.median(o.lat_deg[o.t_s < 1e3])
    keep = {
        "none": np.zeros(len(o), dtype=bool),
        "one row": np.arange(len(o)) == 0,
        "one landmark": o.landmark_id == ids[np.argmax(counts)],
        "one frame": o.frame_index == np.argmax(frames),
        "a line": np.abs(o.lat_deg - middle) < 0.1,
        "far apart": (o.frame_index == 3) | (o.frame_index == len(frames) - 3),
    }.get(kind, np.ones(len(o), dtype=bool))
    uv = o.uv_px
    if kind == "random":
        uv = rng.uniform(0.0, 1.0, uv.shape) * [case.camera.width_px, case.camera.height_px]
    if kind == "all alike":
        uv = np.full(uv.shape, 600.0)
    solution = estimate_orbit(replace(o, uv_px=uv).subset(keep), case.camera, attitude=case.attitude)
    assert not solution.status.is_determined
    assert solution.used.shape == (keep.sum(),)
    if solution.has_state:
        assert np.isfinite(solution.covariance).all()


@pytest.mark.verifies("EST-006")
def test_pixels_that_are_not_numbers_or_repeated_do_not_matter(
    synthetic: Callable, rng: np.random.Generator
) -> None:
    case = synthetic(rng, nadir=False)
    uv = case.observations.uv_px.copy()
    uv[::17] = np.nan
    uv[5::23] = -1e5
    spoiled = replace(case.observations, uv_px=uv).subset(np.repeat(np.arange(len(uv)), 2))
    solution = estimate_orbit(spoiled, case.camera, attitude=case.attitude)
    once = estimate_orbit(case.observations, case.camera, attitude=case.attitude)
    assert solution.status is Status.DETERMINED
    assert not solution.used[np.isnan(spoiled.uv_px).any(axis=1)].any()
    # Counting everything twice says nothing new: sigma must not shrink by sqrt(2).
    assert solution.position_sigma > 0.85 * once.position_sigma


def test_the_same_input_gives_the_same_output(synthetic: Callable, rng: np.random.Generator) -> None:
    case = synthetic(rng)
    first, second = (estimate_orbit(case.observations, case.camera) for _ in range(2))
    np.testing.assert_array_equal(first.r_eci, second.r_eci)
    np.testing.assert_array_equal(first.covariance_full, second.covariance_full)


def test_a_camera_of_other_pixels_gives_the_same_orbit(synthetic: Callable, rng: np.random.Generator) -> None:
    case = synthetic(rng)
    small = estimate_orbit(case.observations, case.camera)
    doubled = replace(case.observations, uv_px=2.0 * case.observations.uv_px)
    large = estimate_orbit(doubled, case.camera.resized(2.0))
    assert np.linalg.norm(small.r_eci - large.r_eci) < 0.2 * small.position_sigma


@pytest.mark.verifies("EST-010")
def test_a_prior_is_weighed_in_and_lets_one_pass_determine(
    synthetic: Callable, rng: np.random.Generator
) -> None:
    case = synthetic(rng, windows=THREE)
    o = case.observations
    early = estimate_orbit(o.subset(o.t_s < 1e4), case.camera)
    late = estimate_orbit(o.subset(o.t_s > 1e4), case.camera, prior=early)
    alone = estimate_orbit(o.subset(o.t_s > 1e4), case.camera)
    assert late.status is Status.DETERMINED
    assert alone.status is Status.ONE_PASS
    assert late.position_sigma < 0.6 * alone.position_sigma
    assert case.error(late, case.t_s[-1]) < 4.0 * late.position_sigma


@pytest.mark.verifies("EST-006")
def test_a_stated_sigma_weighs_the_detections(synthetic: Callable, rng: np.random.Generator) -> None:
    case = synthetic(rng, nadir=False, sigma_px=1.0, bias_px=0.0)
    o = case.observations
    poor = rng.random(len(o)) < 0.5
    uv = o.uv_px + np.where(poor[:, None], 8.0, 0.0) * rng.normal(size=(len(o), 2))
    sigma = np.where(poor, 8.0, 1.0)
    told = estimate_orbit(replace(o, uv_px=uv, sigma_px=sigma), case.camera, attitude=case.attitude)
    untold = estimate_orbit(replace(o, uv_px=uv), case.camera, attitude=case.attitude)
    assert told.status is Status.DETERMINED
    assert told.used.mean() > 0.95  # 8 px is no outlier for a detector that says so
    assert untold.used.mean() < 0.9
    assert case.error(told, case.t_s[-1]) < 4.0 * told.position_sigma


def test_predictions_grow_less_certain_away_from_the_arc(
    synthetic: Callable, rng: np.random.Generator
) -> None:
    case = synthetic(rng, nadir=False)
    solution = estimate_orbit(case.observations, case.camera, attitude=case.attitude)
    turn = np.arange(0.0, 5_700.0, 300.0)  # sigma swings within a revolution: compare its maxima
    largest = []
    for start in (-3_000.0, 60_000.0, 150_000.0):
        _, covariance = solution.predict(start + turn)
        largest.append(np.sqrt(np.trace(covariance[:, :3, :3], axis1=1, axis2=2)).max())
    assert largest[0] < largest[1] < largest[2]
    state, _ = solution.predict(np.array([7_000.0, 0.0]))  # any order
    np.testing.assert_allclose(state[1], np.concatenate([solution.r_eci, solution.v_eci]))


def test_without_drag_the_factor_stays_at_its_prior(synthetic: Callable, rng: np.random.Generator) -> None:
    case = synthetic(rng, nadir=False)
    options = EstimatorOptions(drag_sigma=1e-4)
    solution = estimate_orbit(case.observations, case.camera, attitude=case.attitude, options=options)
    assert solution.drag_scale == pytest.approx(1.0, abs=1e-3)


@pytest.mark.verifies("EST-006")
def test_a_given_attitude_with_a_stated_sigma_has_its_constant_part_estimated(
    synthetic: Callable, rng: np.random.Generator
) -> None:
    case = synthetic(rng, nadir=False)
    tilt = np.radians([0.08, -0.05, 0.06])
    turn = quaternion_from_rotation(
        rotation_and_left_jacobian(tilt)[0].T @ rotation_from_quaternion(case.attitude.q)
    )
    told = replace(case.attitude, q=turn, sigma_rad=np.full(len(turn), np.radians(0.08)))
    solution = estimate_orbit(case.observations, case.camera, attitude=told)
    assert solution.status is Status.DETERMINED
    assert np.all(np.abs(solution.pointing_offset_rad - tilt) < 4.0 * solution.pointing_sigma_rad)
    assert case.error(solution, case.t_s[-1]) < 4.0 * solution.position_sigma  # m
    untold = estimate_orbit(
        case.observations, case.camera, attitude=replace(told, sigma_rad=np.full(len(turn), np.nan))
    )
    assert not untold.pointing_sigma_rad.any()


def test_frames_without_a_row_of_attitude_count_as_nadir_pointing(
    synthetic: Callable, rng: np.random.Generator
) -> None:
    case = synthetic(rng, nadir=False)
    half = len(case.t_s) // 2
    table = replace(
        case.attitude, t_s=case.t_s[:half], q=case.attitude.q[:half], sigma_rad=np.full(half, np.nan)
    )
    solution = estimate_orbit(case.observations, case.camera, attitude=table)
    assert solution.attitude_mode == "mixed"
    assert solution.status is Status.DETERMINED
    assert case.error(solution, case.t_s[-1]) < 3e3  # m


@pytest.mark.verifies("EST-026")
def test_a_whole_pass_shifted_alike_is_left_out_where_two_others_agree(
    synthetic: Callable, rng: np.random.Generator
) -> None:
    case = synthetic(rng, windows=THREE, nadir=False)
    o = case.observations
    shifted = o.t_s > 11_000.0
    uv = o.uv_px + np.where(shifted[:, None], np.array([25.0, 30.0]), 0.0)
    solution = estimate_orbit(replace(o, uv_px=uv), case.camera, attitude=case.attitude)
    assert solution.status is Status.DETERMINED
    assert [p.agrees for p in solution.passes] == [True, True, False]
    assert not solution.used[shifted].any()
    _, covariance = solution.predict(np.array([5_950.0 - (solution.epoch - o.epoch)]))
    assert case.error(solution, 5_950.0) < 3.0 * np.sqrt(np.trace(covariance[0, :3, :3]))
    clean = estimate_orbit(o, case.camera, attitude=case.attitude)
    assert all(p.agrees and p.nis < p.nis_freedom + 6.0 * np.sqrt(2.0 * p.nis_freedom) for p in clean.passes)
