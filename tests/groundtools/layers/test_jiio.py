import pytest

torch = pytest.importorskip("torch", reason="the layers need the extra [layers]")

from groundtools.layers.core import Factor, Status, check_gradient  # noqa: E402
from groundtools.layers.core.contractive import ContractiveConv, ContractiveDense  # noqa: E402
from groundtools.layers.jiio import adam, attach, layer_residual, optimize_input, parameter_loss, pgd, solved  # noqa: E402
from groundtools.layers.jiio.models import Classifier, Decoder, Regressor, ball  # noqa: E402
from groundtools.layers.jiio.optimise import Steps  # noqa: E402
from groundtools.layers.jiio.restore import misfit, psnr, window_mask  # noqa: E402


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(11)


def toy():
    """Return a small layer in float64, a target and a loss with a curved minimum."""
    cell = ContractiveDense(3, 6, rate=0.7).double()
    target = 0.3 * torch.randn(4, 6, dtype=torch.float64)
    return cell, lambda z: 0.5 * (z - target).square().sum(1), target


@pytest.mark.parametrize(
    "layer", [ContractiveConv(5, dims=2), ContractiveConv(4, dims=1), ContractiveDense(3, 6)]
)
@pytest.mark.verifies("LAY-007")
def test_layers_contract_whatever_their_weights(layer):
    shape = {5: (20, 5, 6, 6), 4: (20, 4, 9)}.get(layer.weight.shape[0], (20, 6))
    with torch.no_grad():
        layer.weight.mul_(50.0)
    a, b = torch.randn(shape), torch.randn(shape)
    if isinstance(layer, ContractiveDense):
        x = torch.randn(20, 3)
    else:
        x = torch.randn(shape)
    ratio = (layer(a, x) - layer(b, x)).flatten(1).norm(dim=1) / (a - b).flatten(1).norm(dim=1)
    assert ratio.max() <= layer.rate + 1e-5


@pytest.mark.verifies("LAY-008")
def test_the_joint_solution_is_a_stationary_point_of_the_loss_of_the_solved_layer():
    cell, loss, _ = toy()
    found = optimize_input(
        cell, loss, torch.zeros(4, 3).double(), torch.zeros(4, 6).double(), steps=400, tolerance=1e-9
    )
    assert (found.status == Status.CONVERGED).all()
    assert layer_residual(cell, found.x, found.z).max() < 1e-7

    def true_loss(x):
        return loss(solved(cell, x, torch.zeros(4, 6).double(), tolerance=1e-13, max_steps=300).value).sum()

    h = 1e-5
    for k in range(3):
        shift = torch.zeros_like(found.x)
        shift[:, k] = h
        slope = (true_loss(found.x + shift) - true_loss(found.x - shift)) / (2 * h)
        assert abs(float(slope)) < 1e-5


@pytest.mark.verifies("LAY-008")
def test_the_parameter_gradient_is_the_derivative_of_the_optimal_loss():
    cell, _, target = toy()
    weight = cell.weight.detach().clone()

    def optimal(w, goal):
        bounded = w / torch.linalg.matrix_norm(w, ord=2).clamp_min(1.0)
        f = lambda z, x: 0.7 * torch.tanh(z @ bounded.T + cell.inject(x))  # noqa: E731
        loss = lambda z: 0.5 * (z - goal).square().sum(1)  # noqa: E731
        f0 = lambda z, x: f(z, x).detach() if not torch.is_grad_enabled() else f(z, x)  # noqa: E731
        found = optimize_input(
            f0, loss, torch.zeros(4, 3).double(), torch.zeros(4, 6).double(), steps=600, tolerance=1e-11
        )
        return parameter_loss(f, loss, found)

    report = check_gradient(optimal, weight, target, step=1e-5)
    assert report.passed(1e-5), report


def test_an_outer_loss_of_its_own_is_differentiated_through_the_joint_fixed_point():
    cell, _, target = toy()

    def answer(goal):
        loss = lambda z: 0.5 * (z - goal).square().sum(1)  # noqa: E731
        found = optimize_input(
            cell, loss, torch.zeros(4, 3).double(), torch.zeros(4, 6).double(), steps=600, tolerance=1e-11
        )
        return attach(cell, loss, found, adjoint=Factor())[0]

    report = check_gradient(answer, target, step=1e-4)
    assert report.passed(1e-4), report


def test_the_joint_and_the_nested_way_end_at_the_same_input():
    cell, loss, _ = toy()
    zeros = torch.zeros(4, 3).double(), torch.zeros(4, 6).double()
    joint = optimize_input(cell, loss, *zeros, steps=400, tolerance=1e-9)
    nested, _ = adam(cell, loss, *zeros, steps=400, rate=0.05)
    at = [loss(solved(cell, x, zeros[1], tolerance=1e-10, max_steps=200).value) for x in (joint.x, nested)]
    torch.testing.assert_close(at[0], at[1], atol=1e-4, rtol=0)


def test_an_attack_stays_in_its_ball_and_raises_the_loss():
    model = Classifier(8)
    x, label = torch.rand(6, 1, 8, 8), torch.arange(6)
    project = ball(x, 0.5)
    start = model.start(x)
    before = model.loss(solved(model.f, x, start).value, label)
    loss = lambda z: -model.loss(z, label)  # noqa: E731
    joint = optimize_input(
        model.f, loss, x, start, steps=40, step=Steps(normalised=True, early=0.1, late=0.05), project=project
    )
    nested, _ = pgd(model.f, loss, x, start, steps=10, size=0.1, project=project)
    for attacked in (joint.x, nested):
        assert ((attacked - x).flatten(1).norm(dim=1) <= 0.5 + 1e-5).all()
        assert (model.loss(solved(model.f, attacked, start).value, label) > before).all()


def test_images_masks_and_ratios():
    model = Decoder(4, 8)
    image = model.image(model.start(torch.zeros(3, 4)))
    assert image.shape == (3, 1, 8, 8)
    mask = window_mask(image, 3, torch.Generator().manual_seed(0))
    assert (mask.flatten(1).sum(1) == 64 - 9).all()
    hidden = misfit(model, image + (1 - mask), mask)(model.start(torch.zeros(3, 4)))
    assert hidden.abs().max() < 1e-10  # what is masked does not count
    assert psnr(image + 0.1, image).tolist() == pytest.approx([20.0] * 3, abs=1e-3)


def test_a_regressor_fits_one_task_a_row():
    model = Regressor(4)
    s = torch.rand(3, 5, 1)
    z = model.f(model.start(s), torch.randn(3, 4), s)
    assert model.value(z).shape == (3, 5)
