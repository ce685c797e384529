"""Is a layer's gradient the derivative of its output?"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class GradientReport:
    """errors : per input, |autograd - difference| over the larger of the two, by directions;
    cosine : the least agreement of directions over inputs; finite : no NaN anywhere.
    """

    errors: tuple[float, ...]
    cosine: float
    finite: bool

    def passed(self, tolerance: float = 1e-5) -> bool:
        """Tell whether every input's error is within the tolerance."""
        return self.finite and all(error <= tolerance for error in self.errors)


def check_gradient(
    layer: Callable[..., Tensor], *inputs: Tensor, step: float = 1e-5, directions: int = 12, seed: int = 0
) -> GradientReport:
    """Compare autograd with central differences along random directions, in float64.

    layer(*inputs) -> any tensor; its output is projected on one random vector. Every input
    is floating and is perturbed on its own, relative to 1 + its largest entry.
    """
    generator = torch.Generator().manual_seed(seed)
    held = [value.detach().double().requires_grad_() for value in inputs]
    out = layer(*held)
    weights = torch.randn(out.shape, generator=generator, dtype=torch.float64)
    grads = torch.autograd.grad((out * weights).sum(), held, allow_unused=True)
    errors, cosines, finite = [], [], True
    for k, (value, grad) in enumerate(zip(held, grads)):
        slope = torch.zeros_like(value) if grad is None else grad
        h = step * (1.0 + float(value.detach().abs().max()))
        told, seen = [], []
        for _ in range(directions):
            way = torch.randn(value.shape, generator=generator, dtype=torch.float64)
            ends = []
            for sign in (1.0, -1.0):
                moved = [v.detach() for v in held]
                moved[k] = moved[k] + sign * h * way
                ends.append(float((layer(*moved).detach() * weights).sum()))
            seen.append((ends[0] - ends[1]) / (2.0 * h))
            told.append(float((slope * way).sum()))
        a, b = torch.tensor(told, dtype=torch.float64), torch.tensor(seen, dtype=torch.float64)
        largest = max(float(a.norm()), float(b.norm()))
        errors.append(float((a - b).norm()) / largest if largest > 0.0 else 0.0)
        cosines.append(float(a @ b) / (float(a.norm() * b.norm()) or 1.0) if largest > 0.0 else 1.0)
        finite = finite and bool(torch.isfinite(a).all() and torch.isfinite(b).all())
    return GradientReport(tuple(errors), min(cosines), finite)
