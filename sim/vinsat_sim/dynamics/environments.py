"""Batches of controlled systems to learn on: start, step, reward, end.

A `Task` says what is asked of a model: where episodes start, the reward r(x, a) of a state
and an action (both differentiable), when an episode has failed, and what a policy sees.
`Environments` runs `count` of them side by side. Actions are in [-1, 1]^m. `terminated`
(the task has failed; nothing follows) and `truncated` (time is up; the value goes on) are
apart. A row that is no longer finite terminates with the reward `worst` and starts anew.

Every environment draws from a stream of its own, a hash of (its seed, its episode), so
that a row's episodes do not depend on how many others there are, and a checkpoint is the
tensors of `state_dict` alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vinsat_sim.dynamics.base import Model

_GOLDEN, _MIX1, _MIX2 = (np.uint64(c) for c in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def uniforms(seeds: NDArray[np.int64], episodes: NDArray[np.int64], count: int) -> Tensor:
    """Return uniform numbers in [0, 1) (B, count), one stream a (seed, episode); SplitMix64."""
    with np.errstate(over="ignore"):
        key = _mix(_mix(seeds.astype(np.uint64) + _GOLDEN) + episodes.astype(np.uint64))
        bits = _mix(key[:, None] + _GOLDEN * np.arange(1, count + 1, dtype=np.uint64))
    return torch.from_numpy((bits >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * _MIX1
    z = (z ^ (z >> np.uint64(27))) * _MIX2
    return z ^ (z >> np.uint64(31))


def never(x: Tensor) -> Tensor:
    """Return that no row has failed."""
    return torch.zeros(x.shape[:-1], dtype=torch.bool)


def unchanged(x: Tensor) -> Tensor:
    """Return the state as it is."""
    return x


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is asked of a system.

    real, nominal : the model samples come from, and the wrong one that gradients come from
    features (..., n) -> (..., o) : what policy and critic see
    reward (x, a) -> (...) : of the state before the step and the action in [-1, 1]
    start (B, draws) -> (B, n) : first states of uniform numbers
    failed (..., n) -> (...) : where nothing follows; wrap : the state in its usual chart
    horizon : steps of an episode; worst : the reward of a step that ends without a number
    """

    name: str
    real: Model
    nominal: Model
    features: Callable[[Tensor], Tensor]
    reward: Callable[[Tensor, Tensor], Tensor]
    start: Callable[[Tensor], Tensor]
    draws: int
    horizon: int
    worst: float
    failed: Callable[[Tensor], Tensor] = never
    wrap: Callable[[Tensor], Tensor] = unchanged

    @property
    def actions(self) -> int:
        """The number of controls."""
        return self.real.m

    @property
    def observations(self) -> int:
        """The number of features."""
        return self.features(torch.zeros(1, self.real.n, dtype=torch.float64)).shape[-1]

    def step(self, model: Model, x: Tensor, a: Tensor) -> Tensor:
        """Return the state after one step of a model (..., n); actions beyond +-1 are cut."""
        middle, half = _span(model, x)
        return self.wrap(model.step(x, middle + half * a.clamp(-1.0, 1.0).to(x)))

    def gradients(self, x: Tensor, a: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the nominal model's ds'/ds (B, n, n), ds'/da (B, n, m), and dr/ds, dr/da.

        The chart's switch (`wrap`) is not differentiated; these tasks hardly ever reach it.
        """
        a = a.to(x)
        middle, half = _span(self.nominal, x)
        by_x, by_u = self.nominal.jacobians(x, middle + half * a)
        with torch.enable_grad():
            xs, acts = x.detach().clone().requires_grad_(), a.detach().clone().requires_grad_()
            r_x, r_a = torch.autograd.grad(self.reward(xs, acts).sum(), (xs, acts), allow_unused=True)
        r_x = torch.zeros_like(x) if r_x is None else r_x
        r_a = torch.zeros_like(a) if r_a is None else r_a
        return by_x, by_u * half, r_x, r_a


def _span(model: Model, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the middle of a model's controls (m,) and half their range, in the type of x."""
    low, high = model.u_min.to(x), model.u_max.to(x)
    return 0.5 * (high + low), 0.5 * (high - low)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of all rows. x, a : before; after (B, n) : reached, before any new start;
    valid (B,) : False where the row only waited for its turn to start anew.
    """

    x: Tensor
    a: Tensor
    reward: Tensor
    after: Tensor
    terminated: Tensor
    truncated: Tensor
    valid: Tensor


class Environments:
    """`count` rows of a task, on its real model unless another is given.

    seed : row i has the stream of seed + i. stagger : first episodes end at times spread over
    the horizon, so that truncations do not bunch. resets : at most so many rows start anew in
    a step, the others wait (reset throttling, thesis ch. 6); None lets all.
    """

    def __init__(
        self, task: Task, count: int, seed: int = 0, *, model: Model | None = None,
        stagger: bool = False, resets: int | None = None,
    ) -> None:  # fmt: skip
        self.task, self.count, self.resets = task, count, resets
        self.model = task.real if model is None else model
        self.seeds = seed + np.arange(count, dtype=np.int64)
        self.episodes = np.zeros(count, dtype=np.int64)
        self.x = task.start(uniforms(self.seeds, self.episodes, task.draws))
        self.time = torch.zeros(count, dtype=torch.int64)
        if stagger:
            self.time = torch.arange(count) * task.horizon // count
        self.waiting = torch.zeros(count, dtype=torch.bool)
        self.lost = 0

    @torch.no_grad()
    def step(self, a: Tensor) -> Step:
        """Apply actions (B, m) in [-1, 1]; rows that end start anew (`self.x`)."""
        task, x = self.task, self.x
        a = a.to(x)
        after = task.step(self.model, x, a)
        reward = task.reward(x, a.clamp(-1.0, 1.0))
        terminated = task.failed(after)
        if not bool(torch.isfinite(after.sum() + reward.sum())):
            after, reward, terminated = self._without_nan(x, after, reward, terminated)
        self.time = self.time + 1
        truncated = (self.time >= task.horizon) & ~terminated
        valid = ~self.waiting
        if self.resets is not None and bool(self.waiting.any()):
            terminated, truncated = terminated & valid, truncated & valid
            after = torch.where(valid[:, None], after, x)
        self.x = after
        self.waiting = self.waiting | terminated | truncated
        self._restart()
        return Step(x, a, reward, after, terminated, truncated, valid)

    def _without_nan(
        self, x: Tensor, after: Tensor, reward: Tensor, terminated: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        bad = ~(torch.isfinite(after).all(-1) & torch.isfinite(reward))
        self.lost += int(bad.sum())
        worst = torch.full_like(reward, self.task.worst)
        return torch.where(bad[:, None], x, after), torch.where(bad, worst, reward), terminated | bad

    def _restart(self) -> None:
        rows = torch.nonzero(self.waiting)[:, 0]
        if self.resets is not None:
            rows = rows[: self.resets]
        if not len(rows):
            return
        at = rows.numpy()
        self.episodes[at] += 1
        fresh = self.task.start(uniforms(self.seeds[at], self.episodes[at], self.task.draws))
        self.x = self.x.index_copy(0, rows, fresh)
        self.time[rows] = 0
        self.waiting[rows] = False

    def state_dict(self) -> dict[str, Tensor]:
        """Return all that the future depends on."""
        return {
            "x": self.x.clone(), "time": self.time.clone(), "waiting": self.waiting.clone(),
            "episodes": torch.from_numpy(self.episodes.copy()), "lost": torch.tensor(self.lost),
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from a state of `state_dict`, of the same task, count and seed."""
        self.x, self.time, self.waiting = (state[key].clone() for key in ("x", "time", "waiting"))
        self.episodes, self.lost = state["episodes"].numpy().copy(), int(state["lost"])
