"""Track way-points under dynamics and limits: the augmented Lagrangian on a chain.

    minimise 1/2 sum |x_t - w_t|_Q^2 + |u_t - u_rest|_R^2     (thesis eq. 8.5)
    subject to k_t = x_{t+1} - f(x_t, u_t) = 0,   h(x_{t+1}, u_t) <= 0
Unknown are the blocks y_t = (u_t, x_{t+1}), t = 0 .. T-1; x_0 is given. Every primal
update is a few Gauss-Newton steps on L (`core.augmented`; eq. 8.11 corrected) with a line
search, its matrix block-tridiagonal: each k_t touches y_t and y_{t-1} alone.
Gradients to way-points and x_0 (eq. 8.12, whose left side reads d tau*/d theta):
    d tau = -(Q + mu A'A + mu G'G)^-1 d(grad L)
one solve with the last factored matrix, smooth while mu is small. `exact` differentiates
the KKT conditions instead (eq. 8.2), for a converged solution.
"""

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from groundtools.layers.core.augmented import Constrained, Optimum, implicit_optimum, penalty, updated
from groundtools.layers.core.structure import chain_solve

LENGTHS = (1.0, 0.4, 0.1, 0.02)  # of the line search, tried together where the whole step does not do


class Dynamics(Protocol):
    """What a model says about itself; see `vinsat_sim.dynamics`."""

    n: int
    m: int
    u_min: Tensor
    u_max: Tensor
    u_rest: Tensor

    def step(self, x: Tensor, u: Tensor) -> Tensor:
        """Return the next state."""

    def jacobians(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return its derivatives by x and u."""

    def below(self, x: Tensor) -> Tensor:
        """Return the state constraints, <= 0 where fulfilled."""

    def below_jacobian(self, x: Tensor) -> Tensor:
        """Return their derivatives."""


@dataclass(frozen=True, slots=True)
class MPCState:
    """Everything one step hands to the next; no solver keeps anything for itself.

    x (B, T, n) : x_1 .. x_T; u (B, T, m) : u_0 .. u_{T-1}; eta (B, T, n), lam (B, T, c) :
    multipliers; mu (B,) : penalty; waypoints (B, T, n) last tracked; z : the network's
    own state or None.
    """

    x: Tensor
    u: Tensor
    eta: Tensor
    lam: Tensor
    mu: Tensor
    waypoints: Tensor
    z: Tensor | None = None

    def detached(self) -> "MPCState":
        """Return the same without a graph."""
        z = None if self.z is None else self.z.detach()
        return MPCState(
            self.x.detach(), self.u.detach(), self.eta.detach(), self.lam.detach(), self.mu.detach(),
            self.waypoints.detach(), z,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Chain:
    gradient: Tensor  # (B, T, m + n)
    diagonal: Tensor
    below: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingMPC:
    """The solver's options; `step` does the work.

    dynamics, horizon T; q (n,), r (m,) : weights; newton : Gauss-Newton steps of a primal
    update; mu0, growth, max_mu : the penalty's course (growth sqrt(10): at 10 a dozen
    updates would reach 1e12).
    """

    dynamics: Dynamics
    horizon: int
    q: Tensor
    r: Tensor
    newton: int = 4
    mu0: float = 10.0
    growth: float = 10.0
    max_mu: float = 1e6
    passes: int = 3

    def start(self, x0: Tensor) -> MPCState:
        """Return the cold start: at x0 (B, n) with the controls of rest."""
        d, rows, t = self.dynamics, len(x0), self.horizon
        x = x0.detach()[:, None].expand(rows, t, d.n).clone()
        u = d.u_rest.to(x0).expand(rows, t, d.m).clone()
        lam = x.new_zeros(rows, t, self._limits(x, u).shape[-1])
        mu = x.new_full((rows,), self.mu0)
        return MPCState(x, u, torch.zeros_like(x), lam, mu, x)

    def shifted(self, state: MPCState, *, updates: int) -> MPCState:
        """Return the start of the next time step (sect. 8.4.3): moved on by one, multipliers
        zero, and the penalty lowered so that `updates` more of them reach max_mu.
        """
        x = torch.cat([state.x[:, 1:], state.x[:, -1:]], dim=1).detach()
        u = torch.cat([state.u[:, 1:], state.u[:, -1:]], dim=1).detach()
        w = torch.cat([state.waypoints[:, 1:], state.waypoints[:, -1:]], dim=1).detach()
        low = max(self.max_mu / self.growth**updates, self.mu0)
        mu = torch.full_like(state.mu, low)
        z = None if state.z is None else state.z.detach()
        return MPCState(x, u, torch.zeros_like(state.eta), torch.zeros_like(state.lam), mu, w, z)

    def step(self, x0: Tensor, waypoints: Tensor, state: MPCState, *, updates: int = 2) -> MPCState:
        """Return the state after `updates` augmented Lagrangian iterations towards way-points.

        x0 (B, n), waypoints (B, T, n). x and u carry gradients to both where those require them.
        """
        state = state.detached()
        x, u, eta, lam, mu = state.x, state.u, state.eta, state.lam, state.mu
        held, target = x0.detach(), waypoints.detach()
        system = used = None
        with torch.no_grad():
            for _ in range(updates):
                for _ in range(self.newton):
                    system = self._chain(held, target, x, u, eta, lam, mu)
                    x, u, moved = self._search(held, target, x, u, eta, lam, mu, system)
                    if not moved:
                        break
                used = (eta, lam, mu)
                eta, lam = self._multipliers(held, x, u, eta, lam, mu)
                mu = (self.growth * mu).clamp_max(self.max_mu)
        if used is not None and torch.is_grad_enabled() and (x0.requires_grad or waypoints.requires_grad):
            x, u = self._attach(x0, waypoints, x, u, *used)
        return MPCState(x, u, eta, lam, mu, waypoints, state.z)

    def residuals(self, x0: Tensor, state: MPCState) -> tuple[Tensor, Tensor]:
        """Return the largest equality and inequality violation of every row, (B,) each."""
        with torch.no_grad():
            gap = self._gaps(x0, state.x, state.u).abs().flatten(1)
            over = self._limits(state.x, state.u).clamp_min(0.0).flatten(1)
            return gap.max(1).values, over.max(1).values

    def cost(self, x: Tensor, u: Tensor, waypoints: Tensor) -> Tensor:
        """Return the tracking cost (B,)."""
        dx, du = x - waypoints, u - self.dynamics.u_rest.to(u)
        return 0.5 * ((self.q.to(x) * dx * dx).sum((1, 2)) + (self.r.to(u) * du * du).sum((1, 2)))

    def exact(self, x0: Tensor, waypoints: Tensor, state: MPCState) -> tuple[Tensor, Tensor]:
        """Return x and u of a converged state with the exact gradient of the KKT conditions.

        Dense, with all second derivatives: for checks and small problems. Raises ValueError
        where the state is not feasible to 1e-6.
        """
        worst = float(torch.maximum(*self.residuals(x0, state)).max())
        if not worst < 1e-6:
            raise ValueError(
                f"an exact gradient needs a converged state, violation {worst:.1e}: more updates"
            )
        rows, t, m, n = len(x0), self.horizon, self.dynamics.m, self.dynamics.n

        def split(y: Tensor) -> tuple[Tensor, Tensor]:
            blocks = y.reshape(len(y), t, m + n)
            return blocks[..., m:], blocks[..., :m]

        problem = Constrained(
            cost=lambda y: self.cost(*split(y), waypoints),
            equal=lambda y: self._gaps(x0, *split(y)).flatten(1),
            below=lambda y: self._limits(*split(y)).flatten(1),
        )
        y = torch.cat([state.u, state.x], dim=-1).reshape(rows, -1).detach()
        found = Optimum(y, state.eta.flatten(1), state.lam.flatten(1), state.mu * 0.0)
        return split(implicit_optimum(problem, found))

    def _gaps(self, x0: Tensor, x: Tensor, u: Tensor) -> Tensor:
        before = torch.cat([x0[:, None], x[:, :-1]], dim=1)
        return x - self.dynamics.step(before, u)

    def _limits(self, x: Tensor, u: Tensor) -> Tensor:
        d = self.dynamics
        return torch.cat([u - d.u_max.to(u), d.u_min.to(u) - u, d.below(x)], dim=-1)

    def _multipliers(
        self, x0: Tensor, x: Tensor, u: Tensor, eta: Tensor, lam: Tensor, mu: Tensor
    ) -> tuple[Tensor, Tensor]:
        k, h = self._gaps(x0, x, u), self._limits(x, u)
        new_eta, new_lam = updated(k.flatten(1), h.flatten(1), eta.flatten(1), lam.flatten(1), mu)
        return new_eta.reshape(eta.shape), new_lam.reshape(lam.shape)

    def _merit(
        self, x0: Tensor, target: Tensor, x: Tensor, u: Tensor, eta: Tensor, lam: Tensor, mu: Tensor
    ) -> Tensor:
        k, h = self._gaps(x0, x, u), self._limits(x, u)
        extra = penalty(k.flatten(1), h.flatten(1), eta.flatten(1), lam.flatten(1), mu)
        return self.cost(x, u, target) + extra

    def _search(
        self, x0: Tensor, target: Tensor, x: Tensor, u: Tensor, eta: Tensor, lam: Tensor, mu: Tensor,
        system: _Chain,
    ) -> tuple[Tensor, Tensor, bool]:  # fmt: skip
        """Return a better point along the step, and whether any row moved.

        The whole step where it lowers every row's merit, else the best of all lengths.
        """
        m, rows = self.dynamics.m, len(x)
        step, plain = self._model_step(x, u, lam, mu, system)

        def tried(moves: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            count = len(moves)
            us, xs = u + moves[..., :m], x + moves[..., m:]

            def many(a: Tensor) -> Tensor:
                return a.expand(count, *a.shape).reshape(count * rows, *a.shape[1:])

            merit = self._merit(
                many(x0), many(target), xs.flatten(0, 1), us.flatten(0, 1), many(eta), many(lam), many(mu)
            ).reshape(count, rows)
            return us, xs, torch.where(torch.isfinite(merit), merit, torch.inf)

        us, xs, merit = tried(torch.stack([torch.zeros_like(step), step]))
        least = 1e-12 * (1.0 + merit[0].abs())
        if bool((merit[1] <= merit[0] + least).all()):
            return xs[1], us[1], bool((merit[0] - merit[1] > least).any())
        lengths = torch.tensor(LENGTHS, dtype=x.dtype)[:, None, None, None]
        us, xs, merit = tried(torch.cat([torch.zeros_like(step)[None], lengths * step, lengths * plain]))
        best, row = merit.argmin(dim=0), torch.arange(rows)
        moved = bool((merit[0] - merit[best, row] > least).any())
        return xs[best, row], us[best, row], moved

    def _chain(
        self, x0: Tensor, target: Tensor, x: Tensor, u: Tensor, eta: Tensor, lam: Tensor, mu: Tensor
    ) -> _Chain:
        """Return gradient and Gauss-Newton blocks of the augmented Lagrangian."""
        d, m = self.dynamics, self.dynamics.m
        before = torch.cat([x0[:, None], x[:, :-1]], dim=1)
        a, b = d.jacobians(before, u)
        own = torch.cat([-b, torch.eye(d.n, dtype=x.dtype).expand_as(a)], dim=-1)  # dk_t/dy_t
        m1, m2 = mu[:, None, None], mu[:, None, None, None]
        e = eta + m1 * self._gaps(x0, x, u)
        weight = torch.cat([self.r.to(x), self.q.to(x)])
        away = torch.cat([u - d.u_rest.to(u), x - target], dim=-1)
        g = weight * away + (own.mT @ e[..., None])[..., 0]
        diagonal = torch.diag_embed(weight.expand_as(g)) + m2 * (own.mT @ own)
        pull = -(a[:, 1:].mT @ e[:, 1:, :, None])[..., 0]
        g[:, :-1, m:] += pull
        diagonal[:, :-1, m:, m:] += m2 * (a[:, 1:].mT @ a[:, 1:])
        below = torch.zeros_like(diagonal[:, 1:])
        below[..., m:] = -m2 * (own[:, 1:].mT @ a[:, 1:])
        return _Chain(g, diagonal, below)

    def _model_step(
        self, x: Tensor, u: Tensor, lam: Tensor, mu: Tensor, system: _Chain
    ) -> tuple[Tensor, Tensor]:
        """Return the step (B, T, m + n) to the minimum of the model with linear constraints.

        Which limits act is guessed from where the step leads, `passes` times: limits that
        a plain Gauss-Newton step would run through would stop its line search dead. That
        step, which always leads downhill, comes second: for rows whose guesses cycle.
        """
        m, m1 = self.dynamics.m, mu[:, None, None]
        jac = self.dynamics.below_jacobian(x)
        force = lam + m1 * self._limits(x, u)
        active = force > 0.0
        step = plain = None
        for _ in range(self.passes):
            whole = self._with_limits(system, jac, torch.where(active, force, 0.0), m1 * active)
            step = -chain_solve(whole.diagonal, whole.below, whole.gradient[..., None])[..., 0]
            plain = step if plain is None else plain
            along = (jac @ step[..., m:, None])[..., 0]
            ahead = torch.cat([step[..., :m], -step[..., :m], along], dim=-1)
            acts = force + m1 * ahead > 0.0
            if bool((acts == active).all()):
                break
            active = acts
        return step, plain

    def _with_limits(self, system: _Chain, jac: Tensor, force: Tensor, stiff: Tensor) -> _Chain:
        """Return the chain with the limits that act: force and stiffness (B, T, 2 m + p)."""
        m = self.dynamics.m
        g, diagonal, at = system.gradient.clone(), system.diagonal.clone(), torch.arange(m)
        g[..., :m] += force[..., :m] - force[..., m : 2 * m]
        diagonal[..., at, at] += stiff[..., :m] + stiff[..., m : 2 * m]
        if jac.shape[-2]:
            g[..., m:] += (jac.mT @ force[..., 2 * m :, None])[..., 0]
            diagonal[..., m:, m:] += jac.mT @ (stiff[..., 2 * m :, None] * jac)
        return _Chain(g, diagonal, system.below)

    def _attach(
        self, x0: Tensor, waypoints: Tensor, x: Tensor, u: Tensor, eta: Tensor, lam: Tensor, mu: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return x and u with gradients: one solve with the chain where the search ended."""
        m = self.dynamics.m
        with torch.no_grad():
            system = self._chain(x0.detach(), waypoints.detach(), x, u, eta, lam, mu)
            force = (lam + mu[:, None, None] * self._limits(x, u)).clamp_min(0.0)
            stiff = mu[:, None, None] * (force > 0.0)
            system = self._with_limits(system, self.dynamics.below_jacobian(x), force, stiff)
            _, b = self.dynamics.jacobians(x0.detach()[:, None], u[:, :1])
        tracked = -self.q.to(x) * (waypoints - waypoints.detach())
        change = torch.cat([torch.zeros_like(u), tracked], dim=-1)
        if x0.requires_grad:
            next_x = self.dynamics.step(x0, u[:, 0])
            e = -mu[:, None] * (next_x - next_x.detach())
            own = torch.cat([-b[:, 0], torch.eye(x.shape[-1], dtype=x.dtype).expand(len(x), -1, -1)], dim=-1)
            first = (own.mT @ e[..., None])[..., 0]
            change = torch.cat([change[:, :1] + first[:, None], change[:, 1:]], dim=1)
        moved = _ChainSolve.apply(change, system.diagonal, system.below)
        return x - moved[..., m:], u - moved[..., :m]


class _ChainSolve(torch.autograd.Function):
    """y = M^-1 b for a constant symmetric chain M; backward solves with M again."""

    @staticmethod
    def forward(ctx, right, diagonal, below):
        ctx.system = (diagonal, below)
        return torch.zeros_like(right)  # right is x - x: nothing, but for its gradient

    @staticmethod
    def backward(ctx, grad):
        diagonal, below = ctx.system
        return chain_solve(diagonal, below, grad[..., None])[..., 0], None, None


def with_network_state(state: MPCState, z: Tensor | None) -> MPCState:
    """Return the state with the network's own state replaced."""
    return replace(state, z=z)
