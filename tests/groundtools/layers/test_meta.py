import pytest

torch = pytest.importorskip("torch", reason="the layers need the extra [layers]")

from groundtools.layers.jiio.meta import (  # noqa: E402
    Inner,
    adapt,
    conjugate_gradients,
    imaml,
    maml,
    perceptron,
    reptile,
    values,
)

COUNT = 3


def quadratic():
    """Return theta, a task loss and a test loss whose answers are known in closed form."""
    generator = torch.Generator().manual_seed(0)
    centre = torch.randn(COUNT, 4, generator=generator).double()
    curve = torch.tensor([1.0, 2.0, 3.0, 4.0]).double()
    theta = (torch.randn(4, generator=generator).double().requires_grad_(),)
    loss = lambda p: 0.5 * (curve * (p[0] - centre).square()).sum(1)  # noqa: E731
    test = lambda p: 0.5 * (p[0] - centre).square().sum(1)  # noqa: E731
    return theta, loss, test, centre, curve


def test_mamls_gradient_is_the_derivative_of_the_loss_after_the_steps():
    theta, loss, test, centre, curve = quadratic()
    inner = Inner(steps=2, rate=0.1)
    maml(theta, loss, test, COUNT, inner)
    shrink = (1.0 - 0.1 * curve) ** 2
    expected = (shrink * shrink * (theta[0] - centre)).mean(0)
    torch.testing.assert_close(theta[0].grad, expected.detach())


def test_reptiles_gradient_points_away_from_where_the_tasks_end():
    theta, loss, test, _, _ = quadratic()
    inner = Inner(steps=3, rate=0.1)
    reptile(theta, loss, test, COUNT, inner)
    ends = adapt(theta, loss, COUNT, inner)[0]
    torch.testing.assert_close(theta[0].grad, (theta[0] - ends.mean(0)).detach())


def test_imamls_gradient_is_that_of_the_held_minimum():
    theta, loss, test, centre, curve = quadratic()
    imaml(theta, loss, test, COUNT, Inner(steps=300, rate=0.1, pull=2.0))
    # phi = (curve c + pull theta) / (curve + pull); dphi/dtheta = pull / (curve + pull)
    phi = (curve * centre + 2.0 * theta[0]) / (curve + 2.0)
    expected = ((phi - centre) * 2.0 / (curve + 2.0)).mean(0)
    torch.testing.assert_close(theta[0].grad, expected.detach(), atol=1e-6, rtol=1e-6)


def test_conjugate_gradients_solve_as_many_unknowns_as_steps():
    generator = torch.Generator().manual_seed(1)
    half = torch.randn(COUNT, 4, 4, generator=generator).double()
    matrix = half @ half.mT + torch.eye(4)
    right = torch.randn(COUNT, 4, generator=generator).double()
    apply = lambda v: ((matrix @ v[0][..., None])[..., 0],)  # noqa: E731
    found = conjugate_gradients(apply, (right,), steps=4)[0]
    torch.testing.assert_close(found, torch.linalg.solve(matrix, right), atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("way", [maml, reptile, imaml])
def test_every_way_learns_to_learn_lines(way):
    generator = torch.Generator().manual_seed(2)
    theta = perceptron(16, generator)
    optimiser = torch.optim.Adam(theta, lr=1e-2)
    s = torch.linspace(-1.0, 1.0, 6).expand(8, 6)[..., None]
    losses = []
    for _ in range(60):
        wanted = (0.5 + torch.rand(8, 1, generator=generator)) * s[..., 0]
        loss = lambda p, wanted=wanted: (values(p, s) - wanted).square().mean(1)  # noqa: E731
        losses.append(way(theta, loss, loss, 8, Inner(steps=3, rate=0.1)))
        optimiser.step()
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
