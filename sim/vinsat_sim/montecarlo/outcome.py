"""How one trial ended: what every level reports, and what is stored of it."""

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import lla_from_ecef
from flightsw.estimate.solution import Solution
from vinsat_sim.measurement.satellite import Satellite
from vinsat_sim.measurement.trial import scored
from vinsat_sim.truth import Truth

Array = NDArray[np.float64]

CURVE_STEP_MIN = 6.0  # between the instants of `curve_km`


@dataclass(frozen=True, slots=True)
class Pass:
    """A pass with sightings: where its middle frame looked down, when, how many frames and sightings."""

    lon_deg: float
    lat_deg: float
    start_min: float
    frames: int
    sightings: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One trial. Errors and sigma in km, 3-D, None without a state.

    status : the name of the solution's; usable_passes : of at least 3 frames with at least
    4 sightings; error_ever_km, error_last_image_km, error_end_km : the least at any instant,
    at the last image, at the end of the arc; rms_km : over the whole arc; nees,
    nees_position : e' P^-1 e at the solution's epoch; wrong : called determined and off by
    more than 5 km or 5 sigma at the last image; solved : determined and within 5 km RMS;
    curve_km : the final orbit's error every CURVE_STEP_MIN from the start of the arc;
    frames, blind_frames : looked at, and those of them that can show no landmark;
    false_fixes : fixes claimed in blind frames.
    """

    seed: int
    status: str
    determined: bool
    usable_passes: int
    sightings: int
    error_ever_km: float | None = None
    error_last_image_km: float | None = None
    error_end_km: float | None = None
    rms_km: float | None = None
    sigma_last_image_km: float | None = None
    nees: float | None = None
    nees_position: float | None = None
    wrong: bool = False
    solved: bool = False
    passes: tuple[Pass, ...] = ()
    curve_km: tuple[float, ...] = ()
    frames: int = 0
    blind_frames: int = 0
    false_fixes: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return the fields with six digits."""
        rounded: dict[str, Any] = _rounded(asdict(self))
        return rounded

    @classmethod
    def of(cls, data: dict[str, Any]) -> "Outcome":
        """Return the outcome that `as_json` wrote. Raises TypeError, KeyError for anything else."""
        known = {field.name for field in fields(cls)}
        values = {key: value for key, value in data.items() if key in known}
        passes = tuple(Pass(**one) for one in values.pop("passes", ()))
        curve_km = tuple(values.pop("curve_km", ()))
        return cls(**values, passes=passes, curve_km=curve_km)


def outcome_of(
    satellite: Satellite, solution: Solution, *, frames: int = 0, blind_frames: int = 0, false_fixes: int = 0
) -> Outcome:
    """Compare a solution with the satellite's truth."""
    trial = scored(satellite, solution, wall_s=0.0, bound_km=None)
    return Outcome(
        seed=satellite.seed,
        status=trial.status,
        determined=trial.determined,
        usable_passes=trial.usable_passes,
        sightings=trial.detections,
        error_ever_km=trial.error_ever_km,
        error_last_image_km=trial.error_last_image_km,
        error_end_km=trial.error_end_km,
        rms_km=trial.rms_km,
        sigma_last_image_km=trial.sigma_last_image_km,
        nees=trial.nees,
        nees_position=trial.nees_position,
        wrong=trial.wrong,
        solved=trial.solved,
        passes=_passes(satellite),
        curve_km=_curve(satellite.truth, solution) if solution.has_state else (),
        frames=frames,
        blind_frames=blind_frames,
        false_fixes=false_fixes,
    )


def _passes(satellite: Satellite) -> tuple[Pass, ...]:
    found = []
    for number in np.unique(satellite.one_pass):
        image = satellite.image[satellite.one_pass == number]
        seen = np.unique(image)
        lat, lon, _ = lla_from_ecef(satellite.truth.r_ecef[seen[len(seen) // 2]])
        start_min = float(satellite.truth.t_s[seen[0]]) / 60.0
        lon_deg, lat_deg = float(np.degrees(lon)), float(np.degrees(lat))
        found.append(Pass(lon_deg, lat_deg, start_min, len(seen), len(image)))
    return tuple(found)


def _curve(truth: Truth, solution: Solution) -> tuple[float, ...]:
    """Return the position error at the instants of the curve, km."""
    cadence_s = float(truth.t_s[1] - truth.t_s[0])
    index = np.arange(0, len(truth.t_s), max(1, round(60.0 * CURVE_STEP_MIN / cadence_s)))
    state, _ = solution.predict(truth.t_s[index] - (solution.epoch - truth.epoch))
    error = np.linalg.norm(state[:, :3] - truth.state_eci[index, :3], axis=1)
    return tuple((error / 1e3).tolist())


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return value
