"""What a network is taught by through bundle adjustment (thesis ch. 4).

    plain flow loss      sum |p* - p|                                         4.2
    weighted flow loss   sum |w^power (p* - p)|, w without gradient             4.7
    pose loss            sum |Log((G_i G_j^-1)^-1 T_i T_j^-1)|                  4.3
`power`: 0.5 is the norm the text writes, sqrt(r' W r); 1 is what the authors' program
multiplies the residual by; 2 is that squared. The text's total, 10 flow + 0.1 pose (4.4),
has the two factors swapped against the program it cites. Balance: `core.statistics.
gradient_ratio` with its clamp and moving average (4.8; the authors' program renews it every
20 steps, the text says 50).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from groundtools.layers.bundle.geometry import Scene
from groundtools.layers.core.lie import se3_compose, se3_inverse, se3_log


def flow_loss(
    predicted: Tensor, truth: Tensor, *, weight: Tensor | None = None, power: float = 1.0, valid: Tensor
) -> Tensor:
    """Return the mean over valid (B, N) of |w^power (truth - predicted)|, px, (B,).

    predicted, truth (B, N, 2) : pixels of the projected points; weight (B, N, 2) in [0, 1]
    or None for the plain loss. The weights are held: the loss cannot drive them to zero.
    """
    error = truth - predicted
    if weight is not None:
        error = weight.detach().pow(power) * error
    size = (error.square().sum(-1) + 1e-12).sqrt()  # the root's slope at zero is infinite
    return torch.where(valid, size, 0.0).sum(dim=1) / valid.sum(dim=1).clamp_min(1)


def pose_loss(found: Scene, truth: Scene) -> Tensor:
    """Return the mean |twist| between relative poses over all pairs of frames, (B,)."""
    frames = truth.rotation.shape[1]
    i, j = torch.triu_indices(frames, frames, offset=1)

    def between(scene: Scene) -> tuple[Tensor, Tensor]:
        back = se3_inverse((scene.rotation[:, j], scene.translation[:, j]))
        return se3_compose((scene.rotation[:, i], scene.translation[:, i]), back)

    twist = se3_log(*se3_compose(se3_inverse(between(truth)), between(found)))
    return (twist.square().sum(-1) + 1e-12).sqrt().mean(dim=1)


def total_pose_loss(iterates: Sequence[Scene], truth: Scene, *, skip: int = 2) -> Tensor:
    """Return the pose loss summed over the iterates after the first `skip`, (B,)."""
    losses = [pose_loss(scene, truth) for scene in iterates[skip:]]
    return torch.stack(losses).sum(dim=0) if losses else truth.inverse_depth.new_zeros(len(truth.rotation))


def heuristic_weight(predicted: Tensor, truth: Tensor) -> Tensor:
    """Return 1 / (4 |p* - p| / median + 1), (B, N, 2): eq. 4.10 with the size of the error.

    As printed, with a signed difference and a signed median, it has poles.
    """
    size = (truth - predicted).detach().norm(dim=-1)
    median = size.median(dim=1, keepdim=True).values.clamp_min(1e-9)
    return (1.0 / (4.0 * size / median + 1.0))[..., None].expand_as(truth)


class _Clipped(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weight: Tensor, limit: float) -> Tensor:
        ctx.limit = limit
        return weight.view_as(weight)

    @staticmethod
    def backward(ctx, *grads: Tensor):
        return torch.nan_to_num(grads[0]).clamp(-ctx.limit, ctx.limit), None


def clipped_gradient(weight: Tensor, limit: float) -> Tensor:
    """Return the weights; what comes back through them is held within +-limit (eq. 4.14)."""
    return _Clipped.apply(weight, limit)


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Return f* = argmin 1/2 sum w_i (f - f_i)^2, the least squares of one number (eq. 4.11)."""
    return (weight * values).sum() / weight.sum()


def weight_gradient(values: Tensor, weight: Tensor, truth: float) -> Tensor:
    """Return d|f* - truth| / d(w_i) in closed form (eq. 4.13).

    Positive, so that descent lowers the weight, for what lies on the far side of f*: an
    outlier that has pulled f* its way.
    """
    mean = weighted_mean(values, weight)
    return -torch.sign(mean - truth) * (mean - values) / weight.sum()
