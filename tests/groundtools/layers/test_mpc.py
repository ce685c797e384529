import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the layers need the extra [layers]")

from groundtools.layers.core import check_gradient  # noqa: E402
from groundtools.layers.mpc import arrays  # noqa: E402
from groundtools.layers.mpc.networks import WaypointDEQ, WaypointNet  # noqa: E402
from groundtools.layers.mpc.policy import DEQMPC, DiffMPC  # noqa: E402
from groundtools.layers.mpc.solver import TrackingMPC  # noqa: E402


class Integrator:
    """Two masses on a line, with a wall: x = [position, speed] each, in torch and in numpy."""

    n, m = 4, 2

    def __init__(self, kind, wall=None, limit=1.0):
        self.kind, self.wall = kind, wall
        self.a = np.eye(4)
        self.a[0, 1] = self.a[2, 3] = 0.5
        self.b = np.zeros((4, 2))
        self.b[1, 0] = self.b[3, 1] = 0.5
        if kind is torch:
            self.a, self.b = torch.as_tensor(self.a), torch.as_tensor(self.b)
        full = np.full if kind is np else (lambda s, v: torch.full((s,), v, dtype=torch.float64))
        self.u_max = full(2, limit)
        self.u_min, self.u_rest = -self.u_max, 0.0 * self.u_max

    def step(self, x, u):
        curve = 0.05 * x * x  # not linear, so that second derivatives matter
        return x @ self.a.T + u @ self.b.T + curve

    def jacobians(self, x, u):
        a = self.a + 0.1 * (torch.diag_embed(x) if self.kind is torch else x[..., None] * np.eye(4))
        b = (
            self.b.expand(*x.shape[:-1], 4, 2)
            if self.kind is torch
            else np.broadcast_to(self.b, (*x.shape[:-1], 4, 2))
        )
        return (a, b) if self.kind is torch else (self.step(x, u), a, b)

    def rows(self, rows):
        return self

    def below(self, x):
        return x[..., :0] if self.wall is None else x[..., :1] - self.wall

    def below_jacobian(self, x):
        out = (torch if self.kind is torch else np).zeros((*x.shape[:-1], self.below(x).shape[-1], 4))
        if self.kind is torch:
            out = out.double()
        if self.wall is not None:
            out[..., 0, 0] = 1.0
        return out


Q, R = torch.tensor([5.0, 1.0, 5.0, 1.0], dtype=torch.float64), torch.full((2,), 0.1, dtype=torch.float64)
X0 = torch.tensor([[0.5, 0.2, -0.4, 0.0], [-0.3, 0.1, 0.6, -0.2]], dtype=torch.float64)
W = torch.zeros(2, 5, 4, dtype=torch.float64)


def solver(**options):
    return TrackingMPC(
        dynamics=Integrator(torch, **options), horizon=5, q=Q, r=R, growth=10.0**0.5, max_mu=1e7
    )


@pytest.mark.parametrize("options", [{}, {"limit": 0.3}, {"wall": 0.65, "limit": 0.8}])
@pytest.mark.verifies("LAY-009")
def test_the_solver_meets_its_constraints_and_an_independent_optimum(options):
    from scipy.optimize import minimize

    mpc = solver(**options)
    state = mpc.step(X0, W, mpc.start(X0), updates=16)
    equal, below = mpc.residuals(X0, state)
    assert equal.max() < 1e-7
    assert below.max() < 1e-7
    model = Integrator(np, **options)

    def roll(u, x):
        out = []
        for t in range(5):
            x = model.step(x, u.reshape(5, 2)[t])
            out.append(x)
        return np.array(out)

    for row in range(2):
        start = X0[row].numpy()
        cost = lambda u, s=start: 0.5 * (Q.numpy() * roll(u, s) ** 2).sum() + 0.5 * 0.1 * (u**2).sum()  # noqa: E731
        limits = (
            [{"type": "ineq", "fun": lambda u, s=start: model.wall - roll(u, s)[:, 0]}] if model.wall else []
        )
        best = minimize(
            cost,
            state.u[row].numpy().reshape(-1),
            bounds=[(-model.u_max[0], model.u_max[0])] * 10,
            constraints=limits,
            method="SLSQP",
            options={"ftol": 1e-12, "maxiter": 200},
        )
        assert float(mpc.cost(state.x, state.u, W)[row]) == pytest.approx(best.fun, rel=1e-4)


@pytest.mark.verifies("LAY-003")
def test_the_exact_gradient_by_the_kkt_conditions_passes_the_check():
    def plan(w, x0):
        mpc = solver(limit=0.3)
        state = mpc.step(x0.detach(), w.detach(), mpc.start(x0.detach()), updates=20)
        x, u = mpc.exact(x0, w, state)
        return torch.cat([x.flatten(1), u.flatten(1)], dim=1)

    report = check_gradient(plan, 0.1 + W, X0, step=1e-4, directions=6)
    assert report.passed(1e-5), report


def test_the_smoothed_gradient_tends_to_the_exact_one_as_the_penalty_grows():
    mpc = solver()
    exact_w, w = (W.clone().requires_grad_() for _ in range(2))
    state = mpc.step(X0, W, mpc.start(X0), updates=20)
    weights = torch.randn(2, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    (mpc.exact(X0, exact_w, state)[0] * weights).sum().backward()
    errors = []
    for updates in (2, 6, 14):
        w.grad = None
        (mpc.step(X0, w, mpc.start(X0), updates=updates).x * weights).sum().backward()
        errors.append(float((w.grad - exact_w.grad).norm() / exact_w.grad.norm()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.05  # what is left: Gauss-Newton has no second derivatives


def test_the_smoothed_gradient_reaches_the_start_too():
    mpc = solver()
    x0 = X0.clone().requires_grad_()
    mpc.step(x0, W, mpc.start(X0), updates=12).x.sum().backward()
    exact = X0.clone().requires_grad_()
    state = mpc.step(X0, W, mpc.start(X0), updates=20)
    mpc.exact(exact, W, state)[0].sum().backward()
    assert float((x0.grad - exact.grad).norm() / exact.grad.norm()) < 0.1


def test_an_exact_gradient_of_an_unfinished_solution_is_refused():
    mpc = solver()
    with pytest.raises(ValueError, match="more updates"):
        mpc.exact(X0, W, mpc.step(X0, W, mpc.start(X0), updates=1))


def test_a_warm_start_resets_multipliers_and_lowers_the_penalty_by_the_updates_to_come():
    mpc = TrackingMPC(dynamics=Integrator(torch), horizon=5, q=Q, r=R, growth=10.0, max_mu=1e6)
    state = mpc.step(X0, W, mpc.start(X0), updates=6)
    warm = mpc.shifted(state, updates=2)
    assert (warm.eta == 0.0).all()
    assert (warm.lam == 0.0).all()
    assert warm.mu.tolist() == [1e4, 1e4]
    torch.testing.assert_close(warm.x[:, 0], state.x[:, 1])
    torch.testing.assert_close(warm.u[:, -1], state.u[:, -1])


@pytest.mark.parametrize("options", [{}, {"limit": 0.3}, {"wall": 0.65, "limit": 0.8}])
@pytest.mark.parametrize("rows", [1, 2, 12])
def test_the_solver_in_numpy_finds_what_the_one_in_torch_finds(options, rows):
    x0 = X0.repeat(6, 1)[:rows]
    w = W.repeat(6, 1, 1)[:rows]
    mpc = solver(**options)
    state = mpc.step(x0, w, mpc.start(x0), updates=14)
    twin = arrays.ArrayMPC(
        dynamics=Integrator(np, **options), horizon=5, q=Q.numpy(), r=R.numpy(), growth=10.0**0.5, max_mu=1e7
    )
    track = twin.solve(x0.numpy(), w.numpy(), twin.start(x0.numpy()), updates=14)
    np.testing.assert_allclose(track.x, state.x, atol=1e-5)
    np.testing.assert_allclose(track.u, state.u, atol=1e-4)


def test_the_chain_is_solved_as_the_dense_matrix_would_be(rng):
    rows, t, m, n = 3, 6, 2, 4
    half = rng.normal(size=(rows, t, m + n, m + n))
    diagonal = half @ np.swapaxes(half, -1, -2) + 8.0 * np.eye(m + n)
    below = 0.3 * rng.normal(size=(rows, t - 1, m + n, n))
    right = rng.normal(size=(rows, t, m + n))
    dense = np.zeros((rows, t * (m + n), t * (m + n)))
    for i in range(t):
        at = slice(i * (m + n), (i + 1) * (m + n))
        dense[:, at, at] = diagonal[:, i]
        if i + 1 < t:
            low, x = slice((i + 1) * (m + n), (i + 2) * (m + n)), slice(i * (m + n) + m, (i + 1) * (m + n))
            dense[:, low, x] = below[:, i]
            dense[:, x, low] = np.swapaxes(below[:, i], -1, -2)
    expected = np.linalg.solve(dense, right.reshape(rows, -1, 1)).reshape(right.shape)
    np.testing.assert_allclose(arrays._band_solve(diagonal, below, right, m), expected, atol=1e-10)


def test_the_solver_for_a_payload_loads_no_torch():
    code = "import sys, groundtools.layers.mpc.arrays; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("policy", [DEQMPC, DiffMPC])
@pytest.mark.parametrize("network", [WaypointNet, WaypointDEQ])
def test_policies_have_one_signature_and_learn_through_the_solver(policy, network):
    torch.manual_seed(0)
    net = network(4, 1, 16).double()
    made = policy(net, solver(limit=0.5))
    obs = torch.zeros(2, 1, dtype=torch.float64)
    with torch.no_grad():
        for parameter in net.head.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    plan = made(X0, obs, iterations=2)
    before = plan.loss(W)
    before.backward()
    grads = [p.grad for p in net.parameters() if p.grad is not None]
    assert all(torch.isfinite(g).all() for g in grads)
    assert sum(float(g.abs().sum()) for g in grads) > 0.0
    optimiser = torch.optim.Adam(net.parameters(), lr=5e-3)
    for _ in range(15):
        loss = made(X0, obs, iterations=2).loss(W)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < before
    warm = made(X0, obs, made.mpc.shifted(plan.state, updates=2), iterations=1)
    assert warm.control.shape == (2, 2)
    assert len(plan.iterates) == (2 if policy is DEQMPC else 1)
