"""Seeded defects: each breaks the flight program in one way that an invariant must notice.

A check that nothing can fail proves nothing. A mutant is applied in the target's
processes alone, by the board, after Python has started and before the program has; the
host that judges is not touched. `provoked_by` are faults under which the defect shows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Mutant:
    """A defect. caught_by : the invariants of which one must fail."""

    name: str
    defect: str
    provoked_by: str
    caught_by: tuple[str, ...]
    apply: Callable[[], None]


def apply(name: str) -> None:
    """Break this process's flight program."""
    MUTANTS[name].apply()


def _no_sync() -> None:
    from flightsw.runtime.store.disk import FolderDisk

    FolderDisk.sync = lambda self, name: None  # type: ignore[method-assign]


def _no_record_crc() -> None:
    import flightsw.runtime.store.records as records

    class Zlib:
        """Every checksum is right."""

        @staticmethod
        def crc32(data: Any) -> "_Anything":
            return _Anything()

    records.zlib = Zlib  # type: ignore[assignment]
    encode = records.encode_record
    import zlib

    def encoded(record: Any) -> bytes:
        records.zlib = zlib  # what is written is as it should be
        try:
            return encode(record)
        finally:
            records.zlib = Zlib  # type: ignore[assignment]

    import flightsw.runtime.store.log as log

    head = records.encode_segment_head

    def headed(number: int, first: int) -> bytes:
        records.zlib = zlib
        try:
            return head(number, first)
        finally:
            records.zlib = Zlib  # type: ignore[assignment]

    log.encode_record, log.encode_segment_head = encoded, headed


class _Anything:
    """Equal to everything."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]


def _no_slot_crc() -> None:
    import flightsw.runtime.store.slots as slots

    def decode(data: bytes) -> Any:
        if len(data) < slots.HEAD.size + slots.CRC.size:
            return None
        _, _, generation, _ = slots.HEAD.unpack_from(data)
        return slots.Copy(generation, data[slots.HEAD.size : -slots.CRC.size])

    slots.decode_slot = decode


def _counter_not_kept() -> None:
    from flightsw.runtime.link.commands import CommandGate

    keep = CommandGate._keep
    # Kept once, so that it is an old one that is found after a restart; without any the log's
    # own record of commands is the floor, and this defect shows nothing.
    CommandGate._keep = lambda self: self.counter > 1 or keep(self)  # type: ignore[method-assign]


def _truth_leaks() -> None:
    from flightsw.runtime.fly.orbit_job import OrbitJob

    run = OrbitJob.run

    def informed(job: Any, task: Any) -> Any:
        (job._products.parent.parent / "truth.json").read_text(encoding="utf-8")
        return run(job, task)

    OrbitJob.run = informed  # type: ignore[method-assign]


def _sigma_halved() -> None:
    from flightsw.runtime.fly.orbit_job import OrbitJob

    run = OrbitJob.run

    def bold(job: Any, task: Any) -> Any:
        answer = run(job, task)
        return {**answer, "sigma_m": 0.5 * answer["sigma_m"]}

    OrbitJob.run = bold  # type: ignore[method-assign]


def _counts_skip() -> None:
    from flightsw.runtime.link.telemetry import Telemetry

    take = Telemetry.take
    state = {"taken": 0}

    def skipping(self: Any) -> Any:
        state["taken"] += 1
        if state["taken"] % 20 == 0:
            take(self)  # one in twenty is counted and not sent
        return take(self)

    Telemetry.take = skipping  # type: ignore[method-assign]


def _commits_skip() -> None:
    from flightsw.runtime.store.log import SegmentLog

    commit = SegmentLog.commit
    state = {"made": 0}

    def forgetful(self: Any, records: Any) -> None:
        state["made"] += 1
        if state["made"] % 7:
            commit(self, records)

    SegmentLog.commit = forgetful  # type: ignore[method-assign]


def _truncated_tail() -> None:
    from flightsw.runtime.store.log import SegmentLog

    recover = SegmentLog._recover

    def cutting(self: Any) -> None:
        newest = max(Path(self._disk.folder).glob("log-*.seg"), default=None)
        if newest is not None:
            data = newest.read_bytes()
            newest.write_bytes(data[: max(len(data) - 200, 0)])  # "mends" the end by cutting it off
        recover(self)

    SegmentLog._recover = cutting  # type: ignore[method-assign]


def _memory_leaks() -> None:
    from flightsw.runtime.fly.reporting import Reporting

    step = Reporting.step
    kept: list[bytearray] = []

    def leaking(self: Any, now: Any) -> None:
        kept.append(bytearray(b"\1") * 8_000_000)
        step(self, now)

    Reporting.step = leaking  # type: ignore[method-assign]
    from flightsw.runtime.fly.payload import Payload

    Payload.look_after_heat_and_memory = lambda self: (0.0, 20.0)  # type: ignore[method-assign]


def _frames_again() -> None:
    from flightsw.runtime.fly.looking import Looking

    recover = Looking.recover
    Looking.recover = lambda self, taken, looked_at: recover(self, taken, [])  # type: ignore[method-assign]


def _step_ignored() -> None:
    from flightsw.runtime.fly.arcs import ArcWatch

    ArcWatch.watch = lambda self, now: False  # type: ignore[method-assign]
    ArcWatch._compare_with_kept = lambda self, kept, now: None  # type: ignore[method-assign]


def _anyone_commands() -> None:
    import flightsw.runtime.link.commands as commands

    class Hmac:
        """Every signature is right."""

        @staticmethod
        def compare_digest(a: bytes, b: bytes) -> bool:
            return True

    commands.hmac = Hmac  # type: ignore[assignment]


def _done_too_soon() -> None:
    import flightsw.runtime.fly.parameters as parameters

    def forgetful(self: Any, number: int, value: float) -> str:
        entry = parameters.dic.parameter(number)
        self._set[entry.name if entry else ""] = value
        return ""  # and nothing is kept

    parameters.Parameters.set = forgetful  # type: ignore[method-assign]


def _raises_on_old_frames() -> None:
    from flightsw.runtime.fly.inference_job import TableJob

    run = TableJob.run

    def picky(job: Any, task: Any) -> Any:
        answer = run(job, task)
        if not answer["rows"]:
            raise ValueError("no rows")
        return answer

    TableJob.run = picky  # type: ignore[method-assign]


def _worker_not_replaced() -> None:
    from flightsw.runtime.fly.worker import Worker

    Worker._lose = lambda self, how: None  # type: ignore[assignment, method-assign, return-value]


_LIST = (
    Mutant("no_sync", "fdatasync is left out", "power_cut@5*9#1,power_cut@35*14#2,power_cut@300*4#4",
           ("no_committed_record_lost", "settings_are_kept", "commands_run_once", "outcomes_are_true"),
           _no_sync),
    Mutant("no_record_crc", "checksums of records are not looked at", "flip_log@60*9#3,kill@300",
           ("no_unhandled_exception", "no_torn_record_accepted", "recovers", "back_in_time",
            "never_determined_and_wrong"), _no_record_crc),
    Mutant("no_slot_crc", "checksums of kept values are not looked at",
           "flip_state@60*20#1,kill@300,flip_state@900*20#2,kill@2000,flip_state@2500*20#3,kill@3000",
           ("no_unhandled_exception", "settings_are_kept", "back_in_time"), _no_slot_crc),
    Mutant("counter_not_kept", "the command counter on the medium is the first one", "kill@900,kill@2500",
           ("commands_run_once", "outcomes_are_true"), _counter_not_kept),
    Mutant("truth_leaks", "the estimator reads the true orbit", "none", ("truth_stays_out",), _truth_leaks),
    Mutant("sigma_halved", "half the sigma is claimed", "none",
           ("covariance_is_honest", "never_determined_and_wrong"), _sigma_halved),
    Mutant("counts_skip", "one packet in twenty is counted and not sent", "none",
           ("telemetry_in_sequence",), _counts_skip),
    Mutant("commits_skip", "one commit in seven is left out", "none",
           ("no_committed_record_lost", "no_torn_record_accepted"), _commits_skip),
    Mutant("truncated_tail", "recovery cuts off the log's end", "kill@35",
           ("no_committed_record_lost",), _truncated_tail),
    Mutant("memory_leaks", "8 MB an instant are never given back", "none",
           ("memory_within_budget",), _memory_leaks),
    Mutant("frames_again", "frames are looked at again after a restart", "kill@60",
           ("frames_count_once", "no_torn_record_accepted"), _frames_again),
    Mutant("step_ignored", "a step of the clock begins no arc", "clock_step@3000*120",
           ("arcs_hold_one_time",), _step_ignored),
    Mutant("anyone_commands", "signatures are not compared", "none",
           ("commands_are_authentic",), _anyone_commands),
    Mutant("done_too_soon", "a setting is confirmed and not kept", "kill@5500",
           ("settings_are_kept",), _done_too_soon),
    Mutant("raises_on_old_frames", "a frame without landmarks ends the worker", "frame_black@-5+100",
           ("no_unhandled_exception",), _raises_on_old_frames),
    Mutant("worker_not_replaced", "a lost worker is not noticed", "kill_worker@15",
           ("back_in_time", "recovers", "no_unhandled_exception"), _worker_not_replaced),
)  # fmt: skip
MUTANTS: dict[str, Mutant] = {mutant.name: mutant for mutant in _LIST}
