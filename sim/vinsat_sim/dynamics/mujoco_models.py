"""HalfCheetah and Hopper of MuJoCo behind the protocol of the other models (extra `[rl]`).

x = [qpos; qvel] / scale 1, u in [-1, 1]; one step is SKIP steps of the simulator, integrated
implicitly (`mjd_transitionFD` refuses Runge-Kutta, which Hopper's file asks for) and started
without warm start, so that a step depends on (x, u) alone. The real variant has less damping
and friction and five times the contacts' stiffness and damping (thesis 5.5.1).
"""

import numpy as np
import torch
from torch import Tensor

from vinsat_sim.dynamics.base import Model

FILES = {"half-cheetah": ("half_cheetah.xml", 5), "hopper": ("hopper.xml", 4)}
CENTRED = True  # differences on both sides
EPS = 1e-6


class MuJoCo(Model):
    """One of FILES. less : share of damping and friction that is gone; stiff : factor on contacts."""

    def __init__(self, name: str, *, less: float = 0.0, stiff: float = 1.0) -> None:
        try:
            import gymnasium
            import mujoco
        except ImportError as error:
            raise ImportError(f"{error.name} is not installed: pip install 'vinsat[rl]'") from error
        from importlib.resources import files

        mujoco.set_mju_user_warning(_counted)
        file, self.skip = FILES[name]
        path = files(gymnasium) / "envs" / "mujoco" / "assets" / file
        self._mujoco, self.model = mujoco, mujoco.MjModel.from_xml_path(str(path))
        self.model.opt.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
        self.model.dof_damping *= 1.0 - less
        self.model.geom_friction *= 1.0 - less
        if stiff != 1.0:
            self.model.geom_solref[:] = [_stiffer(row, imp, stiff) for row, imp in
                                         zip(self.model.geom_solref, self.model.geom_solimp)]  # fmt: skip
        self.data = mujoco.MjData(self.model)
        self.n, self.m = self.model.nq + self.model.nv, self.model.nu
        self.dt = self.skip * self.model.opt.timestep
        low, high = self.model.actuator_ctrlrange.T
        self.u_min, self.u_max = torch.tensor(low), torch.tensor(high)
        self.u_rest = torch.zeros(self.m, dtype=torch.float64)
        self.rest = torch.tensor(self.model.qpos0)

    def step(self, x: Tensor, u: Tensor) -> Tensor:
        """Return the states after SKIP steps (..., n); NaN where the simulator gave up."""
        flat, control = x.reshape(-1, self.n).numpy(), u.reshape(-1, self.m).numpy()
        rows = [self._row(a, b) for a, b in zip(flat, control)]
        return torch.from_numpy(np.stack(rows)).reshape(x.shape)

    def jacobians(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return d(step)/dx and d(step)/du by `mjd_transitionFD`, chained over the SKIP steps."""
        nx = self.n
        by_x, by_u = [], []
        a, b = np.zeros((nx, nx)), np.zeros((nx, self.m))
        for row, control in zip(x.reshape(-1, nx).numpy(), u.reshape(-1, self.m).numpy()):
            self._set(row, control)
            along, across = np.eye(nx), np.zeros((nx, self.m))
            for _ in range(self.skip):
                self._mujoco.mjd_transitionFD(self.model, self.data, EPS, CENTRED, a, b, None, None)
                along, across = a @ along, a @ across + b
                self._mujoco.mj_step(self.model, self.data)
            by_x.append(along)
            by_u.append(across)
        lead = x.shape[:-1]
        return (
            torch.from_numpy(np.stack(by_x)).reshape(*lead, nx, nx),
            torch.from_numpy(np.stack(by_u)).reshape(*lead, nx, self.m),
        )

    def _set(self, x: np.ndarray, u: np.ndarray) -> None:
        data = self.data
        self._mujoco.mj_resetData(self.model, data)
        data.qpos[:], data.qvel[:], data.ctrl[:] = x[: self.model.nq], x[self.model.nq :], u

    def _row(self, x: np.ndarray, u: np.ndarray) -> np.ndarray:
        self._set(x, u)
        for _ in range(self.skip):
            self._mujoco.mj_step(self.model, self.data)
        if self.data.warning.number.any():
            return np.full(self.n, np.nan)
        return np.concatenate([self.data.qpos, self.data.qvel])


def _counted(message: str) -> None:
    """Write no MUJOCO_LOG.TXT where one happens to work: what matters is counted in `data.warning`."""


def _stiffer(solref: np.ndarray, solimp: np.ndarray, factor: float) -> tuple[float, float]:
    """Return (-stiffness, -damping), each `factor` times what (time constant, damping ratio) means."""
    time, ratio = solref
    top = solimp[1]
    return -factor / (top * time * ratio) ** 2, -factor * 2.0 / (top * time)
