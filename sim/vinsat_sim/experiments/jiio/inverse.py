"""Decoders on digits as generators and for inverse problems: t3.4, f3.2, f3.4 to f3.9."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from groundtools.layers.jiio.models import Decoder
from groundtools.layers.jiio.nested import adam, solved
from groundtools.layers.jiio.optimise import optimize_input
from groundtools.layers.jiio.restore import misfit, psnr
from groundtools.registry import Check, Scale, at_least, at_most, noted
from vinsat_sim.experiments.jiio.images import digits
from vinsat_sim.experiments.jiio.models import LATENT, decoder, restorer, spoil
from vinsat_sim.experiments.jiio.race import ADAM_STEPS, TRAIN, entry, seeds


def t3_4(scale: Scale) -> tuple[Check, ...]:
    """Inverse problems: PSNR of Adam and JIIO without, and of JIIO with supervision."""
    clean = digits()[2][:100]
    published = {"inpaint": "15.87 / 16.90", "0.2": "17.86 / 18.22", "0.4": "17.55 / 17.89"}
    checks: list[Check] = []
    for kind, thesis in published.items():
        rows: dict[str, list[float]] = {"Adam": [], "JIIO": [], "supervised": []}
        for seed in seeds(scale):
            model = decoder(seed, TRAIN[scale])
            bad, mask = spoil(clean, kind, torch.Generator().manual_seed(seed))
            rows["Adam"].append(restored(model, bad, mask, clean, "adam"))
            rows["JIIO"].append(restored(model, bad, mask, clean, "jiio"))
            rows["supervised"].append(restored(restorer(seed, TRAIN[scale], kind), bad, mask, clean, "jiio"))
        mean = {name: float(np.mean(values)) for name, values in rows.items()}
        for name, values in rows.items():
            checks.append(
                noted(
                    f"{kind}: median PSNR, dB, {name} (S)",
                    mean[name],
                    interval=(min(values), max(values)),
                    thesis=thesis,
                )
            )
        checks.append(at_least(f"{kind}: JIIO less Adam", mean["JIIO"] - mean["Adam"], -1.0, unit="dB"))
        checks.append(
            at_least(
                f"{kind}: supervised less unsupervised", mean["supervised"] - mean["JIIO"], 0.0, unit="dB"
            )
        )
    return tuple(checks)


def restored(model: Decoder, bad: Tensor, mask: Tensor | None, clean: Tensor, by: str) -> float:
    """Return the median PSNR of images restored from what is left, z solved again."""
    loss, x0 = misfit(model, bad, mask), torch.zeros(len(bad), LATENT)
    z0 = model.start(x0)
    if by == "adam":
        x = adam(model.f, loss, x0, z0, steps=ADAM_STEPS)[0]
    else:
        x = optimize_input(model.f, loss, x0, z0, steps=60, tolerance=0.0).x
    image = model.image(solved(model.f, x, z0).value)
    if mask is not None:
        image = mask * clean + (1.0 - mask) * image  # what was seen is kept
        error = ((1.0 - mask) * (image - clean)).square().flatten(1).sum(1) / (1.0 - mask).flatten(1).sum(1)
        return float((-10.0 * torch.log10(error.clamp_min(1e-12))).median())
    return float(psnr(image, clean).median())


def _pictures(kind: str, by: str) -> Callable[[Scale], tuple[Check, ...]]:
    """Return an entry for a figure of pictures: how much better they are than what was given."""

    def run(scale: Scale) -> tuple[Check, ...]:
        clean = digits()[2][:100]
        gains = []
        for seed in seeds(scale):
            model = restorer(seed, TRAIN[scale], kind) if by == "supervised" else decoder(seed, TRAIN[scale])
            bad, mask = spoil(clean, kind, torch.Generator().manual_seed(seed))
            if mask is None:
                before = float(psnr(bad, clean).median())
            else:
                hole = (1.0 - mask).flatten(1).sum(1)
                error = ((1.0 - mask) * clean).square().flatten(1).sum(1) / hole
                before = float((-10.0 * torch.log10(error.clamp_min(1e-12))).median())
            gains.append(restored(model, bad, mask, clean, "jiio") - before)
        name = f"{by} {kind}: median PSNR gained over the spoiled image (S)"
        return (at_least(name, float(np.median(gains)), 0.0, unit="dB", interval=(min(gains), max(gains))),)

    return run


def f3_2(scale: Scale) -> tuple[Check, ...]:
    """Samples: a normal density fitted to the latents afterwards, decoded."""
    images, _, test, _ = digits()
    checks, ratios = [], []
    for seed in seeds(scale):
        model = decoder(seed, TRAIN[scale])
        seen = images[:400]
        x0 = torch.zeros(len(seen), LATENT)
        x = optimize_input(model.f, misfit(model, seen), x0, model.start(x0), steps=60, tolerance=0.0).x
        density = torch.distributions.MultivariateNormal(x.mean(0), x.T.cov() + 1e-6 * torch.eye(LATENT))
        torch.manual_seed(seed)
        drawn = density.sample((300,))
        samples = model.image(solved(model.f, drawn, model.start(drawn)).value)
        noise = torch.rand_like(samples)
        real = frechet(images[400:700], test[:300])
        ratios.append(frechet(samples, test[:300]) / frechet(noise, test[:300]))
        checks.append(
            noted(
                f"seed {seed}: distance of real digits, of samples",
                f"{real:.2f}, {frechet(samples, test[:300]):.2f}",
            )
        )
    return (
        *checks,
        at_most("Frechet distance in pixels, samples over noise (S)", float(np.median(ratios)), 0.5),
    )


def frechet(a: Tensor, b: Tensor) -> float:
    """Return the Frechet distance of normal fits to two sets of images, in pixels (no Inception)."""
    a, b = a.flatten(1).double(), b.flatten(1).double()
    ca, cb = a.T.cov(), b.T.cov()
    values, vectors = torch.linalg.eigh(ca)
    root = vectors @ torch.diag(values.clamp_min(0.0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ cb @ root).clamp_min(0.0).sqrt().sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + ca.trace() + cb.trace() - 2.0 * cross)


T3_4 = entry("t3.4", "S: PSNR of inverse problems, supervised and not (digits)", t3_4)
F3_2 = entry("f3.2", "S: samples from a density fitted to the latents (digits)", f3_2)
F3_4 = entry("f3.4", "S: denoising, sigma 0.2, unsupervised", _pictures("0.2", "unsupervised"))
F3_5 = entry("f3.5", "S: denoising, sigma 0.4, unsupervised", _pictures("0.4", "unsupervised"))
F3_6 = entry("f3.6", "S: in-painting, unsupervised", _pictures("inpaint", "unsupervised"))
F3_7 = entry("f3.7", "S: denoising, sigma 0.2, supervised", _pictures("0.2", "supervised"))
F3_8 = entry("f3.8", "S: denoising, sigma 0.4, supervised", _pictures("0.4", "supervised"))
F3_9 = entry("f3.9", "S: in-painting, supervised", _pictures("inpaint", "supervised"))
