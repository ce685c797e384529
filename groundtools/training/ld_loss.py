"""What the landmark detector is taught with: four terms on two heads.

    position   softmax cross-entropy over the cells of a visible landmark's own map; the
               target is split over the four nearest cells, so the map is unbiased
    class      softmax cross-entropy over landmarks at a visible landmark's cell
    focal      penalty-reduced focal loss on sigmoids (Zhou et al. 2019, eq. 1): a map
               without its landmark must stay low, which makes the peak a confidence
    offset     L1 from the cells around a landmark (3 x 3) to it

The first two make training quick (every visible landmark pulls its whole map), the third
makes absence mean something.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from groundtools.training.ld_net import STRIDE
from groundtools.training.ld_samples import LdCrop

SIGMA_CELLS = 0.8  # of the focal target
WEIGHTS = {"position": 1.0, "class": 0.5, "focal": 0.5, "offset": 1.5}
RING = torch.tensor([(i, j) for j in (-1, 0, 1) for i in (-1, 0, 1)])  # (9, 2) cells


@dataclass(frozen=True, slots=True)
class LdBatch:
    """Crops stacked: images (B, 3, H, W); labels of the P visible landmarks.

    crop, label (P,) : indices; uv_cells (P, 2) : in cells; ignored (B, K).
    """

    images: Tensor
    crop: Tensor
    label: Tensor
    uv_cells: Tensor
    ignored: Tensor


def stack(crops: list[LdCrop]) -> LdBatch:
    """Return a batch of crops."""
    visible = np.stack([crop.visible for crop in crops])
    index, label = np.nonzero(visible)
    uv: NDArray[np.float64] = np.stack([crop.uv_px for crop in crops])[visible] / STRIDE
    return LdBatch(
        torch.from_numpy(np.stack([crop.image for crop in crops])),
        torch.from_numpy(index),
        torch.from_numpy(label),
        torch.from_numpy(uv.astype(np.float32)),
        torch.from_numpy(np.stack([crop.ignored for crop in crops])),
    )


def ld_loss(heat: Tensor, offset: Tensor, batch: LdBatch) -> dict[str, Tensor]:
    """Return the terms (scalars) and their weighted "total".

    heat (B, K, h, w) logits; offset (B, 2, h, w) in cells.
    """
    maps = heat[batch.crop, batch.label].float()  # (P, h, w)
    height, width = maps.shape[1:]
    cell = batch.uv_cells.long()
    count = max(1, len(cell))
    logits = functional.log_softmax(maps.flatten(1), dim=1)
    position = -(logits.gather(1, _corner_index(batch.uv_cells, height, width)) * _corner_weight(batch)).sum()
    at_cell = heat[batch.crop, :, cell[:, 1], cell[:, 0]].float()  # (P, K)
    at_cell = at_cell.masked_fill(_other_labels_nearby(batch), -30.0)
    by_class = functional.cross_entropy(at_cell, batch.label, reduction="sum")
    terms = {
        "position": position / count,
        "class": by_class / count,
        "focal": _focal(heat, batch) / count,
        "offset": _offset(offset, batch) / count,
    }
    terms["total"] = torch.stack([WEIGHTS[name] * term for name, term in terms.items()]).sum()
    return terms


def _corner_index(uv_cells: Tensor, height: int, width: int) -> Tensor:
    """Return flat indices (P, 4) of the cells whose centres surround each landmark."""
    base = torch.floor(uv_cells - 0.5).long()
    u = (base[:, :1] + torch.tensor([0, 1, 0, 1])).clamp(0, width - 1)
    v = (base[:, 1:] + torch.tensor([0, 0, 1, 1])).clamp(0, height - 1)
    return v * width + u


def _corner_weight(batch: LdBatch) -> Tensor:
    """Return the bilinear weights (P, 4) that go with `_corner_index`."""
    fraction = batch.uv_cells - 0.5
    fraction = fraction - torch.floor(fraction)
    right, low = fraction[:, 0], fraction[:, 1]
    corners = [(1 - right) * (1 - low), right * (1 - low), (1 - right) * low, right * low]
    return torch.stack(corners, dim=1)


def _other_labels_nearby(batch: LdBatch) -> Tensor:
    """Return (P, K): other visible landmarks of the same crop within two cells."""
    near = torch.zeros(len(batch.crop), batch.ignored.shape[1], dtype=torch.bool)
    same = batch.crop[:, None] == batch.crop[None, :]
    close = (batch.uv_cells[:, None] - batch.uv_cells[None, :]).abs().amax(dim=2) < 2.0
    row, column = torch.nonzero(same & close & ~torch.eye(len(near), dtype=torch.bool), as_tuple=True)
    near[row, batch.label[column]] = True
    return near


def _focal(heat: Tensor, batch: LdBatch) -> Tensor:
    """Return the penalty-reduced focal loss, summed; maps of ignored landmarks are left out."""
    height, width = heat.shape[2:]
    log_absent = functional.logsigmoid(-heat)
    penalty = -(heat.sigmoid() ** 2) * log_absent
    keep = (~batch.ignored)[:, :, None, None].to(heat.dtype)
    background = (penalty * keep).sum()
    v = torch.arange(height)[None, :, None] + 0.5 - batch.uv_cells[:, 1, None, None]
    u = torch.arange(width)[None, None, :] + 0.5 - batch.uv_cells[:, 0, None, None]
    target = torch.exp(-(u**2 + v**2) / (2.0 * SIGMA_CELLS**2))  # (P, h, w)
    maps = heat[batch.crop, batch.label]
    # Near the landmark "absent" weighs less: subtract what the background sum took too much.
    relief = (-(maps.sigmoid() ** 2) * functional.logsigmoid(-maps) * (1.0 - (1.0 - target) ** 4)).sum()
    present = -((1.0 - maps.sigmoid()) ** 2 * functional.logsigmoid(maps) * target**4).sum()
    return background - relief + present


def _offset(offset: Tensor, batch: LdBatch) -> Tensor:
    """Return the mean L1 over the 3 x 3 cells around each landmark, summed over landmarks."""
    height, width = offset.shape[2:]
    cells = batch.uv_cells.long()[:, None] + RING  # (P, 9, 2)
    inside = ((cells >= 0) & (cells < torch.tensor([width, height]))).all(dim=2)
    u, v = cells[..., 0].clamp(0, width - 1), cells[..., 1].clamp(0, height - 1)
    predicted = offset[batch.crop[:, None], :, v, u]  # (P, 9, 2)
    wanted = batch.uv_cells[:, None] - (cells + 0.5)
    weight = inside * torch.tensor([0.5, 1, 0.5, 1, 3.0, 1, 0.5, 1, 0.5]) / 9.0
    return ((predicted - wanted).abs().sum(dim=2) * weight).sum()
