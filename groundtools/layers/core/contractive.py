"""Equilibrium layers that contract by construction.

    z = rate * tanh(W z / |W| + U x + b),   rate < 1
tanh has slope at most 1, so the map z -> f(z, x) contracts with `rate` for any weights and
any x: the fixed point exists, is unique and is found by plain iteration. |W| is bounded
from above by the spectral norm of a matrix, and for a convolution by the sum of those of
its taps (each tap is a shift, of norm at most 1, times a matrix). Weights whose bound is
below 1 are left as they are.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class ContractiveDense(nn.Module):
    """z (B, hidden) from x (B, inputs)."""

    def __init__(self, inputs: int, hidden: int, *, rate: float = 0.9) -> None:
        super().__init__()
        self.rate = rate
        self.inject = nn.Linear(inputs, hidden)
        self.weight = nn.Parameter(torch.randn(hidden, hidden) / hidden**0.5)

    def start(self, x: Tensor) -> Tensor:
        """Return zeros (B, hidden)."""
        return x.new_zeros(len(x), self.weight.shape[0])

    def norm(self) -> Tensor:
        """Return the bound on |W|."""
        return torch.linalg.matrix_norm(self.weight, ord=2)

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        """Return f(z, x)."""
        return self.bound_to(x)(z)

    def bound_to(self, x: Tensor):
        """Return z -> f(z, x) with injection and norm computed once."""
        weight = self.weight / self.norm().clamp_min(1.0)
        inject = self.inject(x)
        return lambda z: self.rate * torch.tanh(z @ weight.T + inject)


class ContractiveConv(nn.Module):
    """z (B, channels, ...) from an injection of the same shape; 1-D or 2-D, odd kernels."""

    def __init__(self, channels: int, *, dims: int = 2, kernel: int = 3, rate: float = 0.9) -> None:
        super().__init__()
        self.rate, self.dims, self.kernel = rate, dims, kernel
        shape = (channels, channels) + (kernel,) * dims
        self.weight = nn.Parameter(torch.randn(shape) / (channels * kernel**dims) ** 0.5)

    def norm(self) -> Tensor:
        """Return the bound on the norm of the convolution."""
        taps = self.weight.flatten(2).movedim(2, 0)
        return torch.linalg.matrix_norm(taps, ord=2).sum()

    def forward(self, z: Tensor, inject: Tensor) -> Tensor:
        """Return f(z, injection)."""
        return self.bound_to(inject)(z)

    def bound_to(self, inject: Tensor):
        """Return z -> f(z, injection) with the norm computed once."""
        weight = self.weight / self.norm().clamp_min(1.0)
        convolve = functional.conv1d if self.dims == 1 else functional.conv2d
        return lambda z: self.rate * torch.tanh(convolve(z, weight, padding=self.kernel // 2) + inject)
