"""Taking frames: the camera at its cadence, into the ring, onto the list of what waits."""

from flightsw.astro.time import NS
from flightsw.runtime.fly.journal import Journal
from flightsw.runtime.fly.ports import Camera, DeviceError, Frame
from flightsw.runtime.fly.ring import FrameRing
from flightsw.runtime.store.records import Kind, Stamp

MOST_PER_STEP = 8


class Imaging:
    """The camera. taken : frames put into the ring since the start; unwritten : frames the
    medium refused; retry_s : before a camera that failed is tried again.
    """

    def __init__(self, camera: Camera, ring: FrameRing, journal: Journal, *, retry_s: float) -> None:
        self._camera, self._ring, self._journal = camera, ring, journal
        self._retry_ns = round(retry_s * NS)
        self._asked_ns: int | None = None
        self._retry_at = 0
        self._lost = False
        self.taken, self.unwritten = 0, 0

    def step(self, now: Stamp, *, period_s: float, arc: int) -> list[tuple[str, int, int]]:
        """Ask for a frame where one is due; return (name, TAI ns, arc) of frames that have come."""
        taken: list[tuple[str, int, int]] = []
        try:
            if self._is_due(now.mono_ns, round(period_s * NS)):
                self._camera.request(now)
            while len(taken) < MOST_PER_STEP and (frame := self._camera.poll(now)) is not None:
                self._found()
                entry = self._keep(frame, arc)
                if entry is None:
                    break
                taken.append(entry)
        except DeviceError as error:
            self._camera.stop()
            self._retry_at = now.mono_ns + self._retry_ns
            if not self._lost:
                self._lost = True
                self._journal.event("CAMERA_LOST", detail=str(error))
        return taken

    def is_usable(self, now: Stamp) -> bool:
        """Tell whether the camera may be asked: it works, or it is time to try again."""
        return now.mono_ns >= self._retry_at

    def stop(self) -> None:
        """Take no more frames."""
        self._camera.stop()
        self._asked_ns = None

    def _is_due(self, now_ns: int, period_ns: int) -> bool:
        """Tell whether a frame is due, and note when. Steps come a little late: the next is
        counted from when this one was due, so the cadence is kept and lateness does not add up.
        """
        if self._asked_ns is not None and now_ns - self._asked_ns < period_ns:
            return False
        is_in_step = self._asked_ns is not None and now_ns - self._asked_ns < 2 * period_ns
        self._asked_ns = self._asked_ns + period_ns if is_in_step and self._asked_ns is not None else now_ns
        return True

    def _found(self) -> None:
        if self._lost:
            self._lost = False
            self._journal.event("CAMERA_BACK")

    def _keep(self, frame: Frame, arc: int) -> tuple[str, int, int] | None:
        try:
            name = self._ring.put(frame)
        except OSError as error:
            self.unwritten += 1
            self._retry_at = self._journal.clock.now().mono_ns + self._retry_ns
            self._journal.event("FRAME_FAILED", detail=f"cannot be written: {error.strerror}")
            return None
        self.taken += 1
        self._journal.record(Kind.FRAME, {"frame": name, "tai_ns": frame.tai_ns, "arc": arc})
        return name, frame.tai_ns, arc
