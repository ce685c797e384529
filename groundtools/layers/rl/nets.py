"""Networks of actors and critics, and the running normalisation of what they see.

`Ensemble` holds K networks of one shape in one set of tensors: the K critics are one
batched product. `Actor` is a normal distribution squashed by tanh, whose log-density is
    log pi(a) = log N(u) - sum_i log(1 - tanh(u_i)^2),  a = tanh(u).
"""

import copy
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

Activation = Callable[[Tensor], Tensor]
LOG_STD_MIN, LOG_STD_MAX = -5.0, 1.0


class Ensemble(nn.Module):
    """K multi-layer perceptrons of sizes [in, hidden.., out]: (B, in) -> (K, B, out)."""

    def __init__(self, count: int, sizes: Sequence[int], activation: Activation) -> None:
        super().__init__()
        self.activation = activation
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for rows, columns in itertools.pairwise(sizes):
            bound = 1.0 / math.sqrt(rows)
            self.weights.append(nn.Parameter(torch.empty(count, rows, columns).uniform_(-bound, bound)))
            self.biases.append(nn.Parameter(torch.empty(count, 1, columns).uniform_(-bound, bound)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (K, B, out)."""
        x = x.expand(len(self.weights[0]), *x.shape)
        last = len(self.weights) - 1
        for at, (weight, bias) in enumerate(zip(self.weights, self.biases)):
            x = torch.baddbmm(bias, x, weight)
            if at < last:
                x = self.activation(x)
        return x


class Critic(nn.Module):
    """Two Q-functions: features (B, o) and actions (B, m) -> (2, B)."""

    def __init__(self, features: int, actions: int, hidden: Sequence[int], activation: Activation) -> None:
        super().__init__()
        self.nets = Ensemble(2, [features + actions, *hidden, 1], activation)

    def forward(self, features: Tensor, a: Tensor) -> Tensor:
        """Return both values (2, B)."""
        return self.nets(torch.cat([features, a], -1))[..., 0]


class Value(nn.Module):
    """One V-function: features (B, o) -> (B,)."""

    def __init__(self, features: int, hidden: Sequence[int], activation: Activation) -> None:
        super().__init__()
        self.nets = Ensemble(1, [features, *hidden, 1], activation)

    def forward(self, features: Tensor) -> Tensor:
        """Return the values (B,)."""
        return self.nets(features)[0, :, 0]


class Actor(nn.Module):
    """A squashed normal distribution over actions (B, m) given features (B, o)."""

    def __init__(self, features: int, actions: int, hidden: Sequence[int], activation: Activation) -> None:
        super().__init__()
        self.actions = actions
        self.net = Ensemble(1, [features, *hidden, 2 * actions], activation)

    def distribution(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean and the logarithm of the deviation before squashing, (B, m) each."""
        mean, raw = self.net(features)[0].chunk(2, -1)
        middle, half = 0.5 * (LOG_STD_MAX + LOG_STD_MIN), 0.5 * (LOG_STD_MAX - LOG_STD_MIN)
        return mean, middle + half * torch.tanh(raw)

    def sample(self, features: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return actions (B, m) of unit normal noise (B, m) and their log-densities (B,)."""
        mean, log_std = self.distribution(features)
        u = mean + log_std.exp() * noise
        return torch.tanh(u), _log_density(u, noise, log_std)

    def log_density(self, features: Tensor, u: Tensor) -> Tensor:
        """Return log pi (B,) of actions tanh(u), given before squashing (B, m)."""
        mean, log_std = self.distribution(features)
        return _log_density(u, (u - mean) * (-log_std).exp(), log_std)

    def mean(self, features: Tensor) -> Tensor:
        """Return the action (B, m) without noise."""
        return torch.tanh(self.distribution(features)[0])


def _log_density(u: Tensor, noise: Tensor, log_std: Tensor) -> Tensor:
    normal = -0.5 * noise.square() - log_std - 0.5 * math.log(2.0 * math.pi)
    squash = 2.0 * (math.log(2.0) - u - nn.functional.softplus(-2.0 * u))
    return (normal - squash).sum(-1)


class Normaliser(nn.Module):
    """Shifts and scales features (B, o) by their running mean and deviation (Chan et al. 1979)."""

    mean: Tensor
    spread: Tensor
    count: Tensor

    def __init__(self, features: int, *, limit: float = 10.0) -> None:
        super().__init__()
        self.limit = limit
        self.register_buffer("mean", torch.zeros(features, dtype=torch.float64))
        self.register_buffer("spread", torch.zeros(features, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    @torch.no_grad()
    def update(self, features: Tensor) -> None:
        """Take in a batch."""
        x = features.double()
        count = self.count + len(x)
        shift = x.mean(0) - self.mean
        self.spread += (x - x.mean(0)).square().sum(0) + shift.square() * self.count * len(x) / count
        self.mean += shift * len(x) / count
        self.count.copy_(count)

    def forward(self, features: Tensor) -> Tensor:
        """Return (features - mean) / deviation, cut at +-limit; unchanged before the first batch."""
        if not bool(self.count > 1):
            return features
        std = (self.spread / self.count).sqrt().clamp_min(1e-4)
        return ((features - self.mean.to(features)) / std.to(features)).clamp(-self.limit, self.limit)


def twin(module: nn.Module) -> Any:
    """Return a copy that is never trained, for averages."""
    out = copy.deepcopy(module)
    for parameter in out.parameters():
        parameter.requires_grad_(False)
    return out


@torch.no_grad()
def average(target: nn.Module, source: nn.Module, rate: float) -> None:
    """Move the target's parameters by `rate` of the way to the source's."""
    torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), rate)
