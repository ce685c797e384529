"""A lock-step trial, from nothing to its evidence.

At each instant the host plays the faults that are due, has the ground speak, moves the
clock, waits for DONE, and looks at what was sent and committed. A program that ended is
started again at the same instant, as a service manager would. Nothing here depends on how
long anything took, so the chain of digests is the same in every run and on every rig of
one architecture.
"""

import hashlib
from pathlib import Path

from flightsw.runtime.link import dictionary as dic
from vinsat_hil import board as boards
from vinsat_hil import medium
from vinsat_hil.clock_host import ClockHost, NoAnswer
from vinsat_hil.evidence import Death, Evidence, Told
from vinsat_hil.feed import mono_ns
from vinsat_hil.ground import Ground, Tap
from vinsat_hil.medium import Entry, LogReader
from vinsat_hil.players import Players
from vinsat_hil.target import BOARD, PAYLOAD, Target
from vinsat_hil.wire import Spoiler, Wire

MOST_STARTS = 12  # at one instant
UP, DOWN = 0, 1


class Conductor:
    """One trial under way."""

    def __init__(
        self, target: Target, wire: Wire, clock: ClockHost, ground: Ground, evidence: Evidence, folder: Path
    ) -> None:
        self.target, self.evidence = target, evidence
        self._wire, self._clock, self._ground, self._folder = wire, clock, ground, folder
        self._tap = Tap()
        self._spoilers = [Spoiler(evidence.faults, direction) for direction in (UP, DOWN)]
        self._players = Players(target, evidence, until_s=evidence.scenario.faults_until_s())
        self._shots = list(evidence.feed.shots)
        self._log = LogReader(folder / PAYLOAD / "store")
        self._committed: dict[int, Entry] = {}
        self._sent = 0  # bytes of the payload's that have come since its start
        self._start = -1
        self._in_ram = False

    def run(self) -> Evidence:
        """Fly the whole scenario."""
        e = self.evidence
        try:
            for t_s in (float(t) for t in e.scenario.tick_times_s()):
                e.chain.append(f"{t_s:g} {self._instant(t_s)}")
                if e.silent:
                    break
        finally:
            if self.target.is_alive():
                e.end_code = self.target.stop()
                self._listen(float(e.scenario.tick_times_s()[-1]))
            self._clock.close()
        self._gather()
        return e

    def _instant(self, t_s: float) -> str:
        """Bring the payload to an instant; return its digest."""
        self._arrive(t_s)
        is_hung = self._players.play(t_s, self._end)
        deaths = 0
        for _ in range(MOST_STARTS):
            new_start = False
            if not self.target.is_alive():
                new_start = True
                if not self._begin(t_s):
                    deaths += 1
                    continue
            digest = self._tick(t_s, new_start=new_start, is_hung=is_hung)
            is_hung = False
            if isinstance(digest, str):
                self._look(t_s)
                return f"{deaths} {digest}"
            deaths += 1
            if self.evidence.silent:
                break
        else:
            self.evidence.silent.append(t_s)
        return f"{deaths} none"

    def _arrive(self, t_s: float) -> None:
        while self._shots and self._shots[0].arrives_s <= t_s:
            shot = self._shots.pop(0)
            self.target.put(f"{PAYLOAD}/taken/{shot.name}", shot.jpeg)

    def _begin(self, t_s: float) -> bool:
        """Start the program; tell whether it asks for the time."""
        self._start += 1
        self._sent, self._in_ram = 0, False
        self._tap.new_start()
        self._players.before_start()
        self.target.start()
        problem = self._clock.accept(self.target.is_alive, timeout_s=self.evidence.rig.answer_s)
        if problem is None:
            return True
        if problem is NoAnswer.SILENT:
            self.evidence.silent.append(t_s)
        self._end(t_s, "before it was ready", was_meant=self._players.has_struck())
        return False

    def _tick(self, t_s: float, *, new_start: bool, is_hung: bool) -> str | NoAnswer:
        """Have the ground speak, move time, listen."""
        e = self.evidence
        said = self._ground.due(t_s, new_start=new_start)
        self._wire.send(self._spoilers[UP].pass_on(said, t_s))
        timeout_s = e.rig.hang_s if is_hung else e.rig.answer_s
        clock = e.feed.clock
        digest = self._clock.tick(clock.tai_ns(t_s), mono_ns(t_s), self.target.is_alive, timeout_s=timeout_s)
        if digest is NoAnswer.SILENT and not is_hung:
            e.silent.append(t_s)
        if isinstance(digest, NoAnswer):
            meant = is_hung or self._players.has_struck()
            self._end(t_s, "hung, and was ended" if is_hung else digest.value, was_meant=meant)
            return digest
        if new_start:
            e.starts_s.append(self.target.cpu_s())
        self._listen(t_s)
        return digest

    def _end(self, t_s: float, how: str, *, was_meant: bool = True) -> None:
        """Note that the program is gone, and see to it that it is."""
        code = self.target.kill()
        self._listen(t_s)
        self._clock.hang_up()
        self.evidence.deaths.append(Death(t_s, was_meant, code, how))

    def _listen(self, t_s: float) -> None:
        """Take up all that the payload has sent."""
        data = self._wire.receive(self.target.reading("sent") - self._sent)
        self._sent += len(data)
        before = len(self._tap.heard)
        self._tap.hear(data, start=self._start, t_s=t_s)
        self._ground.hear(self._spoilers[DOWN].pass_on(data, t_s))
        for packet in self._tap.heard[before:]:
            if packet.name == "EVENT":
                entry = dic.event(int(packet.values["event"]))
                name = "" if entry is None else entry.name
                self._in_ram = (self._in_ram or name == "STORE_IN_RAM") and name != "STORE_BACK"

    def _look(self, t_s: float) -> None:
        """Look at the log: what was committed must be there, as it was."""
        self.target.refresh()
        e, now = self.evidence, self._log.read()
        for number, entry in self._committed.items():
            if number not in now or now[number].payload != entry.payload:
                e.lost.append(number)
        if self.target.reading("medium") == 0 and not self._in_ram:
            self._committed = now
        told = next((p for p in reversed(self._tap.heard) if p.name == "HOUSEKEEPING"), None)
        if told is not None and told.t_s == t_s and not self._in_ram and not e.damaged:
            arc = told.values["arc"]
            self.evidence.told.append(Told(t_s, int(told.values["observations"]), _frames(now, arc)))
        if t_s in e.scenario.frame_times_s():
            e.memory_mb.append((t_s, self.target.memory_mb()))

    def _gather(self) -> None:
        """Take what is judged at the end."""
        e = self.evidence
        self.target.refresh()
        e.records = self._log.read()
        e.heard, e.asked, e.forged = self._tap.heard, self._ground.asked, self._ground.forged
        e.lost += [number for number in self._committed if number not in e.records]
        e.lost = sorted(set(e.lost))
        base = str(getattr(self.target, "base", self._folder)) + "/"
        for name in self.target.names(BOARD):
            if name.startswith(boards.CRASH):
                e.crashes.append(self.target.get(f"{BOARD}/{name}").decode("utf-8", "replace"))
            elif name.startswith(boards.OPENED):
                lines = self.target.get(f"{BOARD}/{name}").decode().splitlines()
                e.opened += [line.removeprefix(base) for line in lines]


def digest_of(chain: list[str]) -> str:
    """Return one digest of a whole chain."""
    return hashlib.sha256("\n".join(chain).encode()).hexdigest()[:32]


def _frames(log: dict[int, Entry], arc: int) -> int:
    """Return how many frames with observations of an arc a log has."""
    contents = [entry.content() for entry in log.values() if entry.kind == medium.OBSERVATIONS]
    return sum(bool(content["rows"]) and content["arc"] == arc for content in contents)
