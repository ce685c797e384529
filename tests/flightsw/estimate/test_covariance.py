import numpy as np
import pytest

from flightsw.estimate.covariance import Clusters, Innovation, error_budget, sandwich
from flightsw.estimate.normal_equations import Linearised
from flightsw.estimate.robust import barron_weight
from flightsw.estimate.solver import levenberg_marquardt

FRAMES, PER_FRAME, LANDMARKS = 20, 12, 30


def layout(rng: np.random.Generator) -> Clusters:
    """Return who errs together: two passes of frames that see the same landmarks again and again."""
    frame = np.repeat(np.arange(FRAMES), PER_FRAME)
    one_pass = frame * 2 // FRAMES
    landmark = np.concatenate([rng.permutation(LANDMARKS)[:PER_FRAME] for _ in range(FRAMES)])
    pair = np.unique(one_pass * LANDMARKS + landmark, return_inverse=True)[1]
    return Clusters(frame, pair, one_pass)


def noise(rng: np.random.Generator, clusters: Clusters, landmark: float, frame: float) -> np.ndarray:
    """Return residuals (N, 2): white of sigma 1, and what landmarks and frames share."""
    n = len(clusters.frame)
    shared = landmark * rng.normal(size=(clusters.landmark.max() + 1, 2))[clusters.landmark]
    jitter = frame * rng.normal(size=(FRAMES, 2))[clusters.frame]
    return rng.normal(size=(n, 2)) + shared + jitter


@pytest.mark.parametrize(("landmark", "frame"), [(0.0, 0.0), (1.0, 0.0), (0.0, 0.8), (0.7, 0.5)])
@pytest.mark.verifies("EST-008")
def test_the_covariance_is_honest_where_errors_repeat(
    landmark: float, frame: float, rng: np.random.Generator
) -> None:
    """Mean NEES of a linear problem with 6 unknowns, robust weights and repeating errors."""
    nees = []
    for _ in range(60):
        clusters = layout(rng)
        n = len(clusters.frame)
        # A landmark's Jacobian is alike in all frames, as in a pass.
        base = rng.normal(size=(clusters.landmark.max() + 1, 2, 6))[clusters.landmark]
        jacobian = base + 0.5 * rng.normal(size=(n, 2, 6)) + np.ones((1, 2, 6)) * 0.5
        e = noise(rng, clusters, landmark, frame)

        def evaluate(z: np.ndarray, _: np.ndarray, e: np.ndarray = e, j: np.ndarray = jacobian):
            return Linearised(e - j @ z, -j)

        nothing = np.zeros((6, 6))
        end = levenberg_marquardt(evaluate, np.zeros(6), prior_mean=np.zeros(6), prior_information=nothing)
        p = sandwich(
            end.jacobian, end.residual, end.weights, shape=end.shape, scale=end.scale,
            clusters=clusters, prior_information=nothing, pass_variance=0.0,
        ).covariance()  # fmt: skip
        nees.append(end.z @ np.linalg.solve(p, end.z))
    assert 4.5 < np.mean(nees) < 7.5  # 6 for an exact covariance


def test_the_error_budget_finds_what_repeats(rng: np.random.Generator) -> None:
    budgets = []
    for _ in range(20):
        clusters = layout(rng)
        budgets.append(error_budget(noise(rng, clusters, 0.8, 0.5), clusters, 0))
    assert np.mean([b.white for b in budgets]) == pytest.approx(1.0, abs=0.15)
    assert np.mean([b.landmark for b in budgets]) == pytest.approx(0.64, abs=0.15)
    assert np.mean([b.frame for b in budgets]) == pytest.approx(0.25, abs=0.1)


def test_a_bias_of_a_whole_pass_widens_the_covariance(rng: np.random.Generator) -> None:
    clusters = layout(rng)
    n = len(clusters.frame)
    jacobian, e = rng.normal(size=(n, 2, 3)) + 1.0, rng.normal(size=(n, 2))
    weights = barron_weight(np.hypot(*e.T), shape=-1.0, scale=2.0) * 4.0
    wide, narrow = (
        sandwich(
            jacobian,
            e,
            weights,
            shape=-1.0,
            scale=2.0,
            clusters=clusters,
            prior_information=np.zeros((3, 3)),
            pass_variance=variance,
        ).covariance()
        for variance in (0.25, 0.0)
    )
    assert np.trace(wide) > 1.5 * np.trace(narrow)


def passes_of_one_line(rng: np.random.Generator, shift: float) -> tuple[Innovation, ...]:
    """Return the innovations of three passes that see six unknowns; the last is off by `shift` sigma."""
    one_pass = np.repeat(np.arange(3), 40)
    frame, landmark = np.repeat(np.arange(30), 4), np.arange(120)
    jacobian = rng.normal(size=(120, 2, 6))
    e = rng.normal(size=(120, 2)) + shift * (one_pass == 2)[:, None] * np.array([1.0, -1.0])
    rows = jacobian.reshape(-1, 6)
    z = np.linalg.lstsq(rows, -e.reshape(-1), rcond=None)[0]
    told = sandwich(
        jacobian, e + jacobian @ z, np.ones(120), shape=2.0, scale=1.0,
        clusters=Clusters(frame, landmark, one_pass), prior_information=np.zeros((6, 6)), pass_variance=0.0,
    )  # fmt: skip
    return told.innovations()


@pytest.mark.verifies("EST-026")
def test_a_pass_is_as_far_from_the_others_as_its_covariance_says(rng: np.random.Generator) -> None:
    found = [one for _ in range(100) for one in passes_of_one_line(rng, 0.0)]
    assert {one.freedom for one in found} == {6}
    assert np.mean([one.squared for one in found]) == pytest.approx(6.0, rel=0.15)
    assert not any(one.contradicts for one in found)
