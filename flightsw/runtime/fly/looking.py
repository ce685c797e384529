"""Looking at frames: what waits, the inference worker, and what it found."""

from collections import deque
from pathlib import Path
from typing import Any

from flightsw.runtime.fly.arcs import ArcWatch
from flightsw.runtime.fly.config import PayloadConfig
from flightsw.runtime.fly.journal import Journal
from flightsw.runtime.fly.model_sets import ModelSets
from flightsw.runtime.fly.ring import FrameRing
from flightsw.runtime.fly.worker import Lost, Worker
from flightsw.runtime.store.records import Kind

ATTEMPTS = 3  # at a frame on which the worker is lost, before it is put aside
GIVE_UP = 5  # failures in a row
DETAIL = 200  # characters of a detail that are recorded

Waiting = tuple[str, int, int]  # name, TAI ns, arc


class Looking:
    """The inference worker and its queue.

    fixes : frames with observations since the start; dropped : frames that found no room in
    the queue or had gone from the ring; in_arc : frames with observations in the present arc.
    """

    def __init__(
        self, config: PayloadConfig, journal: Journal, ring: FrameRing, models: ModelSets, arcs: ArcWatch
    ) -> None:
        self._config, self._journal, self._ring, self._models = config, journal, ring, models
        self._arcs = arcs
        self._waiting: deque[Waiting] = deque()
        self._task: Waiting | None = None
        self._attempts = 0
        self.fixes, self.dropped, self.in_arc = 0, 0, 0
        self.worker = self._new_worker()

    def recover(self, taken: list[dict[str, Any]], looked_at: list[dict[str, Any]]) -> None:
        """Go on with the frames that were taken and not looked at before a restart.

        taken, looked_at : contents of the log's records of frames and of observations.
        """
        self.in_arc = sum(bool(one["rows"]) and one["arc"] == self._arcs.arc for one in looked_at)
        done = {one["frame"] for one in looked_at}
        self.add([
            (one["frame"], one["tai_ns"], one["arc"])
            for one in taken
            if one["frame"] not in done and one["frame"] in self._ring
        ])  # fmt: skip
        self.dropped = 0

    def add(self, frames: list[Waiting]) -> None:
        """Put frames on the list; beyond its length the oldest go."""
        self._waiting.extend(frames)
        while len(self._waiting) > self._config.limits.pending_frames:
            self._waiting.popleft()
            self.dropped += 1

    def step(self, *, may_start: bool) -> str:
        """Take an answer, give the next task; return "" or why the worker is given up."""
        answer = self.worker.poll()
        if isinstance(answer, Lost):
            self._journal.event("WORKER_LOST", value=self.worker.took_s, detail=f"inference {answer.value}")
            if self._config.inference.kind == "models" and self.worker.failures == 1:
                self._models.check_all()  # it may have ended over a damaged file
            problem = self._after_loss()
            if problem:
                return problem
            if may_start:
                self.worker.start()
        elif answer is not None and self._task is not None:
            self._take(self._task, answer)
            self._task, self._attempts = None, 0
        if may_start and not self.worker.is_busy:
            self._give()
        return ""

    def stop(self) -> None:
        """End the worker; a frame it was looking at waits again."""
        self.worker.stop()
        if self._task is not None:
            self._waiting.appendleft(self._task)
            self._task = None

    def renew(self) -> None:
        """Start anew with the models that are in use now."""
        self.stop()
        restarts = self.worker.restarts
        self.worker = self._new_worker()
        self.worker.restarts = restarts

    @property
    def has_work(self) -> bool:
        """Tell whether frames wait or one is being looked at."""
        return bool(self._waiting) or self._task is not None

    def _new_worker(self) -> Worker:
        c = self._config.inference
        arguments = {
            "kind": c.kind,
            "models": str(self._models.active),
            "camera": self._config.paths.camera,
            "observations": c.observations,
            "threads": c.threads,
        }
        return Worker("inference", arguments, timeout_s=c.timeout_s, ping_s=self._config.limits.ping_s)

    def _give(self) -> None:
        while self._task is None and self._waiting:
            self._task = self._waiting.popleft()
            if self._task[0] not in self._ring:
                self._task = None
                self.dropped += 1
        if self._task is not None:
            name, tai_ns, _ = self._task
            path: Path = self._ring.path(name)
            self.worker.ask({"do": "look", "path": str(path), "tai_ns": tai_ns})

    def _take(self, task: Waiting, answer: dict[str, Any]) -> None:
        name, tai_ns, arc = task
        if answer["status"] == "MODELS":  # altered while in use
            self._models.check_all()
            self._waiting.appendleft(task)
            self.renew()
            return
        rows = answer["rows"]
        found = bool(rows)
        self.fixes += found
        self.in_arc += found and arc == self._arcs.arc
        if answer["status"] == "FAILED":
            self._journal.event("FRAME_FAILED", detail=name)
        self._models.frame_passed()
        content = {"frame": name, "tai_ns": tai_ns, "arc": arc, "status": answer["status"]}
        detail = str(answer["detail"])[:DETAIL]
        self._journal.record(Kind.OBSERVATIONS, {**content, "detail": detail, "rows": rows})

    def _after_loss(self) -> str:
        """Have the frame looked at again, or put it aside; return "" or why to give up."""
        if self._task is not None:
            self._attempts += self.worker.was_at_task
            task, self._task = self._task, None
            if self._attempts < ATTEMPTS:
                self._waiting.appendleft(task)
            else:
                self._attempts = 0
                self._take(task, {"status": "FAILED", "detail": "the worker was lost on it", "rows": []})
        if self.worker.failures < GIVE_UP:
            return ""
        failures, self.worker.failures = self.worker.failures, 0
        if self._models.failed():
            self.renew()
            return ""
        self._journal.event("WORKER_GIVEN_UP", value=failures, detail="inference")
        return "inference"
