"""What chapter 3 trains: decoders and classifiers on digits, seeded; in seconds to minutes."""

from functools import lru_cache

import torch
from torch import Tensor

from groundtools.layers.core.statistics import squared_jacobian_norm
from groundtools.layers.jiio.models import Classifier, Decoder, Regressor, ball
from groundtools.layers.jiio.nested import pgd, solved
from groundtools.layers.jiio.optimise import Steps, attach, optimize_input, parameter_loss
from groundtools.layers.jiio.restore import misfit, window_mask
from vinsat_sim.experiments.jiio.images import digits

LATENT, BATCH = 16, 64
ATTACK = Steps(normalised=True, early=0.15, late=0.03)
EPSILON = 1.0  # l2, of images with an average norm of about 3.6
__all__ = [
    "ATTACK",
    "EPSILON",
    "LATENT",
    "attacked",
    "classifier",
    "decoder",
    "restorer",
    "sinusoids",
    "spoil",
]


@lru_cache(maxsize=8)
def decoder(seed: int, steps: int, inner: int = 30, penalty: float = 0.0, rate: float = 0.9) -> Decoder:
    """Return a decoder trained as a generative model (eq. 3.20) with 3.18's gradient."""
    torch.manual_seed(seed)
    images = digits()[0]
    model = Decoder(LATENT, 8, rate=rate)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(steps):
        batch = images[torch.randint(len(images), (BATCH,))]
        x0 = torch.zeros(BATCH, LATENT)
        loss = misfit(model, batch)
        found = optimize_input(model.f, loss, x0, model.start(x0), steps=inner)
        total = parameter_loss(model.f, loss, found)
        if penalty > 0.0:
            z = found.z.detach().requires_grad_()
            total = total + penalty * squared_jacobian_norm(model.f(z, found.x), z).mean()
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
    return model.eval().requires_grad_(False)


def spoil(clean: Tensor, kind: str, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
    """Return spoiled images and the mask of what is left (None: all)."""
    if kind == "inpaint":
        mask = window_mask(clean, 3, generator)
        return clean * mask, mask
    sigma = float(kind)
    return clean + sigma * torch.randn(clean.shape, generator=generator), None


@lru_cache(maxsize=8)
def restorer(seed: int, steps: int, kind: str, inner: int = 30) -> Decoder:
    """Return a decoder trained for one inverse problem (eq. 3.24), from the generative one."""
    model = decoder(seed, steps)
    copy = Decoder(LATENT, 8)
    copy.load_state_dict(model.state_dict())
    torch.manual_seed(seed + 1)
    images = digits()[0]
    optimiser = torch.optim.Adam(copy.parameters(), lr=1e-3)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps // 2):
        clean = images[torch.randint(len(images), (BATCH,), generator=generator)]
        bad, mask = spoil(clean, kind, generator)
        loss = misfit(copy, bad, mask)
        x0 = torch.zeros(BATCH, LATENT)
        found = optimize_input(copy.f, loss, x0, copy.start(x0), steps=inner)
        z, _ = attach(copy.f, loss, found)
        total = misfit(copy, clean)(z).mean()
        optimiser.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(copy.parameters(), 1.0)
        optimiser.step()
    return copy.eval().requires_grad_(False)


@lru_cache(maxsize=16)
def classifier(seed: int, steps: int, trained: str, epsilon: float = EPSILON) -> Classifier:
    """Return a classifier trained clean, against pgd or against jiio."""
    torch.manual_seed(seed)
    images, labels, _, _ = digits()
    model = Classifier(8)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(steps):
        rows = torch.randint(len(images), (BATCH,))
        x, y = images[rows], labels[rows]
        if trained != "clean":
            x = attacked(model, x, y, trained, epsilon, pgd_steps=8, jiio_steps=24)
        z0 = model.start(x)
        z = solved(model.f, x, z0, tolerance=1e-3, max_steps=40).value
        for _ in range(4):  # the last steps' gradient
            z = model.f(z, x)
        total = model.loss(z, y).mean()
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
    return model.eval().requires_grad_(False)


def attacked(
    model: Classifier,
    x: Tensor,
    y: Tensor,
    by: str,
    epsilon: float,
    *,
    pgd_steps: int = 20,
    jiio_steps: int = 80,
) -> Tensor:
    """Return images within epsilon of x that raise the loss."""
    project = ball(x, epsilon)
    loss = lambda z: -model.loss(z, y)  # noqa: E731
    if by == "pgd":
        return pgd(
            model.f, loss, x, model.start(x), steps=pgd_steps, size=2.5 * epsilon / pgd_steps, project=project
        )[0]
    found = optimize_input(
        model.f, loss, x, model.start(x), steps=jiio_steps, step=ATTACK, project=project, tolerance=0.0
    )
    return found.x


def sinusoids(count: int, points: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return few-shot tasks: s, value at `points` places (count, points), and at 20 others."""
    amplitude = 0.5 + 1.5 * torch.rand(count, 1, generator=generator)
    phase = 3.0 * torch.rand(count, 1, generator=generator)
    s, test = (4.0 * torch.rand(count, k, generator=generator) - 2.0 for k in (points, 20))
    return (
        s[..., None],
        amplitude * torch.sin(2.0 * s + phase),
        test[..., None],
        amplitude * torch.sin(2.0 * test + phase),
    )


@lru_cache(maxsize=4)
def regressor(seed: int, steps: int, inner: int = 30, *, rate: float = 0.9) -> Regressor:
    """Return a model of sinusoids whose code fits a task from a few points (eq. 3.28).

    As in the thesis the code is not differentiated through: 3.18's gradient on the points
    of the task and of its test.
    """
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    model = Regressor(8, rate=rate)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(steps):
        s, value, test, wanted = sinusoids(BATCH, 10, generator)
        f, loss = few_shot(model, s, value)
        found = optimize_input(f, loss, torch.zeros(BATCH, 8), model.start(s), steps=inner)
        z = solved(lambda z, x: model.f(z, x, test), found.x, model.start(test), tolerance=1e-3).value  # noqa: B023
        for _ in range(4):
            z = model.f(z, found.x, test)
        total = (model.value(z) - wanted).square().mean() + parameter_loss(f, loss, found)
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
    return model.eval().requires_grad_(False)


def few_shot(model: Regressor, s: Tensor, value: Tensor):
    """Return f(z, x) and loss(z) of fitting the code to points."""
    return (lambda z, x: model.f(z, x, s)), (lambda z: 0.5 * (model.value(z) - value).square().sum(1))
