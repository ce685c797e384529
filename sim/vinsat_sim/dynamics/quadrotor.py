"""A quadrotor, with a pole, with obstacles, with moving ones.

Quadrotor  x = [position, MRP of body from world, velocity (world), body rate], 12
QPole      + [direction of the pole (unit vector from its foot), its angular rate], 18
u = four rotor thrusts over a quarter of the weight. The pole is a light point mass on a
massless rod at the centre of the vehicle; its reaction is left out, as in Hehn & D'Andrea,
ICRA 2011. Obstacles are spheres the vehicle's centre keeps out of: r^2 - |p - c|^2 <= 0.
"""

import torch
from torch import Tensor

from groundtools.layers.core.lie import mrp_rate, mrp_rotation
from groundtools.layers.twins.rotations import skew
from vinsat_sim.dynamics.base import Model
from vinsat_sim.dynamics.classic import GRAVITY

MASS, ARM, DRAG_RATIO = 0.5, 0.17, 0.05  # kg, m, m (yaw torque over thrust)
INERTIA = (2.3e-3, 2.3e-3, 4.0e-3)  # kg m^2


class Quadrotor(Model):
    """Four rotors in a plus; thrust limits 0.2 to 2 of hovering."""

    n, m, dt = 12, 4, 0.05

    def __init__(self, thrust: float = 2.0) -> None:
        """Limit each rotor's thrust, in quarters of the weight."""
        self.u_max = torch.full((4,), thrust, dtype=torch.float64)
        self.u_min = torch.full((4,), 0.2, dtype=torch.float64)
        self.u_rest = torch.ones(4, dtype=torch.float64)

    def derivative(self, x: Tensor, u: Tensor) -> Tensor:
        """Return dx/dt of the vehicle."""
        return torch.cat(self._vehicle(x, u)[:4], -1)

    def slopes(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return d(derivative)/dx (..., n, n) and by u (..., n, 4)."""
        sigma, rate = x[..., 3:6], x[..., 9:12]
        by_x, by_u = x.new_zeros(*x.shape, self.n), x.new_zeros(*x.shape, 4)
        eye = torch.eye(3, dtype=x.dtype)
        s2 = (sigma * sigma).sum(-1)[..., None, None]
        dot = (sigma * rate).sum(-1)[..., None, None]
        outer = sigma[..., :, None] * rate[..., None, :]
        by_x[..., 0:3, 6:9] = eye
        by_x[..., 3:6, 3:6] = 0.5 * (outer - outer.mT - skew(rate) + dot * eye)
        square = sigma[..., :, None] * sigma[..., None, :]
        by_x[..., 3:6, 9:12] = 0.25 * ((1.0 - s2) * eye + 2.0 * skew(sigma) + 2.0 * square)
        up, turn = _up(sigma)
        by_x[..., 6:9, 3:6] = 0.25 * GRAVITY * u.sum(-1)[..., None, None] * turn
        by_u[..., 6:9, :] = 0.25 * GRAVITY * up[..., None]
        inertia = torch.tensor(INERTIA, dtype=x.dtype)
        gyroscopic = skew(inertia * rate) - skew(rate) * inertia
        by_x[..., 9:12, 9:12] = gyroscopic / inertia[:, None]
        arms = torch.tensor(
            [[0.0, ARM, 0.0, -ARM], [-ARM, 0.0, ARM, 0.0], [DRAG_RATIO, -DRAG_RATIO] * 2], dtype=x.dtype
        )
        by_u[..., 9:12, :] = 0.25 * MASS * GRAVITY * arms / inertia[:, None]
        return by_x, by_u

    def _vehicle(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        sigma, velocity, rate = x[..., 3:6], x[..., 6:9], x[..., 9:12]
        f = 0.25 * MASS * GRAVITY * u
        torque = torch.stack(
            [
                ARM * (f[..., 1] - f[..., 3]),
                ARM * (f[..., 2] - f[..., 0]),
                DRAG_RATIO * (f[..., 0] - f[..., 1] + f[..., 2] - f[..., 3]),
            ],
            -1,
        )
        inertia = torch.tensor(INERTIA, dtype=x.dtype)
        # The thrust along body z, in world axes: the third row of [BN].
        acceleration = f.sum(-1, keepdim=True) / MASS * mrp_rotation(sigma)[..., 2, :]
        acceleration = acceleration - torch.tensor([0.0, 0.0, GRAVITY], dtype=x.dtype)
        spin = (torque - torch.linalg.cross(rate, inertia * rate, dim=-1)) / inertia
        return velocity, mrp_rate(sigma, rate), acceleration, spin


class QPole(Quadrotor):
    """The quadrotor with a pole to balance on top."""

    n = 18
    length = 0.6  # m

    def derivative(self, x: Tensor, u: Tensor) -> Tensor:
        """Return dx/dt; the pole is accelerated by gravity less the vehicle's acceleration."""
        velocity, turn, acceleration, spin = self._vehicle(x, u)
        pole, rate = x[..., 12:15], x[..., 15:18]
        felt = -acceleration - torch.tensor([0.0, 0.0, GRAVITY], dtype=x.dtype)
        return torch.cat(
            [
                velocity, turn, acceleration, spin,
                torch.linalg.cross(rate, pole, dim=-1),
                torch.linalg.cross(pole, felt, dim=-1) / self.length,
            ],
            -1,
        )  # fmt: skip

    def slopes(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return d(derivative)/dx (..., n, n) and by u (..., n, 4)."""
        by_x, by_u = super().slopes(x, u)
        pole, rate = skew(x[..., 12:15]), skew(x[..., 15:18])
        acceleration = self._vehicle(x, u)[2]
        felt = -acceleration - torch.tensor([0.0, 0.0, GRAVITY], dtype=x.dtype)
        by_x[..., 12:15, 12:15], by_x[..., 12:15, 15:18] = rate, -pole
        by_x[..., 15:18, 12:15] = -skew(felt) / self.length
        by_x[..., 15:18, 3:6] = -pole @ by_x[..., 6:9, 3:6] / self.length
        by_u[..., 15:18, :] = -pole @ by_u[..., 6:9, :] / self.length
        return by_x, by_u


class QPoleObs(QPole):
    """With spheres to keep out of: centres (K, 3) m, radius m; margin widens them for planning."""

    def __init__(self, centres: Tensor, radius: float, thrust: float = 2.0) -> None:
        """Set the obstacles; the nearest `p` of them would do, all are used."""
        super().__init__(thrust)
        self.centres, self.radius = centres.double(), radius
        self.p = len(centres)

    def below(self, x: Tensor) -> Tensor:
        """Return r^2 - |position - centre|^2 (..., K), m^2."""
        apart = x[..., None, :3] - self.centres
        return self.radius**2 - (apart * apart).sum(-1)

    def below_jacobian(self, x: Tensor) -> Tensor:
        """Return d(below)/dx (..., K, n)."""
        out = x.new_zeros(*x.shape[:-1], self.p, self.n)
        out[..., :3] = -2.0 * (x[..., None, :3] - self.centres)
        return out


class QPoleDynObs(QPoleObs):
    """With moving spheres: the state ends with the time, s, so that the constraints see it."""

    n = 19

    def __init__(self, centres: Tensor, velocities: Tensor, radius: float, thrust: float = 2.0) -> None:
        """Set the obstacles at time 0 and their velocities (K, 3), m/s."""
        super().__init__(centres, radius, thrust)
        self.velocities = velocities.double()

    def derivative(self, x: Tensor, u: Tensor) -> Tensor:
        """Return dx/dt; time passes."""
        return torch.cat([super().derivative(x[..., :18], u), torch.ones_like(x[..., :1])], -1)

    def below(self, x: Tensor) -> Tensor:
        """Return r^2 - |position - centre at its time|^2 (..., K), m^2."""
        apart = self._apart(x)
        return self.radius**2 - (apart * apart).sum(-1)

    def below_jacobian(self, x: Tensor) -> Tensor:
        """Return d(below)/dx (..., K, n)."""
        out = x.new_zeros(*x.shape[:-1], self.p, self.n)
        apart = self._apart(x)
        out[..., :3] = -2.0 * apart
        out[..., 18] = 2.0 * (apart * self.velocities).sum(-1)
        return out

    def _apart(self, x: Tensor) -> Tensor:
        return x[..., None, :3] - self.centres - x[..., None, 18:19] * self.velocities


def _up(sigma: Tensor) -> tuple[Tensor, Tensor]:
    """Return body z in world axes (..., 3), the third row of [BN], and its slope by the MRP."""
    p, q, r = sigma.unbind(-1)
    s2 = (sigma * sigma).sum(-1)
    d, one = 1.0 - s2, (1.0 + s2)[..., None]
    v = torch.stack([2.0 * p * r + d * q, 2.0 * q * r - d * p, -2.0 * (p * p + q * q)], -1)
    slope = torch.stack(
        [
            2.0 * r - 2.0 * p * q, d - 2.0 * q * q, 2.0 * p - 2.0 * q * r,
            2.0 * p * p - d, 2.0 * r + 2.0 * p * q, 2.0 * q + 2.0 * p * r,
            -4.0 * p, -4.0 * q, torch.zeros_like(p),
        ],
        -1,
    ).unflatten(-1, (3, 3))  # fmt: skip
    z = torch.tensor([0.0, 0.0, 1.0], dtype=sigma.dtype)
    turn = (
        4.0 * slope / one[..., None] ** 2 - 16.0 * v[..., :, None] * sigma[..., None, :] / one[..., None] ** 3
    )
    return z + 4.0 * v / one**2, turn
