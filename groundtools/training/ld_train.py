"""Training landmark detectors: any number of regions together, resumable at any step.

Every batch holds the same number of crops of each region; the trunk sees them all, each
head its own. One region alone is the special case, started from another run's trunk.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from flightsw.vision.catalog import Catalog
from groundtools.imagery.cache import cache_dir
from groundtools.landmarks.regions import region_by_id
from groundtools.training.checkpoint import Run, take_over
from groundtools.training.feed import feed
from groundtools.training.ld_loss import LdBatch, ld_loss, stack
from groundtools.training.ld_net import JointNet, parameter_groups
from groundtools.training.ld_samples import LdCrop, draw_crop, ld_sources
from groundtools.training.progress import reporting
from groundtools.training.schedule import one_cycle

AVERAGE_DECAY = 0.995
Draw = Callable[[np.random.Generator, str], LdCrop]


@dataclass(frozen=True, slots=True)
class LdRecipe:
    """What the detectors' training is determined by.

    regions : taught together; per_region : crops of each in a batch; peak_rate : learning
    rate; imagery : specs with their sea variants ("spec:flat,raw"); warm_start :
    checkpoint whose trunk, and heads of the same regions, are taken over.
    """

    regions: tuple[str, ...]
    seed: int = 1
    steps: int = 2400
    per_region: int = 2
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


def checkpoint_path(regions: tuple[str, ...]) -> Path:
    """Return where a run is kept."""
    return cache_dir("training", "runs") / f"ld-{'-'.join(regions)}.pt"


def start_run(recipe: LdRecipe, classes: Mapping[str, int]) -> Run:
    """Return the run at step 0: seeded weights, or a warm-started trunk."""
    torch.manual_seed(recipe.seed)
    net = JointNet({name: classes[name] for name in recipe.regions})
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if recipe.warm_start:
        take_over(net, Path(recipe.warm_start))
    optimizer = torch.optim.AdamW(list(parameter_groups(net, recipe.weight_decay)), lr=recipe.peak_rate)
    plain = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(recipe).items()}
    run = Run(net, optimizer, plain)
    run.start_average()
    return run


def train_step(run: Run, crops: list[list[LdCrop]], recipe: LdRecipe) -> dict[str, float]:
    """Take one optimizer step on crops, one list a region; return the mean loss terms."""
    run.net.train()
    rate = one_cycle(run.step, recipe.steps, recipe.peak_rate)
    for group in run.optimizer.param_groups:
        group["lr"] = rate
    batches: list[LdBatch] = [stack(some) for some in crops]
    images = torch.cat([batch.images for batch in batches])
    heats, offset = run.net(images.contiguous(memory_format=torch.channels_last), recipe.regions)
    parts = offset.chunk(len(batches))
    terms = [ld_loss(*outputs) for outputs in zip(heats, parts, batches, strict=True)]
    total = torch.stack([term["total"] for term in terms]).mean()
    run.optimizer.zero_grad(set_to_none=True)
    total.backward()
    torch.nn.utils.clip_grad_norm_(run.net.parameters(), 10.0)
    run.optimizer.step()
    run.step += 1
    run.update_average(AVERAGE_DECAY)
    return {name: float(np.mean([float(term[name].detach()) for term in terms])) for name in terms[0]}


def train_ld(
    recipe: LdRecipe,
    catalogs: Mapping[str, Catalog],
    *,
    path: Path | None = None,
    save_every: int = 50,
    draw: Draw | None = None,
) -> Run:
    """Train detectors, or go on where a killed run left off.

    path : the checkpoint (default: in the cache folder); draw : where crops come from
    (default: `draw_crop` over the recipe's imagery).
    """
    path = path or checkpoint_path(recipe.regions)
    run = start_run(recipe, {name: len(catalog) for name, catalog in catalogs.items()})
    run.load(path)
    draw_one = draw or _drawer(recipe, catalogs)

    def draw_step(step: int) -> list[list[LdCrop]]:
        return [
            [
                draw_one(np.random.default_rng([recipe.seed, step, n, k]), name)
                for k in range(recipe.per_region)
            ]
            for n, name in enumerate(recipe.regions)
        ]

    smooth: dict[str, float] = {}
    with reporting("ld", recipe.steps) as report:
        for crops in feed(draw_step, run.step, recipe.steps):
            for name, value in train_step(run, crops, recipe).items():
                smooth[name] = 0.95 * smooth.get(name, value) + 0.05 * value
            report.update(run.step, " ".join(f"{name} {value:.2f}" for name, value in smooth.items()))
            if run.step % save_every == 0 or run.step == recipe.steps:
                run.save(path)
    return run


def _drawer(recipe: LdRecipe, catalogs: Mapping[str, Catalog]) -> Draw:
    specs = parse_imagery(recipe.imagery)
    sources = {name: ld_sources(region_by_id(name), specs) for name in recipe.regions}
    return lambda rng, name: draw_crop(rng, region_by_id(name), catalogs[name], sources[name])
