"""Networks that propose way-points from the state, an observation and the solver's iterate.

Both see [x_0, observation, time] at every step of the horizon, and the iterate x_t - x_0
through `Feedback`, a matrix whose gain from iterate to way-point is bounded by SLOPE: the
solver moves its answer no further than the way-points (it projects them), so the
alternation of network and solver contracts by construction and its fixed point exists.
Both answer with a way-point x_0 + change: a start at rest.
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


SLOPE = 0.3  # largest gain from the solver's iterate to the way-points
RATE = 0.5  # contraction of the equilibrium's cell


def _features(x0: Tensor, obs: Tensor, steps: int) -> Tensor:
    """Return (B, features, T)."""
    fixed = torch.cat([x0, obs], dim=-1)[:, None].expand(-1, steps, -1)
    time = torch.linspace(-1.0, 1.0, steps, dtype=x0.dtype).expand(len(x0), steps)[..., None]
    return torch.cat([fixed, time], dim=-1).transpose(1, 2)


class Feedback(nn.Module):
    """The iterate's way into a network of gain `after` behind it, times |head|."""

    def __init__(self, n: int, hidden: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(hidden, n) / hidden**0.5)

    def forward(self, change: Tensor, head: Tensor, after: float) -> Tensor:
        """Return (B, hidden, T) from x_t - x_0 (B, T, n); head (n, hidden, 1)."""
        gain = after * _norm(self.weight) * _norm(head[..., 0])
        weight = self.weight * (SLOPE / gain.clamp_min(SLOPE))
        return (change @ weight.T).transpose(1, 2)


def _norm(matrix: Tensor) -> Tensor:
    return torch.linalg.matrix_norm(matrix, ord=2)


class WaypointNet(nn.Module):
    """A feed-forward temporal convolution; x0 has n entries, obs has `observed`."""

    def __init__(self, n: int, observed: int, hidden: int = 64) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(n + observed + 1, hidden, 3, padding=1), nn.GroupNorm(1, hidden), nn.ReLU(),
            nn.Conv1d(hidden, hidden, 3, padding=1), nn.GroupNorm(1, hidden),
        )  # fmt: skip
        self.feedback = Feedback(n, hidden)
        self.head = _head(hidden, n)

    def forward(self, x0: Tensor, obs: Tensor, x: Tensor, z: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return way-points (B, T, n); nothing is remembered."""
        seen = self.feedback(x - x0[:, None], self.head.weight, 1.0)
        hidden = torch.relu(self.body(_features(x0, obs, x.shape[1])) + seen)
        return x0[:, None] + self.head(hidden).transpose(1, 2), None


class WaypointDEQ(nn.Module):
    """The equilibrium of a temporal convolution."""

    def __init__(self, n: int, observed: int, hidden: int = 64, *, max_steps: int = 12) -> None:
        super().__init__()
        self.hidden, self.max_steps = hidden, max_steps
        self.inject = nn.Sequential(
            nn.Conv1d(n + observed + 1, hidden, 3, padding=1), nn.GroupNorm(1, hidden), nn.ReLU(),
            nn.Conv1d(hidden, hidden, 1),
        )  # fmt: skip
        self.cell = ContractiveConv(hidden, dims=1, rate=RATE)
        self.feedback = Feedback(n, hidden)
        self.head = _head(hidden, n)

    def forward(self, x0: Tensor, obs: Tensor, x: Tensor, z: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return way-points (B, T, n) and the equilibrium (B, hidden, T), the next start."""
        seen = self.feedback(x - x0[:, None], self.head.weight, RATE / (1.0 - RATE))
        f = self.cell.bound_to(self.inject(_features(x0, obs, x.shape[1])) + seen)
        start = x.new_zeros(len(x), self.hidden, x.shape[1]) if z is None else z.detach()
        found = solve(f, start, solver=Anderson(memory=4), tolerance=1e-4, max_steps=self.max_steps)
        z = implicit(f, found.value, adjoint=LastSteps(3))
        return x0[:, None] + self.head(z).transpose(1, 2), z.detach()


def _head(hidden: int, n: int) -> nn.Conv1d:
    head = nn.Conv1d(hidden, n, 1)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head
