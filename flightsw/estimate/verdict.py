"""Whether an orbit may be relied on.

A single pass with a coherent shift of all its detections is self-consistent: its orbit
fits perfectly and is wrong. So an orbit is called determined only when two passes at
least, more than 20 minutes apart, support it, and its own covariance says that it is
useful; an earlier determined solution that was weighed in counts as one pass. A pass in
which a rival (see `rivals`) is nearly as strong as the orbit supports nothing, nor does one
whose innovation says that it cannot be of the orbit of the others.
"""

import numpy as np
from numpy.typing import NDArray

from flightsw.estimate.final_fit import FinalFit
from flightsw.estimate.runs import runs
from flightsw.estimate.sightings import Sightings
from flightsw.estimate.solution import PassStatistics, Solution, Status

Array = NDArray[np.float64]

MAX_POSITION_SIGMA = 2_500.0  # m, sqrt(trace) at the last used frame and at epoch
MIN_PASS_DETECTIONS, MIN_PASS_LANDMARKS, MIN_PASS_FRAMES = 5, 3, 2
MAX_RIVAL = 0.5  # of a pass's used detections
MIN_SHARE = 0.25  # of a pass, by the worth of its detections, unless
MIN_RUNS = 2  # that many runs of frames support the orbit
MAX_RIVAL_OF_TWO = 0.05  # where only two passes agree: then nothing else speaks against a rival


def pass_statistics(
    sightings: Sightings, final: FinalFit, rivals: NDArray[np.intp]
) -> tuple[PassStatistics, ...]:
    """Return the statistics of every pass, in order of time; rivals (P,) as `rival_support` gives."""
    of_row = sightings.pass_index[sightings.frame]
    used_row, worth = np.flatnonzero(final.used), sightings.worth
    residual = np.full((len(sightings), 2), np.nan)
    residual[used_row] = final.fit.solver.residual * sightings.sigma_px[used_row, None]
    out = []
    for one_pass in range(int(sightings.pass_index[-1]) + 1):
        rows = of_row == one_pass
        used = rows & final.used
        times = sightings.t_s[sightings.pass_index == one_pass] - final.fit.t_s
        e = residual[used]
        mean = e.mean(axis=0) if len(e) else np.full(2, np.nan)
        share = float(worth[used].sum() / worth[rows].sum())
        landmarks = len(np.unique(sightings.landmark[used]))
        innovation = final.innovation.get(one_pass)
        out.append(
            PassStatistics(
                start_s=float(times[0]),
                end_s=float(times[-1]),
                frames=len(times),
                detections=int(rows.sum()),
                landmarks=len(np.unique(sightings.landmark[rows])),
                used=int(used.sum()),
                share=share,
                rms_px=float(np.sqrt(np.mean(e**2))) if len(e) else float("nan"),
                mean_u_px=float(mean[0]),
                mean_v_px=float(mean[1]),
                rival=int(rivals[one_pass]),
                nis=float("nan") if innovation is None else innovation.squared,
                nis_freedom=0 if innovation is None else innovation.freedom,
                agrees=bool(
                    used.sum() >= MIN_PASS_DETECTIONS
                    and landmarks >= MIN_PASS_LANDMARKS
                    and len(np.unique(sightings.frame[used])) >= MIN_PASS_FRAMES
                    and (share >= MIN_SHARE or runs(sightings, used, rows) >= MIN_RUNS)
                    and rivals[one_pass] <= MAX_RIVAL * used.sum()
                    and not (innovation is not None and innovation.contradicts)
                ),
            )
        )
    return tuple(out)


def judge(solution: Solution, is_settled: bool, prior: Solution | None) -> Status:
    """Return the status of a solution that has a state."""
    agreeing = [p for p in solution.passes if p.agrees]
    strong = [p for p in agreeing if p.rival <= MAX_RIVAL_OF_TWO * p.used]
    refused = [p for p in solution.passes if not p.agrees and _could_agree(p)]
    confirmed = prior is not None and prior.status.is_determined
    if not is_settled:
        return Status.NOT_CONVERGED
    if len(agreeing) + confirmed < 2:
        return Status.INCONSISTENT_PASSES if refused and len(agreeing) + len(refused) > 1 else Status.ONE_PASS
    if len(agreeing) + confirmed == 2 and len(strong) + confirmed < 2:
        return Status.INCONSISTENT_PASSES
    return Status.DETERMINED if _is_certain(solution) else Status.WEAK_GEOMETRY


def _could_agree(p: PassStatistics) -> bool:
    """Tell whether a pass holds enough to support an orbit, twice over."""
    enough = p.detections >= 2 * MIN_PASS_DETECTIONS and p.landmarks >= 2 * MIN_PASS_LANDMARKS
    return enough and p.frames >= MIN_PASS_FRAMES


def _is_certain(solution: Solution) -> bool:
    _, covariance = solution.predict(np.array([0.0, solution.last_used_s]))
    sigma = np.sqrt(np.trace(covariance[:, :3, :3], axis1=1, axis2=2))
    return bool(np.all(sigma < MAX_POSITION_SIGMA))
