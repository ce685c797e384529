"""ba-cost and the bench: what a step of bundle adjustment costs.

Processor time throughout, since machines are shared. Memory is the growth of the process's
peak over the data, in a process of its own.
"""

import resource
import subprocess
import sys
import time
from dataclasses import dataclass

import torch

from groundtools.layers.bundle import Edges, Scene, adjust, flow_loss, project, unit_rays
from groundtools.layers.core.lie import se3_exp
from groundtools.registry import Bench, Check, Reproduction, Scale, at_most, noted
from groundtools.timing import least_cpu_s
from vinsat_sim.experiments.bundle.network import PatchNetwork, roll_out
from vinsat_sim.experiments.bundle.scenes import CAMERA, World, draw
from vinsat_sim.experiments.bundle.training import Run, losses

FRAMES, A_POINT = 30, 8
SIZES = (20_000, 80_000, 300_000)  # observations
REPEATS = 5


@dataclass(frozen=True, slots=True)
class Large:
    """A long flight: scene, pixels, target, weight, edges."""

    scene: Scene
    pixels: torch.Tensor
    target: torch.Tensor
    weight: torch.Tensor
    edges: Edges


def large(observations: int) -> Large:
    """Return a scene of 30 poses, 8 observations a point."""
    points = observations // A_POINT
    g = torch.Generator().manual_seed(0)
    twist = torch.zeros(1, FRAMES, 6, dtype=torch.float64)
    twist[0, :, 0] = -0.05 * torch.arange(FRAMES)
    depth = 0.5 + 0.5 * torch.rand(1, points, generator=g, dtype=torch.float64)
    scene = Scene(*se3_exp(twist), depth)
    pixels = 20.0 + 100.0 * torch.rand(1, points, 2, generator=g, dtype=torch.float64)
    source = torch.arange(points) % FRAMES
    frame = (source[:, None] + torch.arange(1, A_POINT + 1)).reshape(-1) % FRAMES
    edges = Edges(source, torch.arange(points).repeat_interleave(A_POINT), frame)
    target = project(scene, unit_rays(CAMERA, pixels), edges, CAMERA).uv_px
    target = target + 0.5 * torch.randn(target.shape, generator=g, dtype=torch.float64)
    return Large(scene, pixels, target, torch.ones_like(target), edges)


def step_ms(problem: Large) -> float:
    """Return the processor time of one step, ms: with it less without it."""
    least = {0: float("inf"), 1: float("inf")}
    with torch.no_grad():
        for _ in range(REPEATS):
            for steps in (0, 1):
                start = time.process_time()
                p = problem
                adjust(p.scene, p.pixels, p.target, p.weight, p.edges, CAMERA, steps=steps)
                least[steps] = min(least[steps], 1e3 * (time.process_time() - start))
    return least[1] - least[0]


def peak_growth_mb(observations: int = SIZES[1]) -> float:
    """Return by how much a step raises this process's peak memory over the data's, MB."""
    problem = large(observations)
    small = large(800)
    with torch.no_grad():
        p = small  # the first call loads kernels
        adjust(p.scene, p.pixels, p.target, p.weight, p.edges, CAMERA, steps=1)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        p = problem
        adjust(p.scene, p.pixels, p.target, p.weight, p.edges, CAMERA, steps=1)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024.0


def bench() -> tuple[Check, ...]:
    """Time a step at three sizes, on one core, and weigh it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = {size: step_ms(large(size)) for size in SIZES}
    finally:
        torch.set_num_threads(threads)
    code = f"import {__name__} as c; print(c.peak_growth_mb())"
    told = subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True)
    per = {size: times[size] / size for size in SIZES}
    return (
        *(
            noted(f"a step of {size} observations, 30 poses: ms of processor time", times[size])
            for size in SIZES
        ),
        at_most("a step of 80000 observations", times[SIZES[1]], 100.0, unit="ms"),
        at_most("memory of it above the data", float(told.stdout), 100.0, unit="MB"),
        at_most("time an observation, 300000 over 80000", per[SIZES[2]] / per[SIZES[1]], 1.25),
    )


def training_cost(loss: str, *, streaming: bool = True) -> float:
    """Return the processor time of one training step's forward and backward pass, s."""
    torch.manual_seed(0)
    network, run = PatchNetwork(), Run(loss=loss, seed=0, streaming=streaming)
    sample = draw(World(), run.batch, 0)

    def both_ways() -> None:
        iterates = roll_out(network, sample, streaming=streaming)
        pose, flow = losses(run, iterates, sample, loss)
        (pose + flow).sum().backward()

    return least_cpu_s(both_ways, repeats=REPEATS)


def graph_mb(loss: str) -> float:
    """Return what the flow loss's graph keeps beyond the episode's, MB (saved tensors)."""
    torch.manual_seed(0)
    sample = draw(World(), 4, 0)
    it = roll_out(PatchNetwork(), sample)[-1]
    kept = 0

    def pack(x: torch.Tensor) -> torch.Tensor:
        nonlocal kept
        kept += x.nbytes
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        weight = it.weight if loss == "w" else None
        flow_loss(it.uv_px, sample.target, weight=weight, valid=sample.valid)
    return kept / 1e6


def ba_cost(scale: Scale) -> tuple[Check, ...]:
    """Weighted against plain, and batch against streaming: time and memory a training step."""
    plain, weighted = (training_cost(loss) for loss in ("plain", "w"))
    whole = training_cost("w", streaming=False)
    return (
        at_most("time of a step, weighted over plain", weighted / plain, 1.05),
        noted("time of a step, plain: ms", 1e3 * plain),
        noted("memory of the loss's graph, weighted less plain: MB", graph_mb("w") - graph_mb("plain")),
        noted("time of a step, streaming over batch", weighted / whole, thesis="1.6 s / 0.6 s = 2.7"),
    )


COST = Reproduction(
    id="ba-cost", title="R: what the weighted loss costs beside the plain one", run=ba_cost,
    seeds=lambda scale: (0,),
)  # fmt: skip
BENCH = Bench(id="bundle", title="a step of bundle adjustment: time, memory, growth", run=bench)
