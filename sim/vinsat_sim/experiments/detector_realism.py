"""Is the detector error model what the shipped vision does? Fitted on some flights, held against others.

The flights are those of `demo-20`: rendered frames, the shipped models, and every
observation the flight program accepted, kept beside the results. The truth of a flight
follows from its seed, so the error of every observation is known. From the flights FITTED
come the parameters of `measurement.detector.SHIPPED`; on the others the model, laid out
over the same frames, landmarks and passes, is compared with what was measured.

    pass_px      1 sigma of a pass's median error
    noise_px, tails  from median and 99th percentile of a landmark's sightings in a pass
                     about their mean
    landmark_px, landmark_tails  such that, with noise and pass, median and 95th percentile
                     of all errors come out
    bad_share    of frames whose median error is beyond BAD_PX
"""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.linalg import norm
from numpy.typing import NDArray

from flightsw.camera.load import load_camera
from flightsw.camera.project import observe
from flightsw.estimate.sightings import PASS_GAP, REFERENCE_FOCAL_PX, numbered, split_by_gap
from flightsw.runtime.tables import read_observations
from flightsw.vision.models import load_models
from groundtools import models_folder
from groundtools.registry import Check, Reproduction, Scale, at_least, at_most, noted
from groundtools.statistics import wilson_interval
from vinsat_sim.demo.draw import draw
from vinsat_sim.demo.frames import true_attitude
from vinsat_sim.demo.run import CAMERA_FILE, detector_landmarks
from vinsat_sim.experiments.demo_20 import RESULTS
from vinsat_sim.measurement.detector import SHIPPED, DetectorErrors, detected, student
from vinsat_sim.scenario import load_scenario

Array = NDArray[np.float64]
IntArray = NDArray[np.intp]

FITTED = (1, 3, 5, 7, 9, 11, 13, 15)
HELD_OUT = (2, 4, 6, 8, 10, 12, 14, 16, 18, 20)  # of those stored
BAD_PX = 30.0
LEAST_SEEN = 3  # sightings of a landmark in a pass that tell its noise from its bias
ALIKE = 1.3  # largest ratio of a figure of the model to the measured one
FAR_PX, RARE = 10.0, 0.005
DRAWS = 20  # of the model, over the held-out flights
ROUNDED = 0.05  # px: SHIPPED is the fit, rounded


@dataclass(frozen=True, slots=True)
class Errors:
    """Errors (N, 2) in px of the reference camera; frame, landmark_in_pass, one_pass (N,) from 0."""

    error_px: Array
    frame: IntArray
    landmark_in_pass: IntArray
    one_pass: IntArray


def measured(seed: int) -> Errors:
    """Return the errors of all that a stored flight observed."""
    scenario, camera = load_scenario(), load_camera(CAMERA_FILE)
    drawn = draw(seed, scenario, camera, _landmarks())
    attitude = true_attitude(drawn, scenario, camera)
    seen = read_observations(RESULTS / f"seed-{seed:02d}.csv")
    t_s = seen.t_s + (seen.epoch - drawn.arc.epoch)
    frame = np.round(t_s / scenario.cadence_s).astype(np.intp)
    uv_px = np.empty_like(seen.uv_px)
    for k in np.unique(frame):
        rows = frame == k
        uv_px[rows] = observe(camera, attitude[k], drawn.arc.r_ecef[k], seen.p_ecef[rows])[0]
    passes = split_by_gap(t_s, PASS_GAP)
    landmark = np.unique(seen.landmark_id, return_inverse=True)[1].reshape(-1)
    pairs = numbered(np.stack([passes, landmark]), axis=1)
    return Errors((seen.uv_px - uv_px) * REFERENCE_FOCAL_PX / camera.fx_px, frame, pairs, passes)


def joined(flights: list[Errors]) -> Errors:
    """Return several flights as one, their labels kept apart."""
    parts: list[list[NDArray[np.generic]]] = [[], [], [], []]
    offset = np.zeros(3, dtype=np.intp)
    for one in flights:
        labels = (one.frame, one.landmark_in_pass, one.one_pass)
        for part, values in zip(parts, (one.error_px, *(x + o for x, o in zip(labels, offset)))):
            part.append(values)
        offset += [int(label.max(initial=-1)) + 1 for label in labels]
    return Errors(*(np.concatenate(part) for part in parts))


def fit(errors: Errors) -> DetectorErrors:
    """Return the parameters of the model that make such errors."""
    radius = norm(errors.error_px, axis=1)
    frames = np.unique(errors.frame, return_inverse=True)[1].reshape(-1)
    of_frame = np.array([np.median(radius[frames == k]) for k in range(frames.max() + 1)])
    good = (of_frame <= BAD_PX)[frames]
    centre = np.array(
        [np.median(errors.error_px[errors.one_pass == k], axis=0) for k in range(errors.one_pass.max() + 1)]
    )
    rest = errors.error_px - centre[errors.one_pass]
    count = np.bincount(errors.landmark_in_pass[good], minlength=errors.landmark_in_pass.max() + 1)
    sums = [
        np.bincount(errors.landmark_in_pass[good], rest[good, axis], minlength=len(count)) for axis in (0, 1)
    ]
    mean = np.stack(sums, axis=1) / np.maximum(count, 1)[:, None]
    often = count >= LEAST_SEEN
    rows = good & often[errors.landmark_in_pass]
    n = count[errors.landmark_in_pass[rows]]
    noise = (rest[rows] - mean[errors.landmark_in_pass[rows]]) * np.sqrt(n / (n - 1.0))[:, None]
    scale, tails = student_of(norm(noise, axis=1))
    pass_px = float(np.sqrt(np.mean(centre**2)))
    bias, bias_tails = biases_of(radius[good], scale, tails, pass_px)
    return DetectorErrors(
        noise_px=scale,
        tails=tails,
        landmark_px=bias,
        landmark_tails=bias_tails,
        pass_px=pass_px,
        bad_share=float(np.mean(of_frame > BAD_PX)),
    )


def student_of(radius: Array) -> tuple[float, float]:
    """Return scale and degrees of freedom of a two-dimensional Student's t that fits radii (N,)."""
    return student_by(*(float(x) for x in np.percentile(radius, [50.0, 99.0])))


def student_by(median: float, far: float) -> tuple[float, float]:
    """Return scale and degrees of freedom of a two-dimensional Student's t by its median and p99.

    Its quantile q is scale * sqrt(nu ((1 - q)**(-2 / nu) - 1)).
    """
    grid = np.geomspace(1.2, 100.0, 2000)
    ratio = np.sqrt((0.01 ** (-2.0 / grid) - 1.0) / (0.5 ** (-2.0 / grid) - 1.0))
    tails = float(grid[np.argmin(np.abs(ratio - far / median))])
    return float(median / np.sqrt(tails * (0.5 ** (-2.0 / tails) - 1.0))), tails


def biases_of(radius: Array, noise_px: float, tails: float, pass_px: float) -> tuple[float, float]:
    """Return scale and tails of the landmarks' biases that make up for radius (N,), px, with the rest."""
    rng = np.random.default_rng(0)
    n = 40_000
    rest = noise_px * student(n, tails, rng) + pass_px * rng.standard_normal((n, 2))
    median, far = np.percentile(radius, [50.0, 95.0])
    found = []
    for df in np.geomspace(2.5, 60.0, 12):
        bias = student(n, float(df), np.random.default_rng(1))
        low, high = 0.0, float(median)
        for _ in range(14):
            scale = 0.5 * (low + high)
            total = norm(rest + scale * bias, axis=1)
            low, high = (scale, high) if np.median(total) < median else (low, scale)
        found.append((abs(float(np.percentile(total, 95.0)) - far), scale, float(df)))
    return min(found)[1:]


def run(scale: Scale) -> tuple[Check, ...]:
    """Fit on half of the flights and compare on the others; both scales are the same."""
    found = fit(joined([measured(seed) for seed in FITTED]))
    others = [seed for seed in HELD_OUT if measured_of(seed)]
    held = joined([measured(seed) for seed in others])
    layout = (held.frame, held.landmark_in_pass, held.one_pass)
    none = np.zeros_like(held.error_px)
    model = [
        norm(detected(none, *layout, SHIPPED, np.random.default_rng([77, k]))[0], axis=1)
        for k in range(DRAWS)
    ]
    made, true = np.concatenate(model), norm(held.error_px, axis=1)
    far = int(np.sum(true > FAR_PX))
    shares = float(np.mean(made > FAR_PX)), float(np.mean(true > FAR_PX))
    drift = max(
        abs(getattr(found, name) - getattr(SHIPPED, name)) for name in ("noise_px", "landmark_px", "pass_px")
    )
    return (
        at_least("observations fitted to", sum(len(measured_of(s)) for s in FITTED), 10_000),
        at_most("the set in use differs from the fit", drift, ROUNDED, unit="px"),
        *(noted(f"fitted {name}", getattr(found, name)) for name in PARAMETERS),
        noted("held-out flights with observations", len(others)),
        noted("held-out observations", len(true)),
        *(_alike(f"p{q}", *(float(np.percentile(x, q)) for x in (made, true))) for q in (50, 90)),
        _alike_or_rare(*shares, wilson_interval(far, len(true))),
        noted("p99, model", float(np.percentile(made, 99))),
        noted("p99, measured", float(np.percentile(true, 99))),
    )


PARAMETERS = ("noise_px", "tails", "landmark_px", "landmark_tails", "pass_px", "bad_share")


def measured_of(seed: int) -> list[str]:
    """Return the rows of a stored flight; none where it is not stored or saw nothing."""
    path = RESULTS / f"seed-{seed:02d}.csv"
    return path.read_text(encoding="utf-8").splitlines()[1:] if path.is_file() else []


def _alike(name: str, model: float, true: float) -> Check:
    ratio = max(model / true, true / model)
    return at_most(f"{name}: model {model:.2f} px, measured {true:.2f} px, ratio", ratio, ALIKE)


def _alike_or_rare(model: float, true: float, interval: tuple[float, float] | None) -> Check:
    """Return the check of the shares beyond FAR_PX: alike, or both rare."""
    ratio = max(model, 1e-9) / max(true, 1e-9)
    ratio = max(ratio, 1.0 / ratio)
    return Check(
        name=f"beyond {FAR_PX:g} px: model {model:.4f}, measured {true:.4f}, ratio", value=ratio,
        threshold=f"<= {ALIKE:g}, or both below {RARE:g}", passed=ratio <= ALIKE or max(model, true) < RARE,
    )  # fmt: skip


@functools.cache
def _landmarks() -> dict[str, Array]:
    return detector_landmarks(load_models(models_folder()))


REPRODUCTION = Reproduction(
    id="detector-realism",
    title="The detector error model against the shipped vision, fitted and held-out flights",
    run=run,
    seeds=lambda scale: FITTED + HELD_OUT,
)
