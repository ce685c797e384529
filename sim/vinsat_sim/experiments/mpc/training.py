"""One policy trained and measured: a run of chapter 8, stored under docs/results/mpc.

Trained on windows of the expert's trajectories: a cold plan of two iterations, then two
time steps of one iteration each from the shifted plan (sect. 8.4.3, L = 2), L1 loss on the
states (eq. 8.13). Measured: the validation error after 1 to 6 iterations from cold, the
return of warm-started rollouts with 1, 2 and 6 iterations a step relative to the
expert's, and the residuals after 6 iterations. A run that ends with a loss that is not
finite is called diverged and keeps its best validation error.
"""

import hashlib
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from groundtools.layers.mpc.networks import SLOPE, WaypointDEQ, WaypointNet
from groundtools.layers.mpc.policy import DEQMPC, DiffMPC
from vinsat_sim.experiments.mpc.tasks import TASKS, Expert, Task, expert
from vinsat_sim.experiments.stored import Store

STORE = Store.named("mpc")
ITERATIONS = (1, 2, 6)  # of rollouts for f8.8; elsewhere the first alone
TESTED = 200  # rollouts
COLD, STREAMED = 2, 2
VALIDATE_EVERY = 50
Policy = DEQMPC | DiffMPC


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """policy : deq or diff; network : deq or nn; setting : control limit or radius, None for
    the task's own; samples : expert trajectories trained on.
    """

    task: str
    policy: str
    network: str
    seed: int
    horizon: int = 5
    hidden: int = 64
    samples: int | None = None
    setting: float | None = None
    velocity: float = 1.0
    steps: int = 150
    batch: int = 32
    rate: float = 2e-3

    @property
    def key(self) -> str:
        """A file name that says what differs from the defaults."""
        parts = [self.task, self.policy, self.network, f"s{self.seed}"]
        usual = Run(task="", policy="", network="", seed=0)
        for name in ("horizon", "hidden", "samples", "setting", "velocity", "steps"):
            if getattr(self, name) != getattr(usual, name):
                parts.append(f"{name}{getattr(self, name):g}")
        return "-".join(parts)

    @property
    def recipe(self) -> str:
        """All that the result depends on besides the program."""
        task = TASKS[self.task]
        text = repr(
            (
                asdict(self),
                task.goal,
                task.spread,
                task.q,
                task.r,
                task.reward,
                task.steps,
                task.count,
                task.tries,
                SLOPE,
            )
        )
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def rollouts(self) -> tuple[int, ...]:
        """The iterations a step its rollouts are flown with."""
        plain = replace(self, policy="", network="", seed=0) == Run(
            task=self.task, policy="", network="", seed=0
        )
        return ITERATIONS if plain and self.task in ("pendulum", "cartpole") else ITERATIONS[:1]

    def stored(self) -> dict[str, Any] | None:
        """Return the stored result or None."""
        return STORE.get(self.key, self.recipe)

    def result(self) -> dict[str, Any]:
        """Return the stored result, or train, store and return it."""
        found = self.stored()
        return found if found is not None else STORE.put(self.key, self.recipe, train(self))


def build(run: Run) -> tuple[Policy, Task]:
    """Return an untrained policy, seeded."""
    task = TASKS[run.task]
    model = task.make(task.setting if run.setting is None else run.setting)
    torch.manual_seed(run.seed)
    network = (WaypointDEQ if run.network == "deq" else WaypointNet)(model.n, 0, run.hidden).double()
    mpc = task.mpc(model, run.horizon, velocity=run.velocity)
    return (DEQMPC if run.policy == "deq" else DiffMPC)(network, mpc), task


def data(run: Run) -> tuple[Expert, Expert]:
    """Return the expert's trajectories for training and for test (other starts)."""
    task = TASKS[run.task]
    setting = task.setting if run.setting is None else run.setting
    seen = expert(run.task, setting, 100 + run.seed, task.count)
    if run.samples is not None:
        seen = Expert(seen.x[: run.samples], seen.u[: run.samples])
    tested = expert(run.task, setting, 1, task.tries)
    return seen, Expert(tested.x[:TESTED], tested.u[:TESTED])


def train(run: Run) -> dict[str, Any]:
    """Train a policy and return its figures."""
    policy, task = build(run)
    seen, unseen = data(run)
    generator = torch.Generator().manual_seed(run.seed)
    optimiser = torch.optim.Adam(policy.network.parameters(), lr=run.rate)  # type: ignore[attr-defined]
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, run.steps)
    window = run.horizon + STREAMED
    starts, follows = seen.windows(window)
    curve, diverged, best = [], False, None
    for step in range(run.steps):
        rows = torch.randint(len(starts), (run.batch,), generator=generator)
        loss = streamed_loss(policy, starts[rows], follows[rows])
        optimiser.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(policy.network.parameters(), 1.0)  # type: ignore[attr-defined]
        if not bool(torch.isfinite(loss) and torch.isfinite(norm)):
            diverged = True
            break
        optimiser.step()
        schedule.step()
        if (step + 1) % VALIDATE_EVERY == 0:
            curve.append(validation(policy, unseen, run.horizon, (6,))[0])
            if best is None or curve[-1] < best[0]:
                best = (curve[-1], {k: v.clone() for k, v in policy.network.state_dict().items()})  # type: ignore[attr-defined]
    figures: dict[str, Any] = {"diverged": diverged, "curve": curve, "best": min(curve, default=None)}
    if diverged and best is not None:
        policy.network.load_state_dict(best[1])  # type: ignore[attr-defined]
    if best is None:
        return figures
    figures["validation"] = validation(policy, unseen, run.horizon, (1, 2, 3, 4, 5, 6))
    figures["return"] = [rollout(policy, task, unseen, iterations) for iterations in run.rollouts]
    return figures | residuals(policy, unseen)


def streamed_loss(policy: Policy, x0: Tensor, follow: Tensor) -> Tensor:
    """Return the loss of a cold plan and of the streamed time steps after it."""
    horizon = policy.mpc.horizon
    plan = policy(x0, x0[:, :0], iterations=COLD)
    total = plan.loss(follow[:, :horizon])
    for ahead in range(STREAMED):
        state = policy.mpc.shifted(plan.state, updates=policy.updates)
        plan = policy(follow[:, ahead], x0[:, :0], state, iterations=1)
        total = total + plan.loss(follow[:, ahead + 1 : ahead + 1 + horizon])
    return total / (1 + STREAMED)


def validation(policy: Policy, unseen: Expert, horizon: int, iterations: tuple[int, ...]) -> list[float]:
    """Return the L1 error of cold plans after so many iterations."""
    starts, follows = unseen.windows(horizon)
    rows = torch.arange(0, len(starts), max(1, len(starts) // 150))
    out = []
    with torch.no_grad():
        for count in iterations:
            plan = policy(starts[rows], starts[rows, :0], iterations=count)
            out.append(float((plan.state.x - follows[rows]).abs().mean()))
    return out


def rollout(policy: Policy, task: Task, unseen: Expert, iterations: int) -> dict[str, float]:
    """Return the mean return over the expert's, and the share of rollouts without violation."""
    model = policy.mpc.dynamics
    x, state = unseen.x[:, 0], None
    total, clear = torch.zeros(len(x), dtype=torch.float64), torch.ones(len(x), dtype=torch.bool)
    with torch.no_grad():
        for _ in range(task.steps):
            plan = policy(x, x[:, :0], state, iterations=iterations)
            control = torch.minimum(torch.maximum(plan.control, model.u_min), model.u_max)
            x = torch.nan_to_num(model.step(x, control), nan=1e3).clamp(-1e3, 1e3)
            clear &= (model.below(x) <= 0.02).all(dim=1)
            total += task.rewards(x)
            state = policy.mpc.shifted(plan.state, updates=policy.updates * iterations)
    of_expert = task.rewards(unseen.x[:, 1:]).sum(1)
    share = total / of_expert
    return {
        "mean": float(share.mean()),
        "sd": float(share.std()),
        "count": len(x),
        "clear": float(clear.double().mean()),
    }


def residuals(policy: Policy, unseen: Expert) -> dict[str, Any]:
    """Return the residuals of cold plans after 6 iterations: the worst of 60 starts."""
    x0 = unseen.x[:60, 0]
    with torch.no_grad():
        plan = policy(x0, x0[:, :0], iterations=6)
        equal, below = policy.mpc.residuals(x0, plan.state)
    return {
        "equality": float(equal.max()), "inequality": float(below.max()), "gap": float(plan.gap.max()),
        "equality_median": float(equal.median()), "gap_median": float(plan.gap.median()),
    }  # fmt: skip
