"""Networks that propose way-points from the state, an observation and the solver's iterate.

Both see, at every step of the horizon, [x_0, observation, x_t - x_0] and answer with a
way-point x_0 + change: a start at rest, and a map whose slope by the iterate is the
network's alone, so that the alternation can settle.
`WaypointNet` is two temporal convolutions; `WaypointDEQ` an equilibrium of one, contracting
by construction, its state z handed from call to call (a warm start), its gradient that of
the last steps (thesis sect. 8.4.3).
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from groundtools.layers.core.contractive import ContractiveConv
from groundtools.layers.core.implicit import LastSteps, implicit
from groundtools.layers.core.solve import solve
from groundtools.layers.core.solvers import Anderson


class WaypointNetwork(Protocol):
    """What a policy asks."""

    def __call__(self, x0: Tensor, obs: Tensor, x: Tensor, z: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return way-points (B, T, n) and the network's state."""


def _features(x0: Tensor, obs: Tensor, x: Tensor) -> Tensor:
    """Return (B, features, T)."""
    steps = x.shape[1]
    fixed = torch.cat([x0, obs], dim=-1)[:, None].expand(-1, steps, -1)
    time = torch.linspace(-1.0, 1.0, steps, dtype=x.dtype).expand(len(x), steps)[..., None]
    return torch.cat([fixed, x - x0[:, None], time], dim=-1).transpose(1, 2)


class WaypointNet(nn.Module):
    """A feed-forward temporal convolution; x0 has n entries, obs has `observed`."""

    def __init__(self, n: int, observed: int, hidden: int = 64) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(2 * n + observed + 1, hidden, 3, padding=1), nn.GroupNorm(1, hidden), nn.ReLU(),
            nn.Conv1d(hidden, hidden, 3, padding=1), nn.GroupNorm(1, hidden), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Conv1d(hidden, n, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x0: Tensor, obs: Tensor, x: Tensor, z: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return way-points (B, T, n); nothing is remembered."""
        return x0[:, None] + self.head(self.body(_features(x0, obs, x))).transpose(1, 2), None


class WaypointDEQ(nn.Module):
    """The equilibrium of a temporal convolution."""

    def __init__(self, n: int, observed: int, hidden: int = 64, *, max_steps: int = 12) -> None:
        super().__init__()
        self.hidden, self.max_steps = hidden, max_steps
        self.inject = nn.Sequential(
            nn.Conv1d(2 * n + observed + 1, hidden, 3, padding=1), nn.GroupNorm(1, hidden), nn.ReLU(),
            nn.Conv1d(hidden, hidden, 1),
        )  # fmt: skip
        self.cell = ContractiveConv(hidden, dims=1)
        self.head = nn.Conv1d(hidden, n, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x0: Tensor, obs: Tensor, x: Tensor, z: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return way-points (B, T, n) and the equilibrium (B, hidden, T), the next start."""
        f = self.cell.bound_to(self.inject(_features(x0, obs, x)))
        start = x.new_zeros(len(x), self.hidden, x.shape[1]) if z is None else z.detach()
        found = solve(f, start, solver=Anderson(memory=4), tolerance=1e-4, max_steps=self.max_steps)
        z = implicit(f, found.value, adjoint=LastSteps(3))
        return x0[:, None] + self.head(z).transpose(1, 2), z.detach()
