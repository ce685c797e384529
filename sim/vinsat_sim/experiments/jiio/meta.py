"""Few-shot learning of sinusoids: t3.8, the joint inner loop beside Adam's and three baselines.

The inner loop fits a code to 10 points of a task. Two layers are raced: one that contracts
by 0.9 a step and one by 0.98, whose solve takes the nested way several times as long. MAML,
Reptile and iMAML learn the same tasks with a network of two hidden layers, and are judged,
as the code is, by the error at other points of unseen tasks.
"""

import numpy as np
import torch
from torch import Tensor

from groundtools.layers.jiio.meta import Inner, adapt, imaml, maml, perceptron, reptile, values
from groundtools.layers.jiio.models import Regressor
from groundtools.layers.jiio.nested import solved
from groundtools.layers.jiio.optimise import optimize_input
from groundtools.registry import Check, Scale, at_least, noted
from vinsat_sim.experiments.jiio.models import few_shot, regressor, sinusoids
from vinsat_sim.experiments.jiio.race import TESTED, TRAIN, entry, race, seeds

RATES = (0.9, 0.98)  # contraction of the layer: the thesis's solves are long
BASELINES = {"MAML": maml, "Reptile": reptile, "iMAML": imaml}
INNER = Inner(steps=5, rate=0.1)
POINTS, CODE, TASKS = 10, 8, 32


def t3_8(scale: Scale) -> tuple[Check, ...]:
    """Few-shot sinusoids: the inner loop of meta-learning, joint against Adam, and baselines."""
    checks: list[Check] = []
    ratios: dict[float, list[float]] = {rate: [] for rate in RATES}
    for seed in seeds(scale):
        for rate in RATES:
            model = regressor(seed, TRAIN[scale], rate=rate)
            tasks = sinusoids(TESTED, POINTS, torch.Generator().manual_seed(900 + seed))
            f, loss = few_shot(model, *tasks[:2])
            x0, z0 = torch.zeros(TESTED, CODE), model.start(tasks[0])
            r = race(f, loss, x0, z0, warm=True)
            ratios[rate].append(r["adam_s"] / r["joint_s"] if r["reached"] else 0.0)
            name = f"seed {seed}, layer of rate {rate:g}"
            checks += [
                noted(f"{name}: Adam 40, ms", 1e3 * r["adam_s"], thesis=28948),
                noted(f"{name}: JIIO {r['steps']}, ms", 1e3 * r["joint_s"], thesis=11836),
                noted(f"{name}: mean squared error at other points", joint_error(model, tasks, r["steps"])),
            ]
        for name in BASELINES:
            error = baseline_error(name, seed, TRAIN[scale])
            checks.append(noted(f"seed {seed}, {name}: mean squared error at other points", error))
    for rate, values_ in ratios.items():
        name = f"speed-up at equal loss, layer of rate {rate:g} (S)"
        spread = (min(values_), max(values_))
        checks.append(at_least(name, float(np.median(values_)), 2.0, interval=spread, thesis=2.45))
    return tuple(checks)


def joint_error(model: Regressor, tasks: tuple[Tensor, ...], steps: float) -> float:
    """Return the error at other points of tasks whose code the joint way found."""
    s, value, test, wanted = tasks
    f, loss = few_shot(model, s, value)
    found = optimize_input(
        f, loss, torch.zeros(len(s), CODE), model.start(s), steps=int(steps), tolerance=0.0
    )
    z = solved(lambda z, x: model.f(z, x, test), found.x, model.start(test)).value
    return float((model.value(z) - wanted).square().mean())


def baseline_error(name: str, seed: int, steps: int) -> float:
    """Return the error of a baseline trained for `steps` batches, after its own inner steps."""
    generator = torch.Generator().manual_seed(seed)
    theta = perceptron(32, generator)
    optimiser = torch.optim.Adam(theta, lr=3e-3)

    def losses(tasks: tuple[Tensor, ...]):
        s, value, test, wanted = tasks
        return (
            lambda p: (values(p, s) - value).square().mean(1),
            lambda p: (values(p, test) - wanted).square().mean(1),
        )

    for _ in range(steps):
        BASELINES[name](theta, *losses(sinusoids(TASKS, POINTS, generator)), TASKS, INNER)
        optimiser.step()
    loss, test = losses(sinusoids(TESTED, POINTS, torch.Generator().manual_seed(900 + seed)))
    pull = INNER.pull if name == "iMAML" else 0.0
    with torch.enable_grad():
        phi = adapt(theta, loss, TESTED, INNER, pull=pull)
    return float(test(phi).mean().detach())


T3_8 = entry("t3.8", "S: time of the inner loop of few-shot learning; MAML, Reptile, iMAML (sinusoids)", t3_8)
