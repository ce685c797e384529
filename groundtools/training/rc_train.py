"""Training the region classifier: fine-tuning of all layers, resumable at any step."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from flightsw.vision.catalog import Catalog
from groundtools.imagery.cache import cache_dir
from groundtools.training.checkpoint import Run, take_over
from groundtools.training.feed import feed
from groundtools.training.ld_train import parse_imagery
from groundtools.training.progress import reporting
from groundtools.training.rc_net import RegionNet, parameter_groups
from groundtools.training.rc_samples import RcView, RegionLandmarks, draw_rc_view, rc_sources
from groundtools.training.schedule import one_cycle

AVERAGE_DECAY = 0.997
LANDMARK_WEIGHT = 3.0  # of the landmarks' loss: about a third of the gradient


@dataclass(frozen=True, slots=True)
class RcRecipe:
    """What the classifier's training is determined by.

    whole : part of the steps, the last, taught at the whole input size and not at half of
    it, which costs a quarter; pretrained : start from ImageNet weights; warm_start : or from a checkpoint's
    average.
    """

    seed: int = 1
    steps: int = 2500
    batch: int = 32
    peak_rate: float = 1.0e-3
    weight_decay: float = 1e-4
    imagery: tuple[str, ...] = ("embedded:flat",)
    whole: float = 0.2
    pretrained: bool = True
    warm_start: str = ""


def checkpoint_path() -> Path:
    """Return where the run is kept."""
    return cache_dir("training", "runs") / "rc.pt"


def start_run(recipe: RcRecipe, landmarks: int) -> Run:
    """Return the run at step 0; landmarks : how many there are in all catalogues."""
    torch.manual_seed(recipe.seed)
    net = RegionNet(pretrained=recipe.pretrained and not recipe.warm_start, landmarks=landmarks)
    if recipe.warm_start:
        take_over(net, Path(recipe.warm_start))
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(parameter_groups(net, recipe.weight_decay), lr=recipe.peak_rate)
    plain = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(recipe).items()}
    run = Run(net, optimizer, plain)
    run.start_average()
    return run


def train_step(run: Run, views: list[RcView], recipe: RcRecipe) -> float:
    """Take one optimizer step on views; return the loss of the classes."""
    run.net.train()
    rate = one_cycle(run.step, recipe.steps, recipe.peak_rate)
    for group in run.optimizer.param_groups:
        group["lr"] = rate * group["factor"]
    images = torch.from_numpy(np.stack([view.image for view in views]))
    if run.step < (1.0 - recipe.whole) * recipe.steps:
        images = functional.avg_pool2d(images, 2)
    assert isinstance(run.net, RegionNet)
    logits, marks = run.net.teach(images.contiguous(memory_format=torch.channels_last))
    label = torch.from_numpy(np.stack([view.label for view in views]))
    seen = torch.from_numpy(np.stack([view.seen for view in views]))
    loss = functional.binary_cross_entropy_with_logits(logits, label)
    beside = functional.binary_cross_entropy_with_logits(marks, seen)
    run.optimizer.zero_grad(set_to_none=True)
    (loss + LANDMARK_WEIGHT * beside).backward()
    torch.nn.utils.clip_grad_norm_(run.net.parameters(), 5.0)
    run.optimizer.step()
    run.step += 1
    run.update_average(AVERAGE_DECAY)
    return float(loss.detach())


def train_rc(
    recipe: RcRecipe,
    catalogs: list[Catalog],
    *,
    path: Path | None = None,
    save_every: int = 40,
    draw: Callable[[np.random.Generator], RcView] | None = None,
) -> Run:
    """Train the classifier, or go on where a killed run left off.

    catalogs : of REGIONS, in that order; draw : where views come from.
    """
    path = path or checkpoint_path()
    run = start_run(recipe, sum(len(catalog) for catalog in catalogs))
    run.load(path)
    draw_one = draw or _drawer(recipe, catalogs)

    def draw_step(step: int) -> list[RcView]:
        return [draw_one(np.random.default_rng([recipe.seed, step, k])) for k in range(recipe.batch)]

    smooth = 0.0
    with reporting("rc", recipe.steps) as report:
        for views in feed(draw_step, run.step, recipe.steps):
            loss = train_step(run, views, recipe)
            smooth = loss if smooth == 0.0 else 0.95 * smooth + 0.05 * loss
            report.update(run.step, f"loss {smooth:.4f}")
            if run.step % save_every == 0 or run.step == recipe.steps:
                run.save(path)
    return run


def _drawer(recipe: RcRecipe, catalogs: list[Catalog]) -> Callable[[np.random.Generator], RcView]:
    landmarks = RegionLandmarks.of(catalogs)
    sources = rc_sources(parse_imagery(recipe.imagery))
    return lambda rng: draw_rc_view(rng, landmarks, sources)
