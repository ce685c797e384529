"""Few-shot learning by gradient: MAML, Reptile and iMAML, which the joint way is compared with.

A task is a loss of the parameters; a batch of tasks is a loss (B,) of parameters with a
leading axis of tasks. From common parameters theta each task takes a few gradient steps:
    MAML     differentiates the loss at their end through the steps
    Reptile  moves theta towards their end
    iMAML    holds the task near theta, |phi - theta|^2 pull / 2, and differentiates the
             minimum implicitly: (1 + H / pull) v = grad, by conjugate gradients
Each puts its gradient into theta's `.grad` and returns the mean test loss; an optimiser
takes the step.
Sources: Finn et al., ICML 2017; Nichol et al., arXiv 1803.02999; Rajeswaran et al.,
NeurIPS 2019.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Parameters = tuple[Tensor, ...]
TaskLoss = Callable[[Parameters], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    """A task's own steps: how many, their size, and iMAML's pull towards theta."""

    steps: int = 5
    rate: float = 0.05
    pull: float = 1.0


def perceptron(hidden: int, generator: torch.Generator) -> Parameters:
    """Return parameters of a network from one number to one, two hidden layers of tanh."""
    sizes = ((1, hidden), (hidden, hidden), (hidden, 1))
    layers = [(torch.randn(i, o, generator=generator) / i**0.5, torch.zeros(1, o)) for i, o in sizes]
    return tuple(part.requires_grad_() for layer in layers for part in layer)


def values(parameters: Parameters, s: Tensor) -> Tensor:
    """Return the network's values (B, K) at s (B, K, 1); parameters (B, ...), or shared."""
    w1, b1, w2, b2, w3, b3 = parameters
    return (torch.tanh(torch.tanh(s @ w1 + b1) @ w2 + b2) @ w3 + b3)[..., 0]


def adapt(
    theta: Parameters, loss: TaskLoss, count: int, inner: Inner, *, graph: bool = False, pull: float = 0.0
) -> Parameters:
    """Return the parameters of `count` tasks (count, ...) after their steps; graph : keep it."""
    start = tuple(p.expand(count, *p.shape) for p in theta)
    if not graph:
        start = tuple(p.detach().clone().requires_grad_() for p in start)
    phi = start
    for _ in range(inner.steps):
        slope = torch.autograd.grad(loss(phi).sum(), phi, create_graph=graph)
        away = tuple(g + pull * (p - q) for g, p, q in zip(slope, phi, start))
        phi = tuple(p - inner.rate * g for p, g in zip(phi, away))
        if not graph:
            phi = tuple(p.detach().requires_grad_() for p in phi)
    return phi


def maml(theta: Parameters, loss: TaskLoss, test: TaskLoss, count: int, inner: Inner) -> float:
    """Differentiate the mean test loss of `count` tasks through their steps."""
    mean = test(adapt(theta, loss, count, inner, graph=True)).mean()
    for p, g in zip(theta, torch.autograd.grad(mean, theta)):
        p.grad = g
    return float(mean.detach())


def reptile(theta: Parameters, loss: TaskLoss, test: TaskLoss, count: int, inner: Inner) -> float:
    """Point theta at where the tasks' steps end."""
    phi = adapt(theta, loss, count, inner)
    for p, end in zip(theta, phi):
        p.grad = p.detach() - end.detach().mean(0)
    with torch.no_grad():
        return float(test(phi).mean())


def imaml(theta: Parameters, loss: TaskLoss, test: TaskLoss, count: int, inner: Inner) -> float:
    """Differentiate the mean test loss at the tasks' held minima, implicitly."""
    phi = adapt(theta, loss, count, inner, pull=inner.pull)
    outer = test(phi)
    right = torch.autograd.grad(outer.sum(), phi)
    slope = torch.autograd.grad(loss(phi).sum(), phi, create_graph=True)

    def curved(v: Parameters) -> Parameters:
        product = torch.autograd.grad(slope, phi, v, retain_graph=True)
        return tuple(a + h / inner.pull for a, h in zip(v, product))

    for p, v in zip(theta, conjugate_gradients(curved, right)):
        p.grad = v.mean(0)
    return float(outer.detach().mean())


def conjugate_gradients(
    apply: Callable[[Parameters], Parameters], right: Parameters, *, steps: int = 5
) -> Parameters:
    """Return x with apply(x) = right, per task, for a symmetric positive map; a few steps."""
    x = tuple(torch.zeros_like(r) for r in right)
    rest, along = right, right
    square = _dot(rest, rest)
    for _ in range(steps):
        turned = apply(along)
        curve = _dot(along, turned)
        length = torch.where(curve > 0.0, square / curve.clamp_min(1e-30), 0.0)  # else: stop this task
        x = _moved(x, length, along)
        rest = _moved(rest, -length, turned)
        new = _dot(rest, rest)
        along = _moved(rest, new / square.clamp_min(1e-30), along)
        square = new
    return x


def _dot(a: Parameters, b: Parameters) -> Tensor:
    return torch.stack([(p * q).flatten(1).sum(1) for p, q in zip(a, b)]).sum(0)


def _moved(a: Parameters, length: Tensor, b: Parameters) -> Parameters:
    return tuple(p + length.reshape(-1, *(1,) * (p.dim() - 1)) * q for p, q in zip(a, b))
