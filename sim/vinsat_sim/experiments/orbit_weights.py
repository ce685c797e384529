"""`vinsat reproduce orbit-weights`: weights learned through the orbit's fit, on arcs held out.

Four ways to say what a detection is worth, on the same detections: a constant sigma, the
detector's calibrated sigma, a confidence of at least 0.8 and a constant sigma, the learned
network. Barron's kernel stands behind each. Arcs are of other seeds, other clouds, and an
error model whose parameters were not trained on; scenarios: as held out, clean, heavy
outliers, a bias per pass. The network is the one in docs/results/orbit-weights; without it
nothing is measured.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np

from flightsw.estimate.batch import estimate_orbit
from flightsw.vision.session import Session
from flightsw.vision.worth import ROWS, log_factors
from groundtools.registry import Check, at_least, at_most, noted
from vinsat_sim.measurement.conditions import CAMERA, draw_landmarks
from vinsat_sim.measurement.detector import DetectorErrors
from vinsat_sim.measurement.study import RESULTS, Row, Study, Task
from vinsat_sim.measurement.trial import options
from vinsat_sim.measurement.trial import scored as judged
from vinsat_sim.measurement.weight_arcs import CONDITIONS, HELD_OUT, WorthErrors, flown, scored

NETWORK = RESULTS / "orbit-weights" / "worth.onnx"
ARCS, OTHERS = 200, 20
THRESHOLD = 0.8
SCENARIOS: dict[str, WorthErrors] = {
    "held-out": HELD_OUT,
    "clean": WorthErrors(errors=DetectorErrors(noise_px=2.0)),
    "heavy": WorthErrors(errors=DetectorErrors(noise_px=3.6, tails=3.0, bad_share=0.2)),
    "pass-bias": WorthErrors(errors=DetectorErrors(noise_px=3.6, tails=4.0, pass_px=3.0, bad_share=0.04)),
}
WAYS = ("constant", "calibrated", "threshold", "learned")


def network(path: Path = NETWORK) -> Session:
    """Return the network under test. Raises FileNotFoundError without it."""
    shapes = {"log_factor": (ROWS, 1)}
    return Session(path.read_bytes(), path=path, input_shape=(ROWS, 6), output_shapes=shapes)


def solve(task: Task) -> Row:
    """Run one arc all four ways; two passes at least, else nothing is asked."""
    satellite = flown(7_000_000 + task.seed, draw_landmarks(CONDITIONS.landmarks_per_region, seed=1))
    row: dict[str, Any] = {"usable_passes": satellite.usable_passes, "status": "skipped"}
    if satellite.usable_passes < 2:
        return row
    model = SCENARIOS[task.case]
    found = scored(satellite, model)
    factor = np.exp(log_factors(network(), found.features))
    constant = np.full(len(factor), model.errors.noise_px)
    sure = found.observations.confidence >= THRESHOLD
    ways = {
        "constant": found.stating(constant),
        "calibrated": found.stating(found.calibrated_px),
        "threshold": found.stating(constant, sure),
        "learned": found.stating(found.calibrated_px * factor),
    }
    for way, seen in ways.items():
        trial = judged(satellite, estimate_orbit(seen, CAMERA, options=options()), wall_s=0.0, bound_km=None)
        row[way] = {
            "determined": trial.determined,
            "wrong": trial.wrong,
            "rms_km": trial.rms_km,
            "nees": trial.nees,
        }
    row["status"] = "done"
    return row


def compared(rows: list[Row], one: str, other: str, *, two_passes: bool = False) -> tuple[float, int]:
    """Return RMS position error, one over other, of arcs both ways determine, and their number."""
    pairs = [
        (row[one]["rms_km"], row[other]["rms_km"])
        for row in rows
        if row[one]["determined"]
        and row[other]["determined"]
        and (row["usable_passes"] == 2 or not two_passes)
    ]
    if not pairs:
        return math.nan, 0
    a, b = np.sqrt(np.mean(np.square(pairs), axis=0))
    return float(a / b), len(pairs)


def judge(rows: list[Row]) -> tuple[Check, ...]:
    """Return the checks of the stored arcs."""
    done = [row for row in rows if row["status"] == "done"]
    main = [row for row in done if row["case"] == "held-out"]
    checks = [at_least("held-out arcs with two passes or more", len(main), ARCS)]
    for two in (True, False):
        name = "two-pass arcs" if two else "all arcs"
        for other, limit in (("constant", 0.9), ("calibrated", 0.95), ("threshold", 1.0)):
            ratio, count = compared(main, "learned", other, two_passes=two)
            checks.append(at_most(f"{name} ({count}): RMS error, learned over {other}", ratio, limit))
    nees = [row["learned"]["nees"] for row in main if row["learned"]["determined"]]
    if nees:
        low, high = _mean_chi2(6, len(nees))
        mean = float(np.mean(nees))
        inside = Check(
            name="mean NEES of the learned way, 6 degrees of freedom", value=mean, low=low, high=high,
            threshold=f"{low:.2f} to {high:.2f}", passed=low <= mean <= high,
        )  # fmt: skip
        checks.append(inside)
    for case in SCENARIOS:
        ratio, count = compared([r for r in done if r["case"] == case], "learned", "constant")
        checks.append(at_most(f"{case} ({count} arcs): learned over constant", ratio, 1.1))
    checks.append(noted("wrong orbits of the learned way", sum(r["learned"]["wrong"] for r in done)))
    return tuple(checks)


def _mean_chi2(freedom: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of the mean of `count` chi-squares, by the normal limit."""
    half = 1.96 * math.sqrt(2.0 * freedom / count)
    return freedom - half, freedom + half


def _tasks() -> list[Task]:
    # About half the satellites see two usable passes; the others are skipped at no cost.
    tasks = [Task("held-out", seed) for seed in range(2 * ARCS)]
    return tasks + [
        Task(case, seed) for case in SCENARIOS if case != "held-out" for seed in range(2 * OTHERS)
    ]


def _digest() -> str:
    import hashlib

    return hashlib.sha256(NETWORK.read_bytes()).hexdigest()[:16] if NETWORK.is_file() else "no network"


STUDY = Study(
    id="orbit-weights",
    title="R: weights learned through the orbit's fit against constant and calibrated sigma",
    tasks=_tasks(),
    solve=solve,
    judge=judge,
    anew=(),
    recipe=repr((SCENARIOS, CONDITIONS, THRESHOLD, _digest())),
)
REPRODUCTION = STUDY.reproduction()
