import dataclasses
import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

torch = pytest.importorskip("torch", reason="the environments need the extra [layers]")

from groundtools.layers.core.lie import mrp_rotation  # noqa: E402
from vinsat_sim.dynamics.environments import Environments  # noqa: E402
from vinsat_sim.dynamics.satellite import MOMENTUM, RATE  # noqa: E402
from vinsat_sim.dynamics.spacecraft import (  # noqa: E402
    DIPOLE_A_M2,
    FIELD_T,
    ORBIT_RATE,
    TUMBLE,
    Detumble,
    Pointing,
)
from vinsat_sim.dynamics.tasks import TASKS, task  # noqa: E402

OWN = [name for name in TASKS if name not in ("half-cheetah", "hopper")]
SPIN = math.radians(10.0)  # rad/s


def _body_from_inertial(q):
    """Return the matrix (3, 3) of a quaternion, scalar first, from the textbook's formula."""
    w, v = q[0], q[1:]
    cross = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return (w * w - v @ v) * np.eye(3) + 2.0 * np.outer(v, v) - 2.0 * w * cross


def _tumbling(rng):
    q, w = rng.normal(size=4), rng.normal(size=3)
    return q / np.linalg.norm(q), SPIN * w / np.linalg.norm(w)


def keeps(kept, fast, model, x):
    """Check that 1,000 s without a command leave energy and momentum, `kept` of a state, as they were."""
    before = kept(x)
    for _ in range(round(1000.0 / model.dt)):
        x = fast.step(model, x, torch.zeros(1, 3))
    after = kept(x)
    assert abs(after[0] / before[0] - 1.0) < 1e-8
    assert np.linalg.norm(after[1] - before[1]) < 1e-8 * np.linalg.norm(before[1])


def test_detumble_keeps_energy_and_momentum_over_1000_s_at_10_deg_s(rng):
    fast = task("detumble-fast")
    model = fast.real
    q, w = _tumbling(rng)
    inertia = model.inertia.numpy()

    def kept(x):
        x = x[0].numpy()
        spin = TUMBLE * x[4:7]
        return 0.5 * inertia @ spin**2, _body_from_inertial(x[:4]).T @ (inertia * spin)

    x = torch.tensor(np.concatenate([q, w / TUMBLE, [1.0, 0.0]]))[None]
    keeps(kept, fast, model, x)


@pytest.mark.parametrize(("dt", "momentum"), [(0.05, 0.0), pytest.param(0.02, 0.3, marks=pytest.mark.slow)])
def test_pointing_keeps_energy_and_momentum_over_1000_s_at_10_deg_s(dt, momentum, rng):
    """Spinning wheels nutate four times as fast as the body turns: they need the shorter step."""
    fast = task("pointing-fast")
    assert fast.nominal.dt == 0.05
    model = Pointing(dt=dt)
    _, w = _tumbling(rng)
    inertia = model.inertia.numpy()

    def kept(x):
        spin, h = RATE * x[0, 3:6].numpy(), MOMENTUM * x[0, 6:].numpy()
        inertial = mrp_rotation(x[0, :3]).numpy().T @ (inertia * spin + h)
        return 0.5 * inertia @ spin**2, inertial

    x = torch.tensor(np.concatenate([[0.1, -0.3, 0.2], w / RATE, momentum * np.array([0.6, -0.5, 0.6])]))[
        None
    ]
    keeps(kept, fast, model, x)


def test_detumble_agrees_with_an_independent_integrator_and_the_vector_equations(rng):
    """DOP853 on Euler's equations with a dipole written in vectors; 100 s, all coils on."""
    model = Detumble()
    q, w = _tumbling(rng)
    u, inertia, at = np.array([0.8, -0.5, 0.3]), model.inertia.numpy() * 1e-3, 0.4
    tilt, inclination = math.radians(10.0), math.radians(97.4)
    pole = np.array([math.sin(tilt), 0.0, math.cos(tilt)])

    def rate(t, y):
        c, s = math.cos(at + ORBIT_RATE * t), math.sin(at + ORBIT_RATE * t)
        up = np.array([c, s * math.cos(inclination), s * math.sin(inclination)])
        field = FIELD_T * (3.0 * (pole @ up) * up - pole)
        torque = np.cross(DIPOLE_A_M2 * u, _body_from_inertial(y[:4] / np.linalg.norm(y[:4])) @ field)
        spin = y[4:]
        turn = 0.5 * np.concatenate([[-y[1:4] @ spin], y[0] * spin + np.cross(y[1:4], spin)])
        return np.concatenate([turn, (torque - np.cross(spin, inertia * spin)) / inertia])

    found = solve_ivp(rate, (0.0, 100.0), np.concatenate([q, w]), method="DOP853", rtol=1e-12, atol=1e-13).y[
        :, -1
    ]
    x = torch.tensor(np.concatenate([q, w / TUMBLE, [math.cos(at), math.sin(at)]]))[None]
    for _ in range(2000):
        x = model.step(x, torch.tensor(u)[None])
    np.testing.assert_allclose(x[0, :4], found[:4], atol=1e-8)
    np.testing.assert_allclose(TUMBLE * x[0, 4:7], found[4:], atol=1e-9)  # rad/s


@pytest.mark.parametrize("name", [n for n in OWN if n not in ("detumble", "detumble-fast")])
@pytest.mark.parametrize("which", ["real", "nominal"])
def test_every_model_agrees_with_an_independent_integrator(name, which, rng):
    """One step of 0.002 s (few substeps matter), against DOP853 on the same right side."""
    made = task(name)
    model = getattr(made, which)
    model.dt = 0.002
    x = made.start(torch.tensor(rng.random((1, made.draws))))
    u = torch.tensor(rng.uniform(0.2, 0.6, (1, model.m)))

    def rate(_, y):
        return model.derivative(torch.tensor(y)[None], u)[0].numpy()

    found = solve_ivp(rate, (0.0, model.dt), x[0].numpy(), method="DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
    np.testing.assert_allclose(model.step(x, u)[0], found, atol=1e-7)


@pytest.mark.parametrize("name", OWN)
def test_episodes_are_the_same_alone_and_among_others(name):
    made = task(name)
    many, one = Environments(made, 5, 11), Environments(made, 1, 13)
    a = torch.linspace(-1.0, 1.0, made.actions, dtype=torch.float64)
    for _ in range(min(made.horizon + 5, 200)):
        many.step(a.expand(5, -1))
        one.step(a[None])
    torch.testing.assert_close(many.x[2], one.x[0], rtol=1e-9, atol=1e-9)
    assert many.episodes[2] == one.episodes[0]


def test_time_that_is_up_truncates_and_failure_terminates():
    made = dataclasses.replace(task("pointing"), horizon=3)
    rows = Environments(made, 2)
    rows.x[1, 3:6] = 5.0  # beyond the rate limit
    first = rows.step(torch.zeros(2, 3))
    assert first.terminated.tolist() == [False, True]
    assert not first.truncated.any()
    rows.step(torch.zeros(2, 3))
    third = rows.step(torch.zeros(2, 3))
    assert third.truncated.tolist() == [True, False]
    assert not third.terminated.any()


def test_a_row_that_is_no_number_ends_with_the_worst_reward_and_starts_anew():
    made = task("pointing")
    rows = Environments(made, 3)
    rows.x[1, 0] = math.nan
    step = rows.step(torch.zeros(3, 3))
    assert step.terminated.tolist() == [False, True, False]
    assert step.reward[1] == made.worst
    assert torch.isfinite(rows.x).all()
    assert rows.lost == 1


def test_environments_go_on_from_a_saved_state_bit_by_bit():
    made = dataclasses.replace(task("pointing"), horizon=10)
    rows = Environments(made, 6, 3, stagger=True, resets=1)
    a = torch.full((6, 3), 0.3)
    for _ in range(15):
        rows.step(a)
    saved = rows.state_dict()
    again = Environments(made, 6, 3, resets=1)
    again.load_state_dict(saved)
    for _ in range(25):
        here, there = rows.step(a), again.step(a)
        assert torch.equal(here.after, there.after)
        assert torch.equal(here.valid, there.valid)
    assert torch.equal(rows.x, again.x)


def test_resets_are_throttled_and_waiting_rows_do_not_move():
    made = dataclasses.replace(task("pointing"), horizon=2)
    rows = Environments(made, 4, resets=1)
    zero = torch.zeros(4, 3)
    rows.step(zero)
    rows.step(zero)
    assert int(rows.waiting.sum()) == 3
    step = rows.step(zero)
    assert step.valid.tolist() == [True, False, False, False]
    assert torch.equal(step.after[3], step.x[3])


def test_the_vector_interface_keeps_gymnasiums_promises():
    gymnasium = pytest.importorskip("gymnasium", reason="needs the extra [rl]")
    from vinsat_sim.dynamics.vector import VectorEnvironments

    made = dataclasses.replace(task("pointing"), horizon=4)
    rows = VectorEnvironments(made, 3)
    assert isinstance(rows, gymnasium.vector.VectorEnv)
    first, _ = rows.reset(seed=5)
    assert rows.observation_space.contains(first)
    rows.action_space.seed(1)
    actions = [rows.action_space.sample() for _ in range(4)]
    steps = [rows.step(a) for a in actions]
    assert steps[-1][3].all()
    assert not steps[-1][2].any()
    assert "final_obs" not in steps[0][4]
    assert not np.allclose(steps[-1][4]["final_obs"], steps[-1][0])
    np.testing.assert_array_equal(rows.reset(seed=5)[0], first)
    np.testing.assert_array_equal(rows.step(actions[0])[0], steps[0][0])
    np.testing.assert_array_equal(VectorEnvironments(made, 1).reset(seed=7)[0][0], first[2])
    assert not np.array_equal(rows.reset()[0], rows.reset()[0])


@pytest.mark.parametrize("name", ["half-cheetah", "hopper"])
def test_a_mujoco_step_depends_on_its_arguments_alone_and_has_the_slopes_it_says(name):
    pytest.importorskip("mujoco", reason="needs the extra [rl]")
    pytest.importorskip("gymnasium", reason="needs the extra [rl]")
    made = task(name)
    rows, chance = Environments(made, 3), torch.Generator().manual_seed(1)
    for _ in range(6):
        rows.step(2.0 * torch.rand(3, made.actions, generator=chance, dtype=torch.float64) - 1.0)
    x, a, h = rows.x.clone(), 0.3 * torch.ones(3, made.actions, dtype=torch.float64), 1e-6
    after = made.step(made.nominal, x, a)
    by_x, by_a, *_ = made.gradients(x, a)
    for slopes, at in ((by_x, 0), (by_a, 1)):
        for column in range(slopes.shape[-1]):
            less, more = [x.clone(), a.clone()], [x.clone(), a.clone()]
            less[at][:, column] -= h
            more[at][:, column] += h
            found = (made.step(made.nominal, *more) - made.step(made.nominal, *less)) / (2.0 * h)
            assert torch.allclose(found, slopes[..., column], rtol=1e-5, atol=1e-5)
    assert torch.equal(made.step(made.nominal, x, a), after)
    assert not torch.allclose(made.step(made.real, x, a), after)
