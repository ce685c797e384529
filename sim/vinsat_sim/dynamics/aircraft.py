"""A quadrotor with drag and other masses, and a small fixed-wing airplane, full and flat-plate.

Airplane  x = [position from the goal (m / 10); MRP of body from world; velocity, body (m/s / 10);
rates (rad/s)], u = [throttle, aileron, elevator, rudder]; x ahead, y right, z down, in trim at
SPEED with u = 0 and x = [0; 0; 1, 0, 0; 0]. The flat-plate model has linear lift and quadratic
drag; the full one stalls (lift blends to that of a plate, 2 sign(a) sin^2 a cos a), with side
force, adverse yaw and propeller wash. Source: Beard & McLain, Small Unmanned Aircraft, ch. 4
(the form; the coefficients are a 0.5 kg model's).
"""

import torch
from torch import Tensor

from groundtools.layers.core.lie import mrp_rate, mrp_rotation
from vinsat_sim.dynamics.base import Model
from vinsat_sim.dynamics.classic import GRAVITY
from vinsat_sim.dynamics.quadrotor import Quadrotor

SPEED = 10.0  # m/s
PLANE_MASS, AREA, SPAN, CHORD, AIR = 0.5, 0.2, 1.0, 0.2, 1.225  # kg, m^2, m, m, kg/m^3
PLANE_INERTIA = (0.012, 0.015, 0.025)  # kg m^2
LIFT_SLOPE, DRAG_0, DRAG_2 = 4.5, 0.04, 1.2  # per rad; drag coefficient and its square term in alpha
STALL, SHARPNESS = 0.26, 50.0  # rad, per rad
PRESSURE = 0.5 * AIR * SPEED**2 * AREA  # N, in trim
LIFT_0 = PLANE_MASS * GRAVITY / PRESSURE  # carries the weight at zero angle of attack


class RealQuadrotor(Quadrotor):
    """The quadrotor, `error` heavier and larger than believed, with drag (1/m) along each body axis."""

    def __init__(self, *, error: float = 0.1, drag: float = 0.1, thrust: float = 2.0) -> None:
        super().__init__(thrust)
        self.error, self.drag = error, drag

    def derivative(self, x: Tensor, u: Tensor) -> Tensor:
        """Return dx/dt; forces are the nominal ones, masses and arms are not."""
        more = 1.0 + self.error
        velocity, turn, acceleration, spin = self._vehicle(x, u)
        down = torch.tensor([0.0, 0.0, GRAVITY], dtype=x.dtype)
        body = (mrp_rotation(x[..., 3:6]) @ velocity[..., None])[..., 0]
        slow = -self.drag * body * body.abs()
        slow = (mrp_rotation(x[..., 3:6]).mT @ slow[..., None])[..., 0]
        acceleration = (acceleration + down) / more - down + slow
        return torch.cat([velocity, turn, acceleration, spin / more], -1)

    def slopes(self, x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return the derivatives by autograd: the nominal ones do not hold."""
        return Model.slopes(self, x, u)


class Airplane(Model):
    """full : with stall, side force and couplings; else the flat-plate approximation."""

    n, m, dt, substeps = 12, 4, 0.05, 4  # roll is damped in 20 ms

    def __init__(self, *, full: bool = False) -> None:
        self.full = full
        self.u_max = torch.ones(4, dtype=torch.float64)
        self.u_min, self.u_rest = -self.u_max, torch.zeros(4, dtype=torch.float64)

    def derivative(self, x: Tensor, u: Tensor) -> Tensor:
        """Return dx/dt (..., 12), in the units of x."""
        sigma, velocity, rate = x[..., 3:6], 10.0 * x[..., 6:9], x[..., 9:12]
        rotation = mrp_rotation(sigma)
        force, moment = self._air(velocity, rate, u)
        inertia = torch.tensor(PLANE_INERTIA, dtype=x.dtype)
        accelerate = force / PLANE_MASS + GRAVITY * rotation[..., 2]
        accelerate = accelerate - torch.linalg.cross(rate, velocity, dim=-1)
        spin = (moment - torch.linalg.cross(rate, inertia * rate, dim=-1)) / inertia
        # The goal moves ahead at SPEED, so that flying along is rest.
        along = (rotation.mT @ velocity[..., None])[..., 0] - torch.tensor([SPEED, 0.0, 0.0], dtype=x.dtype)
        return torch.cat([0.1 * along, mrp_rate(sigma, rate), 0.1 * accelerate, spin], -1)

    def _air(self, velocity: Tensor, rate: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Return force (N) and moment (N m), body axes."""
        speed = (velocity * velocity).sum(-1).add(1e-6).sqrt()
        ahead = torch.where(velocity[..., 0].abs() < 1e-3, 1e-3, velocity[..., 0])
        alpha = torch.atan2(velocity[..., 2], ahead)
        beta = torch.asin((velocity[..., 1] / speed).clamp(-0.99, 0.99))
        lift, drag = LIFT_0 + LIFT_SLOPE * alpha, DRAG_0 + DRAG_2 * alpha * alpha
        side = -0.3 * beta
        throttle, aileron, elevator, rudder = u.unbind(-1)
        roll, pitch, yaw = (0.05 * rate / SPEED * torch.tensor([SPAN, CHORD, SPAN], dtype=rate.dtype)).unbind(
            -1
        )
        wash = speed
        if self.full:
            off = torch.sigmoid(SHARPNESS * (alpha.abs() - STALL))
            plate = 2.0 * alpha.sin().square() * alpha.cos() * torch.sign(alpha)
            lift = (1.0 - off) * lift + off * plate
            drag = (1.0 - off) * (drag + 0.02 * beta.square()) + off * (
                DRAG_0 + 2.0 * alpha.sin().square().square()
            )
            side = -0.5 * beta + 0.05 * rudder
            yaw = yaw + 0.008 * aileron
            wash = speed + 1.5 * throttle
        q = 0.5 * AIR * AREA * speed * speed
        sin, cos = alpha.sin(), alpha.cos()
        thrust = PRESSURE * (DRAG_0 + 0.2 * throttle * (SPEED / wash.clamp_min(2.0) if self.full else 1.0))
        force = torch.stack(
            [thrust + q * (lift * sin - drag * cos), q * side, -q * (lift * cos + drag * sin)], -1
        )
        tail = 0.5 * AIR * AREA * wash * wash
        moment = torch.stack(
            [
                SPAN * (tail * 0.03 * aileron - q * (0.03 * beta + 9.0 * roll)),
                CHORD * (tail * 0.1 * elevator - q * (0.6 * alpha + 20.0 * pitch)),
                SPAN * (tail * 0.02 * rudder + q * (0.06 * beta - 3.0 * yaw)),
            ],
            -1,
        )
        return force, moment
