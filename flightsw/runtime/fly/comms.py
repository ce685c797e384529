"""The link's two directions: bytes to commands, packets to bytes at the rate of the radio."""

from collections.abc import Callable

from flightsw.astro.time import NS
from flightsw.runtime.fly.journal import Journal
from flightsw.runtime.fly.ports import Link
from flightsw.runtime.link.commands import CommandGate, Order, Outcome, Reply
from flightsw.runtime.link.framing import Framer, encode_frame
from flightsw.runtime.store.records import Kind, Stamp

MOST_PACKETS = 64  # taken up in one step; the rest waits in the driver
BURST_S = 1.0  # of the radio's rate that may be sent at once


class Comms:
    """Receives, has carried out, replies, and sends."""

    def __init__(self, link: Link, journal: Journal, gate: CommandGate) -> None:
        self._link, self._journal, self._gate = link, journal, gate
        self._framer = Framer()
        self._packets: list[bytes] = []
        self._out = b""
        self._credit, self._last_ns = 0.0, 0

    def receive(self, carry_out: Callable[[Order], tuple[Outcome, bytes]]) -> None:
        """Take up what has come; each command is carried out and replied to at once."""
        if len(self._packets) < MOST_PACKETS:
            broken = self._framer.broken
            self._packets += self._framer.feed(self._link.receive())
            self._gate.reject_frames(self._framer.broken - broken)
        taken, self._packets = self._packets[:MOST_PACKETS], self._packets[MOST_PACKETS:]
        for packet in taken:
            answer = self._gate.admit(packet)
            if isinstance(answer, Order):
                outcome, data = carry_out(answer)
                content = {"counter": answer.counter, "command": answer.command.id, "outcome": int(outcome)}
                self._journal.record(Kind.COMMAND, content)
                answer = self._gate.complete(answer, outcome, data)
            if answer is not None:
                self._reply(answer)

    def send(self, now: Stamp, *, bytes_s: float) -> None:
        """Send what waits, as much as the rate allows and the device takes."""
        elapsed_s = max(now.mono_ns - self._last_ns, 0) / NS
        self._last_ns = now.mono_ns
        self._credit = min(self._credit + elapsed_s * bytes_s, BURST_S * bytes_s)
        while self._credit > 0.0:
            if not self._out:
                packet = self._journal.telemetry.take()
                if packet is None:
                    return
                self._out = encode_frame(packet)
            sent = self._link.send(self._out)
            if sent == 0:
                return
            self._credit -= sent
            self._out = self._out[sent:]

    @property
    def has_work(self) -> bool:
        """Tell whether packets wait to be taken up or sent."""
        return bool(self._packets or self._out or len(self._journal.telemetry.queue))

    def readers(self) -> list[int]:
        """Return what to wait on."""
        return self._link.readers()

    def close(self) -> None:
        """Let go of the link."""
        self._link.close()

    def _reply(self, reply: Reply) -> None:
        values = {"counter": reply.counter, "command": reply.command, "outcome": int(reply.outcome)}
        values = {**values, "is_repeat": int(reply.is_repeat)}
        self._journal.telemetry.put("REPLY", self._journal.clock.now().tai_ns, {**values, "data": reply.data})
