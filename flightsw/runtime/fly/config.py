"""payload.toml: where things are, which drivers, and limits that do not change in flight.

What may change in flight is a parameter of the dictionary. Relative paths are relative to
the folder of payload.toml.
"""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from flightsw.config import load_toml
from flightsw.errors import InputError
from flightsw.runtime.drivers.cameras import LIBCAMERA
from flightsw.runtime.drivers.links import SPEEDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """store, frames, products : folders that are written; models : one set, or two (A and B);
    schedule : of `vinsat plan`, "" for none.
    """

    store: str
    frames: str
    products: str
    models: tuple[str, ...]
    camera: str
    keys: str
    schedule: str = ""

    def __post_init__(self) -> None:
        """Refuse more sets than two. Raises InputError."""
        if not 1 <= len(self.models) <= 2:
            raise InputError(f"names {len(self.models)} folders", field="models", fix="give one, or two")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockConfig:
    """scaled : from `epoch_utc` at `boottime_s` on, `rate` times faster; lockstep : `address`."""

    kind: Literal["system", "scaled", "lockstep"] = "system"
    epoch_utc: str = ""
    boottime_s: float = 0.0
    rate: float = 1.0
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraConfig:
    """folder and cycle : files of `folder`; libcamera and command : one process a frame."""

    kind: Literal["none", "folder", "cycle", "libcamera", "command"] = "none"
    folder: str = ""
    command: tuple[str, ...] = LIBCAMERA
    timeout_s: float = 10.0
    retry_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GyroConfig:
    """iio : a device's folder under /sys; table : a gyro file."""

    kind: Literal["none", "iio", "table"] = "none"
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkConfig:
    """serial : `path` and `baud`; tcp : listens on `host` and `port`."""

    kind: Literal["none", "serial", "tcp"] = "none"
    path: str = ""
    baud: int = 115_200
    host: str = "127.0.0.1"
    port: int = 0

    def __post_init__(self) -> None:
        """Refuse a speed no line has. Raises InputError."""
        if self.baud not in SPEEDS:
            raise InputError(f"{self.baud} is no speed", field="baud", fix=f"one of {sorted(SPEEDS)}")
        if not 0 <= self.port <= 65_535:
            raise InputError(f"{self.port} is no port", field="port", fix="give 1 to 65535")


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceConfig:
    """models : networks and maps; observations : rows of a file by frame time, of any detector."""

    kind: Literal["models", "observations"] = "models"
    observations: str = ""
    threads: int = 1
    timeout_s: float = 60.0
    memory_mb: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Budgets; see docs/payload.md."""

    log_mb: float = 64.0
    frames_mb: float = 500.0
    pending_frames: int = 200
    memory_mb: float = 350.0
    orbit_timeout_s: float = 600.0
    orbit_memory_mb: float = 250.0
    arc_h: float = 24.0
    ping_s: float = 10.0
    imaging_w: float = 3.0
    computing_w: float = 3.0
    charge_w: float = 1.0
    scrub_period_s: float = 600.0
    store_retry_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BootConfig:
    """healthy_after_s : a start counts as good after it; other_image : command that switches;
    safe_retry_s : SAFE that the payload chose itself ends after it (0: never).
    """

    healthy_after_s: float = 120.0
    safe_after: int = 3
    safe_retry_s: float = 3600.0
    other_image_after: int = 6
    other_image: tuple[str, ...] = ()
    watchdog_device: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadConfig:
    """The whole file."""

    paths: Paths
    clock: ClockConfig = field(default_factory=ClockConfig)
    camera: CameraConfig = field(default_factory=CameraConfig)
    gyro: GyroConfig = field(default_factory=GyroConfig)
    link: LinkConfig = field(default_factory=LinkConfig)
    inference: InferenceConfig = field(default_factory=InferenceConfig)
    limits: Limits = field(default_factory=Limits)
    boot: BootConfig = field(default_factory=BootConfig)


def load_payload_config(path: str | os.PathLike[str]) -> PayloadConfig:
    """Return the configuration with absolute paths. Raises InputError."""
    config = load_toml(path, PayloadConfig)
    base = Path(path).resolve().parent

    def absolute(name: str) -> str:
        return str(base / name) if name else ""

    p = config.paths
    paths = Paths(
        store=absolute(p.store),
        frames=absolute(p.frames),
        products=absolute(p.products),
        models=tuple(absolute(name) for name in p.models),
        camera=absolute(p.camera),
        keys=absolute(p.keys),
        schedule=absolute(p.schedule),
    )
    return replace(
        config,
        paths=paths,
        camera=replace(config.camera, folder=absolute(config.camera.folder)),
        gyro=replace(config.gyro, path=absolute(config.gyro.path)),
        inference=replace(config.inference, observations=absolute(config.inference.observations)),
    )
