"""What reaches the payload and when: frames, the detector's table, the clock, with their faults.

All of it is a pure function of (scenario, faults, seed), made before anything runs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import simplejpeg
from numpy.typing import NDArray

from flightsw.astro.time import NS
from flightsw.runtime.fly.ring import frame_name
from flightsw.runtime.known_case import CAMERA, EPOCH, KnownCase
from flightsw.runtime.tables import ObservationRow, rows_of
from vinsat_hil.faults import Fault
from vinsat_hil.scenario import Scenario

ROLLOVER_S = 1024 * 7 * 86_400.0  # of a ten-bit week counter
MONO_ZERO_S = 1000.0  # monotonic time at the first frame
DUPLICATE_S = 15.0  # after which a frame comes again
FAR_DEG = 40.0  # to the region that another one is taken for
UNSEEING = ("frame_black", "frame_saturated", "frame_cloud")

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Clock:
    """What the payload's clock says at a true time, s past the first frame."""

    faults: tuple[Fault, ...]

    def offset_s(self, t_s: float) -> float:
        """Return how far it is ahead of true time, s."""
        total = 0.0
        for fault in self.faults:
            if t_s < fault.at_s:
                continue
            if fault.name == "clock_step":
                total += fault.amount
            elif fault.name == "clock_rollover" and fault.covers(t_s):
                total -= ROLLOVER_S
            elif fault.name == "clock_drift":
                total += 1e-6 * fault.amount * min(t_s - fault.at_s, fault.duration_s)
        return total

    def is_rolled_over(self, t_s: float) -> bool:
        """Tell whether the date is 1024 weeks early."""
        return any(fault.name == "clock_rollover" and fault.covers(t_s) for fault in self.faults)

    def tai_ns(self, t_s: float) -> int:
        """Return what it says, ns of TAI."""
        return EPOCH.tai_ns + round((t_s + self.offset_s(t_s)) * NS)


def mono_ns(t_s: float) -> int:
    """Return monotonic time at a true time, ns."""
    return round((t_s + MONO_ZERO_S) * NS)


@dataclass(frozen=True, slots=True)
class Shot:
    """One frame. t_s : when it was exposed; arrives_s : when its file is there; may_fix :
    whether it shows landmarks.
    """

    t_s: float
    tai_ns: int
    arrives_s: float
    jpeg: bytes
    rows: tuple[ObservationRow, ...]
    may_fix: bool

    @property
    def name(self) -> str:
        """Its file's name."""
        return frame_name(self.tai_ns)


@dataclass(frozen=True, slots=True)
class Feed:
    """All frames in the order of their arrival, and the clock."""

    shots: tuple[Shot, ...]
    clock: Clock

    def table(self) -> list[ObservationRow]:
        """Return the rows of the detector's file, each frame's once."""
        by_time = {shot.tai_ns: shot.rows for shot in self.shots}
        return [row for tai_ns in sorted(by_time) for row in by_time[tai_ns]]


def make_feed(
    scenario: Scenario,
    case: KnownCase,
    faults: Sequence[Fault],
    picture: Callable[[float], tuple[Image, bool]],
) -> Feed:
    """Return the feed. picture(t_s) : what the camera sees, (h, w, 3), and whether landmarks are in it."""
    clock = Clock(tuple(fault for fault in faults if fault.kind.layer == "clock"))
    rows = rows_of(case.observations)
    rngs = {id(fault): np.random.default_rng([fault.seed, 1]) for fault in faults}
    shots: list[Shot] = []
    for t_s in (float(t) for t in scenario.frame_times_s()):
        mine = [row for row in rows if abs(row.epoch - EPOCH - t_s) < 1e-3]
        shots += _shots(t_s, mine, clock, [(f, rngs[id(f)]) for f in faults], picture)
    return Feed(tuple(sorted(_reordered(shots, faults), key=lambda shot: shot.arrives_s)), clock)


def _shots(
    t_s: float,
    rows: list[ObservationRow],
    clock: Clock,
    faults: list[tuple[Fault, np.random.Generator]],
    picture: Callable[[float], tuple[Image, bool]],
) -> list[Shot]:
    """Return one frame's files: none, one, or two."""
    on = [(fault, rng) for fault, rng in faults if fault.covers(t_s)]
    image, may_fix = picture(t_s)
    late_s, again, kept = 0.0, False, True
    for fault, rng in on:
        if fault.name == "frame_drop":
            kept &= rng.random() >= fault.amount
        elif fault.name == "frame_duplicate":
            again = True
        elif fault.name == "frame_late":
            late_s += fault.amount
        elif fault.name in UNSEEING:
            image, rows, may_fix = _unseeing(fault.name, image, rng), [], False
        elif fault.kind.layer == "detector":
            rows = _misled(fault, rows, rng)
    if not kept:
        return []
    jpeg = simplejpeg.encode_jpeg(image, quality=90)
    for fault, rng in on:
        if fault.name == "jpeg_truncate":
            jpeg = jpeg[: int(fault.amount * len(jpeg))]
        elif fault.name == "jpeg_flip":
            jpeg = flip_bits(jpeg, int(fault.amount), rng)
    tai_ns = clock.tai_ns(t_s)
    stamped = [replace(row, epoch=row.epoch + clock.offset_s(t_s)) for row in rows]
    if clock.is_rolled_over(t_s):
        stamped = []  # one table of observations spans a month at most
    shot = Shot(t_s, tai_ns, t_s + late_s, jpeg, tuple(stamped), may_fix)
    return [shot, replace(shot, arrives_s=shot.arrives_s + DUPLICATE_S)] if again else [shot]


def _unseeing(name: str, image: Image, rng: np.random.Generator) -> Image:
    if name == "frame_cloud":
        field = rng.uniform(180.0, 250.0, (image.shape[0] // 8 + 1, image.shape[1] // 8 + 1))
        grey = np.kron(field, np.ones((8, 8)))[: image.shape[0], : image.shape[1]]
        return np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)
    return np.full_like(image, 255 if name == "frame_saturated" else 0)


def _misled(fault: Fault, rows: list[ObservationRow], rng: np.random.Generator) -> list[ObservationRow]:
    """Return what a detector says that errs."""
    if fault.name == "wrong_region":
        if rng.random() >= fault.amount:
            return rows
        return [replace(row, lon_deg=_far(row.lon_deg), landmark_id=f"w{row.landmark_id}") for row in rows]
    size = (CAMERA.width_px, CAMERA.height_px)
    return [
        replace(row, u_px=float(rng.uniform(0.0, size[0])), v_px=float(rng.uniform(0.0, size[1])))
        if rng.random() < fault.amount
        else row
        for row in rows
    ]


def _far(lon_deg: float) -> float:
    return (lon_deg + 180.0 + FAR_DEG) % 360.0 - 180.0


def _reordered(shots: list[Shot], faults: Sequence[Fault]) -> list[Shot]:
    """Let each two neighbours under a `frame_reorder` change places."""
    shots = list(shots)
    for fault in faults:
        if fault.name != "frame_reorder":
            continue
        under = [index for index, shot in enumerate(shots) if fault.covers(shot.t_s)]
        for a, b in zip(under[::2], under[1::2]):
            first, second = shots[a], shots[b]
            # The earlier one comes when the later one was due to have come, and a little later.
            shots[a] = replace(first, arrives_s=max(first.arrives_s, second.arrives_s) + 1.0)
    return shots


def flip_bits(data: bytes, count: int, rng: np.random.Generator, *, first: int = 0) -> bytes:
    """Return bytes with so many bits flipped, none before `first`."""
    if len(data) <= first:
        return data
    out = bytearray(data)
    for _ in range(count):
        out[int(rng.integers(first, len(out)))] ^= 1 << int(rng.integers(8))
    return bytes(out)
