import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the models need the extra [layers]")

from groundtools.layers.core.lie import mrp_rotation  # noqa: E402
from vinsat_sim.dynamics.classic import Cartpole, Pendulum  # noqa: E402
from vinsat_sim.dynamics.quadrotor import QPole, QPoleDynObs, QPoleObs, Quadrotor  # noqa: E402
from vinsat_sim.dynamics.satellite import (  # noqa: E402
    DIPOLE,
    FIELD,
    MOMENTUM,
    RATE,
    TO_MN,
    TORQUE,
    Satellite,
    SatelliteArrays,
)

SPHERES = torch.tensor([[1.0, 0.0, 0.5], [-0.5, 0.7, 0.0]])
SUN = (0.6, 0.0, 0.8)
MODELS = {
    "pendulum": Pendulum(),
    "cartpole": Cartpole(),
    "quadrotor": Quadrotor(),
    "qpole": QPole(),
    "obstacles": QPoleObs(SPHERES, 0.3),
    "moving obstacles": QPoleDynObs(SPHERES, 0.1 * SPHERES, 0.3),
    "satellite": Satellite(sun=SUN, cone=0.5),
    "magnetorquers": Satellite(magnetorquers=True),
}


@pytest.mark.parametrize("name", MODELS)
def test_jacobians_are_the_derivatives_of_the_step(name, rng, finite_difference):
    model = MODELS[name]
    x, u = rng.normal(size=model.n) * 0.3, rng.normal(size=model.m) * 0.3
    t = torch.as_tensor
    a, b = model.jacobians(t(x), t(u))
    np.testing.assert_allclose(a, finite_difference(lambda v: model.step(t(v), t(u)).numpy(), x), atol=1e-7)
    np.testing.assert_allclose(b, finite_difference(lambda v: model.step(t(x), t(v)).numpy(), u), atol=1e-7)
    below = finite_difference(lambda v: model.below(t(v)).numpy(), x)
    np.testing.assert_allclose(model.below_jacobian(t(x)), below, atol=1e-7)
    assert model.below(t(x)).shape == (model.p,)


@pytest.mark.parametrize("name", MODELS)
def test_rest_is_rest(name):
    model = MODELS[name]
    x = torch.zeros(1, model.n, dtype=torch.float64)
    if model.n >= 18:
        x[:, 14] = 1.0
    moved = model.step(x, model.u_rest[None]) - x
    if model.n == 19:
        moved[:, 18] -= model.dt
    assert moved.abs().max() < 1e-12


def test_a_free_pendulum_and_a_free_satellite_keep_what_they_keep(rng):
    model = Pendulum(friction=0.0)
    x = torch.tensor([[2.0, 0.5]], dtype=torch.float64)
    energy = lambda s: 0.5 * s[0, 1] ** 2 + 9.81 * torch.cos(s[0, 0])  # noqa: E731
    before = energy(x)
    for _ in range(200):
        x = model.step(x, torch.zeros(1, 1, dtype=torch.float64))
    assert abs(float(energy(x) - before)) < 1e-3  # J, of 9.81
    body = Satellite(dt=0.5)
    s = torch.as_tensor(np.concatenate([[0.1, -0.2, 0.1], rng.normal(size=3), [0.2, -0.3, 0.1]]))[None]

    def momentum(state):
        return (
            mrp_rotation(state[:, :3]).mT
            @ (body.inertia * RATE * state[:, 3:6] + MOMENTUM * state[:, 6:])[..., None]
        )[0, :, 0]

    before = momentum(s)
    for _ in range(20):  # 10 s: the MRP stays short
        s = body.step(s, torch.as_tensor([[0.3, -0.2, 0.1]], dtype=torch.float64))
    np.testing.assert_allclose(momentum(s), before, atol=1e-4)  # mN m s, of 6


def test_the_satellite_in_numpy_is_the_one_in_torch(rng):
    x, u = rng.normal(size=(4, 5, 9)) * 0.3, rng.normal(size=(4, 5, 3))
    torchs, arrays = Satellite(sun=SUN, cone=0.4), SatelliteArrays(sun=np.array(SUN), cone=0.4)
    t = torch.as_tensor
    end, a, b = arrays.jacobians(x, u)
    np.testing.assert_allclose(end, torchs.step(t(x), t(u)), atol=1e-12)
    np.testing.assert_allclose(arrays.step(x, u), end, atol=1e-12)
    other_a, other_b = torchs.jacobians(t(x), t(u))
    np.testing.assert_allclose(a, other_a, atol=1e-12)
    np.testing.assert_allclose(b, other_b, atol=1e-12)
    np.testing.assert_allclose(arrays.below(x), torchs.below(t(x)), atol=1e-12)
    np.testing.assert_allclose(arrays.below_jacobian(x), torchs.below_jacobian(t(x)), atol=1e-10)


def test_magnetorquers_can_take_momentum_out_of_the_wheels_and_wheels_alone_cannot():
    with_coils = Satellite(magnetorquers=True)
    x = torch.zeros(1, 9, dtype=torch.float64)
    x[0, 6] = 0.3
    # Wheel 1 brakes; the coil's torque holds the body.
    field = np.array(FIELD) * DIPOLE * TO_MN
    dipole = np.cross(field, np.array([-1.0, 0.0, 0.0])) * 0.1 / (field @ field)
    torque = np.cross(dipole, field)
    u = torch.as_tensor(np.concatenate([torque / TORQUE, dipole]))[None]
    moved = with_coils.step(x, u)
    assert moved[0, 6] < 0.3
    assert abs(float(moved[0, 3])) < 0.03  # of 2 deg/s
