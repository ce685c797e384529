"""Lost in space among bad frames: how often is an orbit found, and is one ever wrong?

The honest scenario (night, clouds, confidence), the detector error model, an image every
5 s; bad frames come in bursts of 30 s on average, half of the bursts shifted alike. The
attitude is given, or nadir with an unknown constant offset of up to 0.5 deg. A case
counts as multi-pass when two passes are usable by their good frames alone.
"""

import functools
from dataclasses import replace

from groundtools.registry import Check, at_least, at_most, noted
from groundtools.statistics import wilson_interval
from vinsat_sim.measurement.conditions import Conditions, Landmarks, draw_landmarks
from vinsat_sim.measurement.detector import PUBLISHED
from vinsat_sim.measurement.satellite import PointingErrors, fly
from vinsat_sim.measurement.study import Row, Study, Task
from vinsat_sim.measurement.trial import estimate

CONDITIONS = Conditions(cadence_s=5.0)
BAD_SHARES = (0.0, 0.1, 0.2, 0.3, 0.4)
POINTING = {"given": PointingErrors(), "nadir": PointingErrors(constant_deg=0.5, jitter_deg=0.01)}
SATELLITES = 700


@functools.cache
def _landmarks() -> Landmarks:
    return draw_landmarks(500)


def solve(task: Task) -> Row:
    """Run one case, the attitude mode, of one satellite; the share of bad frames goes by the seed."""
    satellite = fly(task.seed, CONDITIONS, _landmarks(), POINTING[task.case])
    errors = replace(PUBLISHED, bad_share=bad_share(task.seed))
    good = satellite.usable_passes_of_good_frames(errors)
    if len(satellite.image) == 0:
        return {"status": "NOT_TRIED", "good_passes": 0}
    trial = estimate(satellite, errors, attitude_given=task.case == "given")
    return {**trial.as_json(), "good_passes": good}


def bad_share(seed: int) -> float:
    """Return the share of bad frames of a seed."""
    return BAD_SHARES[seed % len(BAD_SHARES)]


def judge(rows: list[Row]) -> tuple[Check, ...]:
    """Return the checks."""
    tried = [row for row in rows if row["status"] != "NOT_TRIED"]
    multi = [row for row in tried if row["good_passes"] >= 2]
    single = [row for row in tried if row["good_passes"] < 2]
    wrong, solved = sum(row["wrong"] for row in multi), sum(row["solved"] for row in multi)
    n = max(len(multi), 1)
    wrong_single, m = sum(row["wrong"] for row in single), max(len(single), 1)
    return (
        at_least("multi-pass cases", len(multi), 200),
        at_most("multi-pass: wrong", wrong, 0, interval=wilson_interval(wrong, n)),
        at_least("multi-pass: solved", solved / n, 0.97, interval=wilson_interval(solved, n)),
        *(_by_share(multi, share) for share in BAD_SHARES),
        at_least("single-pass cases", len(single), 300),
        at_most("single-pass: wrong", wrong_single / m, 0.01, interval=wilson_interval(wrong_single, m)),
    )


def _by_share(cases: list[Row], share: float) -> Check:
    """Return how many of the multi-pass cases with a share of bad frames are solved."""
    some = [row for row in cases if bad_share(row["seed"]) == share]
    solved = sum(row["solved"] for row in some)
    return noted(f"multi-pass: solved at {share:.0%} bad frames", f"{solved} of {len(some)}")


TASKS = tuple(Task(case, seed) for seed in range(1, SATELLITES + 1) for case in POINTING)
STUDY = Study(
    id="lost-in-space",
    title="orbits from nothing among 0 to 40 % bad frames",
    tasks=TASKS,
    solve=solve,
    judge=judge,
    anew=tuple(task for task in TASKS if task.seed in (2, 3, 5, 7)),
    recipe=f"{CONDITIONS} {PUBLISHED} {POINTING} {BAD_SHARES} 500",
)
REPRODUCTION = STUDY.reproduction()
