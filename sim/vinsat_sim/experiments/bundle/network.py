"""Networks that look at correlations and say where points are and what they are worth.

`PatchNetwork` is DPVO's update operator made small: every edge has a hidden state, hears
the mean of its point's and of its target frame's edges, and gives a revision of the flow
and a weight in (0, 1). `DenseNetwork` is DROID's: points lie on a grid and neighbours on
the grid are heard by a convolution. `roll_out` alternates with bundle adjustment.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from groundtools.layers.bundle import Edges, Scene, adjust, clipped_gradient, project, unit_rays
from vinsat_sim.experiments.bundle.scenes import CAMERA, RADIUS, SCALES, Sample

HIDDEN = 32
CLIP = 0.01  # of the gradient through a weight, as in the authors' programs
DAMPING = 1e-3
FIXED = 2  # frames: the gauge, scale included


def mean_over(values: Tensor, index: Tensor, count: int) -> Tensor:
    """Return each row's group mean (B, N, H) of values (B, N, H), groups index (N,)."""
    total = values.new_zeros(len(values), count, values.shape[2]).index_add(1, index, values)
    size = torch.bincount(index, minlength=count).clamp_min(1)[None, :, None]
    return (total / size)[:, index]


class PatchNetwork(nn.Module):
    """Hidden states of edges, messages by point and by frame."""

    def __init__(self) -> None:
        super().__init__()
        self.read = nn.Linear(len(SCALES) * (2 * RADIUS + 1) ** 2, HIDDEN)
        self.hear = nn.Linear(2 * HIDDEN, HIDDEN)
        self.memory = nn.GRUCell(HIDDEN, HIDDEN)
        self.flow, self.worth = nn.Linear(HIDDEN, 2), nn.Linear(HIDDEN, 2)

    def messages(self, h: Tensor, edges: Edges) -> Tensor:
        """Return what every edge hears, (B, N, 2H)."""
        by_point = mean_over(h, edges.point, len(edges.source))
        return torch.cat([by_point, mean_over(h, edges.frame, int(edges.frame.max()) + 1)], -1)

    def forward(self, h: Tensor, correlation: Tensor, edges: Edges) -> tuple[Tensor, Tensor, Tensor]:
        """Return the state, the flow's revision (B, N, 2) in px and the weights (B, N, 2)."""
        x = torch.relu(self.read(correlation) + self.hear(self.messages(h, edges)))
        h = self.memory(x.flatten(0, 1), h.flatten(0, 1)).reshape(h.shape)
        return h, 4.0 * self.flow(h), torch.sigmoid(self.worth(h))


class DenseNetwork(PatchNetwork):
    """Points on a square grid a frame; an edge hears its grid neighbours."""

    def __init__(self) -> None:
        super().__init__()
        self.near = nn.Conv2d(HIDDEN, HIDDEN, 3, padding=1)

    def messages(self, h: Tensor, edges: Edges) -> Tensor:
        """Return the grid neighbours' message and the frame's mean."""
        batch, frames = len(h), int(edges.frame.max()) + 1
        side = round((len(edges.source) / frames) ** 0.5)
        # Edges run point by point, targets within: (frame, row, column, target)
        grid = h.reshape(batch, frames, side, side, frames - 1, HIDDEN)
        grid = grid.permute(0, 1, 4, 5, 2, 3).reshape(-1, HIDDEN, side, side)
        near = self.near(grid).reshape(batch, frames, frames - 1, HIDDEN, side, side)
        near = near.permute(0, 1, 4, 5, 2, 3).reshape(h.shape)
        return torch.cat([near, mean_over(h, edges.frame, frames)], -1)


@dataclass(frozen=True, slots=True)
class Iterate:
    """One iteration's outcome: the scene, where its points are (B, N, 2), the weights, and which
    observations (N,) took part.
    """

    scene: Scene
    uv_px: Tensor
    weight: Tensor
    active: Tensor


def schedule(frames: int, *, streaming: bool) -> list[int]:
    """Return the number of frames known in each iteration: five times all, or four frames for
    three iterations and one more an iteration.
    """
    return [frames] * 5 if not streaming else [4, 4, 4, *range(5, frames + 1), frames]


def roll_out(
    network: PatchNetwork, sample: Sample, *, streaming: bool = False, clip: float | None = CLIP,
    towards_truth: float = 0.0, correct: bool = False,
) -> list[Iterate]:  # fmt: skip
    """Return the iterates of one episode.

    towards_truth : how far the flow is moved to the truth before the adjustment (variance
    reduction b of sect. 4.6.5); correct : drop gradients on the flow that point away from it (c).
    """
    edges, scene = sample.edges, sample.start()
    rays = unit_rays(CAMERA, sample.pixels)
    h = sample.target.new_zeros(*sample.valid.shape, HIDDEN)
    out: list[Iterate] = []
    known = 0
    for frames in schedule(scene.rotation.shape[1], streaming=streaming):
        scene = _entered(scene.detach(), known, frames)
        known = frames
        active = (edges.origin < frames) & (edges.frame < frames)
        at = project(scene, rays, edges, CAMERA).uv_px.detach()
        h, revision, weight = network(h, sample.correlation(at), edges)
        target = at + revision
        if correct and target.requires_grad:
            aim = (target - sample.target).detach()
            target.register_hook(lambda g, aim=aim: torch.where(g * aim > 0.0, g, 0.0))
        target = target + towards_truth * (sample.target - target).detach()
        used = weight if clip is None else clipped_gradient(weight, clip)
        used = used * active[:, None]
        found = adjust(scene, sample.pixels, target, used, edges, CAMERA, damping=DAMPING, fixed=FIXED)
        scene = _within(found.scene)
        out.append(Iterate(scene, project(scene, rays, edges, CAMERA).uv_px, weight, active))
    return out


def _entered(scene: Scene, known: int, frames: int) -> Scene:
    """Return the scene where new frames stand at the last known one's pose."""
    if known in (0, frames):
        return scene
    rotation, translation = scene.rotation.clone(), scene.translation.clone()
    rotation[:, known:], translation[:, known:] = (
        rotation[:, known - 1 : known],
        translation[:, known - 1 : known],
    )
    return Scene(rotation, translation, scene.inverse_depth)


def _within(scene: Scene) -> Scene:
    """Return the scene with depths that no wild step has carried away."""
    return Scene(scene.rotation, scene.translation, scene.inverse_depth.clamp(0.1, 5.0))
