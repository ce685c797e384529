"""Pendulum and cart-pole; angles count from upright, rad."""

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
    """Pole on a cart, x = [position, angle, speed, rate], u = [force, N]; 1 kg, 0.1 kg, 0.5 m."""

    n, m, dt = 4, 1, 0.05
    cart, pole, length = 1.0, 0.1, 0.5  # kg, kg, m to the pole's centre (a point mass)

    def __init__(self, force: float = 10.0) -> None:
        """Limit the force, N."""
        self.u_max = torch.tensor([force], dtype=torch.float64)
        self.u_min, self.u_rest = -self.u_max, torch.zeros(1, dtype=torch.float64)

    def derivative(self, x: Tensor, u: Tensor) -> Tensor:
        """Return the derivative; equations of Barto, Sutton & Anderson 1983 for a point mass."""
        _, angle, speed, rate = x.unbind(-1)
        sin, cos = torch.sin(angle), torch.cos(angle)
        total = self.cart + self.pole * sin * sin
        push = u[..., 0] + self.pole * sin * (self.length * rate * rate - GRAVITY * cos)
        acceleration = push / total
        turn = (GRAVITY * sin - acceleration * cos) / self.length
        return torch.stack([speed, rate, acceleration, turn], -1)
