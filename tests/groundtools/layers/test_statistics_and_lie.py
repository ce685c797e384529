import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the layers need the extra [layers]")

from groundtools.layers.core import lie  # noqa: E402
from groundtools.layers.core.statistics import (  # noqa: E402
    cosine,
    gradient_ratio,
    median_huber,
    signal_to_noise,
    squared_jacobian_norm,
)
from groundtools.layers.twins.rotations import skew  # noqa: E402


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(5)


def test_a_pose_and_its_twist_are_each_others_inverse(rng):
    twist = torch.as_tensor(rng.normal(size=(20, 6)))
    twist[0] = 0.0
    twist[1, 3:] *= 1e-9
    torch.testing.assert_close(lie.se3_log(*lie.se3_exp(twist)), twist, atol=1e-9, rtol=0)


def test_the_pose_exponential_is_the_matrix_exponential(rng):
    twist = torch.as_tensor(rng.normal(size=(5, 6)))
    rotation, translation = lie.se3_exp(twist)
    matrix = torch.zeros(5, 4, 4, dtype=torch.float64)
    matrix[:, :3, :3], matrix[:, :3, 3] = skew(twist[:, 3:]), twist[:, :3]
    whole = torch.matrix_exp(matrix)
    torch.testing.assert_close(rotation, whole[:, :3, :3])
    torch.testing.assert_close(translation, whole[:, :3, 3])


def test_the_adjoint_moves_a_twist_from_one_side_to_the_other(rng):
    pose = lie.se3_exp(torch.as_tensor(rng.normal(size=(4, 6))))
    xi = 0.1 * torch.as_tensor(rng.normal(size=(4, 6)))
    right = lie.se3_compose(pose, lie.se3_exp(xi))
    left = lie.se3_compose(lie.se3_exp((lie.se3_adjoint(pose) @ xi[..., None])[..., 0]), pose)
    torch.testing.assert_close(right[0], left[0])
    torch.testing.assert_close(right[1], left[1])
    back = lie.se3_compose(lie.se3_inverse(pose), pose)
    torch.testing.assert_close(back[1], torch.zeros(4, 3, dtype=torch.float64), atol=1e-12, rtol=0)


def test_mrp_rotation_rate_shadow_and_composition_agree(rng):
    sigma, other = (torch.as_tensor(rng.normal(size=(30, 3))) for _ in range(2))
    rotation = lie.mrp_rotation(sigma)
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(3, dtype=torch.float64).expand(30, 3, 3))
    shadow = lie.mrp_shadow(sigma)
    assert (shadow.norm(dim=1) <= 1.0).all()
    torch.testing.assert_close(lie.mrp_rotation(shadow), rotation)
    torch.testing.assert_close(
        lie.mrp_rotation(lie.mrp_compose(other, sigma)), lie.mrp_rotation(other) @ rotation
    )
    # d[BN]/dt = -[omega x][BN]
    omega = torch.as_tensor(rng.normal(size=(30, 3)))
    h = 1e-6
    rate = lie.mrp_rate(sigma, omega)
    numeric = (lie.mrp_rotation(sigma + h * rate) - lie.mrp_rotation(sigma - h * rate)) / (2 * h)
    torch.testing.assert_close(numeric, -skew(omega) @ rotation, atol=1e-8, rtol=0)


def test_the_ratio_makes_gradients_equally_long_and_moves_slowly():
    w = torch.ones(3, dtype=torch.float64, requires_grad=True)
    first, second = (w * 6.0).sum(), (w * 2.0).sum()
    assert gradient_ratio(first, second, [w]) == pytest.approx(3.0)
    assert gradient_ratio(first, second, [w], previous=0.1, keep=0.9, clamp=(0.1, 10.0)) == pytest.approx(
        0.9 * 0.1 + 0.1 * 1.0
    )
    assert gradient_ratio(first, (w * 0.0).sum(), [w]) == 1.0


def test_the_median_huber_is_quadratic_then_linear_and_smooth_between():
    e = torch.tensor([0.0, 1.0, 2.0, 2.0 + 1e-9, 50.0], dtype=torch.float64, requires_grad=True)
    loss = median_huber(e, factor=2.0, median=1.0)
    assert loss[:2].tolist() == [0.0, 0.5]
    slope = torch.autograd.grad(loss.sum(), e)[0]
    assert slope.tolist() == pytest.approx([0.0, 1.0, 2.0, 2.0, 2.0])
    assert (median_huber(torch.zeros(3)) == 0.0).all()


def test_signal_to_noise_counts_freedom_and_takes_a_reference():
    grads = torch.tensor([[1.0, 0.0], [3.0, 0.0]])
    assert signal_to_noise(grads) == pytest.approx(2.0 / np.sqrt(2.0))
    assert signal_to_noise(grads, reference=torch.tensor([2.0, 0.0])) == pytest.approx(2.0)
    assert signal_to_noise(torch.ones(2, 2)) == float("inf")
    with pytest.raises(ValueError, match="at least 2"):
        signal_to_noise(grads[:1])
    assert cosine(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0])) == pytest.approx(0.5**0.5)


def test_the_penalty_of_3_19_is_the_squared_norm_and_not_the_trace():
    matrix = torch.tensor([[0.0, 2.0], [1.0, 0.0]], dtype=torch.float64)  # trace 0, squared norm 5
    z = torch.zeros(1, 2, dtype=torch.float64, requires_grad=True)
    estimate = squared_jacobian_norm(z @ matrix.T, z, samples=4000)
    assert estimate.item() == pytest.approx(5.0, rel=0.1)
