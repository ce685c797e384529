import dataclasses

import numpy as np
import pytest
from scipy.linalg import solve_discrete_lyapunov

torch = pytest.importorskip("torch", reason="learning needs the extra [layers]")

from groundtools.layers.rl import valuegrad  # noqa: E402
from groundtools.layers.rl.buffers import advantages, lambda_returns  # noqa: E402
from groundtools.layers.rl.sac import SAC  # noqa: E402
from groundtools.layers.rl.train import episode_return, fit  # noqa: E402
from vinsat_sim.dynamics.environments import Environments  # noqa: E402
from vinsat_sim.dynamics.tasks import task  # noqa: E402

A = np.array([[1.0, 0.1], [-0.2, 0.9]])
COST = np.diag([1.0, 0.1])
GAMMA = 0.95


def test_value_gradients_of_a_linear_system_are_the_lyapunov_equations(rng):
    """r = -s'Cs, s' = As: V = -s'Ps with P = C + gamma A'PA, so dV/ds = -2 P s."""
    p = torch.tensor(solve_discrete_lyapunov(np.sqrt(GAMMA) * A.T, COST))
    a, cost = torch.tensor(A), torch.tensor(COST)
    x = torch.tensor(rng.normal(size=(400, 2)))
    for t in range(1, 400):
        x[t] = a @ x[t - 1]
    found = valuegrad.costates(
        a.expand(400, 2, 2), -2.0 * x @ cost, torch.zeros(2, dtype=torch.float64), gamma=GAMMA
    )
    torch.testing.assert_close(found[:100], -2.0 * x[:100] @ p, rtol=1e-3, atol=1e-6)

    def loss(matrix):
        value = lambda s: -((s @ matrix) * s).sum(-1)  # noqa: E731
        rows = torch.tensor(rng.normal(size=(50, 2)))
        return valuegrad.state_loss(
            value, value, rows, rows @ a.T, a.expand(50, 2, 2), -2.0 * rows @ cost, gamma=GAMMA
        )

    assert loss(p) < 1e-20
    assert loss(1.01 * p) > 1e-6


def test_returns_keep_the_ends_of_time_and_of_the_task_apart():
    reward, after = torch.ones(3, 2), torch.full((3, 2), 10.0)
    ended = torch.zeros(3, 2, dtype=torch.bool)
    failed, late = ended.clone(), ended.clone()
    failed[1, 0] = late[1, 1] = True
    found = lambda_returns(reward, after, failed, late, gamma=0.5, trace=1.0)
    assert found[:, 0].tolist() == [1.5, 1.0, 6.0]
    assert found[:, 1].tolist() == [4.0, 6.0, 6.0]
    value = torch.zeros(3, 2)
    gained = advantages(reward, value, after, failed, late, gamma=0.5, trace=1.0)
    assert gained[1].tolist() == [1.0, 6.0]
    assert gained[0].tolist() == [6.5, 9.0]


@pytest.mark.parametrize(("log_pi", "direction"), [(-50.0, -1.0), (50.0, 1.0)])
def test_too_much_entropy_lowers_alpha_and_too_little_raises_it(log_pi, direction, monkeypatch):
    learner = _learner(alpha=None)
    _filled(learner)
    sample = learner.actor.sample

    def held(features, noise):
        a, density = sample(features, noise)
        return a, density * 0.0 + log_pi

    monkeypatch.setattr(learner.actor, "sample", held)
    before = learner.alpha
    learner.update(learner.replay.sample(16, learner.chance))
    assert direction * (learner.alpha - before) > 0.0


def test_training_that_is_killed_goes_on_to_the_same_curve_bit_by_bit(tmp_path):
    whole = _fit(_learner(), 160, None)
    kept = tmp_path / "run.pt"
    _fit(_learner(), 80, kept)
    # Killed after the checkpoint: work that came later is lost, a half-written file ignored.
    kept.with_suffix(".part").write_bytes(b"half")
    again = _fit(_learner(), 160, kept)
    assert again.steps == whole.steps
    assert again.returns == whole.returns


def test_a_run_without_a_number_is_called_diverged_and_stops():
    learner = _learner()
    with torch.no_grad():
        learner.actor.net.biases[-1].fill_(float("nan"))
    curve = fit(learner, _rows(), lambda _: float("nan"), steps=1000, every=10)
    assert curve.diverged
    assert len(curve.steps) == 1


def _task():
    return dataclasses.replace(task("pendulum"), horizon=20)


def _rows(seed=0):
    return Environments(_task(), 2, seed)


def _learner(alpha=0.2):
    losses = [valuegrad.loss(every=3)]
    return SAC(_task(), hidden=(8, 8), warm_up=20, batch=16, alpha=alpha, critic_losses=losses)


def _filled(learner):
    rows = _rows()
    for _ in range(12):
        learner.remember(rows.step(learner.act(rows.x)))


def _fit(learner, steps, checkpoint):
    def evaluate(one):
        return episode_return(lambda x: one.act(x, explore=False), _rows(100))

    return fit(learner, _rows(), evaluate, steps=steps, every=40, checkpoint=checkpoint)
