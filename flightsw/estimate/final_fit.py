"""The fit that counts: all detections that agree with a found orbit, at full forces.

Starting from the orbit of `initial`, detections are gated (25 px, then a few sigma of
what the fit itself measured), chunk by chunk under the acceptance rule, and fitted again
until the chosen set no longer changes. Frames whose residuals agree on a shift are left
out as a whole. The epoch is the frame in the middle of the used ones.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.propagate import propagate
from flightsw.estimate.covariance import Clusters, Innovation, Sandwich, sandwich
from flightsw.estimate.growth import ACCEPT_COUNT, accept_gate_px, accepted_chunks, chunk_of_frames
from flightsw.estimate.local_orbits import Orbit, misfit_px
from flightsw.estimate.orbit_fit import (
    SIZE,
    UNIT,
    Belief,
    Fit,
    FitSetup,
    fit_orbit,
    moved,
    residual_and_jacobian,
)
from flightsw.estimate.sightings import Sightings, numbered
from flightsw.estimate.solver import SolverOptions
from flightsw.estimate.unmodelled import grid, pull_of_force_noise

Array = NDArray[np.float64]
IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

WIDE_GATE_PX = 25.0  # at the reference camera, or 4 sigma of the detector
GATE_SIGMAS = 4.5
FRAME_SIGMAS = 4.0  # of a frame's mean residual: beyond, the frame is shifted as a whole
JUMP_SIGMAS = 5.0  # of the pointing between two frames, in units of its prior
FRAME_SHARE = 0.2  # of a frame's detections, below which the few that fit do so by chance
LEAST_GATE_PX, MOST_GATE_PX = 3.0, 60.0
SMALL_SHARE = 0.5  # of a chunk too small for the acceptance rule
MAX_ROUNDS = 5
SETTLED = 0.002  # of the detections: fewer changes and the chosen set is final
ANYWHERE = np.array([5e6, 5e6, 5e6, 4e3, 4e3, 4e3])  # m, m/s: sigma of a low orbit of any kind


@dataclass(frozen=True, slots=True)
class FinalFit:
    """The fit, the detections it used (N,), and the covariance (13, 13) of x at its epoch.

    innovation : by pass (its index), how far each is from the orbit of the others.

    The arrays of `fit.solver` are of the used detections, in their order.
    """

    fit: Fit
    used: BoolArray
    covariance: Array
    innovation: dict[int, Innovation]


def agreeing(sightings: Sightings, misfit: Array, gate: Array) -> BoolArray:
    """Return the detections (N,) within `gate` px that lie in chunks which pass the rule."""
    chunk = chunk_of_frames(sightings)
    of_row, close = chunk[sightings.frame], misfit < accept_gate_px(sightings)
    count = np.bincount(of_row, weights=close.astype(np.float64))
    accepted = accepted_chunks(sightings, close, chunk)
    accepted |= (count >= 2) & (count >= SMALL_SHARE * np.bincount(of_row))
    return np.asarray((misfit < gate) & accepted[of_row])


def _chosen(sightings: Sightings, belief: Belief, fit: Fit | None, setup: FitSetup) -> BoolArray:
    """Return the detections (N,) to fit next; `fit` is the last one on the same belief."""
    unit, sigma = sightings.pixel_unit, sightings.sigma_px
    delta = None if fit is None else fit.delta
    misfit = misfit_px(sightings, setup.forces, belief.t_s, belief.x, delta)
    if fit is None:
        wide = sightings.with_attitude_noise(setup.slow_sigma)
        return agreeing(wide, misfit, np.maximum(WIDE_GATE_PX * unit, 4.0 * wide.sigma_px))
    gate = np.clip(GATE_SIGMAS * fit.solver.sigma * sigma, LEAST_GATE_PX * unit, MOST_GATE_PX * unit)
    now = agreeing(sightings, misfit, gate)
    return now & ~_in_shifted_frame(sightings, fit, now) & ~_beyond_a_jump(sightings, fit, now)


def _in_shifted_frame(sightings: Sightings, fit: Fit, chosen: BoolArray) -> BoolArray:
    """Return the detections (N,) of frames that a common shift spoils.

    The mean whitened residual of the chosen detections of a frame is compared with sigma
    / sqrt(n), plus a third of sigma that frames may share (pointing jitter, landmarks).
    """
    e, _ = residual_and_jacobian(sightings, fit.setup.forces, fit.t_s, fit.x, fit.delta)
    e = np.where(chosen[:, None], e / sightings.sigma_px[:, None], 0.0)
    frames = len(sightings.t_s)
    count = np.bincount(sightings.frame, weights=chosen.astype(np.float64), minlength=frames)
    total = np.bincount(sightings.frame, minlength=frames).astype(np.float64)
    total_u, total_v = (np.bincount(sightings.frame, weights=e[:, k], minlength=frames) for k in (0, 1))
    limit = FRAME_SIGMAS * fit.solver.sigma * np.sqrt(1.0 / np.maximum(count, 1.0) + 0.1)
    shifted: BoolArray = np.hypot(total_u, total_v) > limit * np.maximum(count, 1.0)
    shifted |= (count < FRAME_SHARE * total) & (total >= 4)
    return np.asarray(shifted[sightings.frame])


def _beyond_a_jump(sightings: Sightings, fit: Fit, chosen: BoolArray) -> BoolArray:
    """Return the detections (N,) of frames that a jump of the pointing parts from most of their pass.

    The camera turns as its chain allows; frames shifted alike begin and end with a jump.
    """
    out = np.zeros(len(sightings), dtype=bool)
    if fit.setup.slow_sigma == 0.0 or not sightings.pointing.is_nadir.all():
        return out
    count = np.bincount(sightings.frame[chosen], minlength=len(sightings.t_s))
    frames = np.flatnonzero(count)
    part = np.cumsum(_jumps(sightings.t_s[frames], fit.delta[frames], fit.setup) > JUMP_SIGMAS)
    for one_pass in np.unique(sightings.pass_index[frames]):
        here = sightings.pass_index[frames] == one_pass
        most = np.argmax(np.bincount(part[here], weights=count[frames[here]]))
        out |= np.isin(sightings.frame, frames[here & (part != most)])
    return out


def _jumps(t_s: Array, delta: Array, setup: FitSetup) -> Array:
    """Return how many sigma of its prior the pointing turned before each of F frames; 0 for the first."""
    step = np.diff(t_s) / setup.slow_s if setup.slow_s > 0.0 else np.full(len(t_s) - 1, np.inf)
    turned = np.abs(delta[1:, :3] - np.exp(-step)[:, None] * delta[:-1, :3]).max(axis=1)
    return np.append(0.0, turned / (setup.slow_sigma * np.sqrt(-np.expm1(-2.0 * step))))


def _middle_frame(sightings: Sightings, used: BoolArray) -> float:
    """Return the time of the used frame nearest to the middle of the used span."""
    t = sightings.t_s[np.unique(sightings.frame[used])]
    return float(t[int(np.argmin(np.abs(t - 0.5 * (t[0] + t[-1]))))])


def fit_all(
    sightings: Sightings, orbit: Orbit, setup: FitSetup, prior: Belief | None, pass_bias_fraction: float
) -> FinalFit | None:
    """Return the final fit, or None when nothing agrees with the orbit any more.

    A pass that contradicts the orbit of the others is left out while two others remain.
    prior : an earlier solution to weigh in; pass_bias_fraction : sigma of a bias common to
    a pass, as a fraction of the measured sigma.
    """
    barred = np.zeros(len(sightings), dtype=bool)
    while True:
        final = _fit_all(sightings, orbit, setup, prior, pass_bias_fraction, barred)
        if final is None or len(final.innovation) < 3:
            return final
        worst = max(final.innovation, key=lambda one: final.innovation[one].excess)
        if not final.innovation[worst].contradicts:
            return final
        barred |= sightings.pass_index[sightings.frame] == worst


def _fit_all(
    sightings: Sightings,
    orbit: Orbit,
    setup: FitSetup,
    prior: Belief | None,
    pass_bias_fraction: float,
    barred: BoolArray,
) -> FinalFit | None:
    """Return the final fit without the detections of a mask (N,), see `fit_all`."""
    belief, used = orbit.belief, np.zeros(len(sightings), dtype=bool)
    fit: Fit | None = None
    options = SolverOptions(max_iterations=12, first_iteration=4, tolerance=0.05)
    for _ in range(MAX_ROUNDS):
        now = _chosen(sightings, belief, fit, setup) & ~barred
        if now.sum() < ACCEPT_COUNT:
            return None
        if fit is not None and np.mean(now != used) < SETTLED:
            break
        used = now
        belief = moved(belief, sightings, setup.forces, _middle_frame(sightings, used))
        full = with_prior(_with_bounds(setup, belief), prior, sightings, belief.t_s)
        fit = _fit(sightings, used, belief, full, options, fit)
        options = SolverOptions(max_iterations=8, first_iteration=8, tolerance=0.05)
        belief = fit.belief()
    assert fit is not None
    polish = SolverOptions(max_iterations=25, first_iteration=8, tolerance=2e-3)
    fit = _fit(sightings, used, belief, fit.setup, polish, fit)
    own = replace(fit, delta=fit.delta[np.unique(sightings.frame[used])])
    part = sightings.select(used)
    told = _sandwich(part, own, pass_bias_fraction)
    passes = np.unique(part.pass_index[part.frame])
    innovation = dict(zip(passes.tolist(), told.innovations(), strict=True))
    covariance = told.as_the_passes_disagree().covariance()
    return FinalFit(fit, used, _in_si(covariance, fit.setup.free), innovation)


def _fit(
    sightings: Sightings,
    used: BoolArray,
    belief: Belief,
    setup: FitSetup,
    options: SolverOptions,
    last: Fit | None,
) -> Fit:
    """Fit the used detections from a belief; with a chain, all frames keep their place in it."""
    if setup.chain(sightings) is None:
        fit = fit_orbit(sightings.select(used), belief.t_s, belief.x, setup, options)
        return replace(fit, delta=np.zeros((len(sightings.t_s), 3)))
    delta = None if last is None else last.delta
    fit = fit_orbit(sightings, belief.t_s, belief.x, setup, options, delta0=delta, used=used)
    return replace(fit, solver=fit.solver.only(used))


def _with_bounds(setup: FitSetup, belief: Belief) -> FitSetup:
    """Return the setup with the little that is known of any orbit (ANYWHERE) added.

    It matters only where the detections say nothing, and keeps the normal equations regular.
    """
    mean, information = setup.prior_mean.copy(), setup.prior_information.copy()
    mean[:6] = belief.x[:6]
    information[np.arange(6), np.arange(6)] += 1.0 / ANYWHERE**2
    return replace(setup, prior_mean=mean, prior_information=information)


def with_prior(setup: FitSetup, prior: Belief | None, sightings: Sightings, t_s: float) -> FitSetup:
    """Return the setup with an earlier solution's information added at t_s."""
    if prior is None:
        return setup
    there = moved(prior, sightings, setup.forces, t_s)
    known = np.flatnonzero(np.diag(there.covariance) > 0.0)
    mean, information = setup.prior_mean.copy(), setup.prior_information.copy()
    block = there.covariance[np.ix_(known, known)]
    d = np.outer(np.sqrt(np.diag(block)), np.sqrt(np.diag(block)))
    mean[known] = there.x[known]
    information[known, :] = information[:, known] = 0.0
    information[np.ix_(known, known)] = np.linalg.pinv(block / d, hermitian=True) / d
    return replace(setup, prior_mean=mean, prior_information=information)


def _in_si(covariance: Array, free: IntArray) -> Array:
    """Return the covariance (13, 13) of x in SI from that of the solver's unknowns; zero for what is held."""
    full = np.zeros((SIZE, SIZE))
    full[np.ix_(free, free)] = covariance * np.outer(UNIT[free], UNIT[free])
    return full


def _sandwich(sightings: Sightings, fit: Fit, pass_bias_fraction: float) -> Sandwich:
    """Return what the covariance of the solver's unknowns is made of."""
    solver = fit.solver
    pass_of = sightings.pass_index[sightings.frame]
    clusters = Clusters(
        frame=sightings.frame,
        landmark=numbered(np.stack([pass_of, sightings.landmark]), axis=1),
        one_pass=numbered(pass_of),
    )
    return sandwich(
        solver.jacobian,
        solver.residual,
        solver.weights,
        shape=solver.shape,
        scale=solver.scale,
        clusters=clusters,
        prior_information=solver.information,
        pass_variance=(pass_bias_fraction * solver.sigma) ** 2,
        unmodelled=_unmodelled(sightings, fit),
        chain_freedom=solver.chain_freedom(),
    )


def _unmodelled(sightings: Sightings, fit: Fit) -> Array:
    """Return what force errors do to the normal equations (n, n), see `unmodelled`."""
    _, jacobian = residual_and_jacobian(sightings, fit.setup.forces, fit.t_s, fit.x, fit.delta)
    by_state = np.nan_to_num(jacobian[:, :, :6]) / sightings.sigma_px[:, None, None]
    t_s = sightings.t_s[sightings.frame] - fit.t_s
    instants = grid(t_s)
    orbit = propagate(
        fit.setup.forces, sightings.epoch + fit.t_s, fit.x[:6], float(fit.x[6]), instants, with_stm=True
    )
    assert orbit.stm is not None
    normal = np.swapaxes(fit.solver.jacobian, 1, 2) @ by_state
    return pull_of_force_noise(t_s, normal, instants, orbit.stm[:, :, :6])
