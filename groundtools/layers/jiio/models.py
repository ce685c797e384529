"""An equilibrium decoder and an equilibrium classifier, contracting by construction."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from groundtools.layers.core.contractive import ContractiveConv, ContractiveDense


class Decoder(nn.Module):
    """Latents x (B, latent) to images (B, 1, side, side) in 0..1; `f` is the layer, `image` the head."""

    def __init__(self, latent: int, side: int, channels: int = 16, *, rate: float = 0.9) -> None:
        super().__init__()
        self.shape = (channels, side, side)
        self.inject = nn.Linear(latent, channels * side * side)
        self.cell = ContractiveConv(channels, rate=rate)
        self.head = nn.Conv2d(channels, 1, 3, padding=1)

    def start(self, x: Tensor) -> Tensor:
        """Return z = 0."""
        return x.new_zeros(len(x), *self.shape)

    def f(self, z: Tensor, x: Tensor) -> Tensor:
        """Return the layer at z."""
        return self.cell(z, self.inject(x).reshape(-1, *self.shape))

    def image(self, z: Tensor) -> Tensor:
        """Return the image of a state."""
        return torch.sigmoid(self.head(z))


class Classifier(nn.Module):
    """Images x (B, 1, side, side) to logits (B, classes)."""

    def __init__(self, side: int, classes: int = 10, channels: int = 16, *, rate: float = 0.9) -> None:
        super().__init__()
        self.shape = (channels, side, side)
        self.inject = nn.Conv2d(1, channels, 3, padding=1)
        self.cell = ContractiveConv(channels, rate=rate)
        self.head = nn.Linear(channels * side * side, classes)

    def start(self, x: Tensor) -> Tensor:
        """Return z = 0."""
        return x.new_zeros(len(x), *self.shape)

    def f(self, z: Tensor, x: Tensor) -> Tensor:
        """Return the layer at z."""
        return self.cell(z, self.inject(x))

    def logits(self, z: Tensor) -> Tensor:
        """Return the scores of a state."""
        return self.head(z.flatten(1))

    def loss(self, z: Tensor, label: Tensor) -> Tensor:
        """Return the cross-entropy (B,)."""
        return functional.cross_entropy(self.logits(z), label, reduction="none")


class Regressor(nn.Module):
    """Points s (B, K, 1) and a task's code x (B, code) to values (B, K): one task a row."""

    def __init__(self, code: int, hidden: int = 32, *, rate: float = 0.9) -> None:
        super().__init__()
        self.hidden = hidden
        self.cell = ContractiveDense(1 + code, hidden, rate=rate)
        self.head = nn.Linear(hidden, 1)

    def start(self, s: Tensor) -> Tensor:
        """Return z = 0 (B, K, hidden)."""
        return s.new_zeros(*s.shape[:2], self.hidden)

    def f(self, z: Tensor, x: Tensor, s: Tensor) -> Tensor:
        """Return the layer at z."""
        code = x[:, None].expand(-1, s.shape[1], -1)
        flat = self.cell(z.flatten(0, 1), torch.cat([s, code], dim=-1).flatten(0, 1))
        return flat.reshape(z.shape)

    def value(self, z: Tensor) -> Tensor:
        """Return the values of a state."""
        return self.head(z)[..., 0]


def ball(centre: Tensor, radius: float):
    """Return the projection onto the l2 ball of each row around its centre."""

    def project(x: Tensor) -> Tensor:
        away = x - centre
        length = away.flatten(1).norm(dim=1).clamp_min(1e-12).reshape(-1, *(1,) * (x.dim() - 1))
        return centre + away * (radius / length).clamp_max(1.0)

    return project
