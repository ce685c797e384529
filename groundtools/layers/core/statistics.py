"""What gradients say about a training run: size, noise, direction.

`gradient_ratio` balances two losses (thesis ch. 4 and 5), `median_huber` is the residual
loss of ch. 5 and 6, `signal_to_noise` the figure of f4.3, f4.4 and f6.2. A high ratio
alone proves nothing, since a biased gradient can be quiet: `cosine` to a reference
gradient belongs beside it.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor


def flat_gradient(loss: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    """Return d(loss)/d(parameters) as one vector; zeros where a parameter is not used."""
    grads = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    return torch.cat([
        torch.zeros_like(p).reshape(-1) if g is None else g.reshape(-1) for g, p in zip(grads, parameters)
    ])  # fmt: skip


def gradient_ratio(
    first: Tensor, second: Tensor, parameters: Sequence[Tensor], *,
    previous: float | None = None, keep: float = 0.9, clamp: tuple[float, float] = (0.1, 10.0),
) -> float:  # fmt: skip
    """Return the factor on `second` that makes both losses' gradients equally long.

    previous : the last factor, of which `keep` is kept, the new one held within `clamp`
    times it. A `second` without gradient keeps the previous factor, or 1.
    """
    a, b = (float(flat_gradient(loss, parameters).norm()) for loss in (first, second))
    if not b > 0.0:
        return 1.0 if previous is None else previous
    ratio = a / b
    if previous is None:
        return ratio
    held = min(max(ratio, clamp[0] * previous), clamp[1] * previous)
    return keep * previous + (1.0 - keep) * held


def median_huber(residual: Tensor, *, factor: float = 2.0, median: float | None = None) -> Tensor:
    """Return Huber's loss of each residual, quadratic up to `factor` medians of their size.

    median : of the absolute residuals, this batch's when not given. Scaled so that the
    quadratic part is e^2 / 2.
    """
    size = residual.abs()
    threshold = factor * (float(size.detach().median()) if median is None else median)
    if not threshold > 0.0:
        return size * 0.0 if threshold == 0.0 and not size.any() else 0.5 * residual.square()
    return torch.where(size <= threshold, 0.5 * residual.square(), threshold * (size - 0.5 * threshold))


def signal_to_noise(grads: Tensor, *, reference: Tensor | None = None) -> float:
    """Return |signal| over the root mean square distance of single gradients from it.

    grads (S, P) : one gradient a sample, S >= 2; reference (P,) : the true gradient when it
    is known, else their mean (then the deviation has S - 1 degrees of freedom).
    """
    if len(grads) < 2:
        raise ValueError(f"a ratio to the noise needs at least 2 gradients, got {len(grads)}")
    signal = grads.mean(dim=0) if reference is None else reference
    freedom = len(grads) - 1 if reference is None else len(grads)
    noise = ((grads - signal).square().sum() / freedom).sqrt()
    return float(signal.norm() / noise) if float(noise) > 0.0 else float("inf")


def cosine(gradient: Tensor, reference: Tensor) -> float:
    """Return the cosine between two gradients, of any shape; NaN where one is zero."""
    a, b = gradient.reshape(-1), reference.reshape(-1)
    return float(a @ b / (a.norm() * b.norm()))


def squared_jacobian_norm(f_of_z: Tensor, z: Tensor, *, samples: int = 1) -> Tensor:
    """Return an estimate of |df/dz|_F^2 per row (B,), with a graph, for regularisation.

    E |J' e|^2 over unit normal e is the squared Frobenius norm of J; thesis eq. 3.19 calls
    it the trace. f_of_z (B, ...) computed from z (B, ...), which requires gradients.
    """
    total: Tensor | float = 0.0
    for _ in range(samples):
        back = torch.autograd.grad(f_of_z, z, torch.randn_like(f_of_z), create_graph=True)[0]
        total = total + back.square().flatten(1).sum(dim=1)
    return torch.as_tensor(total) / samples


def mean_gradient(losses: Iterable[Tensor], parameters: Sequence[Tensor]) -> Tensor:
    """Return the gradients of several losses as rows (S, P), for `signal_to_noise`."""
    return torch.stack([flat_gradient(loss, parameters) for loss in losses])
