"""What the reproductions of chapter 3 share: seeds, processor time, and a race at equal loss.

The nested way runs its usual number of steps, the joint one as many as it needs for a mean
loss no higher, both judged with z solved again at their x. Trained within the run (the
quick scale trains less); three seeds at full scale.
"""

from collections.abc import Callable

from torch import Tensor

from groundtools.layers.jiio.nested import adam, layer_residual, solved
from groundtools.layers.jiio.optimise import optimize_input
from groundtools.registry import Check, Reproduction, Scale
from groundtools.timing import least_cpu_s

COUNTS = (5, 10, 15, 20, 30, 40, 60, 80, 100, 150, 200)
TRAIN = {"quick": 150, "full": 500}
ADAM_STEPS = 40
ADAM_RATES = (0.05, 0.1, 0.2, 0.4)
TESTED = 32  # images optimised together
SETTLE = 1e-3


def seeds(scale: Scale) -> tuple[int, ...]:
    """Return the seeds of training."""
    return (0, 1, 2) if scale == "full" else (0,)


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
        "adam_s": least_cpu_s(lambda: adam(f, loss, x0, z0, steps=ADAM_STEPS, rate=rate, warm=warm)),
        "adam": goal,
    }
    for count in COUNTS:
        found = optimize_input(f, loss, x0, z0, steps=count, tolerance=0.0)
        cost, residual = true_cost(f, loss, found.x, z0)
        if cost <= goal:
            break
    out["joint_s"] = least_cpu_s(lambda: optimize_input(f, loss, x0, z0, steps=count, tolerance=0.0))
    return out | {"joint": cost, "steps": count, "residual": residual, "reached": cost <= goal}


def entry(id_: str, title: str, run: Callable[[Scale], tuple[Check, ...]]) -> Reproduction:
    """Return the entry."""
    return Reproduction(id=id_, title=title, run=run, seeds=seeds)
