"""What the inference worker does: a frame's file in, landmarks out.

The networks (or, in a rig without imagery, a table of another detector's observations) are
opened once. A frame on which the program fails is an answer like others.
"""

from bisect import bisect_left
from pathlib import Path
from typing import Any

from flightsw.astro.time import Epoch
from flightsw.camera.load import load_camera
from flightsw.errors import VinsatError
from flightsw.runtime.frame_times import FrameFile
from flightsw.runtime.tables import ObservationRow, read_observations, rows_of

Message = dict[str, Any]

MOST_ROWS = 300  # of a frame, the most certain ones: they fit a record of the log
SAME_NS = 1_000  # a frame and a row of a table are of one instant within this


def open_inference(arguments: Message) -> "ModelsJob | TableJob":
    """Return the job that the configuration asks for. Raises VinsatError, which ends the worker."""
    if arguments["kind"] == "observations":
        return TableJob(Path(arguments["observations"]))
    return ModelsJob(Path(arguments["models"]), Path(arguments["camera"]), int(arguments["threads"]))


class ModelsJob:
    """The flight networks and maps."""

    def __init__(self, models: Path, camera: Path, threads: int) -> None:
        from flightsw.runtime.pipeline import look_at, observation_rows
        from flightsw.vision.models import load_models
        from flightsw.vision.preprocess import check_camera

        self._look_at, self._rows = look_at, observation_rows
        self._camera = load_camera(camera)
        check_camera(self._camera)
        self._models = load_models(models, threads=threads)

    def run(self, task: Message) -> Message:
        """Look at one frame."""
        file = FrameFile(Path(task["path"]), Epoch(int(task["tai_ns"])))
        try:
            result = self._look_at(self._models, file, self._camera)
        except VinsatError as error:  # a model that was altered since the start
            return {"status": "MODELS", "detail": str(error), "rows": []}
        rows = [] if result.detections is None else self._rows(file, result.detections)
        return {"status": result.status.name, "detail": result.detail, "rows": cells_of(rows)}


class TableJob:
    """Observations that another detector wrote, found by the time of a frame."""

    def __init__(self, path: Path) -> None:
        rows = sorted(rows_of(read_observations(path)), key=lambda row: row.epoch.tai_ns)
        self._rows, self._times = rows, [row.epoch.tai_ns for row in rows]

    def run(self, task: Message) -> Message:
        """Return the rows of one frame."""
        tai_ns = int(task["tai_ns"])
        first = bisect_left(self._times, tai_ns - SAME_NS)
        last = bisect_left(self._times, tai_ns + SAME_NS)
        rows = self._rows[first:last]
        return {"status": "FIX" if rows else "NO_POSE", "detail": "", "rows": cells_of(rows)}


def cells_of(rows: list[ObservationRow]) -> list[list[Any]]:
    """Return rows as plain values, the most certain `MOST_ROWS` of them."""
    rows = sorted(rows, key=lambda row: -row.confidence)[:MOST_ROWS]
    return [
        [
            row.landmark_id, round(row.lon_deg, 9), round(row.lat_deg, 9), round(row.height_m, 3),
            round(row.u_px, 4), round(row.v_px, 4), round(row.confidence, 6),
            None if row.sigma_px is None else round(row.sigma_px, 4), row.region,
        ]
        for row in rows
    ]  # fmt: skip
