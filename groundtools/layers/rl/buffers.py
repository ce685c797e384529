"""Memory of steps: a ring to draw from, and the two recursions over a window of steps.

Both recursions keep `terminated` (nothing follows) and `truncated` (time is up, the value
goes on, but the trace is cut) apart; `valid` is False where a row only waited.
"""

from collections.abc import Iterable

import torch
from torch import Tensor


class Replay:
    """The last `capacity` steps, as named float32 tensors of one row a step."""

    def __init__(self, capacity: int) -> None:
        self.capacity, self.size, self.at = capacity, 0, 0
        self.fields: dict[str, Tensor] = {}

    def add(self, **rows: Tensor) -> None:
        """Store a batch of rows, the same names every time."""
        for name, value in rows.items():
            if name not in self.fields:
                self.fields[name] = torch.zeros(self.capacity, *value.shape[1:])
        count = len(next(iter(rows.values())))
        at = (self.at + torch.arange(count)) % self.capacity
        for name, value in rows.items():
            self.fields[name][at] = value.float()
        self.at, self.size = (self.at + count) % self.capacity, min(self.size + count, self.capacity)

    def sample(self, count: int, chance: torch.Generator) -> dict[str, Tensor]:
        """Return `count` rows drawn with replacement."""
        at = torch.randint(self.size, (count,), generator=chance)
        return {name: value[at] for name, value in self.fields.items()}

    def state_dict(self) -> dict[str, object]:
        """Return what is stored, without the empty part."""
        kept = {name: value[: self.size].clone() for name, value in self.fields.items()}
        return {"fields": kept, "at": self.at, "size": self.size}

    def load_state_dict(self, state: dict) -> None:
        """Go on from a state of `state_dict`."""
        self.at, self.size = state["at"], state["size"]
        self.fields = {}
        for name, value in state["fields"].items():
            self.fields[name] = torch.zeros(self.capacity, *value.shape[1:])
            self.fields[name][: self.size] = value


def stack(steps: Iterable[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return named tensors (T, B, ...) of T steps."""
    rows = list(steps)
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


def advantages(
    reward: Tensor, value: Tensor, after: Tensor, terminated: Tensor, truncated: Tensor, *,
    gamma: float, trace: float,
) -> Tensor:  # fmt: skip
    """Return generalised advantages (T, B): eq. 6.5 with the ends of episodes.

    value (T, B) of the states before the steps, after (T, B) of those reached (never of the
    state an ended row starts from anew): delta = r + gamma (1 - terminated) after - value.
    """
    delta = reward + gamma * after * ~terminated - value
    goes_on = (gamma * trace) * ~(terminated | truncated)
    out = torch.empty_like(delta)
    running = torch.zeros_like(delta[0])
    for t in range(len(delta) - 1, -1, -1):
        running = delta[t] + goes_on[t] * running
        out[t] = running
    return out


def lambda_returns(
    reward: Tensor, after: Tensor, terminated: Tensor, truncated: Tensor, *, gamma: float, trace: float
) -> Tensor:
    """Return TD(lambda) targets (T, B): eqs. 6.9-6.10 in the form

    R_t = r_t + gamma (1 - terminated) [(1 - trace) after_t + trace R_{t+1}],
    where a truncated step and the window's last take `after_t` whole. `after` is the value of
    the state reached under the policy that acts (with its entropy, if that is rewarded).
    """
    out = torch.empty_like(reward)
    following = after[-1]
    for t in range(len(reward) - 1, -1, -1):
        mixed = torch.where(truncated[t], after[t], (1.0 - trace) * after[t] + trace * following)
        following = reward[t] + gamma * ~terminated[t] * mixed
        out[t] = following
    return out
