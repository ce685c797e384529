"""A small scene for the bundle tests: a camera that flies along textured ground."""

import torch

from flightsw.camera.model import Camera
from groundtools.layers.bundle import Edges, Scene, project, unit_rays
from groundtools.layers.core.lie import se3_exp

CAMERA = Camera(width_px=160, height_px=120, fx_px=120.0, fy_px=125.0, cx_px=80.0, cy_px=60.0)


def made(*, batch=1, frames=4, points=20, seed=0, step=0.15, noise=0.0):
    """Return truth, a start off it, pixels, targets, weights and edges."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    twist = 0.02 * normal(batch, frames, 6)
    twist[..., 0] += -step * torch.arange(frames)
    twist[:, 0] = 0.0
    depth = 0.5 + 0.5 * torch.rand(batch, points, generator=g, dtype=torch.float64)
    truth = Scene(*se3_exp(twist), depth)
    pixels = torch.tensor([30.0, 20.0]) + torch.rand(
        batch, points, 2, generator=g, dtype=torch.float64
    ) * torch.tensor([100.0, 80.0])
    source = torch.arange(points) % frames
    pairs = [(k, j) for k in range(points) for j in range(frames) if j != int(source[k])]
    edges = Edges(source, *(torch.tensor(column) for column in zip(*pairs)))
    target = project(truth, unit_rays(CAMERA, pixels), edges, CAMERA).uv_px
    target = target + noise * normal(*target.shape)
    weight = 0.2 + 0.8 * torch.rand(target.shape, generator=g, dtype=torch.float64)
    off = 0.01 * normal(batch, frames, 6)
    off[:, :2] = 0.0
    return truth, truth.moved(off, 0.02 * normal(batch, points)), pixels, target, weight, edges
