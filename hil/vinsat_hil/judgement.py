"""Orbits that the payload called determined, beside the truth it was not told.

Compared in the Earth-fixed frame: a payload whose clock is off has a world that is turned
with it, and where it is over the ground is what it can know.
"""

from dataclasses import dataclass

import numpy as np

from flightsw.astro.rotation import ecef_from_eci
from flightsw.astro.time import NS, Epoch
from vinsat_hil import medium
from vinsat_hil.evidence import Evidence


@dataclass(frozen=True, slots=True)
class Judged:
    """One determined orbit at its epoch: error and claimed 1 sigma, both 3-D, m; used observations."""

    t_s: float
    error_m: float
    sigma_m: float
    used: int


def judge_orbits(evidence: Evidence) -> list[Judged]:
    """Return every determined orbit of the log, in order."""
    judged = []
    for entry in evidence.records.values():
        if entry.kind != medium.SOLUTION:
            continue
        content = entry.content()
        if content["status"] != "DETERMINED":
            continue
        tai_ns = int(content["epoch_tai_ns"])
        t_s = _true_time(evidence, tai_ns)
        r_ecef = ecef_from_eci(Epoch(tai_ns), np.zeros(1))[0] @ np.array(content["state"][:3])
        error_m = float(np.linalg.norm(r_ecef - evidence.truth.r_ecef(t_s)))
        judged.append(Judged(t_s, error_m, float(content["sigma_m"]), int(content["used"])))
    return judged


def _true_time(evidence: Evidence, tai_ns: int) -> float:
    """Return the true time of an instant of the payload's clock, by the frame nearest to it."""
    shot = min(evidence.feed.shots, key=lambda shot: abs(shot.tai_ns - tai_ns))
    return shot.t_s + (tai_ns - shot.tai_ns) / NS
