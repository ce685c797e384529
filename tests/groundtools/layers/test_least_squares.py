import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the layers need the extra [layers]")

from scipy.optimize import least_squares as scipy_least_squares  # noqa: E402

from groundtools.layers.core import Dense, Status, check_gradient, implicit_minimum, least_squares  # noqa: E402
from groundtools.layers.core.least_squares import Kernel  # noqa: E402
from groundtools.layers.core.structure import ChainSystem, DenseSystem, SchurSystem  # noqa: E402


def decay(data, times):
    return lambda x: x[:, :1] * torch.exp(-x[:, 1:2] * times) + x[:, 2:] - data


@pytest.fixture
def curves(rng):
    times = torch.linspace(0.0, 3.0, 25, dtype=torch.float64)
    truth = torch.as_tensor(rng.uniform([1.0, 0.5, -0.5], [3.0, 2.0, 0.5], size=(6, 3)))
    data = truth[:, :1] * torch.exp(-truth[:, 1:2] * times) + truth[:, 2:]
    return times, data + 0.02 * torch.as_tensor(rng.normal(size=data.shape))


@pytest.mark.verifies("LAY-005")
def test_fits_equal_scipys(curves):
    times, data = curves
    found = least_squares(Dense(decay(data, times)), torch.ones(6, 3, dtype=torch.float64))
    assert (found.status == Status.CONVERGED).all()
    for row in range(6):
        residual = decay(data[row : row + 1], times)
        other = scipy_least_squares(
            lambda x, r=residual: r(torch.as_tensor(x)[None])[0].numpy(),
            np.ones(3),
            xtol=1e-15,
            ftol=1e-15,
            gtol=1e-15,
        )
        np.testing.assert_allclose(found.value[row].numpy(), other.x, atol=1e-6)


def test_a_kernel_ignores_outliers(curves):
    times, data = curves
    spoiled = data.clone()
    spoiled[:, ::5] += 4.0
    start = torch.ones(6, 3, dtype=torch.float64)
    clean = least_squares(Dense(decay(data, times)), start).value
    plain = least_squares(Dense(decay(spoiled, times)), start).value
    robust = least_squares(Dense(decay(spoiled, times), kernel=Kernel(-1.0, 0.1)), clean + 0.1).value
    assert (robust - clean).norm() < 0.05 * (plain - clean).norm()


def test_the_gradient_of_a_fit_is_exact_also_under_a_kernel(curves):
    times, data = curves
    for kernel in (None, Kernel(0.0, 0.5)):

        def fit(d, kernel=kernel):
            problem = Dense(decay(d, times), kernel=kernel)
            found = least_squares(
                problem, torch.ones(6, 3, dtype=torch.float64), max_steps=300, tolerance=1e-15
            )
            return implicit_minimum(problem.cost, found.value)

        report = check_gradient(fit, data, step=1e-4)
        assert report.passed(1e-5), report


def test_a_row_that_starts_at_nan_is_said_and_stays():
    found = least_squares(
        Dense(lambda x: torch.log(x) - 1.0), torch.tensor([[2.0], [-1.0]], dtype=torch.float64)
    )
    assert found.status.tolist() == [Status.CONVERGED, Status.NOT_FINITE]
    assert found.value[1].item() == -1.0
    assert abs(found.value[0].item() - np.e) < 1e-6


def test_a_chain_is_solved_as_its_dense_matrix(rng):
    rows, count, n = 3, 5, 4
    factor = torch.as_tensor(rng.normal(size=(rows, count * n, count * n)))
    band = torch.zeros_like(factor)
    for t in range(count):
        low = max(t - 1, 0) * n
        band[:, t * n : (t + 1) * n, low : (t + 1) * n] = factor[:, t * n : (t + 1) * n, low : (t + 1) * n]
    hessian = band @ band.mT + torch.eye(count * n)
    gradient = torch.as_tensor(rng.normal(size=(rows, count * n)))
    blocks = hessian.reshape(rows, count, n, count, n)
    diagonal = torch.stack([blocks[:, t, :, t] for t in range(count)], dim=1)
    below = torch.stack([blocks[:, t + 1, :, t] for t in range(count - 1)], dim=1)
    damping = torch.tensor([0.0, 1e-3, 1.0], dtype=torch.float64)
    cost = torch.zeros(rows)
    tri = torch.zeros_like(hessian)
    for t in range(count):
        for s in range(max(0, t - 1), min(count, t + 2)):
            tri[:, t * n : (t + 1) * n, s * n : (s + 1) * n] = blocks[:, t, :, s]
    tri = tri + 5.0 * torch.eye(count * n)
    diagonal = diagonal + 5.0 * torch.eye(n)
    chain = ChainSystem(cost, gradient, diagonal, below).damped(damping)
    torch.testing.assert_close(chain, DenseSystem(cost, gradient, tri).damped(damping), atol=1e-10, rtol=0)


def test_an_indefinite_system_gives_nan_in_its_row_alone():
    hessian = torch.stack([torch.eye(2, dtype=torch.float64), -torch.eye(2, dtype=torch.float64)])
    step = DenseSystem(torch.zeros(2), torch.ones(2, 2, dtype=torch.float64), hessian).damped(torch.zeros(2))
    assert torch.isfinite(step[0]).all()
    assert torch.isnan(step[1]).all()
    blocks = hessian[:, None].expand(2, 3, 2, 2)
    step = ChainSystem(
        torch.zeros(2),
        torch.ones(2, 6, dtype=torch.float64),
        blocks,
        torch.zeros(2, 2, 2, 2, dtype=torch.float64),
    ).damped(torch.zeros(2, dtype=torch.float64))
    assert torch.isfinite(step[0]).all()
    assert torch.isnan(step[1]).all()


def test_the_schur_complement_solves_the_whole_system(rng):
    a, c, p, q, n = 3, 8, 6, 2, 60
    index_a, index_b = torch.as_tensor(rng.integers(0, a, n)), torch.as_tensor(rng.integers(0, c - 1, n))
    residual, ja, jb = (torch.as_tensor(rng.normal(size=s)) for s in ((n, 2), (n, 2, p), (n, 2, q)))
    weight = torch.as_tensor(rng.uniform(0.1, 2.0, n))
    system = SchurSystem.from_observations(
        residual, ja, jb, index_a, index_b, count_a=a, count_b=c, weight=weight
    )
    step_a, step_b = system.damped(torch.tensor(0.1, dtype=torch.float64))
    full = torch.zeros(2 * n, a * p + c * q, dtype=torch.float64)
    for k in range(n):
        full[2 * k : 2 * k + 2, index_a[k] * p : (index_a[k] + 1) * p] = ja[k]
        full[2 * k : 2 * k + 2, a * p + index_b[k] * q : a * p + (index_b[k] + 1) * q] = jb[k]
    w = weight.repeat_interleave(2)
    hessian = full.T @ (w[:, None] * full)
    gradient = full.T @ (w * residual.reshape(-1))
    dense = DenseSystem(torch.zeros(1), gradient[None], hessian[None]).damped(
        torch.tensor([0.1], dtype=torch.float64)
    )
    torch.testing.assert_close(
        torch.cat([step_a.reshape(-1), step_b.reshape(-1)]), dense[0], atol=1e-10, rtol=0
    )
    assert (step_b[-1] == 0.0).all()  # a point nobody saw stays
