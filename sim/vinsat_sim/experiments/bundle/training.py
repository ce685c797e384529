"""One network trained and measured: a run of chapter 4, stored under docs/results/bundle.

Loss over the iterates: pose (from the third on) + beta * flow, beta by the ratio of their
gradients on the flow head, renewed every 20 steps (both losses alike, so that only the
weighting differs). Measured on 16 fixed scenes: the trajectory error (root mean square of
the free frames' centres, in units of the scene's depth; two frames hold the gauge), in the
mode trained in and by streaming; the mean weight; and, at checkpoints, the signal to noise
of the flow head's gradient under both losses over single scenes.
"""

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from groundtools.layers.bundle import Scene, flow_loss, heuristic_weight, total_pose_loss
from groundtools.layers.core.lie import se3_inverse
from groundtools.layers.core.statistics import cosine, flat_gradient, gradient_ratio, signal_to_noise
from vinsat_sim.experiments.bundle.network import (
    CLIP,
    FIXED,
    DenseNetwork,
    Iterate,
    PatchNetwork,
    roll_out,
)
from vinsat_sim.experiments.bundle.scenes import NOISE, STEP, WILD_PX, Sample, World, draw
from vinsat_sim.experiments.stored import Store

STORE = Store.named("bundle")
VALIDATION, VALIDATION_SEED, EVERY = 16, 10_000, 20
BALANCE_EVERY = 20
CHECKPOINTS = (100, 110, 120)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """loss : plain, w, sqrt, square (powers 1, 0.5, 2 of the weights) or heuristic; network :
    patch or dense; scene : ground or room with its shares of outliers; method : none, or
    another way to less variance (interpolate, correct).
    """

    loss: str
    seed: int
    rate: float = 2e-3
    network: str = "patch"
    streaming: bool = True
    kind: str = "ground"
    outliers: tuple[float, float] = (0.15, 0.3)
    textured: float = 0.0
    clip: bool = True
    skip_pose: int = 2
    method: str = "none"
    steps: int = 120
    batch: int = 4

    @property
    def key(self) -> str:
        """A file name that says what differs from the defaults."""
        usual = asdict(Run(loss="", seed=0))
        parts = [self.loss, f"s{self.seed}"]
        for name, value in asdict(self).items():
            if name not in ("loss", "seed") and value != usual[name]:
                text = "-".join(f"{v:g}" for v in value) if isinstance(value, tuple) else str(value)
                parts.append(f"{name}_{text}")
        return "-".join(parts)

    @property
    def recipe(self) -> str:
        """All that the result depends on besides the program."""
        text = repr((asdict(self), CLIP, NOISE, STEP, WILD_PX, VALIDATION, EVERY, CHECKPOINTS))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def world(self) -> World:
        """The scenes it is trained on."""
        dense = self.network == "dense"
        return World(kind=self.kind, outliers=self.outliers, dense=dense, textured=self.textured)

    def stored(self) -> dict[str, Any] | None:
        """Return the stored result or None."""
        return STORE.get(self.key, self.recipe)

    def result(self) -> dict[str, Any]:
        """Return the stored result, or train, store and return it."""
        found = self.stored()
        return found if found is not None else STORE.put(self.key, self.recipe, train(self))


POWERS = {"w": 1.0, "sqrt": 0.5, "square": 2.0}


def losses(run: Run, iterates: list[Iterate], sample: Sample, kind: str) -> tuple[Tensor, Tensor]:
    """Return pose and flow loss of every scene, (B,) each; kind as `Run.loss`."""
    pose = total_pose_loss([it.scene for it in iterates], sample.truth, skip=run.skip_pose)
    flow = torch.zeros_like(pose)
    for it in iterates:
        weight, power = None, 1.0
        if kind == "heuristic":
            weight = heuristic_weight(it.uv_px, sample.target)
        elif kind != "plain":
            weight, power = it.weight, POWERS[kind]
        valid = sample.valid & it.active
        size = flow_loss(it.uv_px, sample.target, weight=weight, power=power, valid=valid)
        flow = flow + size
    return pose, flow


def trajectory_error(scene: Scene, truth: Scene) -> float:
    """Return the root mean square error of the free frames' centres."""
    found, true = (se3_inverse(s.pose)[1][:, FIXED:] for s in (scene, truth))
    error = (found - true).square().sum(-1).mean(dim=1).sqrt()
    return float(error.median())


def train(run: Run) -> dict[str, Any]:
    """Train a run and return what was measured."""
    torch.manual_seed(run.seed)
    network = DenseNetwork() if run.network == "dense" else PatchNetwork()
    optimiser = torch.optim.Adam(network.parameters(), lr=run.rate)
    head = list(network.flow.parameters())
    validation = draw(run.world, VALIDATION, VALIDATION_SEED)
    beta, out = None, {"curve": [], "streamed": [], "weights": [], "snr": [], "diverged": False}
    for step in range(run.steps):
        sample = draw(run.world, run.batch, 1_000_000 * run.seed + step)
        towards = max(0.0, 1.0 - 2.0 * step / run.steps) if run.method == "interpolate" else 0.0
        iterates = roll_out(
            network, sample, streaming=run.streaming, clip=CLIP if run.clip else None,
            towards_truth=towards, correct=run.method == "correct",
        )  # fmt: skip
        pose, flow = (part.mean() for part in losses(run, iterates, sample, run.loss))
        if step % BALANCE_EVERY == 0:
            beta = gradient_ratio(pose, flow, head, previous=beta)
        optimiser.zero_grad()
        total = pose + beta * flow
        if not bool(torch.isfinite(total)):
            out["diverged"] = True
            break
        total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        if (step + 1) % EVERY == 0:
            _measure(run, network, validation, out)
        if step + 1 in CHECKPOINTS and run.loss == "plain":
            out["snr"].append(gradient_noise(run, network))
    return out


def _measure(run: Run, network: PatchNetwork, validation: Sample, out: dict[str, Any]) -> None:
    with torch.no_grad():
        last = roll_out(network, validation, streaming=run.streaming)[-1]
        out["curve"].append(trajectory_error(last.scene, validation.truth))
        out["weights"].append(float(last.weight.mean()))
        if not run.streaming:
            last = roll_out(network, validation, streaming=True)[-1]
        out["streamed"].append(trajectory_error(last.scene, validation.truth))
        out["low_weight_depth_error"], out["high_weight_depth_error"] = _depth_errors(last, validation)


def _depth_errors(last: Iterate, sample: Sample) -> tuple[float, float]:
    """Return the median relative error of inverse depth of the points of least and most weight."""
    points = len(sample.edges.source)
    worth = last.weight.new_zeros(len(last.weight), points)
    worth = worth.index_add(1, sample.edges.point, last.weight.mean(-1)).reshape(-1)
    error = (last.scene.inverse_depth / sample.truth.inverse_depth - 1.0).abs().reshape(-1)
    low, high = worth.quantile(0.25), worth.quantile(0.75)
    return float(error[worth <= low].median()), float(error[worth >= high].median())


def gradient_noise(run: Run, network: PatchNetwork) -> dict[str, float]:
    """Return the signal to noise of the flow head's gradient under both flow losses, and the
    cosine between their means.
    """
    sample = draw(run.world, VALIDATION, VALIDATION_SEED + 1)
    iterates = roll_out(network, sample, streaming=run.streaming)
    head = [network.flow.weight]
    rows = {
        kind: torch.stack([flat_gradient(one, head) for one in losses(run, iterates, sample, kind)[1]])
        for kind in ("plain", "w")
    }
    noise = {kind: signal_to_noise(grads) for kind, grads in rows.items()}
    return {**noise, "cosine": cosine(rows["plain"].mean(0), rows["w"].mean(0))}
