"""The batch orbit fit, differentiable in what each detection is worth and where it lies.

Minimised over the free unknowns z (those of `flightsw.estimate.orbit_fit`, in its units)
    F = sum_i c^2 rho(q_i / c) / s^2 + 1/2 (z - m)' L (z - m),   q_i = sqrt(w_i) |e_i| / sigma_i
rho Barron's loss with a shape and scale that are held, s the measured noise. A weight w is
the same as a sigma_px of sigma / sqrt(w): what a network learns here is flown as sigma_px.
The slope and its Jacobians by what is differentiated, psi(q) = q^-1 d/dq c^2 rho(q / c):
    g        = sum w psi J'e / (sigma s)^2 + L (z - m)
    dg/dw_i  = (psi + psi' q / 2) J'e / (sigma s)^2
    dg/duv_i = w J' (psi + psi' / q  e~ e~') / (sigma s)^2,   e~ = sqrt(w) e / sigma
so that dz = -H^-1 (dg/dw dw + dg/duv duv). H is the full Hessian, the curvature of kernel,
orbit and camera in it: the kernel's in closed form, the others' by central differences of the
flight code's exact J.
Gauss-Newton's alone (`full_hessian=False`) errs where residuals do not vanish.
Residuals and orbits are the flight program's own, so the optimum is; the torch twins verify
the derivatives in the tests.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flightsw.estimate.orbit_fit import UNIT, FitSetup, fit_orbit, residual_and_jacobian, states_at
from flightsw.estimate.robust import (
    FINAL_SHAPE,
    absolute_scale,
    barron_loss,
    barron_weight,
    sigma_from_norms,
)
from flightsw.estimate.sightings import Sightings
from flightsw.estimate.solver import FINAL_SCALE_SIGMAS, SolverOptions

Array = NDArray[np.float64]

DIFFERENCE = 0.1  # of a unit of z (100 m, 0.1 m/s, 0.1 mrad): orbits and cameras bend over far more
NEAR, SETTLED = 0.5, 1e-9  # of a unit of z
NEWTON_STEPS = 30
FLOOR = 0.02  # least scale of whitened residuals, as on board


@dataclass(frozen=True, slots=True)
class HeldKernel:
    """Barron's kernel in whitened units, and the noise s they are measured to have."""

    shape: float
    scale: float
    sigma: float

    @classmethod
    def measured(cls, norms: Array) -> "HeldKernel":
        """Return the flight program's final kernel for whitened residuals (N,)."""
        sigma = sigma_from_norms(norms, floor=FLOOR)
        return cls(FINAL_SHAPE, max(absolute_scale(norms, floor=FLOOR), FINAL_SCALE_SIGMAS * sigma), sigma)

    def influence(self, q: Array) -> tuple[Array, Array]:
        """Return psi (N,) and q psi'(q) (N,)."""
        psi = barron_weight(q, shape=self.shape, scale=self.scale) * self.scale**2
        if self.shape == 2.0:
            return psi, np.zeros_like(q)
        squared = np.square(q / self.scale)
        return psi, -squared * psi / (squared / (2.0 - self.shape) + 1.0)


@dataclass(frozen=True, slots=True)
class OrbitPoint:
    """Where a fit ended.

    x (13,) : the unknowns of `orbit_fit`, SI, with gradients; kernel : what was held;
    converged : the last Newton step was below 1e-9 of a unit (1 km, 1 m/s, 1 mrad).
    """

    x: Tensor
    kernel: HeldKernel
    converged: bool
    steps: int


@dataclass(frozen=True, slots=True)
class OrbitLayer:
    """One arc's fit: sightings; what is free and believed beforehand; t_s : the fit's epoch,
    s past the sightings'. Without a chain of pointing errors.
    """

    sightings: Sightings
    setup: FitSetup
    t_s: float
    full_hessian: bool = True

    def __post_init__(self) -> None:
        if self.setup.slow_sigma != 0.0:
            raise ValueError("the layer has no chain of pointing errors: set slow_pointing_sigma to 0")

    def __call__(
        self, weight: Tensor, x0: Array, *, uv_px: Tensor | None = None, kernel: HeldKernel | None = None
    ) -> OrbitPoint:
        """Return the optimum near x0 (13,).

        weight (N,) >= 0; uv_px (N, 2) : in place of the sightings'; kernel : held, else the
        one the flight program's own fit ends with. Raises ValueError where the normal
        equations are singular.
        """
        w = weight.detach().numpy().astype(np.float64)
        arc = self if uv_px is None else self._with_pixels(uv_px.detach().numpy().astype(np.float64))
        x = x0.copy()
        if kernel is None:
            x, kernel = arc._flown(w, x)
        x, hessian, converged, steps = arc._newton(w, x, kernel)
        out = torch.as_tensor(x)
        by_weight, by_pixel = arc._slope_by_inputs(w, x, kernel)
        unit, move = UNIT[self.setup.free], out.new_zeros(len(self.setup.free))
        for value, by in ((weight, by_weight), (uv_px, by_pixel)):
            if value is not None and value.requires_grad:
                matrix = torch.as_tensor(-unit[:, None] * np.linalg.solve(hessian, by))
                flat = value.reshape(-1).double()
                move = move + matrix @ (flat - flat.detach())
        out = out.index_add(0, torch.as_tensor(self.setup.free), move)
        return OrbitPoint(out, kernel, converged, steps)

    def predicted(self, x: Tensor) -> Tensor:
        """Return the pixels (N, 2) at which the orbit x shows the landmarks; NaN where hidden."""
        held = x.detach().numpy()
        e, jacobian = residual_and_jacobian(self.sightings, self.setup.forces, self.t_s, held)
        move = torch.as_tensor(-jacobian) @ (x - x.detach())
        return torch.as_tensor(self.sightings.uv_px - e) + move

    def states(self, x: Tensor) -> Tensor:
        """Return the states (F, 6) at the frames, eci, m and m/s."""
        state, stm = states_at(self.sightings, self.setup.forces, self.t_s, x.detach().numpy())
        return torch.as_tensor(state) + torch.as_tensor(stm) @ (x - x.detach())[:7]

    def cost(self, w: Array, x: Array, kernel: HeldKernel) -> float:
        """Return F."""
        e, _ = self._whitened(x)
        q = np.sqrt(w) * np.hypot(e[:, 0], e[:, 1])
        loss = barron_loss(q, shape=kernel.shape, scale=kernel.scale).sum()
        z, _ = self._pull(x)
        information = self._information()
        return float(loss * (kernel.scale / kernel.sigma) ** 2 + 0.5 * z @ information @ z)

    def slope(self, w: Array, x: Array, kernel: HeldKernel) -> tuple[Array, Array]:
        """Return g (n,) and Gauss-Newton's matrix (n, n), in the solver's units."""
        e, jacobian = self._whitened(x)
        psi, _ = kernel.influence(np.sqrt(w) * np.hypot(e[:, 0], e[:, 1]))
        factor = (w * psi / kernel.sigma**2)[:, None]
        rows = jacobian.reshape(-1, jacobian.shape[2])
        _, pull = self._pull(x)
        g = rows.T @ (factor * e).reshape(-1) + pull
        return g, rows.T @ (np.repeat(factor, 2, axis=1).reshape(-1, 1) * rows) + self._information()

    def _with_pixels(self, uv_px: Array) -> "OrbitLayer":
        return replace(self, sightings=replace(self.sightings, uv_px=uv_px))

    def _flown(self, w: Array, x0: Array) -> tuple[Array, HeldKernel]:
        """Return what the flight program's fit ends with for these weights."""
        sightings = replace(self.sightings, sigma_px=self.sightings.sigma_px / np.sqrt(np.maximum(w, 1e-12)))
        options = SolverOptions(max_iterations=25, first_iteration=8, tolerance=2e-3)
        fit = fit_orbit(sightings, self.t_s, x0, self.setup, options)
        solver = fit.solver
        return fit.x, HeldKernel(solver.shape, solver.scale, solver.sigma)

    def _whitened(self, x: Array) -> tuple[Array, Array]:
        """Return e / sigma (N, 2), zero where hidden, and its Jacobian in the solver's units."""
        free = self.setup.free
        e, jacobian = residual_and_jacobian(self.sightings, self.setup.forces, self.t_s, x)
        sigma = self.sightings.sigma_px[:, None]
        return np.nan_to_num(e / sigma), np.nan_to_num(jacobian[:, :, free] * UNIT[free] / sigma[:, :, None])

    def _information(self) -> Array:
        free = self.setup.free
        return self.setup.prior_information[np.ix_(free, free)] * np.outer(UNIT[free], UNIT[free])

    def _pull(self, x: Array) -> tuple[Array, Array]:
        free = self.setup.free
        z = (x[free] - self.setup.prior_mean[free]) / UNIT[free]
        return z, self._information() @ z

    def _newton(self, w: Array, x: Array, kernel: HeldKernel) -> tuple[Array, Array, bool, int]:
        """Return the optimum, the Hessian there, whether it settled, and the steps."""
        free, x = self.setup.free, x.copy()
        near, held, largest = False, None, np.inf
        for step in range(1, NEWTON_STEPS + 1):  # noqa: B007
            g, hessian = self.slope(w, x, kernel)
            if near:
                # Far from the optimum the full Hessian need not be positive; near it, it converges,
                # held as long as the steps shrink well: it costs 2 n slopes.
                held = self.hessian(w, x, kernel) if held is None else held
                hessian = held
            if np.linalg.matrix_rank(hessian) < len(free):
                raise ValueError("the normal equations are singular: these detections determine no orbit")
            move = np.linalg.solve(hessian, -g)
            x[free] += move * UNIT[free]
            before, largest = largest, float(np.max(np.abs(move)))
            held = None if largest > 0.1 * before else held
            near = largest < NEAR
            if largest < SETTLED:
                break
        final = self.hessian(w, x, kernel) if self.full_hessian else self.slope(w, x, kernel)[1]
        return x, final, largest < SETTLED, step

    def hessian(self, w: Array, x: Array, kernel: HeldKernel) -> Array:
        """Return the full Hessian (n, n) of F, in the solver's units."""
        free = self.setup.free
        e, jacobian = self._whitened(x)
        by_residual = self._slope_by_residual(w, e, kernel)
        matrix = np.einsum("nij,nik,nkl->jl", jacobian, by_residual, jacobian) + self._information()
        psi, _ = kernel.influence(np.sqrt(w) * np.hypot(e[:, 0], e[:, 1]))
        pull = (w * psi / kernel.sigma**2)[:, None] * e  # held: only J moves in what follows
        for column, k in enumerate(free):
            ahead, behind = x.copy(), x.copy()
            ahead[k] += DIFFERENCE * UNIT[k]
            behind[k] -= DIFFERENCE * UNIT[k]
            change = self._whitened(ahead)[1] - self._whitened(behind)[1]
            matrix[:, column] += np.einsum("nij,ni->j", change, pull) / (2.0 * DIFFERENCE)
        return 0.5 * (matrix + matrix.T)

    def _slope_by_residual(self, w: Array, e: Array, kernel: HeldKernel) -> Array:
        """Return d(w psi e / s^2)/d(e) (N, 2, 2) for e whitened without the weights."""
        length = np.hypot(e[:, 0], e[:, 1])
        psi, q_slope = kernel.influence(np.sqrt(w) * length)
        along = e / np.maximum(length, 1e-300)[:, None]
        matrix = psi[:, None, None] * np.eye(2) + q_slope[:, None, None] * along[:, :, None] * along[:, None]
        return matrix * (w / kernel.sigma**2)[:, None, None]

    def _slope_by_inputs(self, w: Array, x: Array, kernel: HeldKernel) -> tuple[Array, Array]:
        """Return dg/dw (n, N) and dg/duv (n, 2N)."""
        e, jacobian = self._whitened(x)
        q = np.sqrt(w) * np.hypot(e[:, 0], e[:, 1])
        psi, q_slope = kernel.influence(q)
        by_weight = np.einsum("nij,ni->jn", jacobian, e) * (psi + 0.5 * q_slope) / kernel.sigma**2
        by_residual = self._slope_by_residual(w, e, kernel) / self.sightings.sigma_px[:, None, None]
        by_pixel = np.einsum("nij,nik->jnk", jacobian, by_residual)
        return by_weight, by_pixel.reshape(jacobian.shape[2], -1)
