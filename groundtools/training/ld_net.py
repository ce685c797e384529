"""The landmark detector: a small encoder-decoder with a heat map a landmark.

    frame (1, 3, H, W) -> heat (1, K, H/4, W/4) logits, offset (1, 2, H/4, W/4) cells

One class is one landmark, and a landmark is at most once in a frame, so the arg-max of
its map is its place: no boxes, no suppression. Context comes from 1/16 scale (a cell is
9.6 km; the receptive field spans more than a landmark's chip of 38 km), the place from
1/4 scale. The offset points from the cell's centre to the landmark and is shared by the
classes: it answers "where is the corner here", not "which corner".
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

STRIDE = 4
WIDTHS = (16, 40, 64, 96)  # channels at 1/2, 1/4, 1/8, 1/16
HEAD_PREFIXES = ("heat.",)  # what is new when a backbone warm-starts another region


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    """Two 3x3 convolutions around an identity."""

    def __init__(self, width: int, dilation: int = 1) -> None:
        super().__init__()
        self.first = _conv(width, width)
        self.second = nn.Conv2d(width, width, 3, 1, dilation, dilation, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.norm(self.second(self.first(x))))


class LandmarkNet(nn.Module):
    """Heat-map and offset heads over a four-scale encoder-decoder.

    classes : K, number of landmarks of the region. About 0.6 million parameters.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        half, quarter, eighth, sixteenth = WIDTHS
        self.classes = classes
        self.stem = _conv(3, half, 3, 2)
        self.quarter = nn.Sequential(_conv(half, quarter, 3, 2), _conv(quarter, quarter))
        self.eighth = nn.Sequential(_conv(quarter, eighth, 3, 2), _Residual(eighth))
        self.sixteenth = nn.Sequential(
            _conv(eighth, sixteenth, 3, 2), _Residual(sixteenth, 2), _Residual(sixteenth, 2)
        )
        self.from_sixteenth = _conv(sixteenth, eighth, 1)
        self.merge_eighth = _conv(eighth, eighth)
        self.from_eighth = _conv(eighth, 64, 1)
        self.skip = _conv(quarter, 64, 1)
        self.merge_quarter = _conv(64, 64)
        self.heat = nn.Conv2d(64, classes, 1)
        self.offset = nn.Sequential(_conv(64, 32), nn.Conv2d(32, 2, 1))
        nn.init.constant_(self.heat.bias, -4.6)  # prior probability of one per cent
        nn.init.zeros_(self.offset[1].weight)
        nn.init.zeros_(self.offset[1].bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return heat logits (B, K, h, w) and offsets (B, 2, h, w) in cells (u, v)."""
        quarter = self.quarter(self.stem(x))
        eighth = self.eighth(quarter)
        deep = nn.functional.interpolate(
            self.from_sixteenth(self.sixteenth(eighth)), scale_factor=2.0, mode="nearest"
        )
        eighth = self.merge_eighth(eighth + deep)
        up = nn.functional.interpolate(self.from_eighth(eighth), scale_factor=2.0, mode="nearest")
        merged = self.merge_quarter(self.skip(quarter) + up)
        return self.heat(merged), self.offset(merged)


def backbone_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the entries of a state dict that do not depend on the region's classes."""
    return {key: value for key, value in state.items() if not key.startswith(HEAD_PREFIXES)}


def parameter_groups(net: LandmarkNet, weight_decay: float) -> Iterator[dict[str, object]]:
    """Yield optimizer groups: weights decay, biases and norms do not."""
    decay = [p for p in net.parameters() if p.ndim > 1]
    plain = [p for p in net.parameters() if p.ndim <= 1]
    yield {"params": decay, "weight_decay": weight_decay}
    yield {"params": plain, "weight_decay": 0.0}
