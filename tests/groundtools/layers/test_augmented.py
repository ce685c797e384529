"""Chapter 2: the KKT gradient with inequalities (eqs. 2.4-2.6), unrolled solvers (2.7)."""

import pytest

torch = pytest.importorskip("torch", reason="the layers need the extra [layers]")

from groundtools.layers.core import Constrained, LastSteps, augmented_lagrangian, check_gradient, implicit  # noqa: E402
from groundtools.layers.core.augmented import implicit_optimum, penalty  # noqa: E402

Q = torch.tensor([[3.0, 0.5, 0.2], [0.5, 2.0, 0.1], [0.2, 0.1, 1.0]], dtype=torch.float64)


def program(c, b):
    """Minimise x'Qx/2 - c'x with x1 + x2 + x3 = b and x <= 0.4."""
    return Constrained(
        cost=lambda x: 0.5 * ((x @ Q) * x).sum(1) - (c * x).sum(1),
        equal=lambda x: x.sum(1, keepdim=True) - b,
        below=lambda x: x - 0.4,
    )


C = torch.tensor([[1.0, 2.0, 0.1], [0.1, 0.2, 0.3], [5.0, 0.3, 0.2]], dtype=torch.float64)
B = torch.tensor([[0.5], [0.3], [0.9]], dtype=torch.float64)


@pytest.mark.verifies("LAY-006")
def test_a_quadratic_program_meets_its_kkt_conditions():
    problem = program(C, B)
    found = augmented_lagrangian(problem, torch.zeros_like(C))
    assert found.ok.all()
    h, g = problem.constraints(found.x)
    slope = found.x @ Q - C + found.lam + found.eta
    assert slope.abs().max() < 1e-6
    assert (found.lam >= 0.0).all()
    assert (found.lam * g).abs().max() < 1e-6
    assert h.abs().max() < 1e-6
    assert 0 < int((g.abs() < 1e-6).sum()) < g.numel()  # some bounds active, some not


def test_the_kkt_gradient_is_exact_with_active_and_inactive_bounds():
    def layer(c, b):
        problem = program(c, b)
        return implicit_optimum(
            problem, augmented_lagrangian(program(c.detach(), b.detach()), torch.zeros_like(c))
        )

    report = check_gradient(layer, C, B, step=1e-4)
    assert report.passed(1e-5), report


def test_an_inactive_constraint_with_a_stale_multiplier_pulls_in_the_printed_form_only():
    g, lam, mu = torch.tensor([[-2.0]]), torch.tensor([[0.5]]), torch.tensor([1.0])
    g.requires_grad_()
    none = torch.zeros(1, 0)
    ours = torch.autograd.grad(penalty(none, g, none, lam, mu).sum(), g)[0]
    printed = torch.autograd.grad((lam * g + 0.5 * mu * g.clamp_min(0.0) ** 2).sum(), g)[0]
    assert ours.item() == 0.0
    assert printed.item() == 0.5


def test_unrolling_gradient_descent_tends_to_the_implicit_gradient():
    c = C.clone().requires_grad_()
    out = implicit(lambda x: x - 0.2 * (x @ Q - c), torch.zeros_like(C), adjoint=LastSteps(150))
    (got,) = torch.autograd.grad(out.sum(), c)
    torch.testing.assert_close(
        got, torch.linalg.solve(Q, torch.ones(3, dtype=torch.float64)).expand_as(got), atol=1e-8, rtol=0
    )


def test_a_nonconvex_problem_with_a_circle_is_solved():
    problem = Constrained(
        cost=lambda x: (x - torch.tensor([2.0, 0.1], dtype=torch.float64)).square().sum(1),
        below=lambda x: 1.0 - x.square().sum(1, keepdim=True),
        equal=lambda x: x[:, :1] - 0.5,
    )
    found = augmented_lagrangian(problem, torch.tensor([[0.2, 0.4]], dtype=torch.float64))
    assert found.ok.all()
    torch.testing.assert_close(
        found.x, torch.tensor([[0.5, 0.75**0.5]], dtype=torch.float64), atol=1e-5, rtol=0
    )
