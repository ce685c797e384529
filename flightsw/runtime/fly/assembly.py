"""`flightsw fly`: puts the payload together from its file, and runs it until it is told to end.

The order is that of need: the store first (in memory alone where there is no medium),
then who we are (start number, keys), then devices, and models last. A boot loop (several
starts in a row, none of which lived long enough) begins in SAFE, and a longer one asks
for the other image.
"""

import json
import logging
import os
import signal
import subprocess
from pathlib import Path

from flightsw.astro.time import NS, Epoch
from flightsw.camera.load import load_camera
from flightsw.errors import EXIT_OK, InputError
from flightsw.runtime.csv_cells import parse_time
from flightsw.runtime.drivers.cameras import CommandCamera, CycleCamera, FolderCamera, NoCamera
from flightsw.runtime.drivers.clocks import LockstepClock, ScaledClock, SystemClock
from flightsw.runtime.drivers.gyros import IioGyro, NoGyro, TableGyro
from flightsw.runtime.drivers.links import NoLink, SerialLink, TcpLink
from flightsw.runtime.fly.arcs import ArcWatch, read_recent
from flightsw.runtime.fly.comms import Comms
from flightsw.runtime.fly.config import ClockConfig, PayloadConfig, load_payload_config
from flightsw.runtime.fly.health import Watchdogs
from flightsw.runtime.fly.image_plan import PlanDesk
from flightsw.runtime.fly.imaging import Imaging
from flightsw.runtime.fly.journal import Journal
from flightsw.runtime.fly.looking import Looking
from flightsw.runtime.fly.model_sets import ModelSets
from flightsw.runtime.fly.modes import Mode
from flightsw.runtime.fly.orbit_desk import OrbitDesk
from flightsw.runtime.fly.orders import KEYS
from flightsw.runtime.fly.parameters import Parameters
from flightsw.runtime.fly.payload import Payload
from flightsw.runtime.fly.ports import Camera, Clock, Gyro, Link
from flightsw.runtime.fly.ring import FrameRing
from flightsw.runtime.link.commands import CommandGate
from flightsw.runtime.link.keys import Keys, read_keys
from flightsw.runtime.link.telemetry import Telemetry
from flightsw.runtime.store.disk import Disk, FolderDisk, NoDisk
from flightsw.runtime.store.records import Kind
from flightsw.runtime.store.store import Store, StoreMode

log = logging.getLogger("flightsw.fly")

MB = 1_000_000
BOOT = "boot"
BOOT_DEFAULT = {"number": 0, "unhealthy": 0}
COMMANDS = "commands"


def fly(config_path: str | os.PathLike[str]) -> int:
    """Run the payload until SIGTERM, SIGINT or RESTART; return the exit code.

    Raises InputError for a configuration, key or camera file that cannot be used, and
    StoreBusyError where the store belongs to another process.
    """
    config = load_payload_config(config_path)
    load_camera(config.paths.camera)
    store = open_store(config)
    boot = _boot_counters(store)
    payload, unhealthy = assemble(config, store, boot)
    _listen_to_signals(payload)
    try:
        _start(payload, unhealthy)
        _run(payload, healthy_after_s=config.boot.healthy_after_s)
    finally:
        _settle(payload)
        payload.close()
    return EXIT_OK


def open_store(config: PayloadConfig) -> Store:
    """Return the store; one in memory where its folder cannot be used at all."""
    limit = round(config.limits.log_mb * MB)
    disk: Disk
    try:
        disk = FolderDisk(config.paths.store)
        return Store(disk, segment_bytes=min(limit // 8, MB), budget_bytes=limit)
    except OSError as error:
        log.error("the store cannot be opened: %s", error)
        store = Store(NoDisk(), budget_bytes=limit)
        store.mode = StoreMode.RAM
        return store


def assemble(config: PayloadConfig, store: Store, boot: dict[str, int]) -> tuple[Payload, int]:
    """Return the payload, not yet started, and the number of starts in a row without health."""
    telemetry = Telemetry()
    clock = open_clock(config.clock, boot["number"])
    journal = Journal(store, telemetry, clock)
    clock.set_offset(int(journal.load("clock", {"offset_ns": 0})["offset_ns"]))
    gate = _open_gate(config, store)
    arcs = ArcWatch(journal)
    ring = FrameRing(Path(config.paths.frames), round(config.limits.frames_mb * MB))
    models = ModelSets(journal, tuple(Path(name) for name in config.paths.models))
    taken, looked_at = read_recent(journal)
    looking = Looking(config, journal, ring, models, arcs)
    looking.recover(taken, looked_at)
    last = max((frame["tai_ns"] for frame in taken), default=None)
    payload = Payload(
        config,
        journal,
        gate,
        Comms(open_link(config), journal, gate),
        Imaging(open_camera(config, last), ring, journal, retry_s=config.camera.retry_s),
        looking,
        OrbitDesk(config, journal, arcs),
        models,
        arcs,
        Parameters(journal),
        PlanDesk(config.paths.schedule, journal),
        open_gyro(config),
        Watchdogs(config.boot.watchdog_device),
        boot=boot["number"],
    )
    return payload, boot["unhealthy"]


def open_clock(config: ClockConfig, boot: int) -> Clock:
    """Return the clock of the configuration. Raises InputError, DeviceError."""
    if config.kind == "lockstep":
        host, _, port = config.address.rpartition(":")
        if not host or not port.isdigit():
            raise InputError(f"{config.address!r} is no address", field="clock.address", fix="give HOST:PORT")
        return LockstepClock(boot, (host, int(port)))
    if config.kind == "scaled":
        try:
            epoch: Epoch = parse_time(config.epoch_utc)
        except ValueError as error:
            raise InputError(str(error), field="clock.epoch_utc") from None
        return ScaledClock(boot, epoch=epoch, boottime_s=config.boottime_s, rate=config.rate)
    return SystemClock(boot)


def open_camera(config: PayloadConfig, last_tai_ns: int | None) -> Camera:
    """Return the camera of the configuration. last_tai_ns : of the last frame of an earlier start."""
    c = config.camera
    if c.kind == "folder":
        return FolderCamera(Path(c.folder), after_ns=last_tai_ns)
    if c.kind == "cycle":
        return CycleCamera(Path(c.folder))
    if c.kind in ("libcamera", "command"):
        optics = load_camera(config.paths.camera)
        return CommandCamera(
            c.command, timeout_s=c.timeout_s, line_time_s=optics.line_time_s, height_px=optics.height_px
        )
    return NoCamera()


def open_gyro(config: PayloadConfig) -> Gyro:
    """Return the gyro of the configuration."""
    path = Path(config.gyro.path)
    if config.gyro.kind == "iio":
        return IioGyro(path)
    return TableGyro(path) if config.gyro.kind == "table" else NoGyro()


def open_link(config: PayloadConfig) -> Link:
    """Return the link of the configuration. Raises InputError where a port cannot be had."""
    c = config.link
    if c.kind == "serial":
        return SerialLink(c.path, c.baud)
    if c.kind == "tcp":
        try:
            return TcpLink(c.host, c.port)
        except OSError as error:
            fix = "choose another port"
            raise InputError(f"cannot be used ({error.strerror})", field="link.port", fix=fix) from None
    return NoLink()


def _boot_counters(store: Store) -> dict[str, int]:
    """Count this start, as one that has yet to prove itself."""
    boot = Journal(store, Telemetry(), SystemClock(0)).load(BOOT, BOOT_DEFAULT)
    boot = {"number": int(boot["number"]) + 1, "unhealthy": int(boot["unhealthy"]) + 1}
    _save_boot(store, boot)
    return boot


def _save_boot(store: Store, boot: dict[str, int]) -> None:
    Journal(store, Telemetry(), SystemClock(0)).save(BOOT, dict(boot))


def _open_gate(config: PayloadConfig, store: Store) -> CommandGate:
    """Return the gate with the rotated keys, else those of the key file. Raises InputError."""
    kept = store.load(KEYS)
    try:
        keys = read_keys(config.paths.keys) if kept is None else Keys.from_bytes(kept)
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        keys = read_keys(config.paths.keys)
    state = store.load(COMMANDS)
    floor = 0
    if state is None:  # both copies are gone, or it is the first start
        records = store.records(Kind.COMMAND)
        floor = max((int(json.loads(record.payload)["counter"]) for record in records), default=0)
    return CommandGate(keys, state, lambda data: store.save(COMMANDS, data), floor=floor)


def _start(payload: Payload, unhealthy: int) -> None:
    """Leave BOOT: to IDLE, or to SAFE after a boot loop; ask for the other image after a longer one."""
    boot = payload.config.boot
    payload.journal.event("STARTED", value=unhealthy - 1)
    loop = unhealthy > boot.safe_after
    if unhealthy > boot.other_image_after and boot.other_image:
        payload.journal.event("OTHER_IMAGE", value=unhealthy - 1)
        payload.journal.commit()
        subprocess.run(boot.other_image, check=False, timeout=60.0)
    if payload.config.inference.kind == "models":
        payload.models.check_all()
    payload.plans.start()
    if loop:
        payload.journal.event("BOOT_LOOP", value=unhealthy - 1)
    payload.change_mode(Mode.SAFE if loop else Mode.IDLE, reason="BOOT_LOOP" if loop else "")
    payload.watchdogs.ready()


def _run(payload: Payload, *, healthy_after_s: float) -> None:
    clock = payload.journal.clock
    started, proven = clock.now().mono_ns, False
    while not payload.ends:
        payload.step()
        if not proven and clock.now().mono_ns - started > healthy_after_s * NS:
            proven = True
            _prove(payload)
        clock.done(payload.digest())
        if not clock.wait(payload.wait_s(), payload.readers()):
            payload.ends = True


def _prove(payload: Payload) -> None:
    """This start has lived long enough: the boot loop, if there was one, is over."""
    boot = payload.journal.load(BOOT, BOOT_DEFAULT)
    payload.journal.save(BOOT, {**boot, "unhealthy": 0})


def _settle(payload: Payload) -> None:
    """An end on request is no failed start."""
    if payload.ends:
        boot = payload.journal.load(BOOT, BOOT_DEFAULT)
        payload.journal.save(BOOT, {**boot, "unhealthy": max(int(boot["unhealthy"]) - 1, 0)})


def _listen_to_signals(payload: Payload) -> None:
    def end(number: int, frame: object) -> None:
        payload.ends = True
        payload.journal.clock.interrupt()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
