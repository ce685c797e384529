"""The tasks: what starts where, what is rewarded, what a policy sees (thesis 5.5.1 and ours).

Rewards are at most 1 a step and smooth. `task(name)` makes one: `pointing`
(0.5 s between commands), `detumble` (2 s), `pointing-fast` and `detumble-fast` (0.05 s: every
Runge-Kutta step, which keeps energy to 1e-8 over 1,000 s at 10 deg/s), `array-8|32|128`,
`pendulum`, `cartpole`, `acrobot`, `quadrotor`, `airplane`, `half-cheetah`, `hopper`.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from groundtools.layers.core.lie import mrp_rotation, mrp_shadow
from vinsat_sim.dynamics.aircraft import Airplane, RealQuadrotor
from vinsat_sim.dynamics.base import Model
from vinsat_sim.dynamics.classic import Acrobot, Cartpole, Pendulum
from vinsat_sim.dynamics.environments import Task
from vinsat_sim.dynamics.mujoco_models import MuJoCo
from vinsat_sim.dynamics.quadrotor import Quadrotor
from vinsat_sim.dynamics.satellite import INERTIA
from vinsat_sim.dynamics.spacecraft import Array, Detumble, Pointing

FRICTION, DEAD_BAND = 0.02, 0.05  # mN m; of the torque limit
REAL_INERTIA = (1.3 * INERTIA[0], 0.7 * INERTIA[1], 1.3 * INERTIA[2])
FASTEST = 3.0  # of the rate limit: beyond, a pointing episode has failed
_TURN = 2.0 * math.pi
_ONES = torch.ones(128, dtype=torch.float64)


def task(name: str) -> Task:
    """Return a task by name; KeyError names those there are."""
    if name not in TASKS:
        raise KeyError(f"no task {name!r}; there are: {', '.join(TASKS)}")
    return TASKS[name]()


def pointing_with(real: Model) -> Task:
    """Return the pointing task on a satellite of one's own."""
    return replace(task("pointing"), real=real)


def angle_of(sigma: Tensor) -> Tensor:
    """Return the angle (...), rad, of MRPs."""
    return 4.0 * torch.atan(mrp_shadow(sigma).norm(dim=-1))


def _between(u: Tensor, half: float) -> Tensor:
    return half * (2.0 * u - 1.0)


def _mrp_start(u: Tensor) -> Tensor:
    """Return MRPs of up to 60 degrees about any axis, of 3 uniform numbers."""
    z, turn = 2.0 * u[:, 0] - 1.0, _TURN * u[:, 1]
    ring = (1.0 - z * z).sqrt()
    axis = torch.stack([ring * turn.cos(), ring * turn.sin(), z], -1)
    return axis * torch.tan(math.radians(15.0) * u[:, 2])[:, None]


def _wrap_mrp(x: Tensor, *, first: int = 0) -> Tensor:
    """Return the state with its MRPs, three entries from `first` on, in the unit sphere."""
    sigma = x[..., first : first + 3]
    if not bool((_square(sigma) > 1.0).any()):
        return x
    return torch.cat([x[..., :first], mrp_shadow(sigma), x[..., first + 3 :]], -1)


def _attitude_features(x: Tensor) -> Tensor:
    return torch.cat([4.0 * x[..., :3], x[..., 3:]], -1)


def _attitude_reward(x: Tensor, a: Tensor) -> Tensor:
    """1 at rest on target; saturates with the angle, so that far is as bad as very far."""
    s2, w2 = _square(x[..., :3]), _square(x[..., 3:6])
    return 1.0 - 16.0 * s2 / (1.0 + 8.0 * s2) - 0.1 * w2 - 0.01 / a.shape[-1] * _square(a)


def _square(v: Tensor) -> Tensor:
    """Return the squared length (...); faster than a sum over so short an axis."""
    return (v * v) @ _ONES[: v.shape[-1]].to(v)


def _too_fast(x: Tensor) -> Tensor:
    return _square(x[..., 3:6]) > FASTEST**2


def _pointing(dt: float, horizon: int) -> Task:
    return Task(
        name="pointing",
        real=Pointing(inertia=REAL_INERTIA, friction=FRICTION, dead_band=DEAD_BAND, dt=dt),
        nominal=Pointing(dt=dt),
        features=_attitude_features,
        reward=_attitude_reward,
        start=lambda u: torch.cat([_mrp_start(u), _between(u[:, 3:6], 0.3), _between(u[:, 6:9], 0.3)], -1),
        draws=9, failed=_too_fast, wrap=_wrap_mrp, horizon=horizon, worst=-3.0,
    )  # fmt: skip


def _array(units: int) -> Task:
    rest = torch.zeros(1, units, dtype=torch.float64)
    return Task(
        name=f"array-{units}", real=Array(units), nominal=Array(units),
        features=_attitude_features,
        reward=_attitude_reward,
        start=lambda u: torch.cat([_mrp_start(u), _between(u[:, 3:6], 0.3), rest.expand(len(u), -1)], -1),
        draws=6, failed=_too_fast, wrap=_wrap_mrp, horizon=120, worst=-3.0,
    )  # fmt: skip


def _tumble_start(u: Tensor) -> Tensor:
    """Return any attitude (Shoemake 1992), rates within 10 deg/s an axis, anywhere on the orbit."""
    one, two = _TURN * u[:, 1], _TURN * u[:, 2]
    a, b = (1.0 - u[:, 0]).sqrt(), u[:, 0].sqrt()
    q = torch.stack([a * one.sin(), a * one.cos(), b * two.sin(), b * two.cos()], -1)
    at = _TURN * u[:, 6]
    return torch.cat([q, _between(u[:, 3:6], 1.0), torch.stack([at.cos(), at.sin()], -1)], -1)


def _detumble(dt: float, substeps: int, horizon: int) -> Task:
    nominal = Detumble(dt=dt, substeps=substeps)
    return Task(
        name="detumble", real=Detumble(inertia=REAL_INERTIA, dt=dt, substeps=substeps), nominal=nominal,
        features=lambda x: torch.cat([x[..., 4:7], nominal.field(x)], -1),
        reward=lambda x, a: 1.0 - _square(x[..., 4:7]) - 0.003 * _square(a),
        start=_tumble_start, draws=7, horizon=horizon, worst=-5.0,
        failed=lambda x: _square(x[..., 4:7]) > 16.0,
    )  # fmt: skip


def _swing(real: Model, nominal: Model, name: str) -> Task:
    return Task(
        name=name, real=real, nominal=nominal,
        features=lambda x: torch.stack(
            [0.5 * x[..., 0], x[..., 1].sin(), x[..., 1].cos(), 0.3 * x[..., 2], 0.2 * x[..., 3]], -1
        ),
        reward=lambda x, a: (
            0.5 + 0.5 * x[..., 1].cos() - 0.05 * x[..., 0] ** 2 - 0.002 * x[..., 3] ** 2
            - 0.01 * a[..., 0] ** 2
        ),
        start=lambda u: torch.stack(
            [_between(u[:, 0], 0.2), math.pi + _between(u[:, 1], 0.3), _between(u[:, 2], 0.1),
             _between(u[:, 3], 0.1)], -1),
        draws=4, horizon=100, worst=-2.0,
        failed=lambda x: (x[..., 0].abs() > 4.0) | (x[..., 3].abs() > 30.0),
    )  # fmt: skip


def _acrobot() -> Task:
    def height(x: Tensor) -> Tensor:
        return 0.5 * (x[..., 0].cos() + (x[..., 0] + x[..., 1]).cos())

    return Task(
        name="acrobot", real=Acrobot(length=1.2, mass=1.2), nominal=Acrobot(),
        features=lambda x: torch.stack(
            [x[..., 0].sin(), x[..., 0].cos(), x[..., 1].sin(), x[..., 1].cos(), 0.2 * x[..., 2],
             0.2 * x[..., 3]], -1),
        reward=lambda x, a: (
            0.5 + 0.5 * height(x) - 0.002 * (x[..., 2:] ** 2).sum(-1) - 0.01 * a[..., 0] ** 2
        ),
        start=lambda u: torch.cat([math.pi + _between(u[:, :1], 0.1), _between(u[:, 1:4], 0.1)], -1),
        draws=4, horizon=100, worst=-3.0, failed=lambda x: (x[..., 2:].abs() > 30.0).any(-1),
    )  # fmt: skip


def _pendulum() -> Task:
    return Task(
        name="pendulum", real=Pendulum(), nominal=Pendulum(friction=0.0),
        features=lambda x: torch.stack([x[..., 0].sin(), x[..., 0].cos(), 0.2 * x[..., 1]], -1),
        reward=lambda x, a: 0.5 + 0.5 * x[..., 0].cos() - 0.005 * x[..., 1] ** 2 - 0.01 * a[..., 0] ** 2,
        start=lambda u: torch.stack([_TURN * u[:, 0], _between(u[:, 1], 1.0)], -1),
        draws=2, horizon=100, worst=-2.0,
    )  # fmt: skip


def _flight(
    name: str, real: Model, nominal: Model, weights: tuple[float, ...], spread: tuple[float, ...],
    rest: tuple[float, ...], failed: Callable[[Tensor], Tensor],
) -> Task:  # fmt: skip
    """Reach the origin and stay: 12 states, cost weights and the spread of starts about rest."""
    weight, still = (torch.tensor(v, dtype=torch.float64) for v in (weights, rest))

    def reward(x: Tensor, a: Tensor) -> Tensor:
        cost = ((x - still.to(x)) ** 2 * weight.to(x)).sum(-1)
        return 1.0 - 2.0 * cost / (1.0 + cost) - 0.01 * (a * a).mean(-1)

    return Task(
        name=name, real=real, nominal=nominal, features=lambda x: x - still.to(x), reward=reward,
        start=lambda u: still + (2.0 * u - 1.0) * torch.tensor(spread, dtype=torch.float64),
        draws=12, wrap=partial(_wrap_mrp, first=3), failed=failed, horizon=100, worst=-3.0,
    )  # fmt: skip


def _upset(x: Tensor) -> Tensor:
    """Upside down, or far away."""
    return (mrp_rotation(x[..., 3:6])[..., 2, 2] < 0.0) | (x[..., :3].abs() > 5.0).any(-1)


def _quadrotor() -> Task:
    return _flight(
        "quadrotor", RealQuadrotor(), Quadrotor(), (0.5,) * 3 + (2.0,) * 3 + (0.1,) * 3 + (0.05,) * 3,
        (1.0,) * 3 + (0.15,) * 3 + (0.3,) * 3 + (0.3,) * 3, (0.0,) * 12, _upset,
    )  # fmt: skip


def _airplane() -> Task:
    return _flight(
        "airplane", Airplane(full=True), Airplane(), (0.5,) * 3 + (2.0,) * 3 + (1.0,) * 3 + (0.05,) * 3,
        (0.3,) * 3 + (0.1,) * 3 + (0.1,) * 3 + (0.2,) * 3, (0.0,) * 6 + (1.0,) + (0.0,) * 5, _upset,
    )  # fmt: skip


def _locomotion(name: str, less: float, forward_weight: float) -> Task:
    real, nominal = MuJoCo(name, less=less, stiff=5.0), MuJoCo(name)
    nq = nominal.model.nq
    rest = torch.cat([nominal.rest, torch.zeros(nominal.model.nv, dtype=torch.float64)])
    noise = torch.full((nominal.n,), 0.05, dtype=torch.float64)
    noise[0] = 0.0

    def fallen(x: Tensor) -> Tensor:
        if name != "hopper":
            return (x[..., nq:].abs() > 100.0).any(-1)
        return (x[..., 1] < 0.7) | (x[..., 2].abs() > 0.4) | (x[..., nq:].abs() > 100.0).any(-1)

    alive = 1.0 if name == "hopper" else 0.0
    return Task(
        name=name, real=real, nominal=nominal,
        features=lambda x: torch.cat([x[..., 1:nq], (0.2 * x[..., nq:]).clamp(-10.0, 10.0)], -1),
        reward=lambda x, a: alive + forward_weight * x[..., nq] - 0.05 * (a * a).sum(-1),
        start=lambda u: rest + noise * (2.0 * u - 1.0),
        draws=nominal.n, failed=fallen, horizon=200, worst=-1.0,
    )  # fmt: skip


TASKS: dict[str, Callable[[], Task]] = {
    "pointing": lambda: _pointing(0.5, 120),
    "pointing-fast": lambda: _pointing(0.05, 1200),
    "detumble": lambda: _detumble(2.0, 4, 150),
    "detumble-fast": lambda: _detumble(0.05, 1, 3000),
    "array-8": lambda: _array(8),
    "array-32": lambda: _array(32),
    "array-128": lambda: _array(128),
    "pendulum": _pendulum,
    "cartpole": lambda: _swing(
        Cartpole(15.0, cart=2.0, pole=0.3, damping=0.5, coulomb=0.5, dead_band=0.5),
        Cartpole(15.0),
        "cartpole",
    ),
    "acrobot": _acrobot,
    "quadrotor": _quadrotor,
    "airplane": _airplane,
    "half-cheetah": lambda: _locomotion("half-cheetah", 0.3, 1.0),
    "hopper": lambda: _locomotion("hopper", 0.2, 1.0),
}
