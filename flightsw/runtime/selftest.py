"""Does this program work on this computer? A minute's work at most, no files needed."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.forces import Forces
from flightsw.astro.propagate import propagate
from flightsw.astro.rotation import ecef_from_eci
from flightsw.astro.time import Epoch
from flightsw.estimate.batch import estimate_orbit
from flightsw.runtime.known_case import EPOCH, known_case

CASE_LIMIT_M = 1000.0  # of the small case; 110 m is usual
SIGMAS = 5.0
GOLDEN_LIMIT_M = 5000.0  # of a golden frame's position; 630 m is usual


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its name, whether it passed, and what was found."""

    name: str
    passed: bool
    detail: str


def selftest(*, models: str | os.PathLike[str] | None = None) -> list[Check]:
    """Run every check; a failure is a result, not an exception.

    models : a models folder whose networks are to be run too. Raises ModelError where it
    does not verify.
    """
    checks = [_time(), _rotation(), _propagation(), _estimate()]
    if models is not None:
        checks += _networks(Path(models))
    return checks


def _time() -> Check:
    """A leap second lasts one second."""
    before, after = Epoch.from_utc("2016-12-31T23:59:59Z"), Epoch.from_utc("2017-01-01T00:00:00Z")
    inside = (before + 1.5).utc_iso(1)
    passed = after - before == 2.0 and inside == "2016-12-31T23:59:60.5Z"
    return Check("time", passed, f"the leap second of 2016 reads {inside}")


def _rotation() -> Check:
    """A stellar day later the Earth looks the same way."""
    turn = ecef_from_eci(EPOCH, 86164.0989) @ ecef_from_eci(EPOCH, 0.0).T
    angle = float(np.linalg.norm(turn - np.eye(3)))
    return Check("earth rotation", angle < 1e-5, f"after one stellar day it is off by {angle:.1e} rad")


def _propagation() -> Check:
    """Forth and back is where it began, and the matrices of the two ways cancel."""
    state = known_case(frames=1, landmarks=4).state[0]
    forth = propagate(Forces(), EPOCH, state, 1.0, np.array([5400.0]), with_stm=True)
    back = propagate(Forces(), EPOCH + 5400.0, forth.state[0], 1.0, np.array([-5400.0]), with_stm=True)
    error = float(np.linalg.norm(back.state[0, :3] - state[:3]))
    assert forth.stm is not None
    assert back.stm is not None
    scale = np.array([1e6] * 3 + [1e3] * 3)
    gap = back.stm[0, :, :6] @ forth.stm[0, :, :6] * scale / scale[:, None] - np.eye(6)
    passed = error < 0.1 and float(np.abs(gap).max()) < 1e-3
    return Check("propagation", passed, f"90 min forth and back differ by {error * 1e3:.3f} mm")


def _estimate() -> Check:
    """The orbit of a made-up case is found, and its error is what it says."""
    case = known_case()
    solution = estimate_orbit(case.observations, case.camera)
    if not solution.has_state:
        return Check("estimate", False, f"{solution.status.name}: {solution.status.value}")
    t_s = case.observations.frame_t_s - (solution.epoch - case.observations.epoch)
    state, covariance = solution.predict(t_s)
    error = np.linalg.norm(state[:, :3] - case.state[:, :3], axis=1)
    sigma = np.sqrt(np.trace(covariance[:, :3, :3], axis1=1, axis2=2))
    passed = solution.status.is_determined and error.max() < CASE_LIMIT_M and (error < SIGMAS * sigma).all()
    return Check("estimate", bool(passed), f"off by {error.max():.0f} m, says {sigma.max():.0f} m (1 sigma)")


def _networks(folder: Path) -> list[Check]:
    """Verify a models folder, run each of its networks, and look at frames whose answer is known."""
    from flightsw.runtime.golden.frames import golden_frames
    from flightsw.vision.finder import find_landmarks
    from flightsw.vision.landmarks import detect
    from flightsw.vision.models import load_models, verify_models
    from flightsw.vision.preprocess import MODEL_CAMERA, model_frame_from_rgb
    from flightsw.vision.regions import classify

    checks = [Check("models", True, f"{len(verify_models(folder))} entries verified")]
    models = load_models(folder)
    shape = (MODEL_CAMERA.height_px, MODEL_CAMERA.width_px, 3)
    frame = model_frame_from_rgb(np.full(shape, 90, dtype=np.uint8))
    if models.classifier is not None:
        checks.append(_finite("region classifier", classify(models.classifier, frame)))
    for entry in models.manifest.region:
        if entry.detector is not None:
            found = detect(models.detector(entry.id), frame, threshold=0.0)
            checks.append(_finite(f"detector {entry.id}", np.column_stack([found.uv_px, found.score])))
    known = {entry.id for entry in models.manifest.region}
    for golden in golden_frames():
        if not golden.region or golden.region in known:
            result = find_landmarks(models, golden.jpeg, MODEL_CAMERA)
            off_m = None if result.pose is None else golden.error_m(result.pose.r_ecef)
            checks.append(_golden(golden.name, golden.region, result.regions[-1:], off_m))
    return checks


def _golden(name: str, region: str, found_in: tuple[str, ...], off_m: float | None) -> Check:
    """Return the check of a golden frame: found where it was taken, or rightly nowhere."""
    if off_m is None:
        return Check(
            f"frame {name}", not region, "no fix" + (f", it shows {region}" if region else ", rightly")
        )
    passed = found_in == (region,) and off_m < GOLDEN_LIMIT_M
    return Check(f"frame {name}", passed, f"found in {' '.join(found_in)}, off by {off_m:.0f} m")


def _finite(name: str, outputs: NDArray[np.float64]) -> Check:
    """Return the check that a network ran and gave finite numbers."""
    passed = bool(np.isfinite(outputs).all())
    return Check(name, passed, "runs, finite outputs" if passed else "gives numbers that are not finite")
