"""The landmark detectors: a small encoder-decoder with a heat map a landmark.

    frame (1, 3, H, W) -> heat (1, K, H/4, W/4) logits, offset (1, 2, H/4, W/4) cells

One class is one landmark, and a landmark is at most once in a frame, so the arg-max of
its map is its place: no boxes, no suppression. Context comes from 1/16 scale (a cell is
9.6 km; the receptive field spans more than a landmark's chip of 38 km), the place from
1/4 scale. The offset points from the cell's centre to the landmark and is shared by the
classes: it answers "where is the corner here", not "which corner".
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

Floats = NDArray[np.float32]
STRIDE = 4
WIDTHS = (16, 40, 64, 96)  # channels at 1/2, 1/4, 1/8, 1/16
FEATURES = 64  # channels the heads see


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


class Trunk(nn.Module):
    """What all regions share: the encoder-decoder and the offset head."""

    def __init__(self) -> None:
        super().__init__()
        half, quarter, eighth, sixteenth = WIDTHS
        self.stem = _conv(3, half, 3, 2)
        self.quarter = nn.Sequential(_conv(half, quarter, 3, 2), _conv(quarter, quarter))
        self.eighth = nn.Sequential(_conv(quarter, eighth, 3, 2), _Residual(eighth))
        self.sixteenth = nn.Sequential(
            _conv(eighth, sixteenth, 3, 2), _Residual(sixteenth, 2), _Residual(sixteenth, 2)
        )
        self.from_sixteenth = _conv(sixteenth, eighth, 1)
        self.merge_eighth = _conv(eighth, eighth)
        self.from_eighth = _conv(eighth, FEATURES, 1)
        self.skip = _conv(quarter, FEATURES, 1)
        self.merge_quarter = _conv(FEATURES, FEATURES)
        self.offset = nn.Sequential(_conv(FEATURES, 32), nn.Conv2d(32, 2, 1))
        nn.init.zeros_(self.offset[1].weight)
        nn.init.zeros_(self.offset[1].bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return features (B, FEATURES, h, w) and offsets (B, 2, h, w) in cells (u, v)."""
        quarter = self.quarter(self.stem(x))
        eighth = self.eighth(quarter)
        deep = functional.interpolate(self.from_sixteenth(self.sixteenth(eighth)), scale_factor=2.0)
        eighth = self.merge_eighth(eighth + deep)
        up = functional.interpolate(self.from_eighth(eighth), scale_factor=2.0)
        merged = self.merge_quarter(self.skip(quarter) + up)
        return merged, self.offset(merged)


def _heat_head(classes: int) -> nn.Conv2d:
    head = nn.Conv2d(FEATURES, classes, 1)
    assert head.bias is not None
    nn.init.constant_(head.bias, -4.6)  # a prior probability of one per cent
    return head


class LandmarkNet(nn.Module):
    """One region's detector: what flies. classes : K, its landmarks."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.trunk = Trunk()
        self.heat = _heat_head(classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return heat logits (B, K, h, w) and offsets (B, 2, h, w) in cells (u, v)."""
        features, offset = self.trunk(x)
        return self.heat(features), offset


class FlyingNet(nn.Module):
    """A detector as it flies: its offsets are what its own maps say, not the offset head.

    Targets are split over the four nearest cells, so around a peak the maps know more
    than which cell: the mean of the 3 x 3 cells, weighed by exp(highest logit of any
    class), is nearer (median 5.9 px full resolution; the peak's cell alone and the
    offset head 8.7, on 54S). The head still helps the trunk while it is taught.
    """

    def __init__(self, net: LandmarkNet) -> None:
        super().__init__()
        self.net = net
        step = torch.tensor([-1.0, 0.0, 1.0])
        du, dv = step.expand(3, 3), step[:, None].expand(3, 3)
        self.register_buffer("moments", torch.stack([du, dv, torch.ones(3, 3)])[:, None].contiguous())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return heat logits (B, K, h, w) and offsets (B, 2, h, w) in cells (u, v)."""
        heat, _ = self.net(x)
        weight = heat.amax(dim=1, keepdim=True).clamp(-60.0, 30.0).exp()
        moments = functional.conv2d(weight, self.moments, padding=1)
        return heat, moments[:, :2] / moments[:, 2:]


class JointNet(nn.Module):
    """Detectors of several regions taught together: one trunk, one heat-map head a region.

    classes : landmarks of each region. What corners look like is the same everywhere, so
    the trunk learns from all regions at once; the heads are one 1 x 1 convolution each.
    """

    def __init__(self, classes: dict[str, int]) -> None:
        super().__init__()
        self.trunk = Trunk()
        # Module names may not begin like numbers look in attribute access: "r17R".
        self.heads = nn.ModuleDict({f"r{region}": _heat_head(k) for region, k in classes.items()})

    def forward(self, x: Tensor, regions: Sequence[str]) -> tuple[list[Tensor], Tensor]:
        """Return one heat map tensor (B/R, K_r, h, w) a region, and offsets (B, 2, h, w).

        x (B, 3, H, W) : the same number of crops of each region, in the order of `regions`.
        """
        features, offset = self.trunk(x)
        parts = features.chunk(len(regions))
        return [self.heads[f"r{name}"](part) for name, part in zip(regions, parts, strict=True)], offset

    def detector(self, region: str) -> LandmarkNet:
        """Return one region's detector with copies of the weights."""
        head = self.heads[f"r{region}"]
        assert isinstance(head, nn.Conv2d)
        net = LandmarkNet(head.out_channels)
        net.trunk.load_state_dict(self.trunk.state_dict())
        net.heat.load_state_dict(head.state_dict())
        return net


def as_network(net: nn.Module) -> Callable[[Floats], tuple[Floats, Floats]]:
    """Return a detector as a function of arrays: (1, 3, H, W) -> heat, offset."""
    net = net.eval()

    def run(x: Floats) -> tuple[Floats, Floats]:
        with torch.inference_mode():
            images = torch.from_numpy(x).contiguous(memory_format=torch.channels_last)
            heat, offset = net(images)
        return heat.numpy(), offset.numpy()

    return run


def parameter_groups(net: nn.Module, weight_decay: float) -> Iterator[dict[str, object]]:
    """Yield optimizer groups: weights decay, biases and norms do not."""
    decay = [p for p in net.parameters() if p.ndim > 1]
    plain = [p for p in net.parameters() if p.ndim <= 1]
    yield {"params": decay, "weight_decay": weight_decay}
    yield {"params": plain, "weight_decay": 0.0}
