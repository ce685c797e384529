"""Slews of the satellite past the Sun: `mpc-slew`, and the solver's time: `mpc-time`.

A slew starts at rest, ends at rest at a random attitude (40 to 120 degrees away), with a
keep-out cone of 30 degrees about a Sun placed near the shortest way, both ends at least 4
degrees outside it. The planner's cone is wider by a margin, since between two plans, and
two nodes of a plan, the boresight moves by up to 2 degrees. Judged between nodes, five
times a step. Compared: PD control and the plain solver without a cone.
"""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundtools.layers.mpc.arrays import ArrayMPC, Track
from groundtools.registry import Check, Reproduction, Scale, at_least, at_most, noted
from vinsat_sim.dynamics.satellite import INERTIA, RATE, TORQUE, SatelliteArrays
from vinsat_sim.experiments.stored import Store

Array = NDArray[np.float64]

CONE, MARGIN = np.radians(30.0), np.radians(3.0)
HORIZON, DT = 10, 2.0
WITHIN = 0.97  # of the limits, for the planner
STEPS = 80
COUNT, BLOCK = 1000, 100
STORE = Store.named("slews")
ALLOWED_DEG = 0.1
Q = np.array([30.0] * 3 + [0.3] * 3 + [1e-3] * 3)
R = np.full(3, 0.01)
PASSED_TARGET_DEG = 1.0
RECIPE = f"slews {CONE:.6f} {MARGIN:.6f} {HORIZON} {DT} {WITHIN} {STEPS} {BLOCK} {Q.tolist()} {R.tolist()} v2"


@dataclass(frozen=True, slots=True)
class Slews:
    """x0 (B, 9) starts; target (B, 3) MRP; sun (B, 1, 3) inertial unit vectors."""

    x0: Array
    target: Array
    sun: Array


def draw(count: int, seed: int) -> Slews:
    """Return random slews from the attitude zero; see the module."""
    rng = np.random.default_rng(seed)
    targets, suns = [], []
    while len(targets) < count:
        axis = rng.normal(size=3)
        axis /= np.linalg.norm(axis)
        target = axis * np.tan(np.radians(rng.uniform(40.0, 120.0)) / 4.0)
        half = axis * np.tan(0.5 * 4.0 * np.arctan(np.linalg.norm(target)) / 4.0)
        middle = boresight(half) + 0.5 * rng.normal(size=3)
        sun = middle / np.linalg.norm(middle)
        ends = [np.arccos(np.clip(boresight(s) @ sun, -1, 1)) for s in (np.zeros(3), target)]
        if min(ends) > CONE + MARGIN + np.radians(1.0):
            targets.append(target)
            suns.append(sun)
    x0 = np.zeros((count, 9))
    return Slews(x0, np.array(targets), np.array(suns)[:, None])


def boresight(sigma: Array) -> Array:
    """Return body +z in inertial axes, (..., 3): the third row of [BN]."""
    p, q, r = np.moveaxis(sigma, -1, 0)
    s2 = p * p + q * q + r * r
    scale, d = 4.0 / (1.0 + s2) ** 2, 1.0 - s2
    return np.stack(
        [scale * (2.0 * p * r + d * q), scale * (2.0 * q * r - d * p), 1.0 - 2.0 * scale * (p * p + q * q)],
        axis=-1,
    )


def planner(sun: Array, *, cone: float) -> ArrayMPC:
    """Return the solver for these Suns."""
    return ArrayMPC(
        dynamics=SatelliteArrays(sun=sun, cone=cone, dt=DT, within=WITHIN),
        horizon=HORIZON, q=Q, r=R, q_end=10.0 * Q, newton=3, mu0=1e3, growth=10.0, max_mu=1e5,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Flown:
    """violation_deg (B,) : how deep into the cone; error_deg (B,) at the end; worst rate and
    momentum in units of their limits.
    """

    violation_deg: Array
    error_deg: Array
    limits: float


def fly(slews: Slews, control: str, *, updates: int = 2) -> Flown:
    """Fly all slews by "mpc", "mpc without cone" or "pd"."""
    real = SatelliteArrays(sun=slews.sun[:, 0], cone=CONE, dt=DT / 5.0)
    mpc = planner(slews.sun, cone=CONE + MARGIN if control == "mpc" else 0.0)
    x = slews.x0
    wanted = np.zeros((len(x), HORIZON, 9))
    wanted[..., :3] = slews.target[:, None]
    track: Track | None = None
    closest, limits = np.full(len(x), np.inf), 0.0
    for _ in range(STEPS):
        if control == "pd":
            u = pd(x, slews.target)
        else:
            warm = mpc.start(x) if track is None else track.shifted(updates=updates, growth=10.0, max_mu=1e5)
            track = mpc.solve(x, wanted, warm, updates=6 if warm.mu == mpc.mu0 else updates)
            u = np.clip(track.u[:, 0], -1.0, 1.0)
        for _ in range(5):
            x = real.step(x, u)
            angle = np.arccos(np.clip(real.sun_cosine(x), -1.0, 1.0))
            closest = np.minimum(closest, angle)
            limits = max(limits, float(np.abs(x[:, 3:]).max()))
    return Flown(np.degrees(np.maximum(CONE - closest, 0.0)), angle_deg(x[:, :3], slews.target), limits)


def pd(x: Array, target: Array) -> Array:
    """Return the wheel torque of a PD law on the MRP error, rate-limited by saturation."""
    inertia = np.array(INERTIA)
    error = difference(x[:, :3], target)
    rate = np.clip(-0.08 * 4.0 * error, -0.8 * RATE, 0.8 * RATE)
    torque = 0.4 * inertia * (x[:, 3:6] * RATE - rate)  # wheels take the opposite
    return np.clip(torque / TORQUE, -1.0, 1.0)


def difference(sigma: Array, target: Array) -> Array:
    """Return the MRP from target to sigma (B, 3), short way."""
    a2 = np.sum(sigma * sigma, axis=-1, keepdims=True)
    sigma = np.where(a2 > 1.0, -sigma / np.maximum(a2, 1e-12), sigma)
    a2, b2 = (np.sum(v * v, axis=-1, keepdims=True) for v in (sigma, target))
    dot = np.sum(sigma * target, axis=-1, keepdims=True)
    top = (1.0 - b2) * sigma - (1.0 - a2) * target + 2.0 * np.cross(sigma, target)
    out = top / np.maximum(1.0 + a2 * b2 + 2.0 * dot, 1e-12)
    o2 = np.sum(out * out, axis=-1, keepdims=True)
    return np.where(o2 > 1.0, -out / np.maximum(o2, 1e-12), out)


def angle_deg(sigma: Array, target: Array) -> Array:
    """Return the angle between two attitudes (B,), degrees."""
    return np.degrees(4.0 * np.arctan(np.linalg.norm(difference(sigma, target), axis=-1)))


def block(control: str, at: int) -> dict[str, list[float]]:
    """Return what BLOCK slews came to, stored: block `at` is drawn with the seed 700 + at."""
    stored = STORE.get(key := f"{control.replace(' ', '-')}-{at:02d}", RECIPE)
    if stored is not None:
        return stored
    flown = fly(draw(BLOCK, 700 + at), control)
    figures = {"violation_deg": flown.violation_deg.tolist(), "error_deg": flown.error_deg.tolist()}
    return STORE.put(key, RECIPE, figures | {"limits": [flown.limits]})


def slew(scale: Scale) -> tuple[Check, ...]:
    """Fly the slews under three controllers; quick judges what is stored and flies 20 anew."""
    checks = []
    for control in ("mpc", "mpc without cone", "pd"):
        if scale == "full":
            found = [block(control, at) for at in range(COUNT // BLOCK)]
        else:
            keys = (f"{control.replace(' ', '-')}-{at:02d}" for at in range(COUNT // BLOCK))
            found = [result for key in keys if (result := STORE.get(key, RECIPE)) is not None]
        depth, off = (np.concatenate([[], *(f[k] for f in found)]) for k in ("violation_deg", "error_deg"))
        limits = max((f["limits"][0] for f in found), default=np.nan)
        checks += _judged(control, depth, off, limits)
    if scale == "quick":
        anew = fly(draw(20, 7), "mpc")
        checks.append(
            at_most("20 slews anew: deepest", float(anew.violation_deg.max()), ALLOWED_DEG, unit="deg")
        )
    return tuple(checks)


def _judged(control: str, depth: Array, off: Array, limits: float) -> list[Check]:
    share = float((depth > ALLOWED_DEG).mean()) if depth.size else np.nan
    worst = float(depth.max(initial=-np.inf)) if depth.size else np.nan
    arrived = float((off < PASSED_TARGET_DEG).mean()) if off.size else np.nan
    checks = [
        at_least(f"{control}: slews flown, stored", depth.size, COUNT),
        noted(f"{control}: share into the cone by over {ALLOWED_DEG:g} deg", share),
        noted(
            f"{control}: share within {PASSED_TARGET_DEG:g} deg of the target after {STEPS * DT:g} s", arrived
        ),
    ]
    if control == "mpc":
        checks.append(at_most("mpc: deepest into the cone", worst, ALLOWED_DEG, unit="deg"))
        checks.append(at_most("mpc: largest rate or momentum over its limit", limits, 1.01))
    else:
        checks.append(noted(f"{control}: deepest, deg", worst))
    return checks


def timing(scale: Scale) -> tuple[Check, ...]:
    """Time single and batched solves to the cost Ipopt finds."""
    count = 20 if scale == "quick" else 30
    slews = draw(64, 11)
    wanted = np.zeros((64, HORIZON, 9))
    wanted[..., :3] = slews.target[:, None]
    single, ratios, gaps = [], [], []
    for row in range(count):
        part = slice(row, row + 1)
        mpc = planner(slews.sun[part], cone=CONE + MARGIN)
        x0, w = slews.x0[part], wanted[part]
        start = time.process_time()
        track = mpc.solve(x0, w, mpc.start(x0), updates=3)
        single.append(time.process_time() - start)
        gaps.append(float(np.maximum(*mpc.residuals(x0, track))[0]))
        reference = ipopt_cost(mpc, slews.sun[row, 0], x0[0], w[0], track)
        ratios.append(abs(float(mpc.cost(track.x, track.u, w)[0]) / reference - 1.0))
    mpc = planner(slews.sun, cone=CONE + MARGIN)
    start = time.process_time()
    mpc.solve(slews.x0, wanted, mpc.start(slews.x0), updates=3)
    batch = (time.process_time() - start) / 64
    return (
        at_most(
            "one solve, median, processor ms (R)",
            1e3 * float(np.median(single)),
            10.0,
            unit="ms",
            thesis="61.6-88.8",
        ),
        at_most("in a batch of 64, each", 1e3 * batch, 1.5, unit="ms"),
        at_most("cost off Ipopt's, median", float(np.median(ratios)), 0.01),
        at_least("share of solves within 1 % of Ipopt's cost", float(np.mean(np.array(ratios) <= 0.01)), 1.0),
        at_most("violation, median", float(np.median(gaps)), 1e-3),
        noted("violation, largest", max(gaps)),
    )


def ipopt_cost(mpc: ArrayMPC, sun: Array, x0: Array, wanted: Array, guess: Track) -> float:
    """Return the cost of Ipopt's solution of the same problem, started where ours ended."""
    import casadi

    sat = mpc.dynamics
    inertia = np.array(INERTIA)
    state, torque = casadi.SX.sym("x", 9), casadi.SX.sym("u", 3)
    s, w, h = state[:3], RATE * state[3:6], 15.0 * state[6:]
    turn = 0.25 * ((1 - casadi.sumsqr(s)) * w + 2 * casadi.cross(s, w) + 2 * casadi.dot(s, w) * s)
    spin = (-casadi.cross(w, inertia * w + h) - TORQUE * torque) / (RATE * inertia)
    f = casadi.Function("f", [state, torque], [casadi.vertcat(turn, spin, TORQUE / 15.0 * torque)])
    k1 = f(state, torque)
    k2 = f(state + 0.5 * DT * k1, torque)
    k3 = f(state + 0.5 * DT * k2, torque)
    k4 = f(state + DT * k3, torque)
    step = casadi.Function("step", [state, torque], [state + DT / 6 * (k1 + 2 * k2 + 2 * k3 + k4)])
    p, q, r = s[0], s[1], s[2]
    s2 = casadi.sumsqr(s)
    d = 1 - s2
    third = casadi.vertcat(2 * p * r + d * q, 2 * q * r - d * p, 0.25 * (1 + s2) ** 2 - 2 * (p * p + q * q))
    sun_cosine = casadi.Function("c", [state], [4 / (1 + s2) ** 2 * casadi.dot(third, casadi.DM(sun))])
    opti = casadi.Opti()
    x, u = opti.variable(9, HORIZON), opti.variable(3, HORIZON)
    cost = 0
    for t in range(HORIZON):
        before = casadi.DM(x0) if t == 0 else x[:, t - 1]
        opti.subject_to(x[:, t] == step(before, u[:, t]))
        weight = mpc.q if t < HORIZON - 1 else mpc.q_end
        away = x[:, t] - casadi.DM(wanted[t])
        cost += 0.5 * (
            casadi.dot(casadi.DM(weight) * away, away) + casadi.dot(casadi.DM(mpc.r) * u[:, t], u[:, t])
        )
        opti.subject_to(opti.bounded(-1, u[:, t], 1))
        opti.subject_to(opti.bounded(-WITHIN, x[3:, t], WITHIN))
        opti.subject_to(sun_cosine(x[:, t]) <= float(np.cos(sat.cone)))
    opti.minimize(cost)
    opti.set_initial(x, guess.x[0].T)
    opti.set_initial(u, guess.u[0].T)
    opti.solver("ipopt", {"print_time": False}, {"print_level": 0, "sb": "yes", "tol": 1e-9})
    return float(opti.solve().value(cost))


SLEW = Reproduction(
    id="mpc-slew",
    title="S: slews past the Sun: MPC, MPC without a cone, PD",
    run=slew,
    seeds=lambda scale: tuple(range(700, 700 + COUNT // BLOCK)),
)
TIME = Reproduction(
    id="mpc-time",
    title="R: time of a satellite solve, at Ipopt's cost",
    run=timing,
    seeds=lambda scale: (11,),
)
