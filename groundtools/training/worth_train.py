"""Teach a small network what detections are worth, through the orbit's fit.

Of an arc, the network's sigma (a factor on the stated one) makes the weights; `OrbitLayer`
gives the orbit they lead to; the loss compares the pixels at which that orbit shows the
landmarks with the true ones, weighted by the network's own weights, held (the weighted flow
loss of thesis ch. 4: what has no weight in the fit has none in the loss). Beside it stands
the likelihood of the true errors under sigma (Student's t of 4 degrees of freedom), so that
what is written as sigma_px is calibrated and not only good in ratio.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from flightsw.camera.model import Camera
from flightsw.estimate.batch import EstimatorOptions, estimate_orbit, fit_setup
from flightsw.estimate.final_fit import _with_bounds
from flightsw.estimate.observations import Observations
from flightsw.estimate.orbit_fit import OFFSET, SIZE, Belief
from flightsw.estimate.sightings import prepare_sightings
from flightsw.files import prepare_folder
from flightsw.vision.catalog import write_atomic
from flightsw.vision.manifest import NAME, file_entry, read_manifest, worth_metadata, write_manifest
from flightsw.vision.worth import FEATURES, ROWS
from groundtools.layers.bundle.losses import flow_loss
from groundtools.layers.core.statistics import gradient_ratio
from groundtools.layers.orbit import OrbitLayer

Array = NDArray[np.float64]

FILE = "worth.onnx"
HIDDEN = 32
MOST_LOG = 3.0  # the factor lies within e^-3 .. e^3
FREEDOM = 4.0
LEAST_WEIGHT = 1e-3


class WorthNet(nn.Module):
    """Features (N, 6) to the logarithm of the factor on the stated sigma (N, 1)."""

    def __init__(self) -> None:
        super().__init__()
        width = len(FEATURES)
        self.body = nn.Sequential(nn.Linear(width, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, HIDDEN), nn.Tanh())
        self.head = nn.Linear(HIDDEN, 1)
        nn.init.zeros_(self.head.weight)  # it begins as if it were not there
        nn.init.zeros_(self.head.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Return log(sigma / stated sigma)."""
        return MOST_LOG * torch.tanh(self.head(self.body(features)) / MOST_LOG)


@dataclass(frozen=True, slots=True)
class WeightArc:
    """One arc to learn from: the fit, an orbit near its optimum (13,), the features (N, 6) of its
    detections, and where they truly are, uv_px (N, 2).
    """

    layer: OrbitLayer
    x0: Array
    features: Array
    true_px: Array


def arc_from(
    observations: Observations, camera: Camera, *, features: Array, true_px: Array, options: EstimatorOptions
) -> WeightArc | None:
    """Return an arc to learn from, of the detections that a first orbit agrees with.

    features (N, 6), true_px (N, 2) : in the order of the observations, whose sigma_px is the
    stated one. None where the orbit is not determined.
    """
    solution = estimate_orbit(observations, camera, options=options)
    if not solution.status.is_determined or solution.r_eci is None or solution.v_eci is None:
        return None
    sightings = prepare_sightings(observations, camera, None)
    sightings = sightings.select(solution.used[sightings.row])
    x0 = np.zeros(SIZE)
    x0[:3], x0[3:6], x0[6] = solution.r_eci, solution.v_eci, solution.drag_scale
    x0[OFFSET] = solution.pointing_offset_rad
    t_s = solution.epoch - observations.epoch
    setup = _with_bounds(fit_setup(sightings, options), Belief(t_s, x0, np.zeros((SIZE, SIZE))))
    return WeightArc(OrbitLayer(sightings, setup, t_s), x0, features[sightings.row], true_px[sightings.row])


@dataclass(frozen=True, slots=True)
class WorthRecipe:
    """How it is taught."""

    seed: int = 1
    epochs: int = 12
    rate: float = 3e-3


def arc_losses(net: WorthNet, arc: WeightArc) -> tuple[Tensor, Tensor]:
    """Return the weighted pixel-space loss of the orbit, px, and the errors' likelihood."""
    log_factor = net(torch.as_tensor(arc.features, dtype=torch.float32))[:, 0].double()
    weight = torch.exp(-2.0 * log_factor)
    weight = (weight / weight.max().detach()).clamp_min(LEAST_WEIGHT)
    point = arc.layer(weight, arc.x0)
    predicted = arc.layer.predicted(point.x)
    true = torch.as_tensor(arc.true_px)
    valid = torch.isfinite(predicted).all(dim=1)
    both = weight[:, None].expand(-1, 2)
    pixel = flow_loss(
        torch.nan_to_num(predicted)[None], true[None], weight=both[None], power=0.5, valid=valid[None]
    )[0]
    sigma = torch.as_tensor(arc.layer.sightings.sigma_px) * torch.exp(log_factor)
    error = torch.as_tensor(arc.layer.sightings.uv_px) - true
    scaled = error.square().sum(-1) / sigma.square()
    # Minus the logarithm of Student's t in two dimensions, without its constants
    likelihood = (2.0 * sigma.log() + 0.5 * (FREEDOM + 2.0) * torch.log1p(scaled / FREEDOM)).mean()
    return pixel, likelihood


def train_worth(arcs: Sequence[WeightArc], recipe: WorthRecipe) -> tuple[WorthNet, list[float]]:
    """Return the network and the mean loss of every epoch."""
    torch.manual_seed(recipe.seed)
    net = WorthNet()
    optimiser = torch.optim.Adam(net.parameters(), lr=recipe.rate)
    beta, curve = None, []
    order = np.random.default_rng(recipe.seed)
    for _ in range(recipe.epochs):
        losses = []
        for k in order.permutation(len(arcs)):
            try:
                pixel, likelihood = arc_losses(net, arcs[k])
            except ValueError:  # these weights leave an arc undetermined: it teaches nothing now
                continue
            beta = gradient_ratio(likelihood, pixel, list(net.head.parameters()), previous=beta)
            optimiser.zero_grad()
            (likelihood + beta * pixel).backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
            losses.append(float(likelihood.detach()))
        curve.append(float(np.mean(losses)) if losses else float("nan"))
    return net, curve


def worth_bytes(net: WorthNet) -> bytes:
    """Return the network as ONNX, of the flight program's fixed shape."""
    from groundtools.export.onnx import onnx_bytes

    return onnx_bytes(net, (ROWS, len(FEATURES)), ("log_factor",), worth_metadata())


def write_worth(net: WorthNet, folder: Path) -> Path:
    """Write worth.onnx; where the folder is a models folder, into its manifest too."""
    path = prepare_folder(folder) / FILE
    write_atomic(path, worth_bytes(net))
    if (folder / NAME).exists():
        write_manifest(folder, replace(read_manifest(folder), worth=file_entry(folder, FILE)))
    return path
