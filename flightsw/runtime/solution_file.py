"""solution.json: an estimate as a file, and back.

Written with a fixed order of keys and no wall times, so that equal inputs give equal
bytes. What is not known is null. All of it is described in docs (Files and exit codes).
"""

import json
import math
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.elements import elements_from_state
from flightsw.astro.eop import default_earth_orientation
from flightsw.astro.forces import Forces
from flightsw.astro.time import Epoch
from flightsw.errors import InputError
from flightsw.estimate.batch import EstimatorOptions
from flightsw.estimate.clock import clock_offset_sigma, clock_treatment, covariance_at_true_time
from flightsw.estimate.solution import PassStatistics, Solution, SolverStatistics, Status
from flightsw.files import MB, read_text
from flightsw.runtime.csv_cells import parse_time, show

Array = NDArray[np.float64]

FORMAT = "vinsat-solution-1"
PARAMETERS = (
    "x_m", "y_m", "z_m", "vx_m_s", "vy_m_s", "vz_m_s", "drag_scale",
    "pointing_x_rad", "pointing_y_rad", "pointing_z_rad", "focal_error", "clock_drift", "clock_offset_s",
)  # fmt: skip
MAX_BYTES = 4 * MB
LEAST_RADIUS, MOST_RADIUS = 6.4e6, 9.0e6  # m, of a prior's orbit
LEAST_SPEED, MOST_SPEED = 5e3, 12e3  # m/s, of a prior's velocity
SYMMETRY = 1e-9  # of a covariance, in units of its sigmas
MOST_SIGMA = 1e9  # m, m/s: larger is no knowledge, and overflows when squared
_FIX = "give a solution.json that `flightsw od` wrote with a state in it"


def solution_json(solution: Solution, *, inputs: dict[str, Any], notes: tuple[str, ...] = ()) -> str:
    """Return the text of solution.json.

    inputs : what the estimate was given (counts and names, no paths); notes : sentences
    for a human on what deserves attention.
    """
    s = solution
    used = int(np.count_nonzero(s.used))
    fields: dict[str, Any] = {
        "format": FORMAT,
        "status": s.status.name,
        "reason": s.status.value,
        "epoch_utc": s.epoch.utc_iso(),
        "frame": "GCRF",
        "r_gcrf_m": _list(s.r_eci),
        "v_gcrf_m_s": _list(s.v_eci),
        "covariance": _list(s.covariance),
        "position_sigma_m": _number(s.position_sigma),
        "position_sigma_last_used_m": _number(_sigma_at_last(s)),
        "drag_scale": _number(s.drag_scale),
        "drag_scale_sigma": _number(s.drag_sigma),
        "attitude": _attitude(s),
        "focal_error": _number(s.focal_error),
        "clock_drift": _number(s.clock_drift),
        "clock_offset": _clock_offset(s),
        "parameters": list(PARAMETERS),
        "covariance_of_parameters": _list(s.covariance_full),
        "observations_used": used,
        "observations_rejected": len(s.used) - used,
        "first_used_utc": (s.epoch + s.first_used_s).utc_iso() if used else None,
        "last_used_utc": (s.epoch + s.last_used_s).utc_iso() if used else None,
        "sigma_px": _number(s.sigma_px),
        "passes": [_pass(s.epoch, p) for p in s.passes],
        "solver": _solver(s.solver),
        "forces": _forces(s.forces),
        "earth_orientation": _orientation(s.epoch),
        "inputs": inputs,
        "notes": list(notes),
    }
    lines = [f"  {json.dumps(key)}: {_value_text(value)}" for key, value in fields.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _value_text(value: Any) -> str:
    """Return a value as JSON: one line, but one for each row of a matrix or list of tables."""
    if isinstance(value, list) and value and isinstance(value[0], list | dict):
        rows = ",\n".join("    " + json.dumps(row, allow_nan=False) for row in value)
        return f"[\n{rows}\n  ]"
    return json.dumps(value, allow_nan=False)


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _list(array: Array | None) -> Any:
    """Return an array as lists; None where it is absent or not finite throughout."""
    return None if array is None or not np.isfinite(array).all() else array.tolist()


def _sigma_at_last(s: Solution) -> float:
    """Return sqrt(trace P_rr) at the last used observation, m; NaN without a state."""
    if not s.has_state:
        return math.nan
    covariance = s.predict(np.array([s.last_used_s]))[1][0]
    return math.sqrt(max(float(np.trace(covariance[:3, :3])), 0.0))


def _clock_offset(s: Solution) -> dict[str, Any]:
    """Return what is known of the clock's offset, and the covariance at true time it leaves."""
    at_true_time = covariance_at_true_time(s)
    return {
        "treatment": clock_treatment(s).value,
        "offset_s": _number(s.clock_offset),
        "sigma_s": _number(clock_offset_sigma(s)),
        "covariance_at_true_time": _list(at_true_time),
    }


def _attitude(s: Solution) -> dict[str, Any]:
    offset = None if s.pointing_offset_rad is None else _list(s.pointing_offset_rad)
    sigma = None if offset is None else _list(s.pointing_sigma_rad)
    return {"mode": s.attitude_mode, "pointing_offset_rad": offset, "pointing_sigma_rad": sigma}


def _pass(epoch: Epoch, p: PassStatistics) -> dict[str, Any]:
    return {
        "start_utc": (epoch + p.start_s).utc_iso(),
        "end_utc": (epoch + p.end_s).utc_iso(),
        "frames": p.frames,
        "detections": p.detections,
        "landmarks": p.landmarks,
        "used": p.used,
        "used_share": _number(p.share),
        "rms_px": _number(p.rms_px),
        "mean_u_px": _number(p.mean_u_px),
        "mean_v_px": _number(p.mean_v_px),
        "rival": p.rival,
        "nis": _number(p.nis),
        "nis_freedom": p.nis_freedom,
        "agrees": bool(p.agrees),
    }


def _solver(s: SolverStatistics | None) -> dict[str, Any] | None:
    if s is None:
        return None
    return {
        "status": s.status,
        "iterations": s.iterations,
        "cost": _number(s.cost),
        "kernel_shape": _number(s.shape),
        "kernel_scale_px": _number(s.scale_px),
        "sigma_px": _number(s.sigma_px),
        "candidates": s.candidates,
    }


def _forces(f: Forces) -> dict[str, Any]:
    return {
        "gravity_degree": f.degree,
        "drag": f.drag,
        "ballistic_m2_kg": f.ballistic_m2_kg,
        "third_body": f.third_body,
    }


def _orientation(epoch: Epoch) -> dict[str, Any]:
    """Return how the Earth stood, and how well that is known."""
    o = default_earth_orientation().at(epoch)
    sigma = _number(o.sigma_ut1_s)
    return {"ut1_utc_s": o.ut1_utc_s, "sigma_ut1_s": sigma, "is_extrapolated": bool(o.is_extrapolated)}


def read_solution(path: str | os.PathLike[str]) -> Solution:
    """Return an earlier solution that has a state, to start from.

    Needed are epoch_utc, r_gcrf_m, v_gcrf_m_s and covariance; drag, pointing and their
    covariance are taken where they are there. `used`, passes and solver statistics stay
    empty. Raises InputError naming file, key and fix.
    """
    text = read_text(path, max_bytes=MAX_BYTES)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"is not JSON ({' '.join(str(error).split())[:80]})", file=path, fix=_FIX) from None
    try:
        return _solution(data)
    except InputError as error:
        raise InputError(error.problem, file=path, field=error.field, fix=error.fix) from None


def _solution(data: Any) -> Solution:
    """Return the solution in parsed JSON. Raises InputError without the file."""
    if not isinstance(data, dict):
        raise InputError("is not a JSON object", fix=_FIX)
    name = data.get("status", Status.DETERMINED.name)
    if not isinstance(name, str) or name not in Status.__members__:
        raise InputError(f"{show(str(name))} is not a status", field="status", fix=_FIX)
    r, v = _array(data, "r_gcrf_m", (3,)), _array(data, "v_gcrf_m_s", (3,))
    if not LEAST_RADIUS < np.linalg.norm(r) < MOST_RADIUS:
        fix = "give metres from the Earth's centre, of a low orbit"
        raise InputError(f"is {np.linalg.norm(r):g} m long", field="r_gcrf_m", fix=fix)
    _check_orbit(r, v)
    attitude = data.get("attitude")
    attitude = attitude if isinstance(attitude, dict) else {}
    offset = attitude.get("pointing_offset_rad")
    mode = attitude.get("mode")
    epoch = _epoch(data, "epoch_utc")
    return Solution(
        status=Status[name],
        epoch=epoch,
        used=np.zeros(0, dtype=np.bool_),
        attitude_mode=mode if mode in ("given", "nadir", "mixed", "free") else "nadir",
        forces=Forces(),
        r_eci=r,
        v_eci=v,
        covariance_full=_covariance(data),
        first_used_s=_moment(data, "first_used_utc", epoch),
        last_used_s=_moment(data, "last_used_utc", epoch),
        drag_scale=_scalar(data, "drag_scale", 1.0),
        focal_error=_scalar(data, "focal_error", 0.0),
        clock_drift=_scalar(data, "clock_drift", 0.0),
        pointing_offset_rad=None if offset is None else _array(attitude, "pointing_offset_rad", (3,)),
    )


def _check_orbit(r: Array, v: Array) -> None:
    """Refuse a state that no satellite stays in. Raises InputError."""
    speed = float(np.linalg.norm(v))
    if not LEAST_SPEED < speed < MOST_SPEED:
        raise InputError(f"is {speed:g} m/s long", field="v_gcrf_m_s", fix="give m/s, of a low orbit")
    orbit = elements_from_state(np.concatenate([r, v]))
    low, high = orbit.a * (1.0 - orbit.e), orbit.a * (1.0 + orbit.e)
    if not (orbit.e < 1.0 and low > LEAST_RADIUS and high < MOST_RADIUS):
        shown = f"its ends are {low / 1e3:.0f} and {high / 1e3:.0f} km from the Earth's centre"
        raise InputError(f"with r_gcrf_m is no low orbit: {shown}", field="v_gcrf_m_s", fix=_FIX)


def _epoch(data: dict[str, Any], key: str) -> Epoch:
    text = data.get(key)
    try:
        return parse_time(text if isinstance(text, str) else "")
    except ValueError as error:
        raise InputError(str(error), field=key) from None


def _moment(data: dict[str, Any], key: str, epoch: Epoch) -> float:
    """Return an optional time as seconds past the epoch; 0 where it is not given."""
    return 0.0 if data.get(key) is None else _epoch(data, key) - epoch


def _covariance(data: dict[str, Any]) -> Array:
    """Return the covariance (13, 13): the full one, else the 6 x 6.

    Drag and pointing that were not estimated have variance 0 in the file; they get the
    estimator's own prior.
    """
    size = len(PARAMETERS)
    if data.get("covariance_of_parameters") is not None:
        key = "covariance_of_parameters"
        covariance = _array(data, key, (size, size))
    else:
        key = "covariance"
        covariance = np.zeros((size, size))
        covariance[:6, :6] = _array(data, key, (6, 6))
    variance = np.diag(covariance)
    if not ((variance >= 0.0).all() and (variance[:6] > 0.0).all() and (variance <= MOST_SIGMA**2).all()):
        raise InputError("has a variance that is not positive, or huge", field=key, fix=_FIX)
    sigma = np.where(variance > 0.0, np.sqrt(variance), 1.0)
    correlation = covariance / np.outer(sigma, sigma)
    if not np.abs(correlation - correlation.T).max() < SYMMETRY:
        raise InputError("is not symmetric", field=key, fix=_FIX)
    if not np.linalg.eigvalsh(correlation).min() > -SYMMETRY:
        raise InputError("is not a covariance (an eigenvalue is negative)", field=key, fix=_FIX)
    options = EstimatorOptions()
    unknown = np.square([options.drag_sigma, *(3 * [options.pointing_sigma]), 0.0, 0.0, 0.0])
    beyond = np.arange(6, size)
    covariance[beyond, beyond] = np.where(variance[6:] > 0.0, variance[6:], unknown)
    return covariance


def _scalar(data: dict[str, Any], key: str, default: float) -> float:
    """Return an optional number. Raises InputError."""
    return default if data.get(key) is None else float(_array(data, key, ()))


def _array(data: dict[str, Any], key: str, shape: tuple[int, ...]) -> Array:
    """Return a finite array of the given shape. Raises InputError."""
    value = data.get(key)
    if value is None:
        raise InputError("is missing or null", field=key, fix=_FIX)
    try:
        array = np.array(value, dtype=object)
        numbers = [
            item for item in array.ravel() if isinstance(item, int | float) and not isinstance(item, bool)
        ]
        if array.shape != shape or len(numbers) != array.size:
            raise ValueError
        result = array.astype(np.float64)
    except (ValueError, OverflowError, RecursionError):
        what = f"{' x '.join(map(str, shape))} numbers" if shape else "a number"
        raise InputError(f"must be {what}", field=key, fix=_FIX) from None
    if not np.isfinite(result).all() or np.abs(result).max(initial=0.0) > MOST_SIGMA**2:
        raise InputError("must be finite", field=key, fix=_FIX)
    return np.asarray(result)
