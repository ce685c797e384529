"""Bundle adjustment as a layer: steps one can differentiate, and the minimum itself.

    minimise over T_f, d_k   1/2 sum w (target - uv(T_i, T_j, d_k))^2       (thesis eq. 4.1)

`adjust` takes a few damped Gauss-Newton steps under autograd, as the networks of ch. 4 do;
its gradient is that of these steps. `minimise` goes to the minimum by Levenberg-Marquardt
and puts the implicit gradient on it, by the full Hessian: thesis eq. 4.6 has Gauss-Newton's,
drops the coupling of poses and depths, and its sign fits d(residual), not d(projection).
"""

from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

from flightsw.camera.model import Camera
from groundtools.layers.bundle.geometry import (
    Edges,
    PoseDepthSystem,
    Scene,
    normal_equations,
    project,
    unit_rays,
)
from groundtools.layers.core.implicit import batch_jacobian
from groundtools.layers.core.least_squares import least_squares
from groundtools.layers.core.solve import Status

LEAST_SHIFT_PX = 0.5  # what a point's whole depth must move its pixels by, weighted, to be seen
POLISH = 3


class BundleStatus(IntEnum):
    """How a scene ended; `sentence` is for a human."""

    OK = 0
    ONE_FRAME = 1
    NO_WEIGHT = 2
    NO_PARALLAX = 3
    NOT_FINITE = 4
    NOT_CONVERGED = 5

    @property
    def sentence(self) -> str:
        """Say it."""
        return {
            self.OK: "poses and depths are determined up to the gauge",
            self.ONE_FRAME: "no frame is free to move",
            self.NO_WEIGHT: "no observation in front of the cameras has weight",
            self.NO_PARALLAX: "most points' depths move no pixel: the cameras have not moved",
            self.NOT_FINITE: "a step is not finite",
            self.NOT_CONVERGED: "the steps ran out before the cost settled",
        }[self]


@dataclass(frozen=True, slots=True)
class Adjusted:
    """scene : the poses and depths; status (B,) of `BundleStatus`; cost (B,), at the end."""

    scene: Scene
    status: Tensor
    cost: Tensor


@dataclass(frozen=True, slots=True)
class BundleProblem:
    """The problem in the form `least_squares` takes: cost, system, retract, choose."""

    rays: Tensor
    target: Tensor
    weight: Tensor
    edges: Edges
    camera: Camera
    fixed: int = 1

    def cost(self, x: Scene) -> Tensor:
        """Return 1/2 sum w e^2 of every scene, (B,); infinite where nothing is in front."""
        seen = project(x, self.rays, self.edges, self.camera)
        used = torch.where(seen.in_front[..., None], self.weight, 0.0)
        total = 0.5 * (used * (self.target - seen.uv_px).square()).sum(dim=(1, 2))
        return torch.where(seen.in_front.any(dim=1), total, torch.inf)

    def system(self, x: Scene) -> PoseDepthSystem:
        """Return the normal equations."""
        return normal_equations(x, self.rays, self.target, self.weight, self.edges, self.camera, self.fixed)

    def retract(self, x: Scene, step: tuple[Tensor, Tensor]) -> Scene:
        """Return x moved by the step."""
        return x.moved(*step)

    def choose(self, taken: Tensor, new: Scene, old: Scene) -> Scene:
        """Return new where taken."""
        return Scene(
            torch.where(taken[:, None, None, None], new.rotation, old.rotation),
            torch.where(taken[:, None, None], new.translation, old.translation),
            torch.where(taken[:, None], new.inverse_depth, old.inverse_depth),
        )


def adjust(
    scene: Scene, pixels: Tensor, target: Tensor, weight: Tensor, edges: Edges, camera: Camera,
    *, steps: int = 2, damping: float = 1e-4, fixed: int = 1,
) -> Adjusted:  # fmt: skip
    """Return the scene after `steps` damped Gauss-Newton steps, with their gradient.

    pixels (B, P, 2) : the points in their source frames, undistorted px; target, weight
    (B, N, 2); fixed : leading frames that stay. A scene whose step is not finite stays as it
    was, and every degenerate one says so in `status`.
    """
    problem = BundleProblem(unit_rays(camera, pixels), target, weight, edges, camera, fixed)
    factor = weight.new_full((len(weight),), damping)
    finite = torch.ones(len(weight), dtype=torch.bool)
    if fixed < scene.rotation.shape[1]:
        for _ in range(steps):
            twist, depth = problem.system(scene).damped(factor)
            good = torch.isfinite(twist).all(dim=(1, 2)) & torch.isfinite(depth).all(dim=1)
            finite &= good
            twist = torch.where(good[:, None, None], twist, 0.0)
            scene = scene.moved(twist, torch.where(good[:, None], depth, 0.0))
    with torch.no_grad():
        held = scene.detach()
        return Adjusted(scene, _status(problem, held, finite), problem.cost(held))


def minimise(
    scene: Scene, pixels: Tensor, target: Tensor, weight: Tensor, edges: Edges, camera: Camera,
    *, max_steps: int = 100, tolerance: float = 1e-14, fixed: int = 1,
) -> Adjusted:  # fmt: skip
    """Return the minimum near `scene`, with the implicit gradient where an input asks for one.

    As `adjust`; `fixed` frames must hold the gauge (two, or one and a known depth) for the
    gradient to exist: a singular Hessian raises torch.linalg.LinAlgError.
    """
    rays = unit_rays(camera, pixels)
    problem = BundleProblem(rays, target, weight, edges, camera, fixed)
    with torch.no_grad():
        held = BundleProblem(rays.detach(), target.detach(), weight.detach(), edges, camera, fixed)
        start, found = scene.detach(), None
        finite = torch.isfinite(held.cost(start))
        if fixed < scene.rotation.shape[1]:
            found = least_squares(held, start, max_steps=max_steps, tolerance=tolerance)
            start = found.value
        status = _status(held, start, finite)
        if found is not None:
            ran_out = (status == BundleStatus.OK) & (found.status == Status.NOT_CONVERGED)
            status[ran_out] = BundleStatus.NOT_CONVERGED
        cost = held.cost(start)
    wanted = any(x.requires_grad for x in (rays, target, weight))
    if not wanted or found is None or bool((status != BundleStatus.OK).any()):
        return Adjusted(start, status, cost)
    for _ in range(POLISH):
        # Gauss-Newton's end is where the cost no longer falls in floating point, its slope
        # being the root of that; Newton's own steps bring the slope to rounding.
        start = _attached(held, start, fixed).detach()
    return Adjusted(_attached(problem, start, fixed), status, held.cost(start))


def _attached(problem: BundleProblem, at: Scene, fixed: int) -> Scene:
    """Return the scene after one Newton step with the full Hessian: at the minimum, the
    minimum with its gradient.
    """
    batch, frames = at.translation.shape[:2]
    free = 6 * (frames - fixed)

    def spread(z: Tensor) -> Scene:
        twist = torch.cat([z.new_zeros(batch, 6 * fixed), z[:, :free]], dim=1)
        return at.moved(twist.reshape(batch, frames, 6), z[:, free:])

    zero = at.inverse_depth.new_zeros(batch, free + at.inverse_depth.shape[1])

    def slope(z: Tensor) -> Tensor:
        z = z if z.requires_grad else z.detach().requires_grad_()
        with torch.enable_grad():
            return torch.autograd.grad(problem.cost(spread(z)).sum(), z, create_graph=True)[0]

    g, hessian = slope(zero), batch_jacobian(slope, zero)
    return spread(zero - torch.linalg.solve(hessian, g))


def _status(problem: BundleProblem, scene: Scene, finite: Tensor) -> Tensor:
    """Return why a scene is not determined, (B,), the first reason that holds."""
    status = torch.where(finite, int(BundleStatus.OK), int(BundleStatus.NOT_FINITE)).to(torch.int8)
    if problem.fixed >= scene.rotation.shape[1]:
        return torch.full_like(status, BundleStatus.ONE_FRAME)
    seen = project(scene, problem.rays, problem.edges, problem.camera)
    used = torch.where(seen.in_front[..., None], problem.weight, 0.0)
    by_depth = (seen.by_point @ seen.translation[..., None])[..., 0]
    information = scene.inverse_depth.new_zeros(scene.inverse_depth.shape).index_add(
        1, problem.edges.point, (used * by_depth.square()).sum(-1)
    )
    looked_at = torch.zeros_like(information).index_add(1, problem.edges.point, used.sum(-1)) > 0.0
    flat = looked_at & ((scene.inverse_depth.square() * information).sqrt() < LEAST_SHIFT_PX)
    status[2 * flat.sum(dim=1) > looked_at.sum(dim=1)] = BundleStatus.NO_PARALLAX
    status[~looked_at.any(dim=1)] = BundleStatus.NO_WEIGHT
    status[~finite] = BundleStatus.NOT_FINITE
    status[~looked_at.any(dim=1)] = BundleStatus.NO_WEIGHT
    return status
