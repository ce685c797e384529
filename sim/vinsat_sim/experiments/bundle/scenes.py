"""Scenes to train on: a pinhole camera over rough ground, or inside a room.

A scene has F frames and K points a frame, each looked for in every other frame. What the
network is shown of a point is a correlation volume around where it is now thought to be: a
peak at the true pixel, or, for outliers, a weaker one anywhere around, both under noise that
stays the same from look to look.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from flightsw.camera.model import Camera
from groundtools.layers.bundle import Edges, Scene, project, unit_rays
from groundtools.layers.core.lie import se3_compose, se3_exp, se3_inverse

CAMERA = Camera(width_px=160, height_px=120, fx_px=120.0, fy_px=120.0, cx_px=80.0, cy_px=60.0)
STEP = 0.1  # of the scene's depth: how far the camera moves between frames
WILD_PX = 16.0  # how far an outlier's peak may lie
NOISE = 0.12  # of a correlation's peak
SCALES = (1.0, 4.0)  # px between the cells of the two windows
RADIUS = 2  # cells on each side


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What is drawn: `kind` ground or room; outliers : least and largest share in a scene;
    dense : points on a grid in place of random ones; textured : of each point's share of
    being picked where the picture has contrast, 0 none.
    """

    kind: str = "ground"
    frames: int = 5
    points: int = 4  # a square number where dense
    outliers: tuple[float, float] = (0.15, 0.3)
    dense: bool = False
    textured: float = 0.0


@dataclass(frozen=True, slots=True)
class Sample:
    """B scenes: truth; pixels (B, P, 2); target (B, N, 2) the true pixels; peak (B, N, 2) where
    the correlation has its peak, height (B, N); noise (B, N, C); valid, wild (B, N).
    """

    truth: Scene
    pixels: Tensor
    target: Tensor
    peak: Tensor
    height: Tensor
    noise: Tensor
    valid: Tensor
    wild: Tensor
    edges: Edges

    def correlation(self, at: Tensor) -> Tensor:
        """Return the volume (B, N, C) around pixels (B, N, 2)."""
        reach = torch.arange(-RADIUS, RADIUS + 1, dtype=at.dtype)
        cells = torch.cartesian_prod(reach, reach)
        parts = []
        for scale in SCALES:
            square = (at[..., None, :] + scale * cells - self.peak[..., None, :]).square().sum(-1)
            parts.append(self.height[..., None] * torch.exp(-square / (2.0 * (1.2 * scale) ** 2)))
        return torch.cat(parts, dim=-1) + self.noise

    def start(self) -> Scene:
        """Return what is known at the beginning: two poses (the gauge), no depth."""
        rotation, translation = self.truth.rotation.clone(), self.truth.translation.clone()
        rotation[:, 2:], translation[:, 2:] = rotation[:, 1:2], translation[:, 1:2]
        return Scene(rotation, translation, torch.ones_like(self.truth.inverse_depth))


def edges_of(world: World) -> Edges:
    """Return every point in every other frame."""
    source = torch.arange(world.frames).repeat_interleave(world.points)
    point, frame = torch.meshgrid(torch.arange(len(source)), torch.arange(world.frames), indexing="ij")
    apart = (source[:, None] != frame).reshape(-1)
    return Edges(source, point.reshape(-1)[apart], frame.reshape(-1)[apart])


def draw(world: World, batch: int, seed: int) -> Sample:
    """Return `batch` scenes of a seed, float32."""
    g = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=g)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g)

    poses = _poses(batch, world.frames, uniform, normal)
    pixels, contrast = _pixels(world, batch, uniform)
    depth = _inverse_depth(world, poses, pixels, uniform)
    truth, edges = Scene(*poses, depth), edges_of(world)
    seen = project(truth, unit_rays(CAMERA, pixels), edges, CAMERA)
    size = pixels.new_tensor([CAMERA.width_px, CAMERA.height_px])
    valid = seen.in_front & ((seen.uv_px > 0.0) & (seen.uv_px < size)).all(-1)
    low, high = world.outliers
    share = low + (high - low) * uniform(batch, 1)
    # Where the picture has little contrast, the wrong peak wins more often.
    wild = uniform(*valid.shape) < 2.0 * share * (1.0 - contrast[:, edges.point])
    wild = wild | ~valid
    astray = WILD_PX * (2.0 * uniform(*valid.shape, 2) - 1.0)
    peak = seen.uv_px + torch.where(wild[..., None], astray, 0.3 * normal(*valid.shape, 2))
    height = torch.where(wild, 0.3 + 0.6 * uniform(*valid.shape), 0.6 + 0.4 * uniform(*valid.shape))
    cells = len(SCALES) * (2 * RADIUS + 1) ** 2
    noise = NOISE * normal(*valid.shape, cells)
    return Sample(truth, pixels, seen.uv_px, peak, height, noise, valid, wild, edges)


def _poses(batch, frames, uniform, normal) -> tuple[Tensor, Tensor]:
    """Return cam_from_world of a camera that drifts sideways and turns a little."""
    heading = 2.0 * torch.pi * uniform(batch, 1)
    along = torch.stack([heading.cos(), heading.sin(), 0.3 * normal(batch, 1)], -1)
    steps = STEP * along + 0.2 * STEP * normal(batch, frames, 3)
    twist = torch.cat([steps, 0.02 * normal(batch, frames, 3)], -1)
    twist[:, 0] = 0.0
    pose = se3_exp(twist[:, :1])
    rotations, translations = [pose[0]], [pose[1]]
    for f in range(1, frames):
        pose = se3_compose(se3_exp(twist[:, f : f + 1]), pose)
        rotations.append(pose[0])
        translations.append(pose[1])
    return torch.cat(rotations, 1), torch.cat(translations, 1)


def _pixels(world: World, batch: int, uniform) -> tuple[Tensor, Tensor]:
    """Return the points (B, P, 2) and the picture's contrast there (B, P), 0 .. 1."""
    count = world.frames * world.points
    size = torch.tensor([CAMERA.width_px, CAMERA.height_px]) - 40.0
    if world.dense:
        side = round(world.points**0.5)
        axis = (torch.arange(side) + 0.5) / side
        grid = torch.cartesian_prod(axis, axis).repeat(world.frames, 1)
        return (20.0 + size * grid).expand(batch, -1, -1).clone(), uniform(batch, count)
    places, contrast = 20.0 + size * uniform(batch, count, 4, 2), uniform(batch, count, 4)
    best = contrast.argmax(-1)
    any_one = torch.zeros_like(best)
    pick = torch.where(uniform(batch, count) < world.textured, best, any_one)[..., None]
    pixels = places.gather(2, pick[..., None].expand(-1, -1, -1, 2))[:, :, 0]
    return pixels, contrast.gather(2, pick)[..., 0]


def _inverse_depth(world: World, poses, pixels: Tensor, uniform) -> Tensor:
    """Return the inverse depth (B, P) of rough ground at 1, or of a room's walls."""
    rays = unit_rays(CAMERA, pixels)
    rough = 0.15 * (uniform(*pixels.shape[:2]) - 0.5)
    if world.kind == "ground":
        return 1.0 / (1.0 + 2.0 * rough)
    source = edges_of(world).source
    centre = se3_inverse(poses)[1][:, source]
    looks = (poses[0].mT[:, source] @ rays[..., None])[..., 0]
    far = torch.tensor([0.8, 0.6, 1.6])  # half width, half height, depth
    ways = (far * torch.sign(looks) - centre) / torch.where(looks.abs() < 1e-3, 1e-3, looks)
    return 1.0 / (torch.where(ways > 0.2, ways, 10.0).min(-1).values * (1.0 + rough)).clamp(0.3, 4.0)
