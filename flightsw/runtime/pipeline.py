"""Frames to observations: every frame looked at once, in the order of time.

A frame that cannot be read, or on which the program fails, is skipped and counted; what
became of each is written to `frames_report.csv`. Only a folder in which nothing can be
read is an error. The one broad `except` on board is here.
"""

import csv
import io
import logging
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from flightsw.astro.rotation import ecef_from_eci
from flightsw.astro.sun import sun_direction_eci
from flightsw.astro.time import Epoch
from flightsw.camera.model import Camera
from flightsw.errors import InputError, VinsatError
from flightsw.files import read_bytes, write_together
from flightsw.runtime.frame_times import FrameFile, read_frame_times
from flightsw.runtime.tables import ObservationRow, write_observations
from flightsw.runtime.tracking import Fix, Innovations, beside
from flightsw.vision.detections import Detections
from flightsw.vision.finder import ALL_FINDERS, Finder, FrameResult, FrameStatus, find_landmarks
from flightsw.vision.models import Models, load_models
from flightsw.vision.preprocess import check_camera
from flightsw.vision.track import Expectation, maps_in_view
from flightsw.vision.worth import weighed

log = logging.getLogger(__name__)

OBSERVATIONS = "observations.csv"
REPORT = "frames_report.csv"
REPORT_COLUMNS = (
    "file", "time_utc", "status", "regions_tried", "inliers", "landmarks", "dense_peak", "dense_strength",
    "dense_contrast", "detail", "found_by",
)  # fmt: skip
WORTH_ANOTHER_LOOK = (FrameStatus.ELSEWHERE, FrameStatus.NO_POSE, FrameStatus.FAILED_CHECK)
MOST_NEIGHBOURS = 40  # latest fixes that may say where the next frame is
MAX_FRAME_BYTES = 100_000_000
# First bytes of pictures that are not JPEG, with the names people know them by.
OTHER_FORMATS = (
    (b"\x89PNG", "a PNG"), (b"II*\x00", "a TIFF"), (b"MM\x00*", "a TIFF"), (b"BM", "a BMP"),
    (b"GIF8", "a GIF"), (b"RIFF", "a WebP"), (b"\x00\x00\x00\x0cjP", "a JPEG 2000"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000"), (b"P6", "a PPM"), (b"P5", "a PGM"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FramesSummary:
    """How many frames ended in each status, and how many landmarks were found in all."""

    counts: dict[FrameStatus, int]
    landmarks: int

    @property
    def sentence(self) -> str:
        """One line for a human."""
        total = sum(self.counts.values())
        parts = [f"{count} {status.name.lower()}" for status, count in self.counts.items()]
        return f"{total} frames: {', '.join(parts)}; {self.landmarks} landmarks"


class FrameSweep:
    """A folder of frames, looked at once, and again where an orbit says what they should show.

    `look` and `look_again` write observations.csv and frames_report.csv into `out`.
    """

    def __init__(self, frames: Path, camera: Camera, models: Path, out: Path) -> None:
        """Open frames and models. Raises InputError for a camera the models cannot serve and for
        pictures that are not JPEG (with the command that converts them), ModelError for a
        models folder that does not fit.
        """
        check_camera(camera)
        self._folder, self._camera, self._out = frames, camera, out
        self.files = read_frame_times(frames)
        _refuse_other_formats(self.files)
        self._models = load_models(models)
        self._results: list[FrameResult] = []

    @property
    def epochs(self) -> list[Epoch]:
        """The frames' times."""
        return [file.epoch for file in self.files]

    def look(self, *, neighbours: bool = True) -> FramesSummary:
        """Look at every frame once, and with `neighbours` again at those beside a fix.

        Raises InputError where not one frame can be read (both files are written all the same).
        """
        progress = _Progress(len(self.files))
        fixes: list[Fix] = []
        for file in self.files:
            t_s = file.epoch - self.files[0].epoch
            expected = beside(fixes[-MOST_NEIGHBOURS:], t_s, self._camera) if neighbours else None
            result = look_at(self._models, file, self._camera, finders=ALL_FINDERS, expected=expected)
            self._results.append(result)
            if result.pose is not None:
                fixes.append(Fix(t_s, result.pose))
            progress.advance(result)
        progress.close()
        if neighbours:
            self._look_back()
        summary = _write(self._out, self.files, self._results)
        log.info("%s", summary.sentence)
        _refuse_if_nothing_is_readable(self._folder, self.files, self._results)
        return summary

    def look_again(self, expected: Sequence[Expectation | None]) -> tuple[FramesSummary, int]:
        """Measure the frames that gave nothing again, where they are expected (one for each frame).

        Returns the summary and how many were found. Ends where what is found contradicts
        what was expected: the orbit is wrong then, and its frames are as lost as before.
        """
        found, innovations = 0, Innovations()
        regions = self._models.manifest.region
        for k, where in enumerate(expected):
            if innovations.is_lost:
                log.info("the frames contradict the orbit they were predicted from")
                break
            if where is None or self._results[k].status not in WORTH_ANOTHER_LOOK:
                continue
            if maps_in_view(regions, where.pose):
                found += self._track(k, where, innovations)
        return _write(self._out, self.files, self._results), found

    def _look_back(self) -> None:
        """Look again at frames beside a fix that came after them, from the last to the first."""
        fixes: list[Fix] = []
        for k in range(len(self.files) - 1, -1, -1):
            t_s = self.files[k].epoch - self.files[0].epoch
            result = self._results[k]
            if result.pose is None and result.status in WORTH_ANOTHER_LOOK:
                expected = beside(fixes[-MOST_NEIGHBOURS:], t_s, self._camera)
                if expected is not None:
                    self._track(k, expected, None)
            pose = self._results[k].pose
            if pose is not None:
                fixes.append(Fix(t_s, pose))

    def _track(self, k: int, expected: Expectation, innovations: Innovations | None) -> bool:
        """Look at a frame where it is expected; keep what is found. Returns whether something was."""
        result = look_at(
            self._models, self.files[k], self._camera, finders=(Finder.TRACKING,), expected=expected
        )
        if result.pose is None:
            return False
        self._results[k] = result
        if innovations is not None:
            innovations.add(expected, result.pose)
        return True


def run_frames(frames: Path, camera: Camera, models: Path, out: Path) -> FramesSummary:
    """Write observations.csv and frames_report.csv of a folder of frames into `out`.

    Raises as `FrameSweep` and its `look`.
    """
    return FrameSweep(frames, camera, models, out).look()


def look_at(
    models: Models,
    file: FrameFile,
    camera: Camera,
    *,
    finders: tuple[Finder, ...] = ALL_FINDERS,
    expected: Expectation | None = None,
) -> FrameResult:
    """Return the result of one frame; whatever goes wrong inside becomes a status."""
    try:
        data = read_bytes(file.path, max_bytes=MAX_FRAME_BYTES)
    except InputError as error:
        return FrameResult(FrameStatus.UNREADABLE, detail=error.problem)
    try:
        found = find_landmarks(models, data, camera, file=file.path, finders=finders, expected=expected)
        if models.worth is None or found.detections is None:
            return found
        sun_ecef = ecef_from_eci(file.epoch, 0.0) @ sun_direction_eci(file.epoch)
        return replace(found, detections=weighed(models.worth, found.detections, camera, sun_ecef))
    except VinsatError:
        raise  # a model that was altered since the start concerns every frame
    except Exception as error:
        log.exception("frame %s", file.path.name)
        return FrameResult(FrameStatus.FAILED, detail=f"{type(error).__name__}: {error}"[:200])


def _refuse_other_formats(files: Sequence[FrameFile]) -> None:
    """Raise InputError for a picture of another format, whatever its name says."""
    for file in files:
        try:
            with open(file.path, "rb") as stream:
                head = stream.read(12)
        except OSError:
            continue  # skipped and counted later
        for magic, name in OTHER_FORMATS:
            if head.startswith(magic) and (magic != b"RIFF" or head[8:] == b"WEBP"):
                fix = f"convert it: magick {file.path.name} -quality 95 jpeg:{file.path.stem}.jpg"
                raise InputError(f"is {name}, frames must be JPEG", file=file.path, fix=fix)


def _refuse_if_nothing_is_readable(
    folder: Path, files: Sequence[FrameFile], results: Sequence[FrameResult]
) -> None:
    """Raise InputError when every frame was unreadable, naming the first."""
    bad = (FrameStatus.UNREADABLE, FrameStatus.FAILED)
    if any(result.status not in bad for result in results):
        return
    problem = f"none of {len(files)} frames can be used; {files[0].path.name} {results[0].detail}"
    raise InputError(problem, file=folder, fix=f"see {REPORT} for each")


def _write(out: Path, files: Sequence[FrameFile], results: Sequence[FrameResult]) -> FramesSummary:
    """Write both files; return the summary."""
    rows: list[ObservationRow] = []
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(REPORT_COLUMNS)
    for file, result in zip(files, results):
        if result.detections is not None:
            rows += observation_rows(file, result.detections)
        table.writerow(_report_row(file, result))
    write_observations(out / OBSERVATIONS, rows)
    write_together(out, {REPORT: text.getvalue()})
    counts = Counter(result.status for result in results)
    return FramesSummary({status: counts[status] for status in FrameStatus if counts[status]}, len(rows))


def observation_rows(file: FrameFile, found: Detections) -> list[ObservationRow]:
    """Return the lines of the observations file for one frame."""
    return [
        ObservationRow(
            epoch=file.epoch,
            landmark_id=found.landmark_id[k],
            lon_deg=float(found.lon_deg[k]),
            lat_deg=float(found.lat_deg[k]),
            height_m=float(found.height[k]),
            u_px=float(found.uv_px[k, 0]),
            v_px=float(found.uv_px[k, 1]),
            confidence=float(found.confidence[k]),
            sigma_px=float(found.sigma_px[k]) if np.isfinite(found.sigma_px[k]) else None,
            region=found.region[k],
        )
        for k in range(len(found))
    ]


def _report_row(file: FrameFile, result: FrameResult) -> list[object]:
    score = result.score
    figures = ["", "", ""]
    if score is not None:
        figures = [f"{score.peak:.4f}", f"{score.strength:.2f}", f"{score.contrast:.2f}"]
    landmarks = 0 if result.detections is None else len(result.detections)
    regions = " ".join(result.regions)
    time_utc = file.epoch.utc_iso()
    head = [file.path.name, time_utc, result.status.name, regions, result.inliers, landmarks]
    finder = "" if result.finder is None else result.finder.name.lower()
    return [*head, *figures, result.detail.replace("\n", " "), finder]


class _Progress:
    """A line on standard error that counts frames and fixes; silent where nobody watches."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._fixes = total, 0, 0
        self._shown = sys.stderr is not None and sys.stderr.isatty()

    def advance(self, result: FrameResult) -> None:
        self._done += 1
        self._fixes += result.status is FrameStatus.FIX
        if self._shown:
            sys.stderr.write(f"\rframe {self._done} of {self._total}, {self._fixes} with a fix ")
            sys.stderr.flush()

    def close(self) -> None:
        if self._shown:
            sys.stderr.write("\n")
