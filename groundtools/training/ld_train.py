"""Training one landmark detector: one region, one core, minutes; resumable at any step."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from flightsw.vision.catalog import Catalog
from groundtools.imagery.cache import cache_dir
from groundtools.landmarks.regions import Region
from groundtools.training.checkpoint import Run
from groundtools.training.ld_loss import ld_loss, stack
from groundtools.training.ld_net import LandmarkNet, backbone_state, parameter_groups
from groundtools.training.ld_samples import LdCrop, draw_crop, ld_sources
from groundtools.training.progress import reporting
from groundtools.training.schedule import one_cycle

AVERAGE_DECAY = 0.995


@dataclass(frozen=True, slots=True)
class LdRecipe:
    """What a detector's training is determined by.

    imagery : specs with their sea variants ("spec:flat,raw"); peak_rate : learning rate;
    warm_start : checkpoint whose backbone is taken over ("" : none).
    """

    region: str
    seed: int = 1
    steps: int = 700
    batch: int = 16
    peak_rate: float = 2.5e-3
    weight_decay: float = 1e-4
    imagery: tuple[str, ...] = ("embedded:flat",)
    warm_start: str = ""


def parse_imagery(texts: tuple[str, ...]) -> list[tuple[str, tuple[str, ...]]]:
    """Return (spec, seas) of texts like "embedded" or "tiles.tar:flat,raw"."""
    out = []
    for text in texts:
        spec, _, seas = text.partition(":") if text.count(":") == 1 else (text, "", "")
        out.append((spec, tuple(seas.split(",")) if seas else ("flat",)))
    return out


def checkpoint_path(region: str) -> Path:
    """Return where a region's run is kept."""
    return cache_dir("training", "runs") / f"ld-{region}.pt"


def start_run(recipe: LdRecipe, classes: int) -> Run:
    """Return the run at step 0: seeded weights, or a warm-started backbone."""
    torch.manual_seed(recipe.seed)
    net = LandmarkNet(classes).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if recipe.warm_start:
        state = torch.load(recipe.warm_start, weights_only=True)
        net.load_state_dict(backbone_state(state["average"] or state["net"]), strict=False)
    optimizer = torch.optim.AdamW(list(parameter_groups(net, recipe.weight_decay)), lr=recipe.peak_rate)
    run = Run(net, optimizer, {key: _plain(value) for key, value in asdict(recipe).items()})
    run.start_average()
    return run


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def train_step(run: Run, crops: list[LdCrop], recipe: LdRecipe) -> dict[str, float]:
    """Take one optimizer step on a batch; return the loss terms."""
    run.net.train()
    rate = one_cycle(run.step, recipe.steps, recipe.peak_rate)
    for group in run.optimizer.param_groups:
        group["lr"] = rate
    batch = stack(crops)
    heat, offset = run.net(batch.images.contiguous(memory_format=torch.channels_last))
    terms = ld_loss(heat, offset, batch)
    run.optimizer.zero_grad(set_to_none=True)
    terms["total"].backward()
    torch.nn.utils.clip_grad_norm_(run.net.parameters(), 10.0)
    run.optimizer.step()
    run.step += 1
    run.update_average(AVERAGE_DECAY)
    return {name: float(term.detach()) for name, term in terms.items()}


def train_ld(
    recipe: LdRecipe,
    region: Region,
    catalog: Catalog,
    *,
    path: Path | None = None,
    save_every: int = 60,
    draw: Callable[[np.random.Generator], LdCrop] | None = None,
) -> Run:
    """Train a region's detector, or go on where a killed run left off.

    path : the checkpoint (default: in the cache folder); draw : where crops come from
    (default: `draw_crop` over the recipe's imagery).
    """
    path = path or checkpoint_path(region.id)
    run = start_run(recipe, len(catalog))
    run.load(path)
    if draw is None:
        sources = ld_sources(region, parse_imagery(recipe.imagery))

        def draw(rng: np.random.Generator) -> LdCrop:
            return draw_crop(rng, region, catalog, sources)

    with reporting(f"ld {region.id}", recipe.steps) as report:
        while run.step < recipe.steps:
            crops = [
                draw(np.random.default_rng([recipe.seed, run.step, k])) for k in range(recipe.batch)
            ]
            terms = train_step(run, crops, recipe)
            report.update(run.step, " ".join(f"{name} {value:.2f}" for name, value in terms.items()))
            if run.step % save_every == 0 or run.step == recipe.steps:
                run.save(path)
    return run
