"""Estimating: when it is due, the orbit worker, and the solution that is kept."""

from typing import Any

from flightsw.astro.time import NS
from flightsw.runtime.fly.arcs import ArcWatch
from flightsw.runtime.fly.config import PayloadConfig
from flightsw.runtime.fly.journal import Journal
from flightsw.runtime.fly.worker import Lost, Worker
from flightsw.runtime.link import dictionary as dic
from flightsw.runtime.store.records import Kind, Stamp

NAME = "solution"
DEFAULT: dict[str, Any] = {
    "arc": 0, "status": "NONE", "text": "", "epoch_tai_ns": 0, "state": None, "sigma_m": 0.0, "used": 0,
    "rejected": 0, "sun": [],
}  # fmt: skip
QUIET_S = 60.0  # without a frame with observations: the pass is over
GIVE_UP = 3  # failures in a row, before it waits as after a pass
_STATE = ("x_m", "y_m", "z_m", "vx_m_s", "vy_m_s", "vz_m_s")


class OrbitDesk:
    """The orbit worker, which lives as long as an estimate takes, and its last solution."""

    def __init__(self, config: PayloadConfig, journal: Journal, arcs: ArcWatch) -> None:
        self._config, self._journal, self._arcs = config, journal, arcs
        arguments = {"camera": config.paths.camera, "products": config.paths.products}
        limits = config.limits
        self.worker = Worker("orbit", arguments, timeout_s=limits.orbit_timeout_s, ping_s=limits.ping_s)
        self.solution = journal.load(NAME, DEFAULT)
        self._frames_then = self._frames_seen = 0  # at the last estimate, at the last look
        self._first_ns = self._latest_ns = 0  # when frames came that no estimate has seen
        self._asked_for = False
        self._arc = 0

    def ask_for(self) -> None:
        """Estimate as soon as it can be."""
        self._asked_for = True

    def is_due(self, now: Stamp, frames: int, *, period_s: float) -> bool:
        """Tell whether to estimate: when asked, when a pass is over, or when it goes on for long.

        frames : with observations in the present arc.
        """
        if frames != self._frames_seen:
            self._latest_ns = now.mono_ns
            if self._frames_seen == self._frames_then:
                self._first_ns = now.mono_ns
            self._frames_seen = frames
        news = frames > 0 and frames != self._frames_then
        over = now.mono_ns - self._latest_ns >= QUIET_S * NS
        return self._asked_for or (news and (over or now.mono_ns - self._first_ns >= period_s * NS))

    def step(self, now: Stamp, frames: int, *, may_start: bool, period_s: float) -> bool:
        """Take an answer, start what is due; tell whether there is a new solution.

        frames : with observations in the present arc.
        """
        answer = self.worker.poll()
        if isinstance(answer, Lost):
            self._journal.event("WORKER_LOST", value=self.worker.took_s, detail=f"orbit {answer.value}")
            if self.worker.failures >= GIVE_UP:
                self._journal.event("WORKER_GIVEN_UP", value=self.worker.failures, detail="orbit")
                self.worker.failures = 0
                self._asked_for = False
                self._frames_then, self._first_ns, self._latest_ns = -1, now.mono_ns, now.mono_ns
            else:
                self._asked_for = True  # again, now
        elif answer is not None:
            self.worker.stop()
            self._take(answer)
            return True
        if may_start and not self.worker.is_busy and self.is_due(now, frames, period_s=period_s):
            self._asked_for = False
            self._frames_then, self._arc = frames, self._arcs.arc
            arc = self._arcs.frames(hours=self._config.limits.arc_h)
            self.worker.ask({"do": "estimate", "frames": arc, "arc": self._arc})
        return False

    @property
    def status(self) -> int:
        """Return the status of the last solution as HOUSEKEEPING numbers it."""
        return _status_number(self.solution["status"])

    def stop(self) -> None:
        """End the worker; what it was at is asked for again."""
        self._asked_for = self._asked_for or self.worker.is_busy
        self.worker.stop()

    def forget_arc(self) -> None:
        """Begin anew with a new arc."""
        self._frames_then = self._frames_seen = 0

    def _take(self, answer: dict[str, Any]) -> None:
        self.solution = {**answer, "arc": self._arc}
        self._journal.save(NAME, self.solution)
        short = {key: value for key, value in self.solution.items() if key not in ("text", "sun")}
        self._journal.record(Kind.SOLUTION, short)
        self._journal.event("ORBIT_ESTIMATED", value=answer["sigma_m"], detail=answer["status"])
        state = answer["state"] or [0.0] * 6
        values = {
            "status": self.status,
            "arc": self._arc,
            "epoch_tai_ns": answer["epoch_tai_ns"],
            **dict(zip(_STATE, state)),
            "position_sigma_m": answer["sigma_m"],
            "observations_used": answer["used"],
            "observations_rejected": answer["rejected"],
        }
        self._journal.telemetry.put("SOLUTION", self._journal.clock.now().tai_ns, values)


def _status_number(name: str) -> int:
    entry = dic.telemetry("SOLUTION")
    assert entry is not None
    names = next(field.names for field in entry.field if field.name == "status")
    return names.index(name) if name in names else 0
