"""What the orbit worker does: an arc's observations in, an orbit and its products out."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.sun import sun_direction_eci
from flightsw.astro.time import NS, Epoch
from flightsw.camera.load import load_camera
from flightsw.errors import UsageError
from flightsw.estimate.observations import Observations
from flightsw.estimate.solution import Solution
from flightsw.runtime.od import Knowledge, determine
from flightsw.runtime.products import SOLUTION, write_solution
from flightsw.runtime.solution_file import solution_json

Message = dict[str, Any]

FORECAST_S, FORECAST_STEP_S = 6 * 3600.0, 60.0  # of where the Sun will be over the ground


class OrbitJob:
    """The estimator, for one camera and one folder of products."""

    def __init__(self, arguments: Message) -> None:
        self._camera = load_camera(arguments["camera"])
        self._products = Path(arguments["products"])

    def run(self, task: Message) -> Message:
        """Estimate from the frames of one arc. Products go to their folder, the rest is the answer."""
        observations = observations_of(task["frames"])
        solution, notes = determine(observations, self._camera, Knowledge())
        inputs = {"observations": len(observations), "arc": task["arc"]}
        try:
            text = write_solution(self._products, solution, inputs=inputs, notes=notes)[SOLUTION]
        except UsageError:  # the medium fails; the answer is kept and sent all the same
            text = solution_json(solution, inputs=inputs, notes=notes)
        used = int(solution.used.sum())
        state = None
        if solution.has_state and solution.r_eci is not None and solution.v_eci is not None:
            state = [*solution.r_eci.tolist(), *solution.v_eci.tolist()]
        return {
            "status": solution.status.name,
            "text": text,
            "epoch_tai_ns": solution.epoch.tai_ns,
            "state": state,
            "sigma_m": solution.position_sigma if state else 0.0,
            "used": used,
            "rejected": len(solution.used) - used,
            "sun": sun_forecast(solution) if solution.status.is_determined else [],
        }


def observations_of(frames: list[Message]) -> Observations:
    """Return the observations in records of frames: `tai_ns` and `rows` of `inference_job`."""
    rows = [(int(frame["tai_ns"]), *row) for frame in frames for row in frame["rows"]]
    first = min((row[0] for row in rows), default=0)
    columns = list(zip(*rows, strict=True)) if rows else [()] * 10
    tai_ns, names, lon, lat, height, u, v, confidence, sigma, region = columns

    def numbers(values: Any) -> NDArray[np.float64]:
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)

    return Observations.build(
        epoch=Epoch(first),
        t_s=np.array([(value - first) / NS for value in tai_ns], dtype=np.float64),
        landmark_id=np.array(names, dtype=np.str_),
        lon_deg=numbers(lon),
        lat_deg=numbers(lat),
        height_m=numbers(height),
        uv_px=np.column_stack([numbers(u), numbers(v)]),
        confidence=numbers(confidence),
        sigma_px=numbers(sigma),
        region=np.array(region, dtype=np.str_),
    )


def sun_forecast(solution: Solution) -> list[list[float]]:
    """Return [TAI ns, elevation of the Sun over the ground below in degrees] every minute, from now on.

    "Now" is the last used observation.
    """
    t_s = solution.last_used_s + np.arange(0.0, FORECAST_S, FORECAST_STEP_S)
    state, _ = solution.predict(t_s)
    up = state[:, :3] / np.linalg.norm(state[:, :3], axis=1, keepdims=True)
    sun = sun_direction_eci(solution.epoch, t_s)
    elevation = np.degrees(np.arcsin(np.clip(np.sum(up * sun, axis=1), -1.0, 1.0)))
    times = [solution.epoch.tai_ns + round(float(t) * NS) for t in t_s]
    return [[tai_ns, round(float(value), 2)] for tai_ns, value in zip(times, elevation)]
