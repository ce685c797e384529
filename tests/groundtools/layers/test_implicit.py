import pytest

torch = pytest.importorskip("torch", reason="the layers need the extra [layers]")

from groundtools.layers.core import (  # noqa: E402
    Anderson,
    Broyden,
    Factor,
    Iterate,
    LastSteps,
    Neumann,
    Picard,
    check_gradient,
    implicit,
    implicit_minimum,
    implicit_root,
    solve,
)

SOLVERS = {
    "picard": Picard(),
    "anderson I": Anderson(kind=1),
    "anderson II": Anderson(kind=2),
    "broyden": Broyden(),
}
W = (
    0.8
    * torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))[0]
)
X = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def layer(adjoint, solver=None):
    def run(w, x):
        f = lambda z: torch.tanh(z @ w.T + x)  # noqa: E731
        found = solve(f, torch.zeros_like(x), solver=solver, tolerance=1e-11, max_steps=120)
        return implicit(f, found.value, adjoint=adjoint)

    return run


@pytest.mark.parametrize("forward", SOLVERS)
@pytest.mark.parametrize("backward", [*SOLVERS, "factor"])
@pytest.mark.verifies("LAY-003")
def test_exact_adjoints_pass_the_check_whatever_solver_found_the_point(forward, backward):
    adjoint = (
        Factor()
        if backward == "factor"
        else Iterate(solver=SOLVERS[backward], tolerance=1e-10, max_steps=150)
    )
    report = check_gradient(layer(adjoint, SOLVERS[forward]), W, X)
    assert report.passed(1e-5), report


def exact_series(k):
    """Return d(sum z)/dx by the Neumann series of the true Jacobian, k + 1 terms."""
    z = solve(lambda z: torch.tanh(z @ W.T + X), torch.zeros_like(X), tolerance=1e-14, max_steps=500).value
    slope = 1.0 - torch.tanh(z @ W.T + X).square()
    u = v = torch.ones_like(z)
    for _ in range(k):
        u = (u * slope) @ W + v
    return u * slope


@pytest.mark.parametrize("k", [0, 1, 3, 8])
def test_truncated_adjoints_equal_their_own_series(k):
    for adjoint in (Neumann(k), LastSteps(k + 1)):
        x = X.clone().requires_grad_()
        layer(adjoint)(W, x).sum().backward()
        torch.testing.assert_close(x.grad, exact_series(k), atol=1e-10, rtol=0)


def test_the_bias_of_truncation_falls_with_its_length():
    exact = X.clone().requires_grad_()
    layer(Factor())(W, exact).sum().backward()
    errors = [float((exact_series(k) - exact.grad).norm()) for k in (0, 2, 4, 8, 16)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.01 * errors[0]


def test_unrolling_from_a_start_tends_to_the_implicit_gradient():
    exact = X.clone().requires_grad_()
    layer(Factor())(W, exact).sum().backward()
    x = X.clone().requires_grad_()
    implicit(lambda z: torch.tanh(z @ W.T + x), torch.zeros_like(X), adjoint=LastSteps(200)).sum().backward()
    torch.testing.assert_close(x.grad, exact.grad, atol=1e-9, rtol=0)


@pytest.mark.verifies("LAY-004")
def test_an_adjoint_that_does_not_converge_says_so_and_its_gradient_is_finite_and_not_zero():
    told = []
    x = X.clone().requires_grad_()
    out = layer(Iterate(solver=Picard(), tolerance=1e-12, max_steps=2, report=told.append))(W, x)
    out.sum().backward()
    assert not told[0].ok.any()
    assert torch.isfinite(x.grad).all()
    assert (x.grad.abs().sum(dim=1) > 0.0).all()


@pytest.mark.verifies("LAY-004")
def test_rows_without_a_value_have_no_gradient_and_are_named():
    z = torch.zeros(3, 2)
    z[1] = torch.nan
    for adjoint in (Iterate(), Neumann(1), Factor(), LastSteps(1)):
        with pytest.raises(ValueError, match=r"rows \[1\]"):
            implicit(lambda s: 0.5 * s, z, adjoint=adjoint)


@pytest.mark.parametrize("adjoint", [Iterate(), Neumann(2), Factor(), LastSteps(2)])
def test_no_rows_one_row_single_precision_and_strides(adjoint):
    for z in (torch.zeros(0, 3), torch.zeros(1, 3), torch.zeros(3, 2).T):
        x = torch.full(z.shape, 0.2, requires_grad=True)
        out = implicit(lambda s: 0.5 * s + x, z, adjoint=adjoint)  # noqa: B023
        out.sum().backward()
        assert out.shape == z.shape
        assert x.grad.dtype == torch.float32
        assert torch.isfinite(x.grad).all()


def test_small_gradients_are_solved_as_well_as_large_ones():
    for size in (1e-9, 1.0, 1e9):
        x = X.clone().requires_grad_()
        (layer(Iterate(tolerance=1e-12, max_steps=300))(W, x) * size).sum().backward()
        torch.testing.assert_close(x.grad / size, exact_series(400), atol=1e-8, rtol=0)


def test_a_root_and_a_minimum_pass_the_check():
    def root(a):
        z = (a + 0.3).sign() * (a + 0.3).abs() ** (1 / 3)
        return implicit_root(lambda s: s**3 - a - 0.3, z.detach())

    assert check_gradient(root, torch.tensor([[0.5, 1.5], [2.0, 0.1]])).passed()

    def minimum(a):
        # The minimum of (e^x - a)^2/2 + x^4/4: residuals that do not vanish, so Gauss-Newton would err.
        cost = lambda x: (0.5 * (x.exp() - a) ** 2 + 0.25 * x**4).sum(1)  # noqa: E731
        x = torch.zeros_like(a)
        for _ in range(60):
            g = (x.exp() - a) * x.exp() + x**3
            x = x - g / (2 * (2 * x).exp() - a * x.exp() + 3 * x**2 + 1e-12).abs()
        return implicit_minimum(cost, x.detach())

    assert check_gradient(minimum, torch.tensor([[0.5, 1.5, 3.0]])).passed()
