"""f4.3: what noise in the linearisation, and in others' estimates, does to gradients.

(a) the gradient of a loss by the targets, through the adjustment linearised at depths that
are off (eq. 4.6 with the coupling of poses and depths, the rest of the pass unaltered),
against the one linearised at the right depths: signal to noise.
(b) noise on the depths of the first frame's points right before the flow loss: the change of
the gradients on all poses. (c) the same with noise on one frame's pose, for poses and depths.
"""

import torch
from torch import Tensor

from groundtools.layers.bundle import Scene, flow_loss, pose_loss, project, unit_rays
from groundtools.layers.core.statistics import signal_to_noise
from vinsat_sim.experiments.bundle.scenes import CAMERA, Sample, World, draw

LEVELS = (0.01, 0.03, 0.1, 0.3)  # relative, of the inverse depth; or of the step between frames
DRAWS, SCENES = 12, 4
FIXED = 2


def doubled(sample: Sample) -> Sample:
    """Return the sample in float64."""

    def d(x: Tensor) -> Tensor:
        return x.double() if x.is_floating_point() else x

    truth = Scene(*(d(x) for x in (*sample.truth.pose, sample.truth.inverse_depth)))
    parts = [sample.pixels, sample.target, sample.peak, sample.height, sample.noise]
    return Sample(truth, *(d(x) for x in parts), sample.valid, sample.wild, sample.edges)


def around(scene: Scene, z: Tensor) -> Scene:
    """Return one scene moved by z: the free frames' twists, then the inverse depths."""
    frames = scene.rotation.shape[1]
    free = 6 * (frames - FIXED)
    twist = torch.cat([z.new_zeros(6 * FIXED), z[:free]]).reshape(1, frames, 6)
    return scene.moved(twist, z[None, free:])


def loss_slopes(scene: Scene, sample: Sample) -> dict[str, Tensor]:
    """Return the gradients of flow and pose loss by z at a scene."""
    free = 6 * (scene.rotation.shape[1] - FIXED)
    zero = torch.zeros(free + scene.inverse_depth.shape[1], dtype=torch.float64, requires_grad=True)
    moved = around(scene, zero)
    uv = project(moved, unit_rays(CAMERA, sample.pixels), sample.edges, CAMERA).uv_px
    flow = flow_loss(uv, sample.target, valid=sample.valid).sum()
    pose = pose_loss(moved, sample.truth).sum()
    return {
        "flow": torch.autograd.grad(flow, zero, retain_graph=True)[0],
        "pose": torch.autograd.grad(pose, zero)[0],
    }


def pulled_back(slope: Tensor, scene: Scene, sample: Sample) -> Tensor:
    """Return the gradient by the targets, by the adjustment's Jacobian at `scene`."""
    rays = unit_rays(CAMERA, sample.pixels)
    root = (0.1 + 0.9 * (sample.valid & ~sample.wild).double())[..., None].sqrt()

    def residual(z: Tensor) -> Tensor:
        return (root * project(around(scene, z), rays, sample.edges, CAMERA).uv_px).reshape(-1)

    jacobian = torch.func.jacfwd(residual)(torch.zeros_like(slope))
    system = jacobian.T @ jacobian
    system = system + 1e-3 * torch.diag(system.diagonal() + 1.0)
    return (root.expand_as(sample.target).reshape(-1)) * (jacobian @ torch.linalg.solve(system, slope))


def start(sample: Sample, generator: torch.Generator) -> Scene:
    """Return an estimate during training: near the truth, with outliers' depths far off."""
    off = 0.02 * torch.randn(1, sample.truth.rotation.shape[1], 6, generator=generator, dtype=torch.float64)
    off[:, :FIXED] = 0.0
    count = sample.truth.inverse_depth.shape[1]
    depth = 0.05 * torch.randn(1, count, generator=generator, dtype=torch.float64)
    return sample.truth.moved(off, sample.truth.inverse_depth * depth)


def linearisation(seed: int) -> dict[str, list[float]]:
    """Return (a): the ratio of flow and pose loss for every level."""
    out: dict[str, list[list[float]]] = {"flow": [], "pose": []}
    for k in range(SCENES):
        sample = doubled(draw(World(), 1, 100 * seed + k))
        g = torch.Generator().manual_seed(100 * seed + k)
        scene = start(sample, g)
        slopes = loss_slopes(scene, sample)
        true = {name: pulled_back(slope, scene, sample) for name, slope in slopes.items()}
        shocks = torch.randn(DRAWS, scene.inverse_depth.shape[1], generator=g, dtype=torch.float64)
        for name in out:
            out[name].append([])
        for level in LEVELS:
            moved = [
                Scene(*scene.pose, (scene.inverse_depth * (1.0 + level * shock)).clamp_min(0.05))
                for shock in shocks
            ]
            for name, slope in slopes.items():
                rows = torch.stack([pulled_back(slope, at, sample) for at in moved])
                out[name][-1].append(signal_to_noise(rows, reference=true[name]))
    return {name: torch.tensor(rows).log().mean(0).exp().tolist() for name, rows in out.items()}


def interference(seed: int) -> dict[str, list[float]]:
    """Return (b) and (c): mean change of the clean variables' gradients for every level."""
    out: dict[str, list[list[float]]] = {"poses by depths": [], "poses by a pose": [], "depths by a pose": []}
    for k in range(SCENES):
        sample = doubled(draw(World(), 1, 100 * seed + 50 + k))
        g = torch.Generator().manual_seed(100 * seed + k)
        scene = start(sample, g)
        free = 6 * (scene.rotation.shape[1] - FIXED)
        clean = loss_slopes(scene, sample)["flow"]
        first = sample.edges.source == 0
        rows: dict[str, list[float]] = {name: [] for name in out}
        for level in LEVELS:
            changes: dict[str, list[float]] = {name: [] for name in out}
            for _ in range(DRAWS):
                count = scene.inverse_depth.shape[1]
                shock = torch.randn(1, count, generator=g, dtype=torch.float64) * first
                off = torch.zeros(1, scene.rotation.shape[1], 6, dtype=torch.float64)
                off[0, 0, :3] = 0.3 * level * torch.randn(3, generator=g, dtype=torch.float64)
                by_depth = Scene(*scene.pose, (scene.inverse_depth * (1.0 + level * shock)).clamp_min(0.05))
                by_pose = scene.moved(off, torch.zeros_like(scene.inverse_depth))
                one, two = (loss_slopes(at, sample)["flow"] - clean for at in (by_depth, by_pose))
                changes["poses by depths"].append(float(one[:free].norm()))
                changes["poses by a pose"].append(float(two[:free].norm()))
                changes["depths by a pose"].append(float(two[free:].norm()))
            for name, values in changes.items():
                rows[name].append(sum(values) / len(values))
        for name in out:
            out[name].append(rows[name])
    return {name: torch.tensor(rows).mean(0).tolist() for name, rows in out.items()}
