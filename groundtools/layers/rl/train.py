"""A learner trained to a curve, with checkpoints from which it goes on bit by bit.

`fit` alternates steps and evaluations. A checkpoint is one file, replaced in one go: the
learner, its environments, the curve. Killed at any moment, the same call goes on from the
last one to the same curve. A run whose return is no longer a number is called diverged.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


@dataclass(slots=True)
class Curve:
    """steps, returns : of the evaluations; seconds : of processor time spent learning."""

    steps: list[int] = field(default_factory=list)
    returns: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    diverged: bool = False


def fit(
    learner: Any, environments: Any, evaluate: Callable[[Any], float], *, steps: int, every: int,
    checkpoint: Path | None = None, save_every: int = 1,
) -> Curve:  # fmt: skip
    """Train for `steps` samples, evaluated every `every`; save after each `save_every` evaluations."""
    curve = Curve()
    if checkpoint is not None and checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=False)
        learner.load_state_dict(state["learner"])
        environments.load_state_dict(state["environments"])
        curve = Curve(**state["curve"])
    if not curve.steps:
        _note(curve, learner, evaluate, 0.0)
    while learner.steps < steps and not curve.diverged:
        due = curve.steps[-1] + every
        start = time.process_time()
        while learner.steps < min(due, steps):
            learner.advance(environments)
        _note(curve, learner, evaluate, curve.seconds[-1] + time.process_time() - start)
        if checkpoint is not None and (len(curve.steps) - 1) % save_every == 0:
            _save(checkpoint, learner, environments, curve)
    return curve


def _note(curve: Curve, learner: Any, evaluate: Callable[[Any], float], seconds: float) -> None:
    value = evaluate(learner)
    curve.steps.append(learner.steps)
    curve.returns.append(value)
    curve.seconds.append(seconds)
    curve.diverged = not torch.isfinite(torch.tensor(value)).item()


def _save(path: Path, learner: Any, environments: Any, curve: Curve) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    torch.save(
        {"learner": learner.state_dict(), "environments": environments.state_dict(), "curve": asdict(curve)},
        temporary,
    )
    temporary.replace(path)


@torch.no_grad()
def episode_return(act: Callable[[Tensor], Tensor], environments: Any) -> float:
    """Return the mean over rows of the reward per step of one episode each, from their starts.

    A row that fails before the horizon has the task's worst reward for the rest of it.
    """
    task, horizon = environments.task, environments.task.horizon
    alive = torch.ones(environments.count, dtype=torch.bool)
    total = torch.zeros(environments.count, dtype=torch.float64)
    for _ in range(horizon):
        step = environments.step(act(environments.x))
        total += torch.where(alive, step.reward.double(), task.worst)
        alive &= ~step.terminated
    return float(total.mean()) / horizon
