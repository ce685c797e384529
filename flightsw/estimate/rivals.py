"""Whether a pass would as well support another orbit.

Frames that are shifted alike make a consistent orbit of their own. When a pass holds both
good frames and such ones, the larger group wins, and it need not be the good one. So the
detections that the orbit rejects in a pass are offered to the orbit of all *other*
passes: where they bend it to themselves without trouble, they are the pass's rival, and
a pass whose rival is nearly as large as its support decides nothing.
"""

import numpy as np
from numpy.typing import NDArray

from flightsw.estimate.final_fit import FinalFit
from flightsw.estimate.growth import absorb_all, accept_gate_px
from flightsw.estimate.initial import JOINT_INFLATION, misfit_px, refit
from flightsw.estimate.orbit_fit import FitSetup
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
    belief = refit(sightings.select(others), final.fit.belief(), setup).belief(JOINT_INFLATION)
    rival, inliers = absorb_all(belief, sightings.select(rejected), setup.forces, rng)
    if not inliers.any():
        return 0
    own = sightings.select(used)
    kept = misfit_px(own, setup.forces, rival.t_s, rival.x) < accept_gate_px(own)
    return 0 if kept.mean() > 0.5 else int(inliers.sum())  # the same orbit is no rival
