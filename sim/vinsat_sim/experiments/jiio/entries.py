"""Reproductions t3.2 to t3.8, f3.3, f3.10 and jiio-memory, on digits.

Speed is compared at equal loss: the nested way runs its usual number of steps, the joint
one as many as it needs for a mean loss no higher, both judged with z solved again at their
x. Trained within the run (the quick scale trains less); three seeds at full scale.
"""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from groundtools.layers.core.solvers import Anderson, Broyden
from groundtools.layers.jiio.models import Decoder
from groundtools.layers.jiio.nested import adam, layer_residual, solved
from groundtools.layers.jiio.optimise import optimize_input
from groundtools.layers.jiio.restore import misfit, psnr, window_mask
from groundtools.registry import Check, Reproduction, Scale, at_least, at_most, noted
from vinsat_sim.experiments.jiio.images import digits
from vinsat_sim.experiments.jiio.models import (
    EPSILON,
    LATENT,
    attacked,
    classifier,
    decoder,
    few_shot,
    regressor,
    restorer,
    sinusoids,
)

COUNTS = (5, 10, 15, 20, 30, 40, 60, 80, 100, 150, 200)
TRAIN = {"quick": 150, "full": 500}
ADAM_STEPS = 40
ADAM_RATES = (0.05, 0.1, 0.2, 0.4)
TESTED = 32  # images optimised together
SETTLE = 1e-3


def seeds(scale: Scale) -> tuple[int, ...]:
    """Return the seeds of training."""
    return (0, 1, 2) if scale == "full" else (0,)


def timed(run: Callable[[], object], repeats: int = 2) -> float:
    """Return the processor seconds of a call, the least of a few (others share the machine)."""
    best = np.inf
    for _ in range(repeats):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best


def true_cost(f: Callable, loss: Callable, x: Tensor, z0: Tensor) -> tuple[float, float]:
    """Return the mean loss of z solved again at x, and the median residual left."""
    z = solved(f, x, z0, tolerance=1e-4, max_steps=200).value
    return float(loss(z).mean()), float(layer_residual(f, x, z).median())


def race(f: Callable, loss: Callable, x0: Tensor, z0: Tensor, *, warm: bool) -> dict[str, float]:
    """Return times of Adam, at the best of its rates, and of the joint way to its loss."""
    tried = []
    for rate in ADAM_RATES:
        x, _ = adam(f, loss, x0, z0, steps=ADAM_STEPS, rate=rate, warm=warm)
        tried.append((true_cost(f, loss, x, z0)[0], rate))
    goal, rate = min(tried)
    out = {
        "adam_s": timed(lambda: adam(f, loss, x0, z0, steps=ADAM_STEPS, rate=rate, warm=warm)),
        "adam": goal,
    }
    for count in COUNTS:
        found = optimize_input(f, loss, x0, z0, steps=count, tolerance=0.0)
        cost, residual = true_cost(f, loss, found.x, z0)
        if cost <= goal:
            break
    out["joint_s"] = timed(lambda: optimize_input(f, loss, x0, z0, steps=count, tolerance=0.0))
    return out | {"joint": cost, "steps": count, "residual": residual, "reached": cost <= goal}


def t3_3(scale: Scale) -> tuple[Check, ...]:
    """Input optimisation: joint against Adam, whose solves start cold or warm."""
    images = digits()[2][:TESTED]
    checks, ratios = [], {True: [], False: []}
    for seed in seeds(scale):
        model = decoder(seed, TRAIN[scale])
        loss = misfit(model, images)
        x0 = torch.zeros(TESTED, LATENT)
        for warm in (False, True):
            r = race(model.f, loss, x0, model.start(x0), warm=warm)
            ratios[warm].append(r["adam_s"] / r["joint_s"] if r["reached"] else 0.0)
            name = f"seed {seed}, Adam {'warm' if warm else 'cold'}"
            checks += [
                noted(f"{name}: Adam 40 steps, ms", 1e3 * r["adam_s"], thesis=7659),
                noted(
                    f"{name}: JIIO {r['steps']} steps, ms", 1e3 * r["joint_s"], thesis="862 (40), 2156 (100)"
                ),
                noted(f"{name}: loss of Adam, re-solved", r["adam"]),
                noted(f"{name}: loss of JIIO, re-solved", r["joint"]),
                at_most(f"{name}: layer residual, re-solved", r["residual"], SETTLE),
            ]
    for warm, asked in ((False, 3.0), (True, 2.0)):
        name = f"speed-up at equal loss, Adam {'warm' if warm else 'cold'} (R)"
        checks.append(
            at_least(
                name,
                float(np.median(ratios[warm])),
                asked,
                interval=(min(ratios[warm]), max(ratios[warm])),
                thesis="8.9 (40), 3.55 (100)",
            )
        )
    return tuple(checks)


def f3_3(scale: Scale) -> tuple[Check, ...]:
    """Loss over processor time, joint and Adam."""
    images = digits()[2][:TESTED]
    model = decoder(0, TRAIN[scale])
    loss, x0 = misfit(model, images), torch.zeros(TESTED, LATENT)
    z0 = model.start(x0)
    checks, curves = [], {}
    for name, counts in (("Adam", (5, 10, 20, 40)), ("JIIO", (10, 20, 40, 80))):
        points = []
        for count in counts:
            run = (
                (lambda c=count: adam(model.f, loss, x0, z0, steps=c)[0])
                if name == "Adam"
                else (lambda c=count: optimize_input(model.f, loss, x0, z0, steps=c, tolerance=0.0).x)
            )
            points.append((timed(run, 1), true_cost(model.f, loss, run(), z0)[0]))
            checks.append(
                noted(
                    f"{name} {count}: ms, then loss (S)", f"{1e3 * points[-1][0]:.0f} ms, {points[-1][1]:.3f}"
                )
            )
        curves[name] = points
    # At the time JIIO ends, Adam's loss by interpolation over log time is higher.
    end, cost = curves["JIIO"][-1]
    times, costs = np.array(curves["Adam"]).T
    there = float(np.interp(np.log(end), np.log(times), costs))
    checks.append(at_most("JIIO's loss over Adam's at equal time", cost / there, 1.0))
    return tuple(checks)


def t3_2(scale: Scale) -> tuple[Check, ...]:
    """Adversarial examples: PGD-20 against JIIO."""
    _, _, images, labels = digits()
    images, labels = images[:200], labels[:200]
    checks, ratios, gaps = [], [], []
    for seed in seeds(scale):
        model = classifier(seed, TRAIN[scale], "jiio")
        by_pgd = robust(model, images, labels, "pgd")
        goal = by_pgd + 0.02
        for count in (20, 40, 80, 160):
            by_jiio = robust(model, images, labels, "jiio", count)
            if by_jiio <= goal:
                break
        few, y = images[:TESTED], labels[:TESTED]
        slow = timed(lambda: attacked(model, few, y, "pgd", EPSILON))  # noqa: B023
        fast = timed(lambda: attacked(model, few, y, "jiio", EPSILON, jiio_steps=count))  # noqa: B023
        ratios.append(slow / fast)
        gaps.append(abs(by_jiio - by_pgd))
        checks += [
            noted(f"seed {seed}: PGD-20, ms", 1e3 * slow, thesis=4360),
            noted(f"seed {seed}: JIIO-{count}, ms", 1e3 * fast, thesis="1401 (80)"),
            noted(f"seed {seed}: robust accuracy under PGD-20", by_pgd),
            noted(f"seed {seed}: robust accuracy under JIIO", by_jiio),
        ]
    return (
        *checks,
        at_least(
            "speed-up (R)", float(np.median(ratios)), 2.5, interval=(min(ratios), max(ratios)), thesis=3.1
        ),
        at_most("difference in robust accuracy", max(gaps), 0.02),
    )


def robust(
    model, images: Tensor, labels: Tensor, by: str, jiio_steps: int = 80, epsilon: float = EPSILON
) -> float:
    """Return the accuracy on attacked images ("clean": as they are), z solved again."""
    x = images if by == "clean" else attacked(model, images, labels, by, epsilon, jiio_steps=jiio_steps)
    z = solved(model.f, x, model.start(x), tolerance=1e-4).value
    return float((model.logits(z).argmax(1) == labels).double().mean())


def _adversarial(epsilon: float, published: str) -> Callable[[Scale], tuple[Check, ...]]:
    def run(scale: Scale) -> tuple[Check, ...]:
        _, _, images, labels = digits()
        if scale == "quick":
            images, labels = images[:150], labels[:150]
        table: dict[tuple[str, str], list[float]] = {}
        for seed in seeds(scale):
            for trained in ("clean", "pgd", "jiio"):
                model = classifier(seed, TRAIN[scale], trained, epsilon)
                for by in ("clean", "pgd", "jiio"):
                    table.setdefault((trained, by), []).append(robust(model, images, labels, by, 80, epsilon))
        mean = {key: float(np.mean(values)) for key, values in table.items()}
        checks = [
            noted(
                f"trained {t}, tested {b}: accuracy (S)",
                mean[t, b],
                interval=(min(v), max(v)),
                thesis=published,
            )
            for (t, b), v in table.items()
        ]
        apart = max(abs(mean["jiio", b] - mean["pgd", b]) for b in ("clean", "pgd", "jiio"))
        gain = min(mean[t, "pgd"] for t in ("pgd", "jiio")) - mean["clean", "pgd"]
        return (
            *checks,
            at_most("JIIO-trained from PGD-trained, any column", apart, 0.02),
            at_least("both above clean-trained under PGD", gain, 0.05),
        )

    return run


def spoil(clean: Tensor, kind: str, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
    """Return spoiled images and the mask of what is left (None: all)."""
    if kind == "inpaint":
        mask = window_mask(clean, 3, generator)
        return clean * mask, mask
    sigma = float(kind)
    return clean + sigma * torch.randn(clean.shape, generator=generator), None


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


def t3_8(scale: Scale) -> tuple[Check, ...]:
    """Few-shot sinusoids: the inner loop of meta-learning, joint against Adam."""
    checks, ratios = [], []
    for seed in seeds(scale):
        model = regressor(seed, TRAIN[scale])
        s, value, test, wanted = sinusoids(TESTED, 10, torch.Generator().manual_seed(900 + seed))
        f, loss = few_shot(model, s, value)
        x0, z0 = torch.zeros(TESTED, 8), model.start(s)
        r = race(f, loss, x0, z0, warm=True)
        ratios.append(r["adam_s"] / r["joint_s"] if r["reached"] else 0.0)
        found = optimize_input(f, loss, x0, z0, steps=int(r["steps"]), tolerance=0.0)
        z = solved(lambda z, x: model.f(z, x, test), found.x, model.start(test)).value  # noqa: B023
        error = float((model.value(z) - wanted).square().mean())
        checks += [
            noted(f"seed {seed}: Adam 40, ms", 1e3 * r["adam_s"], thesis=28948),
            noted(f"seed {seed}: JIIO {r['steps']}, ms", 1e3 * r["joint_s"], thesis=11836),
            noted(f"seed {seed}: mean squared error at other points", error),
        ]
    return (
        *checks,
        at_least(
            "speed-up at equal loss (S)",
            float(np.median(ratios)),
            2.0,
            interval=(min(ratios), max(ratios)),
            thesis=2.45,
        ),
    )


def f3_10(scale: Scale) -> tuple[Check, ...]:
    """Acceleration methods on the joint map: lowest loss, and smoothness."""
    images = digits()[2][:TESTED]
    model = decoder(0, TRAIN[scale])
    loss, x0 = misfit(model, images), torch.zeros(TESTED, LATENT)
    end, rough, checks = {}, {}, []
    solvers = {
        "Type-I": Anderson(kind=1, memory=8, ridge=1e-6),
        "Type-II": Anderson(kind=2, memory=8, ridge=1e-6),
        "Broyden": Broyden(),
    }
    for name, solver in solvers.items():
        found = optimize_input(model.f, loss, x0, model.start(x0), steps=100, solver=solver, tolerance=0.0)
        end[name] = true_cost(model.f, loss, found.x, model.start(x0))[0]
        curve = found.trace.median(dim=1).values.log()
        rough[name] = float((curve[1:] - curve[:-1]).clamp_min(0.0).sum())
        checks += [
            noted(f"{name}: re-solved loss after 100 steps (R)", end[name]),
            noted(f"{name}: rises of log loss", rough[name]),
        ]
    return (
        *checks,
        at_most(
            "Type-I's loss over the lower of the others'",
            end["Type-I"] / min(end["Type-II"], end["Broyden"]),
            1.0,
        ),
        at_most("Type-II's roughness over Type-I's", rough["Type-II"] / max(rough["Type-I"], 1e-9), 1.0),
        at_least("Broyden's loss over Type-I's", end["Broyden"] / end["Type-I"], 1.0),
    )


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


def memory(scale: Scale) -> tuple[Check, ...]:
    """Numbers a solver keeps: the joint one over the nested one's, and for classification."""
    checks = []
    for name, latent, published in (("decoder", LATENT, 17.45 / 7.47), ("classifier", 64, 2.19 / 2.15)):
        n = 16 * 8 * 8
        solver = Anderson(kind=1, memory=8)
        joint = _held(solver, 2 * n + latent)
        nested = _held(solver, n) + 2 * latent  # Adam's moments
        model = Decoder(LATENT, 8)
        parameters = sum(p.numel() for p in model.parameters())
        checks += [
            noted(f"{name}: numbers kept a row, joint", joint),
            noted(f"{name}: numbers kept a row, nested", nested),
            at_most(f"{name}: ratio (R)", joint / nested, 2.5, thesis=round(published, 2)),
            noted(
                f"{name}: the same with activations and parameters of a batch of 48 counted",
                (48 * (joint + 3 * n) + parameters) / (48 * (nested + 2 * n) + parameters),
            ),
        ]
    return tuple(checks)


def _held(solver: Anderson, size: int) -> int:
    """Return how many numbers the solver's memory holds for one row of `size`."""
    kept = solver.start(torch.zeros(1, size))
    return kept.dx.numel() + kept.dg.numel() + kept.gram.numel() + 2 * size


def _entry(id_: str, title: str, run: Callable[[Scale], tuple[Check, ...]]) -> Reproduction:
    return Reproduction(id=id_, title=title, run=run, seeds=seeds)


T3_2 = _entry("t3.2", "R: time to an adversarial example, JIIO against PGD-20 (digits)", t3_2)
T3_3 = _entry("t3.3", "R: time of input optimisation at equal loss, JIIO against Adam (digits)", t3_3)
T3_4 = _entry("t3.4", "S: PSNR of inverse problems, supervised and not (digits)", t3_4)
T3_5 = _entry(
    "t3.5",
    "S: adversarial training at epsilon 1 (digits)",
    _adversarial(1.0, "MNIST 99.2/96.5/95.7 (PGD), 99.3/95.7/96.6 (JIIO)"),
)
T3_6 = _entry(
    "t3.6",
    "S: adversarial training at epsilon 0.5 (digits)",
    _adversarial(0.5, "CIFAR 68/52/50 (PGD), 68/51/51 (JIIO)"),
)
T3_8 = _entry("t3.8", "S: time of the inner loop of few-shot learning (sinusoids)", t3_8)
F3_3 = _entry("f3.3", "S: loss over time, JIIO and Adam (digits)", f3_3)
F3_10 = _entry("f3.10", "R: acceleration methods on the joint iteration", f3_10)
MEMORY = _entry("jiio-memory", "R: memory of JIIO over the nested way", memory)
F3_2 = _entry("f3.2", "S: samples from a density fitted to the latents (digits)", f3_2)
F3_4 = _entry("f3.4", "S: denoising, sigma 0.2, unsupervised", _pictures("0.2", "unsupervised"))
F3_5 = _entry("f3.5", "S: denoising, sigma 0.4, unsupervised", _pictures("0.4", "unsupervised"))
F3_6 = _entry("f3.6", "S: in-painting, unsupervised", _pictures("inpaint", "unsupervised"))
F3_7 = _entry("f3.7", "S: denoising, sigma 0.2, supervised", _pictures("0.2", "supervised"))
F3_8 = _entry("f3.8", "S: denoising, sigma 0.4, supervised", _pictures("0.4", "supervised"))
F3_9 = _entry("f3.9", "S: in-painting, supervised", _pictures("inpaint", "supervised"))
