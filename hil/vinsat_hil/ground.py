"""The ground of a lock-step trial: it commands, repeats, replays and forges, by a seed.

A command without a reply is sent again at every instant until there is one. At the instant
after each start of the payload the last command that was answered is replayed, as an
eavesdropper would, and a packet is sent that is signed with a key nobody gave out.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from flightsw.runtime.link import dictionary as dic
from flightsw.runtime.link.commands import Outcome, sign
from flightsw.runtime.link.fields import Value
from flightsw.runtime.link.framing import Framer, encode_frame
from flightsw.runtime.link.keys import KEY_BYTES, Keys
from flightsw.runtime.link.telemetry import decode_telemetry

STREAM = 5  # of the seed, for what is commanded
FORGED = 1_000  # counters of forged packets lie so far ahead
# Parameters that are set without an effect on the flight, and the range they are set in.
PARAMETERS = {
    "energy_j": (1e7, 2e7), "temperature_max_celsius": (90.0, 110.0), "downlink_bytes_s": (4e4, 6e4),
}  # fmt: skip
NIGHT_TOO = ("sun_elevation_min_deg", -90.0)  # the first command: the scenario's passes are as they are


@dataclass(frozen=True, slots=True)
class Heard:
    """A telemetry packet as it left the payload, before the link's faults; of its start number `start`."""

    start: int
    t_s: float
    name: str
    count: int
    tai_ns: int
    values: Mapping[str, Value]


@dataclass(slots=True)
class Asked:
    """One command. sent_s : first sent; replied : whether a reply reached the ground."""

    counter: int
    name: str
    arguments: Mapping[str, Value]
    packet: bytes
    sent_s: float
    replied: bool = False
    outcome: Outcome | None = None


@dataclass
class Ground:
    """What it has asked, and what it has heard with its own ears (after the link's faults)."""

    keys: Keys
    seed: int
    at_s: tuple[float, ...]
    asked: list[Asked] = field(default_factory=list)
    forged: list[int] = field(default_factory=list)
    _framer: Framer = field(default_factory=Framer)
    _count: int = 0
    _replays_next: bool = False

    def due(self, t_s: float, *, new_start: bool) -> bytes:
        """Return the bytes to send at an instant."""
        out = b""
        answered = [asked for asked in self.asked if asked.replied]
        replays, self._replays_next = self._replays_next and not new_start, new_start
        if replays:  # not at once: a serial line drops what came before it was opened
            out += encode_frame(answered[-1].packet) if answered else b""
            out += encode_frame(self._forged())
        number = len(self.asked)
        if len(answered) == number < len(self.at_s) and t_s >= self.at_s[number]:
            self.asked.append(self._command(number, t_s))
        for asked in self.asked:
            if not asked.replied:
                out += encode_frame(asked.packet)
        return out

    def hear(self, data: bytes) -> None:
        """Take up what has come through the link."""
        for packet in self._framer.feed(data):
            decoded = decode_telemetry(packet)
            if decoded is None or decoded[0].name != "REPLY":
                continue
            values = decoded[3]
            for asked in self.asked:
                if asked.counter == values["counter"]:
                    asked.replied, asked.outcome = True, Outcome(int(values["outcome"]))

    def _command(self, number: int, t_s: float) -> Asked:
        """Return the next command: values are set, and at last asked for."""
        rng = np.random.default_rng([self.seed, STREAM, number])
        names = list(PARAMETERS)
        left = len(self.at_s) - number
        name: str = "ESTIMATE" if rng.random() < 0.3 else "PING"
        arguments: dict[str, Value] = {}
        if number == 0:
            name = "SET_PARAMETER"
            arguments = {"parameter": _number(NIGHT_TOO[0]), "value": NIGHT_TOO[1]}
        elif left <= len(names):
            name, arguments = "GET_PARAMETER", {"parameter": _number(names[left - 1])}
        elif number % 3 != 2:
            one = names[int(rng.integers(len(names)))]
            value = round(float(rng.uniform(*PARAMETERS[one])), 3)
            name, arguments = "SET_PARAMETER", {"parameter": _number(one), "value": value}
        counter = number + 1
        self._count += 1
        packet = sign(self.keys, 0, counter, name, arguments, count=self._count)
        return Asked(counter, name, arguments, packet, t_s)

    def _forged(self) -> bytes:
        counter = FORGED + len(self.forged)
        self.forged.append(counter)
        keys = Keys((bytes([len(self.forged)]) * KEY_BYTES, b"\x55" * KEY_BYTES))
        arguments: dict[str, Value] = {"mode": "SAFE"}
        return sign(keys, 0, counter, "SET_MODE", arguments, count=0)


class Tap:
    """Listens to the payload itself, before anything is lost."""

    def __init__(self) -> None:
        self._framer = Framer()
        self.heard: list[Heard] = []

    def hear(self, data: bytes, *, start: int, t_s: float) -> None:
        """Take up what the payload has sent."""
        for packet in self._framer.feed(data):
            decoded = decode_telemetry(packet)
            if decoded is not None:
                entry, count, tai_ns, values = decoded
                self.heard.append(Heard(start, t_s, entry.name, count, tai_ns, values))

    def new_start(self) -> None:
        """Forget half a frame: whoever was sending it is gone."""
        self._framer = Framer()


def value_of(data: bytes) -> float:
    """Return the value in the reply to GET_PARAMETER."""
    value: float = struct.unpack(">d", data)[0]
    return value


def _number(name: str) -> int:
    entry = dic.parameter(name)
    if entry is None:
        raise KeyError(name)
    return entry.id
