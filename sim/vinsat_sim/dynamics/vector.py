"""A task's environments behind gymnasium's vector interface (extra `[rl]`).

Rows that end start anew in the same step: the observation is the new episode's, the last one's
is `infos["final_obs"]` on the rows of `infos["_final_obs"]`. Row i of `reset(seed=s)` has the
stream of seed s + i, so a row's episodes do not depend on how many others there are.
"""

from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from vinsat_sim.dynamics.base import Model
from vinsat_sim.dynamics.environments import Environments, Task


class VectorEnvironments(gymnasium.vector.VectorEnv):
    """`count` rows of a task: observations (count, o) float64, actions (count, m) in [-1, 1]."""

    def __init__(self, task: Task, count: int, *, model: Model | None = None) -> None:
        self.task, self.num_envs, self.model = task, count, model
        self.metadata = {"autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP}
        seen, acted = (task.observations,), (task.actions,)
        self.single_observation_space = gymnasium.spaces.Box(-np.inf, np.inf, seen, np.float64)
        self.single_action_space = gymnasium.spaces.Box(-1.0, 1.0, acted, np.float64)
        self.observation_space = batch_space(self.single_observation_space, count)
        self.action_space = batch_space(self.single_action_space, count)
        self.rows = Environments(task, count, model=model)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float64], dict[str, Any]]:
        """Start all rows anew; without a seed, where a new one is drawn as gymnasium does."""
        super().reset(seed=seed)
        first = int(self.np_random.integers(2**31)) if seed is None else seed
        self.rows = Environments(self.task, self.num_envs, first, model=self.model)
        return self._seen(self.rows.x), {}

    def step(self, actions: NDArray[np.float64]) -> tuple[Any, ...]:
        """Return observations, rewards, terminated, truncated (count,) and infos."""
        step = self.rows.step(torch.as_tensor(actions, dtype=torch.float64))
        infos: dict[str, Any] = {}
        ended = step.terminated | step.truncated
        if bool(ended.any()):
            infos = {"final_obs": self._seen(step.after), "_final_obs": ended.numpy()}
        ends = step.terminated.numpy(), step.truncated.numpy()
        return self._seen(self.rows.x), step.reward.numpy(), *ends, infos

    def _seen(self, x: torch.Tensor) -> NDArray[np.float64]:
        return np.asarray(self.task.features(x).numpy())
