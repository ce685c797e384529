"""The chain of pointing errors against dense algebra and against its own process."""

from dataclasses import replace

import numpy as np
import pytest

from flightsw.estimate.chain import Arrow, ChainPrior, GyroNoise, Turns
from flightsw.estimate.normal_equations import Linearised
from flightsw.estimate.residuals import rotation_and_left_jacobian
from flightsw.estimate.solver import SolverOptions, levenberg_marquardt

TIMES = np.array([0.0, 5.0, 10.0, 12.0, 300.0, 4000.0])
ALL = np.ones(len(TIMES), dtype=bool)
NOISE = GyroNoise(white=2e-3, bias=0.01, walk=1e-4)


def turns(rng: np.random.Generator) -> Turns:
    """Return measured turns, one of them unknown."""
    turned = rng.normal(0.0, 0.01, (len(TIMES) - 1, 3))
    turned[3] = np.nan
    return Turns(turned, rotation_and_left_jacobian(rng.normal(0.0, 0.05, (len(TIMES) - 1, 3)))[0])


def dense(chain: ChainPrior) -> np.ndarray:
    """Return the information (m F, m F)."""
    frames, m = len(chain.diagonal), chain.size
    out = np.zeros((frames, m, frames, m))
    for f in range(frames):
        out[f, :, f] = chain.diagonal[f]
    for f in range(frames - 1):
        out[f + 1, :, f], out[f, :, f + 1] = chain.next[f], chain.next[f].T
    return out.reshape(frames * m, frames * m)


@pytest.mark.verifies("EST-020")
def test_its_information_is_the_inverse_of_a_gauss_markov_covariance(rng: np.random.Generator) -> None:
    sigma = rng.uniform(1e-3, 2e-2, len(TIMES))
    for tau in (50.0, 1000.0):
        chain = ChainPrior.gauss_markov(TIMES, sigma, tau, ALL)
        expected = np.outer(sigma, sigma) * np.exp(-np.abs(TIMES[:, None] - TIMES) / tau)
        np.testing.assert_allclose(np.linalg.inv(dense(chain)[::3, ::3]), expected, rtol=1e-8, atol=1e-16)


def test_no_memory_frees_every_frame() -> None:
    chain = ChainPrior.gauss_markov(TIMES, np.full(len(TIMES), 0.01), 0.0, ALL)
    np.testing.assert_allclose(dense(chain), np.eye(3 * len(TIMES)) * 1e4)


def test_its_product_is_that_of_the_matrix(rng: np.random.Generator) -> None:
    chain = ChainPrior.gauss_markov(TIMES, np.full(len(TIMES), 0.01), 100.0, ALL)
    for prior in (chain, chain.with_gyro(TIMES, turns(rng), NOISE)):
        values = rng.normal(size=(len(TIMES), prior.size, 4))
        flat = dense(prior) @ values.reshape(-1, 4)
        np.testing.assert_allclose(prior.product(values).reshape(-1, 4), flat, rtol=1e-9, atol=1e-6)


@pytest.mark.verifies("EST-020")
def test_the_arrow_is_solved_as_the_dense_system(rng: np.random.Generator) -> None:
    frames, n, m = len(TIMES), 4, 6
    chain = ChainPrior.gauss_markov(TIMES, np.full(frames, 0.3), 100.0, ALL)
    chain = chain.with_gyro(TIMES, turns(rng), NOISE)
    root = rng.normal(size=(frames, m, m))
    blocks = root @ np.swapaxes(root, 1, 2) + chain.diagonal
    border, g, h = rng.normal(size=(frames, m, n)), rng.normal(size=n), rng.normal(size=(frames, m))
    shared = np.eye(n) * 50.0
    t = dense(replace(chain, diagonal=blocks))
    flat = border.reshape(-1, n)
    schur, gradient, by_shared, rest = Arrow(shared, g, border, h, blocks, chain.next).schur()
    np.testing.assert_allclose(by_shared.reshape(-1, n), np.linalg.solve(t, flat))
    np.testing.assert_allclose(rest.ravel(), np.linalg.solve(t, h.ravel()))
    np.testing.assert_allclose(schur, shared - flat.T @ np.linalg.solve(t, flat))
    np.testing.assert_allclose(gradient, g - flat.T @ np.linalg.solve(t, h.ravel()))
    freedom = np.trace((t - dense(chain)) @ np.linalg.inv(t))
    arrow = Arrow(shared, g, border, h, blocks, chain.next)
    assert arrow.freedom(chain) == pytest.approx(freedom, rel=1e-8)


@pytest.mark.verifies("EST-020")
def test_the_gyros_prior_is_the_posterior_of_what_it_measured(rng: np.random.Generator) -> None:
    """Against the sum of squares it stands for, written out term by term."""
    chain = ChainPrior.gauss_markov(TIMES, np.full(len(TIMES), 0.01), 1000.0, ALL)
    measured = turns(rng)
    with_gyro = chain.with_gyro(TIMES, measured, NOISE)
    own = rng.normal(0.0, 0.01, (len(TIMES), 6))
    delta, bias, step = own[:, :3], own[:, 3:], np.diff(TIMES)
    miss = delta[1:] - np.einsum("fij,fj->fi", measured.carry, delta[:-1]) - step[:, None] * bias[:-1]
    miss = np.nan_to_num(miss - measured.turned) / (NOISE.white * np.sqrt(step))[:, None]
    walk = np.diff(bias, axis=0) / (NOISE.walk * np.sqrt(step))[:, None]

    def cost(scale: float) -> float:
        mine = scale * own
        return float(0.5 * np.sum(mine * (with_gyro.gradient(mine) - with_gyro.pull)))

    turned = np.nan_to_num(measured.turned) / (NOISE.white * np.sqrt(step))[:, None]
    plain = 0.5 * float(np.sum(delta * chain.gradient(delta)))
    expected = plain + 0.5 * float(np.sum(miss**2) + np.sum(walk**2) + np.sum((bias[0] / NOISE.bias) ** 2))
    assert cost(1.0) + 0.5 * float(np.sum(turned**2)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.verifies("EST-020")
def test_shared_unknowns_are_estimated_with_an_honest_covariance_beside_a_chain(
    rng: np.random.Generator,
) -> None:
    """Linear: 3 shared unknowns, 40 frames of 8 detections, each frame with an error of its own."""
    t = np.arange(40.0) * 10.0
    frame = np.repeat(np.arange(40), 8)
    chain = ChainPrior.gauss_markov(t, np.full(40, 2.0), 200.0, np.ones(40, dtype=bool))
    root = np.linalg.inv(np.linalg.cholesky(dense(chain)[::3, ::3]))
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
