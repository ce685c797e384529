"""Every fault that can be played, by name: what it does, and what the payload is to do then.

A fault is a name, a time, a duration, an amount and a seed. Faults are composed as a list
(see `composition`). Who plays a kind is its layer:
    feed      frames on their way to the camera's folder
    detector  what the detector says of a frame
    link      bytes between ground and payload
    process   the program and its workers, from outside
    medium    the file system under the program
    clock     the time the program is told
    files     what lies on the medium, bit by bit
    board     memory and processor
"""

from dataclasses import dataclass
from typing import Literal

Layer = Literal["feed", "detector", "link", "process", "medium", "clock", "files", "board"]
Rung = Literal["in-process", "process", "emulated", "remote"]

OUTSIDE: tuple[Rung, ...] = ("process", "emulated", "remote")  # a process that signals can be sent to
ALL: tuple[Rung, ...] = ("in-process", "process", "emulated", "remote")
GOES_ON = "goes on without it; what it saw before and after makes the orbit"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultKind:
    """A fault by name.

    does, expected : sentences; amount : what the number means, with its unit, "" where it
    has none; low, high : its range, from which random ones are drawn; lasts : whether the
    duration counts; rungs : where it can be played; needs : the kind of inference it has
    an effect on, "" for any.
    """

    name: str
    layer: Layer
    does: str
    expected: str
    amount: str = ""
    low: float = 0.0
    high: float = 0.0
    lasts: bool = False
    rungs: tuple[Rung, ...] = ALL
    needs: Literal["", "observations", "models"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault of a trial.

    at_s : past the first frame, in the payload's true time; duration_s : of those that
    last; amount : see its kind; seed : of everything random in it.
    """

    name: str
    at_s: float
    duration_s: float = 0.0
    amount: float = 0.0
    seed: int = 0

    @property
    def kind(self) -> FaultKind:
        """Return what it is."""
        return KINDS[self.name]

    def covers(self, t_s: float) -> bool:
        """Tell whether it is on at a time."""
        return self.at_s <= t_s < self.at_s + self.duration_s


_FEED = (
    FaultKind(
        name="frame_drop", layer="feed", does="frames never arrive", expected=GOES_ON,
        amount="share of the frames", low=0.2, high=1.0, lasts=True,
    ),
    FaultKind(
        name="frame_duplicate", layer="feed", does="each frame arrives again 15 s later",
        expected="looks at it once", lasts=True,
    ),
    FaultKind(
        name="frame_reorder", layer="feed", does="neighbouring frames arrive in the wrong order",
        expected="takes both, or the later one; neither twice", lasts=True,
    ),
    FaultKind(
        name="frame_late", layer="feed", does="frames arrive late, stamped with their true time",
        expected="takes them when they come", amount="delay, s", low=5.0, high=300.0, lasts=True,
    ),
    FaultKind(
        name="jpeg_truncate", layer="feed", does="files end early", needs="models",
        expected="records the frame as unreadable, goes on", amount="share of the bytes that is left",
        low=0.0, high=0.99, lasts=True,
    ),
    FaultKind(
        name="jpeg_flip", layer="feed", does="bits of the files are flipped", needs="models",
        expected="finds no pose in the frame, or the right one", amount="bits a file",
        low=1.0, high=200.0, lasts=True,
    ),
    FaultKind(
        name="frame_black", layer="feed", does="the shutter stays closed",
        expected="no fix in these frames", lasts=True,
    ),
    FaultKind(
        name="frame_saturated", layer="feed", does="every pixel is white",
        expected="no fix in these frames", lasts=True,
    ),
    FaultKind(
        name="frame_cloud", layer="feed", does="nothing but cloud",
        expected="no fix in these frames", lasts=True,
    ),
)  # fmt: skip
_DETECTOR = (
    FaultKind(
        name="wrong_region", layer="detector", needs="observations",
        does="landmarks are taken for those of another region, all of a frame alike",
        expected="rejects them, or is not determined; never wrong", amount="share of the frames",
        low=0.1, high=0.5, lasts=True,
    ),
    FaultKind(
        name="outliers", layer="detector", needs="observations",
        does="detections lie anywhere in the image", expected="rejects them; the sigma stays honest",
        amount="share of the detections", low=0.05, high=0.4, lasts=True,
    ),
)  # fmt: skip
_LINK = (
    FaultKind(
        name="link_loss", layer="link", does="packets are lost, both ways",
        expected="answers the repeated command once it gets through; runs it once",
        amount="share of the packets", low=0.1, high=0.9, lasts=True,
    ),
    FaultKind(
        name="link_duplicate", layer="link", does="packets arrive twice",
        expected="runs a command once and answers twice", amount="share of the packets",
        low=0.1, high=1.0, lasts=True,
    ),
    FaultKind(
        name="link_errors", layer="link", does="bits are flipped, both ways",
        expected="counts broken packets, carries none of them out", amount="bit error rate",
        low=1e-5, high=3e-3, lasts=True,
    ),
    FaultKind(
        name="link_burst", layer="link", does="stretches of bytes are noise, both ways",
        expected="is in step again at the next packet", amount="bytes a burst, one burst a piece",
        low=4.0, high=400.0, lasts=True,
    ),
)  # fmt: skip
_PROCESS = (
    FaultKind(
        name="kill", layer="process", does="SIGKILL between two instants",
        expected="starts again with all it knew",
    ),
    FaultKind(
        name="kill_at", layer="process", does="SIGKILL at an operation of the medium, sync or other",
        expected="starts again with all that was committed", amount="which operation from now on",
        low=1.0, high=60.0,
    ),
    FaultKind(
        name="power_cut", layer="process",
        does="power goes at an operation of the medium; what was not synced is lost, kept or torn",
        expected="starts again with all that was committed", amount="which operation from now on",
        low=1.0, high=60.0,
    ),
    FaultKind(
        name="brown_out", layer="process", does="power goes again and again while the program starts",
        expected="starts in the end; SAFE after a loop, and out of it by itself", amount="cuts in a row",
        low=2.0, high=6.0,
    ),
    FaultKind(
        name="hang", layer="process", does="SIGSTOP: the program stands still",
        expected="feeds no watchdog, is killed by it, starts again", rungs=OUTSIDE,
    ),
    FaultKind(
        name="kill_worker", layer="process", does="SIGKILL of the inference worker",
        expected="starts another; the frame is looked at again",
    ),
    FaultKind(
        name="hang_worker", layer="process", does="SIGSTOP of the inference worker",
        expected="ends it after its time and starts another",
    ),
)  # fmt: skip
_MEDIUM = (
    FaultKind(
        name="disk_full", layer="medium", does="ENOSPC at every write",
        expected="keeps records in memory, writes them when there is room", lasts=True,
    ),
    FaultKind(
        name="read_only", layer="medium", does="EROFS at every write",
        expected="keeps records in memory, writes them when it can", lasts=True,
    ),
    FaultKind(
        name="disk_error", layer="medium", does="EIO at every sync",
        expected="does not trust the segment, keeps records in memory", lasts=True,
    ),
)  # fmt: skip
_CLOCK = (
    FaultKind(
        name="clock_step", layer="clock", does="time jumps, and stays so",
        expected="begins a new arc; no observation of before counts", amount="step, s",
        low=-7200.0, high=7200.0,
    ),
    FaultKind(
        name="clock_drift", layer="clock", does="the clock runs fast",
        expected="stays within its covariance", amount="parts per million", low=-5.0, high=5.0, lasts=True,
    ),
    FaultKind(
        name="clock_rollover", layer="clock", does="the date is 1024 weeks early, then right again",
        expected="begins a new arc each time", lasts=True,
    ),
)  # fmt: skip
_FILES = (
    FaultKind(
        name="flip_state", layer="files", does="bits of one copy of each kept value are flipped",
        expected="uses the other copy and mends this one", amount="bits a file", low=1.0, high=20.0,
    ),
    FaultKind(
        name="flip_log", layer="files", does="bits of one record of the log are flipped",
        expected="loses this record and no other, believes none that is damaged", amount="bits",
        low=1.0, high=20.0,
    ),
    FaultKind(
        name="flip_model", layer="files", does="bits of a model are flipped", needs="models",
        expected="finds it by its checksum; mends it from the other set", amount="bits", low=1.0, high=20.0,
    ),
)  # fmt: skip
_BOARD = (
    FaultKind(
        name="memory_pressure", layer="board", does="the inference worker takes memory and keeps it",
        expected="ends it when it is over its budget and starts another", amount="MB",
        low=100.0, high=150.0, lasts=True,
    ),
    FaultKind(
        name="slow_cpu", layer="board", does="each task of a worker takes longer",
        expected="falls behind and catches up", amount="ms a task", low=5.0, high=50.0, lasts=True,
    ),
)  # fmt: skip

KINDS: dict[str, FaultKind] = {
    kind.name: kind for kind in (*_FEED, *_DETECTOR, *_LINK, *_PROCESS, *_MEDIUM, *_CLOCK, *_FILES, *_BOARD)
}
