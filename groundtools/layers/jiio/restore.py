"""Inverse problems: an image from a spoiled one, by the latents that explain what is left.

    minimise |A y - A h(z)|^2 over x, z = f(z, x)          (thesis eqs. 3.21-3.22)
with A a mask (in-painting) or the identity (noise). Supervised, the model is trained for
its answer to the clean image through the joint solution (3.24), with `optimise.attach`.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from groundtools.layers.jiio.models import Decoder


def misfit(decoder: Decoder, image: Tensor, mask: Tensor | None = None) -> Callable[[Tensor], Tensor]:
    """Return loss(z) -> (B,): half the squared error where the mask (like image) is 1."""

    def loss(z: Tensor) -> Tensor:
        error = decoder.image(z) - image
        return 0.5 * (error if mask is None else mask * error).square().flatten(1).sum(1)

    return loss


def window_mask(image: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Return ones with a window of `size` a side of zeros at a random place, per row."""
    rows, _, height, width = image.shape
    top = torch.randint(0, height - size + 1, (rows,), generator=generator)
    left = torch.randint(0, width - size + 1, (rows,), generator=generator)
    y, x = torch.arange(height)[None, :, None], torch.arange(width)[None, None, :]
    inside = (y >= top[:, None, None]) & (y < top[:, None, None] + size)
    inside = inside & (x >= left[:, None, None]) & (x < left[:, None, None] + size)
    return (~inside)[:, None].to(image)


def psnr(image: Tensor, truth: Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio per row (B,), dB, for images in 0..1."""
    return -10.0 * torch.log10((image - truth).square().flatten(1).mean(1).clamp_min(1e-12))
