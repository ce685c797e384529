"""Which frames a folder holds, and when each was taken.

Times come from `frames.csv` (columns `file`, `time_utc`; ascending) where there is one,
else from names like `2026-03-01T12-00-05.250000.jpg` (UTC). Content is not looked at
here: a frame that cannot be decoded, or is listed but not there, is the pipeline's to
skip and count.
"""

import itertools
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from flightsw.astro.time import Epoch
from flightsw.errors import InputError
from flightsw.runtime.csv_cells import Column, Kind, parse_time, show
from flightsw.runtime.csv_table import read_table

JPEG_SUFFIXES = (".jpg", ".jpeg")
OTHER_IMAGES = (
    ".png", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".heic", ".heif", ".avif", ".jp2", ".j2k", ".jxl",
    ".ppm", ".pgm", ".pnm", ".raw", ".dng", ".cr2", ".nef", ".arw", ".npy", ".fits",
)  # fmt: skip

FRAME_COLUMNS = (
    Column("file", Kind.TEXT, fix="give the frame's name in this folder", longest=255),
    Column("time_utc", Kind.TIME, fix="write it like 2026-03-01T12:00:05.25Z"),
)

_NAME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d)-(\d\d)-(\d\d(?:\.\d{1,9})?)Z?", re.ASCII)
_NAME_FIX = "name frames like 2026-03-01T12-00-05.250000.jpg, or add frames.csv (file, time_utc)"


@dataclass(frozen=True, slots=True)
class FrameFile:
    """One frame on disk: path, and epoch of mid-exposure of its centre row."""

    path: Path
    epoch: Epoch


def read_frame_times(folder: str | os.PathLike[str]) -> list[FrameFile]:
    """Return the frames of a folder in the order of time, at least one.

    Raises InputError: no folder, no frames, a frame that is not a JPEG by its name, a
    name without a time, two frames of one time, or a malformed frames.csv.
    """
    root = Path(folder)
    try:
        names = sorted(entry.name for entry in os.scandir(root) if not entry.name.startswith("."))
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        fix = "give the folder of the frames"
        raise InputError(f"is not a readable folder ({reason})", file=root, fix=fix) from None
    frames = _listed(root) if "frames.csv" in names else _named(root, names)
    if not frames:
        raise InputError("holds no frames (*.jpg)", file=root, fix="give the folder of the frames")
    return frames


def _listed(root: Path) -> list[FrameFile]:
    """Return the frames of frames.csv."""
    table = read_table(root / "frames.csv", FRAME_COLUMNS, what="frames.csv")
    table.require_ascending()
    seen: set[str] = set()
    frames = []
    for row, (cell, tai_ns) in enumerate(zip(table.text("file"), table.tai_ns(), strict=True)):
        name = str(cell)
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise table.error(row, "file", f"{show(name)} leaves the folder", "give a name inside it")
        if name in seen:
            raise table.error(row, "file", f"{show(name)} is there twice", "list each frame once")
        seen.add(name)
        _require_jpeg(root / name)
        frames.append(FrameFile(root / name, Epoch(int(tai_ns))))
    return frames


def _named(root: Path, names: list[str]) -> list[FrameFile]:
    """Return the frames whose names are their times; files that are no images are ignored."""
    frames = []
    for name in names:
        path = root / name
        if path.suffix.lower() in OTHER_IMAGES:
            _require_jpeg(path)
        if path.suffix.lower() not in JPEG_SUFFIXES:
            continue
        match = _NAME.fullmatch(path.stem)
        if match is None:
            raise InputError("has no time in its name", file=path, fix=_NAME_FIX)
        try:
            frames.append(FrameFile(path, parse_time(f"{match[1]}:{match[2]}:{match[3]}Z")))
        except ValueError as error:
            raise InputError(str(error), file=path, fix=_NAME_FIX) from None
    frames.sort(key=lambda frame: frame.epoch)
    for before, after in itertools.pairwise(frames):
        if before.epoch == after.epoch:
            problem = f"has the same time as {before.path.name}"
            raise InputError(problem, file=after.path, fix="keep one of them")
    return frames


def _require_jpeg(path: Path) -> None:
    """Raise InputError for a frame that is not a JPEG by its name."""
    if path.suffix.lower() not in JPEG_SUFFIXES:
        fix = f"convert it: magick {path.name} -quality 95 {path.stem}.jpg"
        raise InputError("is not a JPEG by its name; frames are *.jpg or *.jpeg", file=path, fix=fix)
