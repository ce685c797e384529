"""The value gradient of a wrong model as a critic loss (thesis ch. 5).

The Bellman equation differentiated by state and action, with the next state and the reward of
the real system and the Jacobians of a nominal one, g, stored with each step:
    g' = d/ds' [Q'(s', a') - alpha log pi(a'|s')],  a' = a(s', noise)
    L_s = |dQ/ds - (dr/ds + gamma g' dg/ds)|^2,  L_a = |dQ/da - (dr/da + gamma g' dg/da)|^2   (5.13, 5.14)
    L = L_q + beta_s L_s + beta_a L_a,  beta = zeta |grad L_q| / |grad L_.|   (5.15, 5.17)
`g'` goes through the policy as eq. 5.7 asks (`through_policy`); the authors' program drops
that term. The loss is Huber's about twice the running median of the residuals' size (the
thesis says hinge), or their square. 5.17 lacks the norms, and 5.13-5.14 the (1 - terminated).

`costates` is the same recursion along a trajectory (eq. 5.10), `state_loss` the V(s) form.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from groundtools.layers.core.statistics import gradient_ratio, median_huber

if TYPE_CHECKING:
    from groundtools.layers.rl.sac import SAC

Shape = Literal["huber", "square"]
KEEP = 0.95  # of the running median


class loss:
    """A critic loss for `SAC`. zeta : shares of L_s and L_a; every : updates between balances."""

    needs_gradients = True

    def __init__(
        self, *, zeta: tuple[float, float] = (0.5, 0.5), every: int = 20, shape: Shape = "huber",
        through_policy: bool = True,
    ) -> None:  # fmt: skip
        self.zeta, self.every, self.shape, self.through_policy = zeta, every, shape, through_policy
        self.beta: list[float | None] = [None, None]
        self.median: list[float | None] = [None, None]
        self.calls = 0

    def __call__(self, learner: "SAC", batch: dict[str, Tensor], bellman: Tensor) -> Tensor:
        """Return beta_s L_s + beta_a L_a."""
        wanted = self.targets(learner, batch)
        x, a = (batch[name].clone().requires_grad_() for name in ("x", "a"))
        q = learner.critic(learner.see(x), a)
        losses = []
        for at, (name, goal) in enumerate(zip((x, a), wanted)):
            rows = [torch.autograd.grad(one.sum(), name, create_graph=True)[0] for one in q]
            losses.append(self._shaped(at, torch.stack(rows) - goal))
        if self.calls % self.every == 0:
            self._balance(learner, bellman, losses)
        self.calls += 1
        return sum(
            (z * b * part for z, b, part in zip(self.zeta, self.beta, losses)), start=bellman.new_zeros(())
        )

    def targets(self, learner: "SAC", batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the wanted dQ/ds (B, n) and dQ/da (B, m)."""
        after = batch["after"].clone().requires_grad_()
        with torch.enable_grad():
            value = learner.soft_value(after, through_policy=self.through_policy)
            onward = torch.autograd.grad(value.sum(), after)[0]
        onward = learner.gamma * (1.0 - batch["terminated"])[:, None] * onward
        by_x = batch["reward_by_x"] + (onward[:, None] @ batch["after_by_x"])[:, 0]
        by_a = batch["reward_by_a"] + (onward[:, None] @ batch["after_by_a"])[:, 0]
        return by_x, by_a

    def _shaped(self, at: int, residual: Tensor) -> Tensor:
        if self.shape == "square":
            return residual.square().mean()
        size = float(residual.detach().abs().median())
        old = self.median[at]
        self.median[at] = size if old is None else KEEP * old + (1.0 - KEEP) * size
        return median_huber(residual, factor=2.0, median=self.median[at]).mean()

    def _balance(self, learner: "SAC", bellman: Tensor, losses: Sequence[Tensor]) -> None:
        """Recompute both factors from the gradients of the critics' last hidden layer."""
        layer = [learner.critic.nets.weights[-2]]
        self.beta = [
            gradient_ratio(bellman, part, layer, previous=old, keep=0.7) if z else 0.0
            for z, part, old in zip(self.zeta, losses, self.beta)
        ]

    def state(self) -> dict[str, object]:
        """Return the running figures."""
        return {"beta": list(self.beta), "median": list(self.median), "calls": self.calls}

    def restore(self, state: dict) -> None:
        """Take the running figures of `state`."""
        self.beta, self.median, self.calls = list(state["beta"]), list(state["median"]), state["calls"]


def state_loss(
    value: Callable[[Tensor], Tensor], target: Callable[[Tensor], Tensor], x: Tensor, after: Tensor,
    after_by_x: Tensor, reward_by_x: Tensor, *, gamma: float,
) -> Tensor:  # fmt: skip
    """Return |dV/ds - (dr/ds + gamma dV'/ds' ds'/ds)|^2, the mean over entries.

    after_by_x (B, n, n) and reward_by_x (B, n) are total derivatives under the policy:
    ds'/ds + ds'/da da/ds and dr/ds + dr/da da/ds.
    """
    ahead, here = after.detach().clone().requires_grad_(), x.detach().clone().requires_grad_()
    onward = torch.autograd.grad(target(ahead).sum(), ahead)[0]
    wanted = reward_by_x + gamma * (onward[:, None] @ after_by_x)[:, 0]
    slope = torch.autograd.grad(value(here).sum(), here, create_graph=True)[0]
    return (slope - wanted).square().mean()


def costates(after_by_x: Tensor, reward_by_x: Tensor, last: Tensor, *, gamma: float = 1.0) -> Tensor:
    """Return lambda_t = dr/ds_t + gamma (ds_{t+1}/ds_t)' lambda_{t+1} (T, n), eq. 5.10.

    after_by_x (T, n, n), reward_by_x (T, n) along a trajectory, total under the policy in force or
    partial along an optimal one; last (n,) : lambda_T.
    """
    out = torch.empty_like(reward_by_x)
    for t in range(len(reward_by_x) - 1, -1, -1):
        last = reward_by_x[t] + gamma * last @ after_by_x[t]
        out[t] = last
    return out
