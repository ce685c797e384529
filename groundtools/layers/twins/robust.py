"""Twin of `flightsw.estimate.robust`: Barron's kernel."""

import torch
from torch import Tensor


def barron_loss(residual: Tensor, *, shape: float, scale: float) -> Tensor:
    """Return rho(e) of each residual; shape alpha <= 2, scale c > 0 in the residuals' unit."""
    _check(shape, scale)
    squared = (residual / scale).square()
    if shape == 2.0:
        return 0.5 * squared
    gap = 2.0 - shape
    if shape == 0.0:
        return torch.log1p(squared / gap)
    return gap / shape * ((squared / gap + 1.0) ** (0.5 * shape) - 1.0)


def barron_weight(residual: Tensor, *, shape: float, scale: float) -> Tensor:
    """Return rho'(e) / e, the weight of iteratively reweighted least squares."""
    _check(shape, scale)
    if shape == 2.0:
        return torch.full_like(residual, scale**-2)
    gap = 2.0 - shape
    return ((residual / scale).square() / gap + 1.0) ** (-0.5 * gap) / scale**2


def _check(shape: float, scale: float) -> None:
    if not scale > 0.0:
        raise ValueError(f"scale must be positive, got {scale}")
    if not shape <= 2.0:
        raise ValueError(f"shape must be at most 2, got {shape}")
