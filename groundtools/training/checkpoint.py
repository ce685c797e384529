"""Checkpoints that survive `kill -9`: written aside, then renamed over the last one.

A run's samples are pure functions of (seed, step), so weights, optimizer, averaged
weights and torch's generator are all that a run needs to go on as if never stopped.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from flightsw.errors import InputError


@dataclass(slots=True)
class Run:
    """A training run's state: everything a checkpoint holds.

    recipe : plain values that must match on resumption; average : exponential moving
    average of the weights (empty: none kept).
    """

    net: nn.Module
    optimizer: torch.optim.Optimizer
    recipe: dict[str, Any]
    step: int = 0
    average: dict[str, Tensor] = field(default_factory=dict)

    def start_average(self) -> None:
        """Keep an average from the weights as they are now."""
        self.average = {key: value.detach().clone() for key, value in self.net.state_dict().items()}

    def update_average(self, decay: float) -> None:
        """Move the average towards the weights; early on it follows faster."""
        keep = min(decay, (1.0 + self.step) / (10.0 + self.step))
        with torch.no_grad():
            for key, value in self.net.state_dict().items():
                if value.is_floating_point():
                    self.average[key].lerp_(value, 1.0 - keep)
                else:
                    self.average[key].copy_(value)

    def save(self, path: Path) -> None:
        """Write the run; whoever reads finds this state or the last one, never half."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        state = {
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "recipe": self.recipe,
            "step": self.step,
            "average": self.average,
            "random": torch.get_rng_state(),
        }
        with open(temporary, "wb") as stream:
            torch.save(state, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)

    def load(self, path: Path) -> bool:
        """Go on from a checkpoint; False where there is none.

        Raises InputError when it belongs to another recipe.
        """
        if not path.exists():
            return False
        state = torch.load(path, weights_only=True)
        if state["recipe"] != self.recipe:
            raise InputError(
                "the checkpoint belongs to another recipe",
                file=path,
                fix="give --fresh to start again, or the options it was started with",
            )
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.average = state["step"], state["average"]
        torch.set_rng_state(state["random"])
        return True


def take_over(net: nn.Module, path: Path) -> None:
    """Load the averaged weights of a checkpoint wherever both nets have them in one size."""
    state = torch.load(path, weights_only=True)["average"]
    own = net.state_dict()
    fits = {key: value for key, value in state.items() if key in own and own[key].shape == value.shape}
    net.load_state_dict(fits, strict=False)
