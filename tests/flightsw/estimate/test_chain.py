"""The chain of pointing errors against dense algebra and against its own process."""

import numpy as np
import pytest

from flightsw.estimate.chain import Arrow, ChainPrior
from flightsw.estimate.normal_equations import Linearised
from flightsw.estimate.solver import SolverOptions, levenberg_marquardt

TIMES = np.array([0.0, 5.0, 10.0, 12.0, 300.0, 4000.0])


def dense(chain: ChainPrior) -> np.ndarray:
    """Return the information (F, F) of one axis."""
    return np.diag(chain.diagonal) + np.diag(chain.next, 1) + np.diag(chain.next, -1)


@pytest.mark.verifies("EST-020")
def test_its_information_is_the_inverse_of_a_gauss_markov_covariance(rng: np.random.Generator) -> None:
    sigma = rng.uniform(1e-3, 2e-2, len(TIMES))
    for tau in (50.0, 1000.0):
        chain = ChainPrior.gauss_markov(TIMES, sigma, tau)
        expected = np.outer(sigma, sigma) * np.exp(-np.abs(TIMES[:, None] - TIMES) / tau)
        np.testing.assert_allclose(np.linalg.inv(dense(chain)), expected, rtol=1e-8, atol=1e-16)


def test_no_memory_frees_every_frame() -> None:
    chain = ChainPrior.gauss_markov(TIMES, np.full(len(TIMES), 0.01), 0.0)
    np.testing.assert_allclose(dense(chain), np.eye(len(TIMES)) * 1e4)


def test_its_product_is_that_of_the_matrix(rng: np.random.Generator) -> None:
    chain = ChainPrior.gauss_markov(TIMES, np.full(len(TIMES), 0.01), 100.0)
    values = rng.normal(size=(len(TIMES), 3, 4))
    np.testing.assert_allclose(chain.product(values), np.einsum("fg,gik->fik", dense(chain), values))


@pytest.mark.verifies("EST-020")
def test_the_arrow_is_solved_as_the_dense_system(rng: np.random.Generator) -> None:
    frames, n = len(TIMES), 4
    chain = ChainPrior.gauss_markov(TIMES, np.full(frames, 0.3), 100.0)
    root = rng.normal(size=(frames, 3, 3))
    blocks = root @ np.swapaxes(root, 1, 2) + chain.diagonal[:, None, None] * np.eye(3)
    border, g, h = rng.normal(size=(frames, 3, n)), rng.normal(size=n), rng.normal(size=(frames, 3))
    shared = np.eye(n) * 50.0
    t = np.kron(dense(chain) - np.diag(chain.diagonal), np.eye(3))
    for f in range(frames):
        t[3 * f : 3 * f + 3, 3 * f : 3 * f + 3] = blocks[f]
    flat = border.reshape(-1, n)
    schur, gradient, by_shared, rest = Arrow(shared, g, border, h, blocks, chain.next).schur()
    np.testing.assert_allclose(by_shared.reshape(-1, n), np.linalg.solve(t, flat))
    np.testing.assert_allclose(rest.ravel(), np.linalg.solve(t, h.ravel()))
    np.testing.assert_allclose(schur, shared - flat.T @ np.linalg.solve(t, flat))
    np.testing.assert_allclose(gradient, g - flat.T @ np.linalg.solve(t, h.ravel()))


@pytest.mark.verifies("EST-020")
def test_shared_unknowns_are_estimated_with_an_honest_covariance_beside_a_chain(
    rng: np.random.Generator,
) -> None:
    """Linear: 3 shared unknowns, 40 frames of 8 detections, each frame with an error of its own."""
    t = np.arange(40.0) * 10.0
    frame = np.repeat(np.arange(40), 8)
    chain = ChainPrior.gauss_markov(t, np.full(40, 2.0), 200.0)
    root = np.linalg.inv(np.linalg.cholesky(dense(chain)))
    nees = []
    for _ in range(100):
        delta = root.T @ rng.normal(size=(40, 3))
        j, own = rng.normal(size=(len(frame), 2, 3)), rng.normal(size=(len(frame), 2, 3))
        e = rng.normal(size=(len(frame), 2)) - np.einsum("nij,nj->ni", own, delta[frame])

        def evaluate(z: np.ndarray, d: np.ndarray, e=e, j=j, own=own) -> Linearised:
            return Linearised(e + j @ z + np.einsum("nij,nj->ni", own, d[frame]), j, own)

        end = levenberg_marquardt(
            evaluate, np.zeros(3), prior_mean=np.zeros(3), prior_information=np.zeros((3, 3)),
            chain=chain, frame=frame, delta0=np.zeros((40, 3)), options=SolverOptions(first_iteration=8),
        )  # fmt: skip
        nees.append(end.z @ end.hessian @ end.z)
        reduced = end.jacobian.reshape(-1, 3)
        weighted = reduced * np.repeat(end.weights / end.sigma**2, 2)[:, None]
        np.testing.assert_allclose(reduced.T @ weighted + end.information, end.hessian, rtol=1e-8)
    assert 2.4 < np.mean(nees) < 4.2  # 3 but for the efficiency of the weights
