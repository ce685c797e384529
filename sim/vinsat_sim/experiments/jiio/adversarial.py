"""Adversaries of an equilibrium classifier on digits: t3.2, t3.5, t3.6."""

from collections.abc import Callable

import numpy as np
from torch import Tensor

from groundtools.layers.jiio.nested import solved
from groundtools.registry import Check, Scale, at_least, at_most, noted
from groundtools.timing import least_cpu_s
from vinsat_sim.experiments.jiio.images import digits
from vinsat_sim.experiments.jiio.models import EPSILON, attacked, classifier
from vinsat_sim.experiments.jiio.race import TESTED, TRAIN, entry, seeds


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
        slow = least_cpu_s(lambda: attacked(model, few, y, "pgd", EPSILON))  # noqa: B023
        fast = least_cpu_s(lambda: attacked(model, few, y, "jiio", EPSILON, jiio_steps=count))  # noqa: B023
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


T3_2 = entry("t3.2", "R: time to an adversarial example, JIIO against PGD-20 (digits)", t3_2)
T3_5 = entry(
    "t3.5",
    "S: adversarial training at epsilon 1 (digits)",
    _adversarial(1.0, "MNIST 99.2/96.5/95.7 (PGD), 99.3/95.7/96.6 (JIIO)"),
)
T3_6 = entry(
    "t3.6",
    "S: adversarial training at epsilon 0.5 (digits)",
    _adversarial(0.5, "CIFAR 68/52/50 (PGD), 68/51/51 (JIIO)"),
)
