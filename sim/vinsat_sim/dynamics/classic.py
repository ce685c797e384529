"""Pendulum, cart-pole and acrobot; angles count from upright, rad."""

import torch
from torch import Tensor

from vinsat_sim.dynamics.base import Model

GRAVITY = 9.81  # m/s^2


class Pendulum(Model):
    """Point mass on a rod, x = [angle, rate], u = [torque, N m]; 1 kg, 1 m."""

    n, m, dt = 2, 1, 0.05

    def __init__(self, torque: float = 5.0, friction: float = 0.1) -> None:
        """Limit the torque, N m (weight times length is 9.81), and set the friction, N m s."""
        self.u_max = torch.tensor([torque], dtype=torch.float64)
        self.u_min, self.u_rest = -self.u_max, torch.zeros(1, dtype=torch.float64)
        self.friction = friction

    def derivative(self, x: Tensor, u: Tensor) -> Tensor:
        """Return [rate, acceleration]."""
        angle, rate = x.unbind(-1)
        return torch.stack([rate, GRAVITY * torch.sin(angle) + u[..., 0] - self.friction * rate], -1)


class Cartpole(Model):
    """Pole on a cart, x = [position, angle, speed, rate], u = [force, N]; 1 kg, 0.1 kg, 0.5 m.

    For a real one: damping (N s/m on the cart, and as many hundredths N m s on the pole),
    coulomb (N, between cart and floor), dead_band (N of force that do nothing).
    """

    n, m, dt = 4, 1, 0.05
    length = 0.5  # m to the pole's centre (a point mass)

    def __init__(
        self, force: float = 10.0, *, cart: float = 1.0, pole: float = 0.1, damping: float = 0.0,
        coulomb: float = 0.0, dead_band: float = 0.0,
    ) -> None:  # fmt: skip
        """Limit the force, N; masses in kg."""
        self.u_max = torch.tensor([force], dtype=torch.float64)
        self.u_min, self.u_rest = -self.u_max, torch.zeros(1, dtype=torch.float64)
        self.cart, self.pole, self.damping = cart, pole, damping
        self.coulomb, self.dead_band = coulomb, dead_band

    def derivative(self, x: Tensor, u: Tensor) -> Tensor:
        """Return the derivative; equations of Barto, Sutton & Anderson 1983 for a point mass."""
        _, angle, speed, rate = x.unbind(-1)
        sin, cos = torch.sin(angle), torch.cos(angle)
        force = u[..., 0]
        if self.dead_band:
            force = torch.where(force.abs() < self.dead_band, 0.0, force)
        force = force - self.damping * speed - self.coulomb * torch.tanh(50.0 * speed)
        drag = 0.01 * self.damping * rate / (self.pole * self.length)  # m/s^2 at the pole's end
        total = self.cart + self.pole * sin * sin
        push = force + self.pole * (sin * (self.length * rate * rate - GRAVITY * cos) + cos * drag)
        acceleration = push / total
        turn = (GRAVITY * sin - acceleration * cos - drag) / self.length
        return torch.stack([speed, rate, acceleration, turn], -1)


class Acrobot(Model):
    """Two links, torque at the elbow: x = [shoulder, elbow, their rates], u = [torque, N m].

    Uniform rods; shoulder from upright, elbow from the straight line. Source: Spong 1995,
    with angles from upright.
    """

    n, m, dt, substeps = 4, 1, 0.05, 2

    def __init__(self, torque: float = 10.0, *, length: float = 1.0, mass: float = 1.0) -> None:
        """Limit the torque; length (m) and mass (kg) of the first link, the second has 1 and 1."""
        self.u_max = torch.tensor([torque], dtype=torch.float64)
        self.u_min, self.u_rest = -self.u_max, torch.zeros(1, dtype=torch.float64)
        self.length, self.mass = length, mass

    def derivative(self, x: Tensor, u: Tensor) -> Tensor:
        """Return [rates, accelerations]."""
        first, second, rate1, rate2 = x.unbind(-1)
        m1, l1, c1, c2 = self.mass, self.length, 0.5 * self.length, 0.5
        sin, cos = torch.sin(second), torch.cos(second)
        lever = l1 * c2  # of the second link, 1 kg
        d22 = c2**2 + 1.0 / 12.0
        d11 = m1 * (c1**2 + l1**2 / 12.0) + l1**2 + d22 + 2.0 * lever * cos
        d12 = d22 + lever * cos
        pull2 = GRAVITY * c2 * torch.sin(first + second)
        pull1 = GRAVITY * (m1 * c1 + l1) * torch.sin(first) + pull2
        f1 = pull1 + lever * sin * (rate2 * rate2 + 2.0 * rate1 * rate2)
        f2 = pull2 - lever * sin * rate1 * rate1 + u[..., 0]
        turn = d11 * d22 - d12 * d12
        return torch.stack([rate1, rate2, (d22 * f1 - d12 * f2) / turn, (d11 * f2 - d12 * f1) / turn], -1)

    def energy(self, x: Tensor) -> Tensor:
        """Return kinetic and potential energy (...), J."""
        first, second, rate1, rate2 = x.unbind(-1)
        m1, l1, c1, c2 = self.mass, self.length, 0.5 * self.length, 0.5
        lever, d22 = l1 * c2 * torch.cos(second), c2**2 + 1.0 / 12.0
        d11 = m1 * (c1**2 + l1**2 / 12.0) + l1**2 + d22 + 2.0 * lever
        kinetic = 0.5 * (d11 * rate1**2 + 2.0 * (d22 + lever) * rate1 * rate2 + d22 * rate2**2)
        height = (m1 * c1 + l1) * torch.cos(first) + c2 * torch.cos(first + second)
        return kinetic + GRAVITY * height
