"""Six control problems, and an expert: the solver with a horizon over the whole task.

The reward of a step is exp(-|x - goal|_W^2), so a return lies in (0, steps] and may be
divided by the expert's. Trajectories of the expert that do not end feasible and near the
goal are left out, of training and of test. QPole starts tilted by up to half a radian
(the thesis swings the pole up), its pole is light, and there are 6 obstacles (thesis: 40):
the horizon of the expert is what the time allows here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from groundtools.layers.mpc.solver import TrackingMPC
from vinsat_sim.dynamics.base import Model
from vinsat_sim.dynamics.classic import Cartpole, Pendulum
from vinsat_sim.dynamics.quadrotor import QPole, QPoleDynObs, QPoleObs, Quadrotor

FEASIBLE = 1e-3
ROOT10 = 10.0**0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """make : model for a setting (control limit or obstacle radius); spread (n,) : starts are
    uniform within +- this of the goal; q, r : tracking weights; reward : W; count : starts
    the expert is given for training; tries : for test, where 200 of its trajectories are used.
    """

    name: str
    make: Callable[[float], Model]
    setting: float
    goal: tuple[float, ...]
    spread: tuple[float, ...]
    q: tuple[float, ...]
    r: float
    reward: tuple[float, ...]
    steps: int = 40
    count: int = 200
    tries: int = 300

    def starts(self, count: int, seed: int, model: Model) -> Tensor:
        """Return starts (count, n), clear of the constraints."""
        generator = torch.Generator().manual_seed(seed)
        spread, goal = (torch.tensor(v, dtype=torch.float64) for v in (self.spread, self.goal))
        x = goal + spread * (
            2.0 * torch.rand(3 * count, model.n, generator=generator, dtype=torch.float64) - 1.0
        )
        if model.n >= 18:
            x[:, 12:15] = torch.nn.functional.normalize(x[:, 12:15], dim=1)
        clear = (model.below(x) < -0.02).all(dim=1)
        return x[clear][:count]

    def mpc(self, model: Model, horizon: int, *, velocity: float = 1.0) -> TrackingMPC:
        """Return the tracking solver; velocity scales the rates' weights (f8.7)."""
        q = torch.tensor(self.q, dtype=torch.float64)
        rates = torch.tensor(_rates(model), dtype=torch.bool)
        q = torch.where(rates, q * velocity, q)
        r = torch.full((model.m,), self.r, dtype=torch.float64)
        return TrackingMPC(
            dynamics=model, horizon=horizon, q=q, r=r, newton=4, mu0=10.0, growth=ROOT10, max_mu=1e7
        )

    def rewards(self, x: Tensor) -> Tensor:
        """Return exp(-|x - goal|_W^2) of states (..., n)."""
        w, goal = (torch.tensor(v, dtype=torch.float64) for v in (self.reward, self.goal))
        return torch.exp(-(w * (x - goal).square()).sum(-1))


def _rates(model: Model) -> list[bool]:
    if model.n == 2:
        return [False, True]
    if model.n == 4:
        return [False, False, True, True]
    pole = [False] * 3 + [True] * 3 if model.n >= 18 else []
    return [False] * 6 + [True] * 6 + pole + [False] * (model.n - 12 - len(pole))


def _spheres() -> Tensor:
    angles = torch.arange(6, dtype=torch.float64) * (torch.pi / 3.0)
    return torch.stack(
        [0.7 * torch.cos(angles), 0.7 * torch.sin(angles), 0.25 * torch.cos(3.0 * angles)], dim=1
    )


def _moving(radius: float) -> QPoleDynObs:
    return QPoleDynObs(_spheres(), 0.15 * _spheres().roll(1, 0), radius)


QUAD = {
    "spread": (1.0,) * 3 + (0.15,) * 3 + (0.4,) * 6,
    "q": (10.0,) * 6 + (1.0,) * 6,
    "reward": (1.0,) * 3 + (2.0,) * 3 + (0.1,) * 6,
}
POLE = {
    "goal": (0.0,) * 14 + (1.0,) + (0.0,) * 3,
    "spread": (*QUAD["spread"], 0.4, 0.4, 0.0, 0.3, 0.3, 0.3),
    "q": (*QUAD["q"], *(10.0,) * 3, *(1.0,) * 3),
    "reward": (*QUAD["reward"], *(2.0,) * 3, *(0.1,) * 3),
}  # fmt: skip
SHORT = {"setting": 2.0, "r": 0.5, "steps": 30, "count": 60}
RADIUS = {"setting": 0.2}
TIMED = {key: (*value, 0.0) for key, value in POLE.items()}
TASKS = {
    task.name: task
    for task in (
        Task(
            name="pendulum", make=Pendulum, setting=5.0, goal=(0.0,) * 2, spread=(1.2, 1.0),
            q=(10.0, 1.0), r=0.1, reward=(1.0, 0.1), tries=480,
        ),
        Task(
            name="cartpole", make=Cartpole, setting=10.0, goal=(0.0,) * 4, spread=(1.0, 0.6, 0.8, 0.8),
            q=(10.0, 10.0, 1.0, 1.0), r=0.05, reward=(1.0, 2.0, 0.1, 0.1),
        ),
        Task(name="quadrotor", make=Quadrotor, goal=(0.0,) * 12, **QUAD, **SHORT),
        Task(name="qpole", make=QPole, **POLE, **SHORT),
        Task(name="qpole-obs", make=lambda radius: QPoleObs(_spheres(), radius), **POLE, **(SHORT | RADIUS)),
        Task(name="qpole-dynobs", make=_moving, **TIMED, **(SHORT | RADIUS)),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Expert:
    """Trajectories x (N, steps + 1, n) and u (N, steps, m)."""

    x: Tensor
    u: Tensor

    def windows(self, horizon: int) -> tuple[Tensor, Tensor]:
        """Return starts (M, n) and the states that follow (M, horizon, n)."""
        x = self.x.unfold(1, horizon + 1, 1).movedim(-1, 2).flatten(0, 1)
        return x[:, 0], x[:, 1:]


@lru_cache(maxsize=16)
def expert(name: str, setting: float, seed: int, count: int) -> Expert:
    """Return what the long-horizon solver does from `count` starts (fewer where it fails)."""
    task = TASKS[name]
    model = task.make(setting)
    x0 = task.starts(count, seed, model)
    mpc = task.mpc(model, task.steps)
    goal = torch.tensor(task.goal, dtype=torch.float64).expand(len(x0), task.steps, model.n)
    with torch.no_grad():
        state = mpc.step(x0, goal, mpc.start(x0), updates=14)
        worst = torch.maximum(*mpc.residuals(x0, state))
    ended = task.rewards(state.x[:, -1]) > 0.5
    good = (worst < FEASIBLE) & ended
    return Expert(torch.cat([x0[:, None], state.x], dim=1)[good], state.u[good])
