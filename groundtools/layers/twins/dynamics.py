"""Twins of `flightsw.astro`: gravity, drag, the sum of forces, and one collocation step.

`step` solves the nodes' equations a = f(r(a), v(a)) without a graph and puts the gradient
back by one Newton step on them (the implicit function theorem), as the flight code does.
"""

import torch
from torch import Tensor

from flightsw.astro import drag as flight_drag
from flightsw.astro.arc import NODES, TABLES
from flightsw.astro.eop import EarthOrientation
from flightsw.astro.forces import Forces, Surroundings, surroundings
from flightsw.astro.gravity import GM_EARTH, J2, R_EARTH, GravityField, load_gravity
from flightsw.astro.rotation import EARTH_RATE
from flightsw.astro.sun import GM_MOON, GM_SUN
from flightsw.astro.time import Epoch
from groundtools.layers.twins.geodesy import lla_from_ecef

NEWTON_STEPS = 8


def j2_acceleration(r: Tensor, pole: Tensor) -> Tensor:
    """Return central and J2 acceleration (..., 3), m/s^2, at r (..., 3), m; pole (3,) unit."""
    r2 = (r * r).sum(-1)
    z = r @ pole
    central = -GM_EARTH / (r2 * torch.sqrt(r2))
    k = (1.5 * J2 * R_EARTH**2) / r2
    along = central * (1.0 + k * (1.0 - 5.0 * z * z / r2))
    return along[..., None] * r + (2.0 * central * k * z)[..., None] * pole


def gravity_acceleration(field: GravityField, r_ecef: Tensor) -> Tensor:
    """Return the acceleration (..., 3), m/s^2, at points (..., 3) in m, ecef axes."""
    degree = field.degree + 1
    rows = torch.as_tensor(field.first[:, : (degree + 1) * (degree + 2)], dtype=r_ecef.dtype)
    return _harmonics(r_ecef, field.radius, degree) @ rows.T


def _harmonics(r: Tensor, radius: float, degree: int) -> Tensor:
    """Return V_nm, W_nm (..., 2 P) in the order of the original."""
    r2 = (r * r).sum(-1)
    x, y, z = (r * (radius / r2)[..., None]).unbind(-1)
    rho = radius**2 / r2
    zero = torch.zeros_like(rho)
    table: list[list[tuple[Tensor, Tensor]]] = [[(torch.sqrt(rho), zero)]]
    for n in range(1, degree + 1):
        row = []
        for m in range(n):
            pair = [(2 * n - 1) / (n - m) * z * part for part in table[n - 1][m]]
            if m < n - 1:
                factor = (n + m - 1) / (n - m)
                pair = [p - factor * rho * q for p, q in zip(pair, table[n - 2][m])]
            row.append((pair[0], pair[1]))
        v, w = table[n - 1][n - 1]
        row.append(((2 * n - 1) * (x * v - y * w), (2 * n - 1) * (x * w + y * v)))
        table.append(row)
    return torch.stack([part for row in table for pair in row for part in pair], -1)


def harris_priester(r_ecef: Tensor, sun_direction_ecef: Tensor) -> Tensor:
    """Return the density (...) in kg/m^3 at points (..., 3), m; unit vectors to the Sun."""
    _, _, height = lla_from_ecef(r_ecef)
    low, high = _profiles(height).unbind(-1)
    bulge = sun_direction_ecef @ torch.as_tensor(flight_drag._BULGE_FROM_SUN, dtype=r_ecef.dtype).T
    cos_angle = (r_ecef * bulge).sum(-1) / r_ecef.norm(dim=-1)
    half = (0.5 + 0.5 * cos_angle).clamp_min(1e-12)
    return low + (high - low) * half ** (0.5 * flight_drag.BULGE_EXPONENT)


def _profiles(height: Tensor) -> Tensor:
    """Return night and day density (..., 2), kg/m^3."""
    heights, logs, widths, secants, slopes = (
        torch.as_tensor(table, dtype=height.dtype)
        for table in (
            flight_drag._HEIGHT, flight_drag._LOG_RHO, flight_drag._WIDTH[:, 0],
            flight_drag._SECANT, flight_drag._SLOPE,
        )
    )  # fmt: skip
    inside = height.clamp(heights[0], heights[-1])
    layer = torch.searchsorted(heights, inside.detach().contiguous(), right=True) - 1
    layer = layer.clamp(0, len(secants) - 1)

    def at(table: Tensor, index: Tensor) -> Tensor:  # plain indexing fails under vmap
        return table.index_select(0, index.reshape(-1)).reshape(index.shape + table.shape[1:])

    width = at(widths, layer)[..., None]
    x = (inside - at(heights, layer))[..., None] / width
    secant = at(secants, layer)
    p, q = at(slopes, layer) - secant, at(slopes, layer + 1) - secant
    log_rho = at(logs, layer) + width * x * (secant + (1.0 - x) * (p * (1.0 - x) - q * x))
    above = (height - heights[-1]).clamp_min(0.0)[..., None]
    return torch.exp(log_rho + above * slopes[-1])


def drag_acceleration(
    r_ecef: Tensor, v_rel_ecef: Tensor, sun_direction_ecef: Tensor, *, ballistic_m2_kg: float,
    scale: Tensor | float,
) -> Tensor:  # fmt: skip
    """Return the drag (..., 3), m/s^2, ecef axes; v relative to the air, m/s; scale (...)."""
    density = harris_priester(r_ecef, sun_direction_ecef)
    speed = v_rel_ecef.norm(dim=-1)
    factor = -0.5 * ballistic_m2_kg * scale * density * speed
    return factor[..., None] * v_rel_ecef


def acceleration(forces: Forces, around: Surroundings, r: Tensor, v: Tensor, drag_scale: Tensor) -> Tensor:
    """Return accelerations (T, 3) at T instants; r, v (T, 3) eci; drag_scale ()."""
    pole = torch.as_tensor(around.pole, dtype=r.dtype)
    if forces.is_j2:
        return j2_acceleration(r, pole)
    rotation = torch.as_tensor(around.rotation, dtype=r.dtype)
    r_ecef = (rotation @ r[..., None])[..., 0]
    total = gravity_acceleration(load_gravity(forces.degree), r_ecef)
    sun = torch.as_tensor(around.sun, dtype=r.dtype)
    if forces.drag:
        spin = torch.tensor([0.0, 0.0, EARTH_RATE], dtype=r.dtype).expand_as(r_ecef)
        v_rel = (rotation @ v[..., None])[..., 0] - torch.linalg.cross(spin, r_ecef, dim=-1)
        to_sun = (rotation @ (sun / sun.norm(dim=-1, keepdim=True))[..., None])[..., 0]
        total = total + drag_acceleration(
            r_ecef, v_rel, to_sun, ballistic_m2_kg=forces.ballistic_m2_kg, scale=drag_scale
        )
    out = (rotation.mT @ total[..., None])[..., 0]
    if forces.third_body:
        for gm, body in ((GM_SUN, sun), (GM_MOON, torch.as_tensor(around.moon, dtype=r.dtype))):
            to_body = body - r
            out = out + gm * to_body / to_body.norm(dim=-1, keepdim=True) ** 3
            out = out - gm * body / body.norm(dim=-1, keepdim=True) ** 3
    return out


def step(
    forces: Forces, epoch: Epoch, t_s: float, state: Tensor, dt_s: float, drag_scale: Tensor | float = 1.0,
    *, eop: EarthOrientation | None = None,
) -> Tensor:  # fmt: skip
    """Return the state (6,) one collocation step of dt_s later; [r; v], eci, m and m/s.

    Differentiable by state and drag_scale (also by torch.func.jacrev).
    """
    around = surroundings(forces, epoch, t_s + dt_s * TABLES.c, eop)
    scale = torch.as_tensor(drag_scale, dtype=state.dtype)
    c, velocity, position = (
        torch.as_tensor(t, dtype=state.dtype) for t in (TABLES.c, TABLES.velocity, TABLES.position)
    )

    def felt(a: Tensor, x: Tensor, factor: Tensor) -> Tensor:
        r = x[:3] + (dt_s * c)[:, None] * x[3:] + dt_s**2 * (position @ a.reshape(NODES, 3))
        v = x[3:] + dt_s * (velocity @ a.reshape(NODES, 3))
        return acceleration(forces, around, r, v, factor).reshape(-1)

    held, held_scale = state.detach(), scale.detach()
    with torch.no_grad():
        a = j2_acceleration(held[:3], torch.as_tensor(around.pole, dtype=state.dtype)).repeat(NODES)
        for _ in range(NEWTON_STEPS):
            system = torch.eye(3 * NODES, dtype=state.dtype) - torch.func.jacrev(felt)(a, held, held_scale)
            move = torch.linalg.solve(system, felt(a, held, held_scale) - a)
            a = a + move
            if float(move.abs().max()) < 1e-14:
                break
        # One more matrix, where the equations hold: what the gradient goes through.
        system = torch.eye(3 * NODES, dtype=state.dtype) - torch.func.jacrev(felt)(a, held, held_scale)
    a = a + torch.linalg.solve(system, felt(a, state, scale) - a)
    nodes = a.reshape(NODES, 3)
    end_p, end_v = (torch.as_tensor(t, dtype=state.dtype) for t in (TABLES.end_position, TABLES.end_velocity))
    r1 = state[:3] + dt_s * state[3:] + dt_s**2 * (end_p @ nodes)
    return torch.cat([r1, state[3:] + dt_s * (end_v @ nodes)])
