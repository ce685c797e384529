import numpy as np
import pytest
from scipy.optimize import least_squares

from flightsw.estimate.normal_equations import Linearised, solve_symmetric
from flightsw.estimate.solver import SolverOptions, SolverStatus, levenberg_marquardt

NO_CHAIN = np.zeros((0, 3))
NOTHING = {"prior_mean": np.zeros(3), "prior_information": np.zeros((3, 3))}


def curve(rng: np.random.Generator, outliers: int) -> tuple[np.ndarray, np.ndarray]:
    """Return abscissae (N,) and points (N, 2) of a damped oscillation with noise of 0.02."""
    t = np.linspace(0.0, 4.0, 120)
    clean = np.stack([1.5 * np.exp(-0.4 * t) * np.cos(2.0 * t), 1.5 * np.exp(-0.4 * t)], axis=1)
    points = clean + 0.02 * rng.normal(size=clean.shape)
    points[rng.permutation(len(t))[:outliers]] += rng.uniform(1.0, 5.0, (outliers, 2))
    return t, points


def problem(t: np.ndarray, points: np.ndarray):
    def evaluate(z: np.ndarray, delta: np.ndarray = NO_CHAIN) -> Linearised:
        a, b, w = z
        envelope, c, s = np.exp(-b * t), np.cos(w * t), np.sin(w * t)
        model = np.stack([a * envelope * c, a * envelope], axis=1)
        d_a = np.stack([envelope * c, envelope], axis=1)
        d_b = -t[:, None] * model
        d_w = np.stack([-a * t * envelope * s, np.zeros_like(t)], axis=1)
        return Linearised(points - model, -np.stack([d_a, d_b, d_w], axis=2))

    return evaluate


@pytest.mark.verifies("EST-003")
def test_it_finds_what_scipy_finds_without_outliers(rng: np.random.Generator) -> None:
    evaluate = problem(*curve(rng, 0))
    peer = least_squares(lambda z: evaluate(z).residual.ravel(), [1.0, 0.2, 1.8], x_scale="jac")
    ours = levenberg_marquardt(evaluate, np.array([1.0, 0.2, 1.8]), **NOTHING)
    assert ours.status is SolverStatus.CONVERGED
    np.testing.assert_allclose(ours.z, peer.x, atol=3e-3)
    assert ours.sigma == pytest.approx(0.02, rel=0.15)


@pytest.mark.verifies("EST-003")
def test_a_third_of_outliers_hardly_moves_it(rng: np.random.Generator) -> None:
    ours = levenberg_marquardt(problem(*curve(rng, 40)), np.array([1.0, 0.2, 1.8]), **NOTHING)
    np.testing.assert_allclose(ours.z, [1.5, 0.4, 2.0], atol=0.02)


def test_the_cost_of_a_fixed_kernel_never_rises(rng: np.random.Generator) -> None:
    evaluate = problem(*curve(rng, 30))
    options = [SolverOptions(max_iterations=n, first_iteration=8) for n in range(1, 8)]
    ends = [levenberg_marquardt(evaluate, np.array([1.4, 0.3, 1.9]), options=o, **NOTHING) for o in options]
    worst = [np.median(end.norms) for end in ends]
    assert worst[-1] <= worst[0]
    assert ends[-1].cost <= ends[0].cost * (ends[0].sigma / ends[-1].sigma) ** 2 * 1.5


def test_a_prior_alone_is_returned_where_the_data_say_nothing() -> None:
    def silent(z: np.ndarray, _: np.ndarray) -> Linearised:
        return Linearised(np.full((4, 2), 0.5), np.zeros((4, 2, 3)))

    mean = np.array([1.0, 2.0, 3.0])
    end = levenberg_marquardt(
        silent, np.zeros(3), prior_mean=mean, prior_information=np.diag([1.0, 4.0, 9.0])
    )
    np.testing.assert_allclose(end.z, mean, atol=1e-3)


def test_what_cannot_be_seen_neither_pulls_nor_breaks(rng: np.random.Generator) -> None:
    t, points = curve(rng, 0)
    evaluate = problem(t, points)

    def half_blind(z: np.ndarray, _: np.ndarray) -> Linearised:
        seen = evaluate(z)
        seen.residual[::3] = np.nan
        return seen

    end = levenberg_marquardt(half_blind, np.array([1.0, 0.2, 1.8]), **NOTHING)
    np.testing.assert_allclose(end.z, [1.5, 0.4, 2.0], atol=0.02)
    assert not end.weights[::3].any()


def test_nothing_finite_is_a_status() -> None:
    def blind(z: np.ndarray, _: np.ndarray) -> Linearised:
        return Linearised(np.full((4, 2), np.nan), np.full((4, 2, 3), np.nan))

    assert levenberg_marquardt(blind, np.zeros(3), **NOTHING).status is SolverStatus.NOT_FINITE


def test_badly_scaled_systems_are_solved_and_indefinite_ones_refused(rng: np.random.Generator) -> None:
    root = rng.normal(size=(4, 4)) * np.array([1e-6, 1.0, 1e3, 1e7])
    matrix = root.T @ root
    x = rng.normal(size=4) * np.array([1e6, 1.0, 1e-3, 1e-7])
    found = solve_symmetric(matrix, matrix @ x)
    assert found is not None
    np.testing.assert_allclose(found, x, rtol=1e-6)
    assert solve_symmetric(np.diag([1.0, -1.0]), np.ones(2)) is None
    assert solve_symmetric(np.diag([1.0, np.nan]), np.ones(2)) is None
