"""Whether a pass would as well support another orbit.

Frames that are shifted alike make a consistent orbit of their own. When a pass holds both
good frames and such ones, the larger group wins, and it need not be the good one. So the
detections that the orbit rejects in a pass are offered to the orbit of all *other*
passes: where they bend it to themselves without trouble, they are the pass's rival, and
a pass whose rival is nearly as large as its support decides nothing. Frames shifted alike
come in one run; where the orbit holds in two runs or more, and in twice as many as the rival,
the rival is such a run and is not counted.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from flightsw.estimate.final_fit import FinalFit
from flightsw.estimate.growth import absorb_all, accept_gate_px
from flightsw.estimate.initial import JOINT_INFLATION
from flightsw.estimate.local_orbits import misfit_px
from flightsw.estimate.orbit_fit import Belief, FitSetup
from flightsw.estimate.runs import runs
from flightsw.estimate.sightings import Sightings

IntArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

LEAST_RIVAL = 5  # detections; fewer are no pass of their own
WORTH_A_LOOK = 0.25  # rejected over used detections of a pass


def rival_support(
    sightings: Sightings, final: FinalFit, setup: FitSetup, rng: np.random.Generator
) -> IntArray:
    """Return per pass how many detections support the best other orbit found (P,), 0 without one."""
    of_row = sightings.pass_index[sightings.frame]
    passes = int(sightings.pass_index[-1]) + 1
    support = np.zeros(passes, dtype=np.intp)
    for one_pass in range(passes):
        here = of_row == one_pass
        used, rejected = here & final.used, here & ~final.used
        others = final.used & ~here
        too_few = rejected.sum() < max(LEAST_RIVAL, WORTH_A_LOOK * used.sum())
        if too_few or not used.any() or others.sum() < LEAST_RIVAL:
            continue
        support[one_pass] = _support_of(sightings, used, rejected, others, final, setup, rng)
    return support


def _support_of(
    sightings: Sightings,
    used: BoolArray,
    rejected: BoolArray,
    others: BoolArray,
    final: FinalFit,
    setup: FitSetup,
    rng: np.random.Generator,
) -> int:
    """Return how many of the rejected detections bend the orbit of the others to themselves."""
    belief = _without(others, final)
    part = sightings.select(rejected)
    rival, inliers = absorb_all(belief, part, setup.forces, rng)
    per_frame = np.sort(np.bincount(part.frame, weights=inliers.astype(np.float64)))
    if len(per_frame) < 2 or per_frame[-2] < 2.0:  # one shifted frame makes no orbit
        return 0
    bad = np.zeros(len(sightings), dtype=bool)
    bad[np.flatnonzero(rejected)[inliers]] = True
    here = used | rejected
    for_orbit = runs(sightings, used, here)
    if for_orbit >= 2 and for_orbit >= 2 * runs(sightings, bad, here):
        return 0
    own = sightings.select(used)
    kept = misfit_px(own, setup.forces, rival.t_s, rival.x) < accept_gate_px(own)
    return 0 if kept.mean() > 0.5 else int(inliers.sum())  # the same orbit is no rival


def _without(others: BoolArray, final: FinalFit) -> Belief:
    """Return the orbit with the covariance that the detections `others` alone give it."""
    fit = final.fit
    mine = others[final.used]
    solver = fit.solver
    rows = solver.jacobian[mine].reshape(-1, solver.jacobian.shape[2])
    weights = np.repeat(solver.weights[mine], 2)[:, None] / solver.sigma**2
    reduced = replace(fit, solver=replace(solver, hessian=rows.T @ (weights * rows) + solver.information))
    return reduced.belief(JOINT_INFLATION)
