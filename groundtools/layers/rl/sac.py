"""Soft actor-critic (Haarnoja et al. 2018), to which further critic losses can be given.

    L_q = |Q(s, a) - (r + gamma (1 - terminated) [min Q'(s', a') - alpha log pi(a'|s')])|^2     (5.12)
    the actor minimises alpha log pi(a|s) - min Q(s, a)     (5.16; the thesis prints max)
Q' moves towards Q by `tau` a step. alpha is held (the thesis's 0.2), or moved to an entropy
of -m where `alpha` is None. `critic_losses` are called as loss(learner, batch, L_q) and
return what is added to L_q; one that needs gradients of a model says so by `needs_gradients`,
and they are stored with the step they belong to (thesis 5.4.1).
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from groundtools.layers.rl.buffers import Replay
from groundtools.layers.rl.nets import Actor, Critic, average, twin

CriticLoss = Callable[["SAC", dict[str, Tensor], Tensor], Tensor]


class SAC:
    """A learner. per_step : gradient steps per step of one environment."""

    def __init__(
        self, task: Any, *, seed: int = 0, hidden: Sequence[int] = (64, 64),
        critic_hidden: Sequence[int] | None = None, rate: float = 1e-3,
        gamma: float = 0.98, tau: float = 0.01, alpha: float | None = 0.2,
        batch: int = 128, capacity: int = 100_000, warm_up: int = 500, per_step: float = 1.0,
        critic_losses: Sequence[CriticLoss] = (),
    ) -> None:  # fmt: skip
        self.task, self.gamma, self.tau, self.batch = task, gamma, tau, batch
        self.warm_up, self.per_step, self.critic_losses = warm_up, per_step, tuple(critic_losses)
        self.chance = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.actor = Actor(task.observations, task.actions, hidden, torch.relu)
            self.critic = Critic(task.observations, task.actions, critic_hidden or hidden, torch.tanh)
        self.target = twin(self.critic)
        self.replay = Replay(capacity)
        self.learned_alpha = alpha is None
        self.log_alpha = torch.tensor(
            math.log(0.2 if alpha is None else alpha), requires_grad=self.learned_alpha
        )
        adam = lambda p: torch.optim.Adam(list(p), lr=rate)  # noqa: E731
        self.optimisers = {"actor": adam(self.actor.parameters()), "critic": adam(self.critic.parameters())}
        if self.learned_alpha:
            self.optimisers["alpha"] = adam([self.log_alpha])
        self.steps, self.debt = 0, 0.0

    @property
    def alpha(self) -> float:
        """The weight of the entropy."""
        return float(self.log_alpha.detach().exp())

    def see(self, x: Tensor) -> Tensor:
        """Return the features of states (B, n), float32, with a graph."""
        return self.task.features(x).float()

    @torch.no_grad()
    def act(self, x: Tensor, *, explore: bool = True) -> Tensor:
        """Return actions (B, m): drawn, uniform before `warm_up` steps; or the mean's."""
        if explore and self.steps < self.warm_up:
            return 2.0 * torch.rand(len(x), self.task.actions, generator=self.chance) - 1.0
        if not explore:
            return self.actor.mean(self.see(x))
        return self.actor.sample(self.see(x), self._noise(len(x)))[0]

    def advance(self, environments: Any) -> Any:
        """Take one step in all environments, remember it, learn; return the step."""
        step = environments.step(self.act(environments.x))
        self.remember(step)
        if self.replay.size >= min(self.warm_up, self.batch):
            self.debt += self.per_step * len(step.x)
            while self.debt >= 1.0 and self.steps >= self.warm_up:
                self.update(self.replay.sample(self.batch, self.chance))
                self.debt -= 1.0
            self.debt = min(self.debt, 1.0)
        return step

    def remember(self, step: Any) -> None:
        """Store a step of all rows, with the nominal model's gradients where a loss asks for them."""
        self.steps += len(step.x)
        rows = {
            "x": step.x,
            "a": step.a,
            "reward": step.reward,
            "after": step.after,
            "terminated": step.terminated,
        }
        if any(getattr(loss, "needs_gradients", False) for loss in self.critic_losses):
            names = ("after_by_x", "after_by_a", "reward_by_x", "reward_by_a")
            rows |= dict(zip(names, self.task.gradients(step.x, step.a)))
        self.replay.add(**rows)

    def update(self, batch: dict[str, Tensor]) -> dict[str, float]:
        """Take one gradient step of critic and actor on a batch; return the losses."""
        loss = bellman = self.bellman_loss(batch)
        for further in self.critic_losses:
            loss = loss + further(self, batch, bellman)
        self._descend("critic", loss)
        features = self.see(batch["x"])
        a, log_pi = self.actor.sample(features, self._noise(len(features)))
        for p in self.critic.parameters():
            p.requires_grad_(False)
        actor_loss = (self.alpha * log_pi - self.critic(features, a).amin(0)).mean()
        self._descend("actor", actor_loss)
        for p in self.critic.parameters():
            p.requires_grad_(True)
        if self.learned_alpha:
            # Entropy -log pi above the target -m lowers alpha.
            self._descend("alpha", -self.log_alpha * (log_pi.detach() - self.task.actions).mean())
        average(self.target, self.critic, self.tau)
        return {"critic": float(loss.detach()), "actor": float(actor_loss.detach())}

    def bellman_loss(self, batch: dict[str, Tensor]) -> Tensor:
        """Return L_q, the mean over batch and both critics (eq. 5.12)."""
        with torch.no_grad():
            after = self.soft_value(batch["after"])
            wanted = batch["reward"] + self.gamma * (1.0 - batch["terminated"]) * after
        return (self.critic(self.see(batch["x"]), batch["a"]) - wanted).square().mean()

    def soft_value(self, x: Tensor, *, through_policy: bool = True) -> Tensor:
        """Return min Q'(x, a') - alpha log pi(a'|x) (B,), differentiable by x.

        through_policy=False holds a' and its density fixed, as the authors' program does.
        """
        features = self.see(x)
        if through_policy:
            a, log_pi = self.actor.sample(features, self._noise(len(x)))
        else:
            with torch.no_grad():
                a, log_pi = self.actor.sample(features, self._noise(len(x)))
        return self.target(features, a).amin(0) - self.alpha * log_pi

    def _noise(self, rows: int) -> Tensor:
        return torch.randn(rows, self.task.actions, generator=self.chance)

    def _descend(self, name: str, loss: Tensor) -> None:
        optimiser = self.optimisers[name]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    def state_dict(self) -> dict[str, Any]:
        """Return all that the future depends on, the environments aside."""
        return {
            "actor": self.actor.state_dict(), "critic": self.critic.state_dict(),
            "target": self.target.state_dict(),
            "optimisers": {name: o.state_dict() for name, o in self.optimisers.items()},
            "log_alpha": self.log_alpha.detach().clone(), "replay": self.replay.state_dict(),
            "chance": self.chance.get_state(), "steps": self.steps, "debt": self.debt,
            "losses": [getattr(loss, "state", lambda: None)() for loss in self.critic_losses],
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state of `state_dict`."""
        for name in ("actor", "critic", "target"):
            getattr(self, name).load_state_dict(state[name])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        with torch.no_grad():
            self.log_alpha.copy_(state["log_alpha"])
        self.replay.load_state_dict(state["replay"])
        self.chance.set_state(state["chance"])
        self.steps, self.debt = state["steps"], state["debt"]
        for loss, kept in zip(self.critic_losses, state["losses"]):
            if kept is not None:
                loss.restore(kept)

    def adopt(self, other: "SAC") -> None:
        """Take over another learner's networks and alpha (fine-tuning); memory and optimisers stay new."""
        for name in ("actor", "critic", "target"):
            getattr(self, name).load_state_dict(getattr(other, name).state_dict())
        with torch.no_grad():
            self.log_alpha.copy_(other.log_alpha)
