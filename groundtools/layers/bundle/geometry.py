"""Points of one frame seen in others: projection, its Jacobians, the normal equations.

A point k lies on the ray y_k = [x, y, 1] of its source frame i at inverse depth d_k.
In frame j, scaled by d,
    X = R_ij y_k + d_k t_ij,      T_ij = T_j T_i^-1,  T_f cam_from_world
    uv = f X[:2] / X[2] + c.
Poses move by exp(xi) on the left, xi = [rho, phi], so that
    d(uv)/d(xi_j) = A = P [d I, -[X x]],  d(uv)/d(xi_i) = -A Ad(T_ij),  d(uv)/d(d) = P t_ij
with P = d(uv)/dX. The adjoint belongs to the pair (i, j) alone: A'WA is summed over a
pair's observations first and spread over both frames after, 36 numbers a pair in place
of 144 an observation. Depths are eliminated: S = U - W V^-1 W', V diagonal.
Batches lead: B scenes that share their edges. Source: Teed, Lipson & Deng, Deep Patch
Visual Odometry (2023); Triggs et al., Bundle Adjustment (2000), sect. 6.1.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from flightsw.camera.model import Camera
from groundtools.layers.core.lie import se3_adjoint, se3_compose, se3_exp, se3_inverse
from groundtools.layers.twins.rotations import skew

NEAR = 0.05  # of the source depth: nearer, or behind the camera, an observation has no weight


@dataclass(frozen=True, slots=True)
class Edges:
    """Which point is looked for where. source (P,) : the frame of each point; point (N,),
    frame (N,) : the point and the target frame of each observation.

    Worked out once: origin (N,) the source frame of each observation; of_pair (N,) which of
    M pairs (pair_from, pair_to) of frames it belongs to.
    """

    source: Tensor
    point: Tensor
    frame: Tensor
    origin: Tensor = field(init=False)
    of_pair: Tensor = field(init=False)
    pair_from: Tensor = field(init=False)
    pair_to: Tensor = field(init=False)

    def __post_init__(self) -> None:
        origin = self.source[self.point]
        count = int(torch.cat([self.source, self.frame]).max()) + 1
        pairs, of_pair = torch.unique(origin * count + self.frame, return_inverse=True)
        worked_out = (("origin", origin), ("of_pair", of_pair), ("pair_from", pairs // count))
        for name, value in (*worked_out, ("pair_to", pairs % count)):
            object.__setattr__(self, name, value)


@dataclass(frozen=True, slots=True)
class Scene:
    """What is estimated: cam_from_world rotation (B, F, 3, 3), translation (B, F, 3),
    inverse_depth (B, P), 1 / the unit of translation.
    """

    rotation: Tensor
    translation: Tensor
    inverse_depth: Tensor

    @property
    def pose(self) -> tuple[Tensor, Tensor]:
        """Rotation and translation."""
        return self.rotation, self.translation

    def moved(self, twist: Tensor, depth: Tensor) -> "Scene":
        """Return the scene after exp(twist (B, F, 6)) on the poses and + depth (B, P)."""
        rotation, translation = se3_compose(se3_exp(twist), self.pose)
        return Scene(rotation, translation, self.inverse_depth + depth)

    def detach(self) -> "Scene":
        """Return the scene without its graph."""
        return Scene(self.rotation.detach(), self.translation.detach(), self.inverse_depth.detach())


@dataclass(frozen=True, slots=True)
class Seen:
    """Projections: uv_px (B, N, 2); in_front (B, N); what the Jacobians are made of."""

    uv_px: Tensor
    in_front: Tensor
    by_point: Tensor  # P (B, N, 2, 3)
    ahead: Tensor  # X (B, N, 3)
    translation: Tensor  # t_ij (B, N, 3)


def unit_rays(camera: Camera, uv_px: Tensor) -> Tensor:
    """Return [x, y, 1] (..., 3) of pixels (..., 2). Raises ValueError for a distorting camera."""
    if any(camera.distortion):
        raise ValueError("bundle adjustment takes undistorted pixels: undistort them first")
    x = (uv_px[..., 0] - camera.cx_px) / camera.fx_px
    y = (uv_px[..., 1] - camera.cy_px) / camera.fy_px
    return torch.stack([x, y, torch.ones_like(x)], -1)


def relative_poses(scene: Scene, edges: Edges) -> tuple[Tensor, Tensor]:
    """Return T_ij of every pair of frames: (B, M, 3, 3), (B, M, 3)."""
    i, j = edges.pair_from, edges.pair_to
    back = se3_inverse((scene.rotation[:, i], scene.translation[:, i]))
    return se3_compose((scene.rotation[:, j], scene.translation[:, j]), back)


def project(scene: Scene, rays: Tensor, edges: Edges, camera: Camera) -> Seen:
    """Return where every observation should be; rays (B, P, 3) in the source frames."""
    rotation, translation = relative_poses(scene, edges)
    t_ij = translation[:, edges.of_pair]
    depth = scene.inverse_depth[:, edges.point, None]
    ahead = (rotation[:, edges.of_pair] @ rays[:, edges.point, :, None])[..., 0] + depth * t_ij
    in_front = ahead[..., 2] > NEAR
    z = torch.where(in_front, ahead[..., 2], 1.0)
    focal = ahead.new_tensor([camera.fx_px, camera.fy_px])
    centre = ahead.new_tensor([camera.cx_px, camera.cy_px])
    slope = ahead[..., :2] / z[..., None]
    by_point = torch.zeros(*ahead.shape[:-1], 2, 3, dtype=ahead.dtype, device=ahead.device)
    by_point[..., 0, 0], by_point[..., 1, 1] = focal[0] / z, focal[1] / z
    by_point[..., 2] = -focal * slope / z[..., None]
    return Seen(focal * slope + centre, in_front, by_point, ahead, t_ij)


@dataclass(frozen=True, slots=True)
class PoseDepthSystem:
    """Normal equations of B scenes: u (B, 6F, 6F), v (B, P), w (B, 6F, P); gradients of the
    cost; cost (B,). The first `fixed` frames do not move.
    """

    cost: Tensor
    u: Tensor
    v: Tensor
    w: Tensor
    gradient_pose: Tensor
    gradient_depth: Tensor
    fixed: int

    def damped(self, damping: Tensor) -> tuple[Tensor, Tensor]:
        """Return the steps, twists (B, F, 6) and depths (B, P), for H + d (I + diag H).

        NaN in scenes whose matrix is not positive definite.
        """
        skip = 6 * self.fixed
        u, w, g = self.u[:, skip:, skip:], self.w[:, skip:], self.gradient_pose[:, skip:]
        d = damping[:, None]
        v = self.v + d * (1.0 + self.v)
        v = torch.where(v > 0.0, v, 1.0)
        scaled = w / v[:, None]
        extra = torch.diag_embed(d * (1.0 + u.diagonal(dim1=1, dim2=2)))
        schur = u + extra - scaled @ w.mT
        right = -g + (scaled @ self.gradient_depth[..., None])[..., 0]
        factor, info = torch.linalg.cholesky_ex(schur)
        step = torch.cholesky_solve(right[..., None], factor)[..., 0]
        step = torch.where((info > 0)[:, None], torch.nan, step)
        depth = (-self.gradient_depth - (w.mT @ step[..., None])[..., 0]) / v
        twist = torch.cat([step.new_zeros(len(step), skip), step], dim=1)
        return twist.reshape(len(step), -1, 6), depth


def normal_equations(
    scene: Scene, rays: Tensor, target: Tensor, weight: Tensor, edges: Edges, camera: Camera, fixed: int
) -> PoseDepthSystem:
    """Return the system of 1/2 sum w (target - uv)^2; target, weight (B, N, 2)."""
    seen = project(scene, rays, edges, camera)
    used = torch.where(seen.in_front[..., None], weight, 0.0)
    e = target - seen.uv_px
    adjoint = se3_adjoint(relative_poses(scene, edges))
    depth = scene.inverse_depth[:, edges.point, None, None]
    by_pose = torch.cat([depth * seen.by_point, -seen.by_point @ skew(seen.ahead)], dim=-1)
    by_depth = (seen.by_point @ seen.translation[..., None])[..., 0]
    weighted = (used[..., None] * by_pose).mT
    points, frames = len(edges.source), scene.rotation.shape[1]
    own = torch.stack([used * by_depth * by_depth, -used * e * by_depth]).sum(-1)  # v, its gradient
    both = weighted @ torch.stack([-e, by_depth], dim=-1)  # (B, N, 6, 2)
    v, gradient_depth = (_summed(part[..., None], edges.point, points)[..., 0] for part in own)
    return PoseDepthSystem(
        0.5 * (used * e.square()).sum(dim=(1, 2)),
        _pose_blocks(weighted @ by_pose, edges, adjoint, frames),
        v,
        _coupling(both[..., 1], edges, adjoint, frames),
        _pose_gradient(both[..., 0], edges, adjoint, frames),
        gradient_depth,
        fixed,
    )


def _summed(values: Tensor, index: Tensor, count: int) -> Tensor:
    """Return the sums (B, count, n) of values (B, N, n) by index (N,)."""
    return values.new_zeros(len(values), count, values.shape[2]).index_add(1, index, values)


def _pose_blocks(products: Tensor, edges: Edges, adjoint: Tensor, frames: int) -> Tensor:
    """Return U (B, 6F, 6F) from A'WA (B, N, 6, 6): the pair's sum, seen from both frames."""
    batch, (i, j) = len(products), (edges.pair_from, edges.pair_to)
    own = _summed(products.flatten(2), edges.of_pair, len(i)).reshape(batch, -1, 6, 6)
    cross = -own @ adjoint  # rows of j, columns of i
    blocks = torch.cat([own, -adjoint.mT @ cross, cross, cross.mT], dim=1)
    index = torch.cat([j * frames + j, i * frames + i, j * frames + i, i * frames + j])
    u = _summed(blocks.flatten(2), index, frames * frames).reshape(batch, frames, frames, 6, 6)
    return u.transpose(2, 3).reshape(batch, 6 * frames, 6 * frames)


def _pose_gradient(g: Tensor, edges: Edges, adjoint: Tensor, frames: int) -> Tensor:
    own = _summed(g, edges.of_pair, len(edges.pair_from))
    other = -(adjoint.mT @ own[..., None])[..., 0]
    return _summed(
        torch.cat([own, other], dim=1), torch.cat([edges.pair_to, edges.pair_from]), frames
    ).flatten(1)


def _coupling(c: Tensor, edges: Edges, adjoint: Tensor, frames: int) -> Tensor:
    """Return W (B, 6F, P) from A'W d(uv)/dd (B, N, 6)."""
    points = len(edges.source)
    other = -(adjoint.mT[:, edges.of_pair] @ c[..., None])[..., 0]
    w = _summed(c, edges.point * frames + edges.frame, points * frames)
    w = w.index_add(1, edges.point * frames + edges.origin, other)
    return w.reshape(len(c), points, 6 * frames).mT
