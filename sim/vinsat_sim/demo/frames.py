"""Render a demo's frames into a folder, on several processes, the same whatever their number.

A frame is taken at every instant of the fixed cadence at which the ground below the
satellite is sunlit: over detectors' regions, other land, ocean and cloud alike. A frame's
noise depends on the seed and its number alone, its name on its time alone; the JPEG files
carry pixels and nothing else.
"""

import csv
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from flightsw.astro.time import Epoch
from flightsw.camera.model import Camera
from flightsw.errors import VinsatError
from groundtools.imagery import open_imagery
from vinsat_sim.attitude import pointed_attitude
from vinsat_sim.clouds import cloud_field
from vinsat_sim.demo.draw import Draw
from vinsat_sim.scenario import Scenario
from vinsat_sim.scene.frame import Scene, encode_jpeg, render_frame

Array = NDArray[np.float64]

CHUNK = 16  # frames a process renders in a row: neighbours share imagery
TIMES = "frames.csv"
JITTER_STREAM, NOISE_STREAM = 4, 5  # independent random streams of one seed


class RenderingStopped(VinsatError):
    """A rendering process ended before its frames were done (exit code 3)."""


@dataclass(frozen=True, slots=True)
class SceneSpec:
    """What a process needs to build the scene: plain values, cheap to send."""

    imagery: str
    cloud_seed: int
    cloud_cover: float


@dataclass(frozen=True, slots=True)
class Exposure:
    """One frame: index into the arc, its t_s, file name, true pose, light and noise seed."""

    index: int
    t_s: float
    name: str
    r_ecef: Array
    cam_from_ecef: Array
    sun_ecef: Array
    noise_seed: tuple[int, ...]


def exposures(drawn: Draw, scenario: Scenario, camera: Camera) -> list[Exposure]:
    """Return the frames of the arc, in order of time, with the true attitude of each."""
    arc = drawn.arc
    sunlit = np.flatnonzero(arc.sun_elevation > np.radians(scenario.sun_elevation_min_deg))
    cam_from_ecef = true_attitude(drawn, scenario, camera)
    return [
        Exposure(
            index=int(index),
            t_s=float(arc.t_s[index]),
            name=frame_name(arc.epoch + float(arc.t_s[index])),
            r_ecef=arc.r_ecef[index],
            cam_from_ecef=cam_from_ecef[index],
            sun_ecef=arc.sun_ecef[index],
            noise_seed=(drawn.seed, NOISE_STREAM, int(index)),
        )
        for index in sunlit
    ]


def true_attitude(drawn: Draw, scenario: Scenario, camera: Camera) -> Array:
    """Return cam_from_ecef (N, 3, 3): nadir, a constant offset, and jitter from frame to frame."""
    arc = drawn.arc
    return pointed_attitude(
        arc.r_ecef,
        arc.v_inertial_ecef,
        camera,
        offset=drawn.offset_rad,
        rng=np.random.default_rng([drawn.seed, JITTER_STREAM]),
        jitter_deg=scenario.jitter_deg,
    )


def frame_name(epoch: Epoch) -> str:
    """Return a frame's file name: its time, with characters every file system takes."""
    return epoch.utc_iso(digits=6).replace(":", "-").removesuffix("Z") + ".jpg"


def write_times(folder: Path, frames: list[Exposure], drawn: Draw) -> None:
    """Write frames.csv: file and time of every frame."""
    with (folder / TIMES).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "time_utc"])
        for frame in frames:
            time_utc = (drawn.arc.epoch + frame.t_s).utc_iso(digits=6)
            writer.writerow([frame.name, time_utc])


def render(
    folder: Path,
    frames: list[Exposure],
    spec: SceneSpec,
    camera: Camera,
    *,
    quality: int,
    workers: int,
    step: Callable[[int], None],
) -> None:
    """Render the frames as JPEG files into `folder`; step(count) is called as they appear.

    RenderingStopped where a process was stopped from outside.
    """
    chunks = [frames[start : start + CHUNK] for start in range(0, len(frames), CHUNK)]
    context = multiprocessing.get_context("spawn")  # forking a process with threads can hang it
    try:
        with ProcessPoolExecutor(
            workers, mp_context=context, initializer=_prepare, initargs=(folder, spec, camera, quality)
        ) as pool:
            for done in as_completed([pool.submit(_render_chunk, chunk) for chunk in chunks]):
                step(done.result())
    except BrokenProcessPool:
        fix = "is there enough memory? --workers 1 needs less"
        raise RenderingStopped(f"a rendering process was stopped from outside; {fix}") from None


@dataclass(frozen=True, slots=True)
class _Darkroom:
    """What a rendering process holds: the scene, the camera and where frames go."""

    folder: Path
    scene: Scene
    camera: Camera
    quality: int


_darkroom: _Darkroom | None = None  # one per process, made by `_prepare`


def _prepare(folder: Path, spec: SceneSpec, camera: Camera, quality: int) -> None:
    """Build the scene once per process."""
    global _darkroom
    cv2.setNumThreads(1)
    clouds = cloud_field(spec.cloud_seed, cover=spec.cloud_cover)
    _darkroom = _Darkroom(folder, Scene(open_imagery(spec.imagery), clouds), camera, quality)


def _render_chunk(chunk: list[Exposure]) -> int:
    """Render some frames; return their number."""
    room = _darkroom
    assert room is not None, "the process was not prepared"
    for frame in chunk:
        pixels = render_frame(
            room.scene, room.camera, frame.r_ecef, frame.cam_from_ecef, frame.sun_ecef, seed=frame.noise_seed
        )
        (room.folder / frame.name).write_bytes(encode_jpeg(pixels, quality=room.quality))
    return len(chunk)
