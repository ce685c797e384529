"""A network and a solver as one policy.

    DEQMPC    alternates them: w_i = net(x_0, o, tau_{i-1}), tau_i = MPC-m(w_i, tau_{i-1})
              (thesis eqs. 8.9-8.10), supervised on every iterate
    DiffMPC   asks the network once, then runs the solver: supervised on the last iterate
Both: policy(x0, obs, state, iterations=N) -> Plan, m AL updates an iteration. The thesis
calls the alternation ADMM; there is no dual update between network and solver, so it is a
fixed-point iteration of (network, solver), and `gap` is its residual.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from groundtools.layers.mpc.networks import WaypointNetwork
from groundtools.layers.mpc.solver import MPCState, TrackingMPC


@dataclass(frozen=True, slots=True)
class Plan:
    """state : the last; iterates : x (B, T, n) of every iteration, with graphs;
    gap (B,) : the last change of way-points, relative to 1 + their length.
    """

    state: MPCState
    iterates: tuple[Tensor, ...]
    gap: Tensor

    @property
    def control(self) -> Tensor:
        """The control to apply now (B, m), inside the limits' tolerance."""
        return self.state.u[:, 0].detach()

    def loss(self, expert: Tensor) -> Tensor:
        """Return the L1 error of eq. 8.13 over all iterates, mean per entry; expert (B, T, n)."""
        return torch.stack([(x - expert).abs().mean() for x in self.iterates]).mean()


@dataclass(frozen=True, slots=True)
class DEQMPC:
    """Alternate network and solver. updates : AL iterations a turn (m, 2 in the thesis)."""

    network: WaypointNetwork
    mpc: TrackingMPC
    updates: int = 2

    def __call__(
        self, x0: Tensor, obs: Tensor, state: MPCState | None = None, *, iterations: int = 6
    ) -> Plan:
        """Plan from x0 (B, n) and obs (B, o), from the state given (warm) or from rest (cold)."""
        state = self.mpc.start(x0) if state is None else state
        iterates = []
        gap = x0.new_full((len(x0),), torch.inf)
        for _ in range(iterations):
            waypoints, z = self.network(x0, obs, state.x, state.z)
            with torch.no_grad():
                change = (waypoints - state.waypoints).flatten(1).norm(dim=1)
                gap = change / (1.0 + waypoints.flatten(1).norm(dim=1))
            state = replace(self.mpc.step(x0, waypoints, state, updates=self.updates), z=z)
            iterates.append(state.x)
        return Plan(state, tuple(iterates), gap)


@dataclass(frozen=True, slots=True)
class DiffMPC:
    """One answer of the network, then the solver. updates : AL iterations an iteration."""

    network: WaypointNetwork
    mpc: TrackingMPC
    updates: int = 2

    def __call__(
        self, x0: Tensor, obs: Tensor, state: MPCState | None = None, *, iterations: int = 6
    ) -> Plan:
        """Plan from x0 (B, n) and obs (B, o), from the state given (warm) or from rest (cold)."""
        rest = x0[:, None].expand(-1, self.mpc.horizon, -1)
        z = None if state is None else state.z
        waypoints, z = self.network(x0, obs, rest, z)
        state = self.mpc.start(x0) if state is None else state
        state = replace(self.mpc.step(x0, waypoints, state, updates=self.updates * iterations), z=z)
        return Plan(state, (state.x,), x0.new_zeros(len(x0)))
