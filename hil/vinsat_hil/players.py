"""Who plays the faults that are not in the feed or on the link: at each instant, those that are due."""

import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vinsat_hil.evidence import Evidence
from vinsat_hil.faults import Fault
from vinsat_hil.feed import flip_bits
from vinsat_hil.medium import entries_of
from vinsat_hil.switches import End, Medium
from vinsat_hil.target import PAYLOAD, Target

STORE = f"{PAYLOAD}/store"
MEDIUMS = {"disk_full": Medium.FULL, "read_only": Medium.READ_ONLY, "disk_error": Medium.SYNC_FAILS}
ENDS = {"kill_at": End.KILL, "power_cut": End.POWER_CUT}
BOOT_OPERATIONS = 12  # of the medium, within which a brown-out cuts a start
CLASSES = ("process", "files")  # played once, at their time

Ender = Callable[..., None]


class Players:
    """Plays on a target; until_s : what has not been played by then is not played at all."""

    def __init__(self, target: Target, evidence: Evidence, *, until_s: float) -> None:
        self._target, self._evidence, self._until_s = target, evidence, until_s
        self._due = [fault for fault in evidence.faults if fault.kind.layer in CLASSES]
        self._rngs = {id(fault): np.random.default_rng([fault.seed, 3]) for fault in evidence.faults}
        self._cuts: list[tuple[int, int]] = []  # of a brown-out, still to come: operation, seed
        self._is_armed = False

    def play(self, t_s: float, end: Ender) -> bool:
        """Play what is due; tell whether the program hangs now. end(t_s, how) : ends it."""
        self._set_switches(t_s)
        is_hung = False
        for fault in [fault for fault in self._due if fault.at_s <= t_s]:
            if t_s > self._until_s:
                self._due.remove(fault)
            elif self._target.is_alive() and self._play_one(fault, t_s, end):
                is_hung |= fault.name == "hang"
                self._due.remove(fault)
        return is_hung

    def before_start(self) -> None:
        """Arm the next cut of a brown-out."""
        if self._cuts:
            operation, seed = self._cuts.pop(0)
            self._arm(operation, End.POWER_CUT, seed)

    def has_struck(self) -> bool:
        """Tell whether the countdown that was set is over; it is then forgotten."""
        if self._is_armed and self._target.reading("countdown") == 0:
            self._is_armed = False
            return True
        return False

    def _play_one(self, fault: Fault, t_s: float, end: Ender) -> bool:
        """Play a fault that happens once; tell whether it could be."""
        rng = self._rngs[id(fault)]
        if fault.name == "kill":
            end(t_s, "killed")
        elif fault.name in ENDS:
            self._arm(max(int(fault.amount), 1), ENDS[fault.name], fault.seed)
        elif fault.name == "brown_out":
            end(t_s, "brown-out")
            self._cuts = [
                (int(rng.integers(1, BOOT_OPERATIONS)), int(rng.integers(2**31)))
                for _ in range(int(fault.amount) - 1)
            ]
        elif fault.name == "hang":
            self._target.hang()
        elif fault.name in ("kill_worker", "hang_worker"):
            number = signal.SIGKILL if fault.name == "kill_worker" else signal.SIGSTOP
            return self._target.signal_worker(number)
        else:
            return self._flip(fault, rng)
        return True

    def _flip(self, fault: Fault, rng: np.random.Generator) -> bool:
        if fault.name == "flip_log":
            return self._flip_record(int(fault.amount), rng)
        folder = STORE if fault.name == "flip_state" else f"{PAYLOAD}/models/a"
        names = [name for name in self._target.names(folder) if not name.startswith(".")]
        if fault.name == "flip_state":
            values = sorted({name[:-2] for name in names if name.endswith((".a", ".b"))})
            names = [name + ("", ".a", ".b")[int(rng.integers(1, 3))] for name in values]
        elif names:
            names = [names[int(rng.integers(len(names)))]]
        for name in names:
            self._flip_file(f"{folder}/{name}", int(fault.amount), rng)
        return bool(names)

    def _flip_file(self, name: str, bits: int, rng: np.random.Generator) -> None:
        try:
            data = self._target.get(name)
        except FileNotFoundError:
            return  # a copy that a power cut took
        self._target.put(name, flip_bits(data, bits, rng), in_place=True)

    def _flip_record(self, bits: int, rng: np.random.Generator) -> bool:
        """Flip bits of one record of the log, where it lies."""
        segments = [name for name in self._target.names(STORE) if name.endswith(".seg")]
        entries = [e for name in segments for e in entries_of(self._target.get(f"{STORE}/{name}"), name)]
        if not entries:
            return False
        hit = entries[int(rng.integers(len(entries)))]
        name = str(Path(STORE) / hit.file)
        data = self._target.get(name)
        damaged = flip_bits(data[hit.at : hit.end], bits, rng)
        self._target.put(name, data[: hit.at] + damaged + data[hit.end :], in_place=True)
        self._evidence.damaged.add(hit.sequence)
        return True

    def _set_switches(self, t_s: float) -> None:
        state, ballast_mb, slow_ms = Medium.FINE, 0, 0
        for fault in self._evidence.faults:
            if not fault.covers(t_s):
                continue
            state = MEDIUMS.get(fault.name, state)
            ballast_mb = max(ballast_mb, int(fault.amount) if fault.name == "memory_pressure" else 0)
            slow_ms = max(slow_ms, int(fault.amount) if fault.name == "slow_cpu" else 0)
        for name, value in (("medium", state), ("ballast_mb", ballast_mb), ("slow_ms", slow_ms)):
            if self._target.reading(name) != value:
                self._target.switch(name, int(value))
        if t_s > self._until_s and self._is_armed:
            self._target.switch("countdown", 0)
            self._is_armed = False
            self._cuts = []

    def _arm(self, operation: int, end: End, seed: int) -> None:
        self._target.switch("end", int(end))
        self._target.switch("seed", seed)
        self._target.switch("countdown", operation)
        self._is_armed = True
