"""A conversation with a payload: commands that run once, telemetry, files both ways.

The counter of the last command is kept in a file of its own beside the keys, written
before a command is sent: a crash of the ground never uses a counter twice for different
commands. A command without a reply is sent again unchanged, which is always safe.
"""

import json
import os
import secrets
import time
import zlib
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from flightsw.errors import InputError, VinsatError
from flightsw.files import read_text, write_together
from flightsw.runtime.link import dictionary as dic
from flightsw.runtime.link.commands import Outcome, sign
from flightsw.runtime.link.fields import Value
from flightsw.runtime.link.framing import Framer, encode_frame
from flightsw.runtime.link.keys import KEY_BYTES, NONCE_BYTES, Keys, keys_text, read_keys
from flightsw.runtime.link.packets import COUNTS
from flightsw.runtime.link.telemetry import decode_telemetry
from groundtools.link.streams import EXIT_REMOTE, Stream

REPLY_S = 2.0  # before a command is sent again
ATTEMPTS = 5
KEPT = 10_000  # packets that wait to be read


class NoReplyError(VinsatError):
    """The payload does not answer (exit code 6)."""

    exit_code = EXIT_REMOTE


@dataclass(frozen=True, slots=True)
class Received:
    """A telemetry packet: name, sequence count, TAI ns, values."""

    name: str
    count: int
    tai_ns: int
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a command."""

    counter: int
    outcome: Outcome
    data: bytes
    is_repeat: bool

    @property
    def text(self) -> str:
        """The reply's data for a human."""
        return self.data.decode("ascii", "replace")


class Credentials:
    """The keys, and the counter of the last command, in files that only their owner reads."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._state = self.path.with_name(self.path.name + ".counter")
        self.keys = read_keys(self.path)
        try:
            self.counter = int(json.loads(read_text(self._state, max_bytes=1000))["counter"])
        except InputError:
            self.counter = 0
        except (ValueError, KeyError, TypeError):
            fix = "remove it, and run `vinsat link sync`"
            raise InputError("is no counter file", file=self._state, fix=fix) from None

    def next_counter(self, at_least: int = 0) -> int:
        """Return a counter that was never used, and remember that it is."""
        self.counter = max(self.counter, at_least) + 1
        write_together(self._state.parent, {self._state.name: json.dumps({"counter": self.counter})})
        return self.counter

    def replace(self, keys: Keys) -> None:
        """Keep new keys."""
        write_keys(self.path, keys)
        self.keys = keys


def new_keys() -> Keys:
    """Return two random keys."""
    return Keys((secrets.token_bytes(KEY_BYTES), secrets.token_bytes(KEY_BYTES)))


def write_keys(path: Path, keys: Keys) -> None:
    """Write a key file that only its owner may read."""
    before = os.umask(0o077)
    try:
        write_together(path.parent, {path.name: keys_text(keys)})
    finally:
        os.umask(before)


class Ground:
    """One end of a link. gaps : packets lost on the way, by APID name; broken : frames that were none."""

    def __init__(self, stream: Stream, credentials: Credentials | None, *, slot: int = 0) -> None:
        self._stream, self._credentials, self._slot = stream, credentials, slot
        self._framer = Framer()
        self._packets: deque[Received] = deque(maxlen=KEPT)
        self._last: dict[str, int] = {}
        self._sent = 0
        self.gaps: dict[str, int] = {}

    @property
    def broken(self) -> int:
        """Frames that were no stuffed packet."""
        return self._framer.broken

    def packets(self, seconds: float) -> Iterator[Received]:
        """Return telemetry as it comes, for so many seconds."""
        end = time.monotonic() + seconds
        while True:
            while self._packets:
                yield self._packets.popleft()
            left = end - time.monotonic()
            if left <= 0.0:
                return
            self._listen(left)

    def wait_for(self, name: str, seconds: float) -> Received:
        """Return the next packet of a name; others stay to be read. Raises NoReplyError."""
        end = time.monotonic() + seconds
        while True:
            for packet in self._packets:
                if packet.name == name:
                    self._packets.remove(packet)
                    return packet
            left = end - time.monotonic()
            if left <= 0.0:
                raise NoReplyError(f"no {name} packet within {seconds:g} s; is the payload there?")
            self._listen(left)

    def command(self, name: str, /, **arguments: Value) -> Answer:
        """Have a command carried out, sending it again until there is a reply.

        Raises InputError for arguments that do not fit, NoReplyError.
        """
        return self._converse(name, arguments, self.next_counter(), self._slot)

    def sync(self) -> Answer:
        """Bring both counters together: past the payload's, wherever that is."""
        credentials = self._require()
        packet = self.wait_for("HOUSEKEEPING", 60.0)
        return self._converse(
            "SYNC_COUNTER", {}, credentials.next_counter(int(packet.values["command_counter"])), self._slot
        )

    def rotate_key(self, slot: int) -> Answer:
        """Give a slot a new key, derived from the other's."""
        credentials = self._require()
        nonce = secrets.token_bytes(NONCE_BYTES)
        arguments: dict[str, Value] = {"slot": slot, "nonce": nonce}
        answer = self._converse("ROTATE_KEY", arguments, credentials.next_counter(), 1 - slot)
        if answer.outcome is Outcome.DONE:
            credentials.replace(credentials.keys.rotated(slot, nonce))
        return answer

    def next_counter(self) -> int:
        """Return a counter that was never used."""
        return self._require().next_counter()

    def send_packet(self, packet: bytes) -> None:
        """Send a packet as it is."""
        self._stream.send(encode_frame(packet))

    def close(self) -> None:
        """End it."""
        self._stream.close()

    def _require(self) -> Credentials:
        if self._credentials is None:
            raise InputError("commands need keys", field="--keys", fix="give the payload's key file")
        return self._credentials

    def signed(
        self, name: str, arguments: Mapping[str, Value], counter: int, slot: int | None = None
    ) -> bytes:
        """Return the packet of a command. Raises InputError."""
        self._sent = (self._sent + 1) % COUNTS
        slot = self._slot if slot is None else slot
        try:
            return sign(self._require().keys, slot, counter, name, arguments, count=self._sent)
        except ValueError as error:
            raise InputError(str(error), field=name, fix="see docs/dictionary.md") from None

    def _converse(self, name: str, arguments: Mapping[str, Value], counter: int, slot: int) -> Answer:
        packet = self.signed(name, arguments, counter, slot)
        for _ in range(ATTEMPTS):
            self.send_packet(packet)
            end = time.monotonic() + REPLY_S
            while (left := end - time.monotonic()) > 0.0:
                answer = self.reply(counter)
                if answer is not None:
                    return answer
                self._listen(left)
        problem = f"{name}: no reply; the payload is not there, or refuses the key or the counter"
        raise NoReplyError(f"{problem} (`vinsat link sync` brings counters together)")

    def reply(self, counter: int) -> Answer | None:
        """Return the reply to a counter where it has come."""
        for packet in self._packets:
            if packet.name == "REPLY" and packet.values["counter"] == counter:
                self._packets.remove(packet)
                v = packet.values
                data = v["data"]
                assert isinstance(data, bytes)
                return Answer(counter, Outcome(int(v["outcome"])), data, bool(v["is_repeat"]))
        return None

    def _listen(self, seconds: float) -> None:
        for data in self._framer.feed(self._stream.receive(seconds)):
            decoded = decode_telemetry(data)
            if decoded is None:
                continue
            entry, count, tai_ns, values = decoded
            expected = (self._last.get(entry.name, count - 1) + 1) % COUNTS
            if count != expected:
                self.gaps[entry.name] = self.gaps.get(entry.name, 0) + (count - expected) % COUNTS
            self._last[entry.name] = count
            self._packets.append(Received(entry.name, count, tai_ns, values))

    def listen(self, seconds: float) -> None:
        """Take up what comes within the time."""
        self._listen(seconds)


def file_key(name: str) -> int:
    """Return the number by which chunks name their file."""
    return zlib.crc32(name.encode())


def command_names() -> list[str]:
    """Return the names of all commands."""
    return [entry.name for entry in dic.dictionary().command]
