"""Which packets are commands to be carried out: authentic, new, and each at most once.

The data of a command packet:
    slot u8, counter u64, command u8, arguments, tag (16 bytes)
where the tag is HMAC-SHA256, cut to 128 bits, of the primary header and all data before
it, under the slot's key. A packet costs one CRC and at most one HMAC of 1 KiB; nothing of
it is looked at before both agree, and what is refused is counted, not logged.

Counters grow strictly and at most `WINDOW` at a time; SYNC_COUNTER alone may go further.
The counter is kept on the medium before the command runs, with "outcome unknown"; the
outcome follows. A repeat of one of the last commands gets the kept outcome and does not
run again. Where nothing can be kept (the medium is dead), only commands that may run
twice are taken.
"""

import hmac
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum, IntEnum

from flightsw.runtime.link import dictionary as dic
from flightsw.runtime.link.fields import Value, decode_fields, encode_fields
from flightsw.runtime.link.keys import SLOTS, TAG_BYTES, Keys
from flightsw.runtime.link.packets import CRC_BYTES, Flaw, Packet, decode_packet, encode_packet

WINDOW = 4096  # a counter may be this far ahead of the last
MOST_COUNTER = 2**64 - 1
REMEMBERED = 32  # outcomes kept for repeats
MAX_REPLY = 200  # bytes of a reply's data that are kept
_HEAD = 10  # slot, counter, command
SYNC = "SYNC_COUNTER"


class Outcome(IntEnum):
    """How a command ended, as in the REPLY packet."""

    DONE = 0
    REFUSED = 1
    FAILED = 2
    UNKNOWN = 3


class Rejection(Enum):
    """Why a packet is not carried out; the value is its counter in HOUSEKEEPING."""

    FORM = "rejected_form"
    CRC = "rejected_crc"
    AUTHENTICATION = "rejected_authentication"
    COUNTER = "rejected_counter"
    CONTENT = "rejected_content"


@dataclass(frozen=True, slots=True)
class Order:
    """A command to be carried out now. slot : of the key it is signed with."""

    counter: int
    command: dic.Command
    arguments: Mapping[str, Value]
    slot: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a command."""

    counter: int
    command: int
    outcome: Outcome
    data: bytes = b""
    is_repeat: bool = False


@dataclass(frozen=True, slots=True)
class _Kept:
    command: int
    tag: bytes
    outcome: Outcome
    data: bytes


def sign(
    keys: Keys, slot: int, counter: int, name: str, arguments: Mapping[str, Value], *, count: int
) -> bytes:
    """Return the packet of a command. Raises ValueError for an argument that does not fit."""
    entry = dic.command(name)
    if entry is None:
        raise ValueError(f"{name} is no command")
    body = bytes([slot]) + counter.to_bytes(8, "big") + bytes([entry.id])
    body += encode_fields(entry.argument, arguments)
    apid = dic.dictionary().command_apid
    blank = encode_packet(Packet(True, apid, count, body + bytes(TAG_BYTES)))
    tag = keys.tag(slot, blank[: -TAG_BYTES - CRC_BYTES])
    return encode_packet(Packet(True, apid, count, body + tag))


class CommandGate:
    """Decides on packets. `save(bytes) -> bool` keeps its state, and tells whether it did.

    counter : of the last accepted command; accepted : how many; rejected : by reason.
    """

    def __init__(self, keys: Keys, kept: bytes | None, save: Callable[[bytes], bool], *, floor: int = 0):
        self.keys = keys
        self._save = save
        self.accepted = 0
        self.rejected = dict.fromkeys(Rejection, 0)
        counter, self._recent = _read_state(kept)
        self.counter = max(counter, floor)
        if kept is None:  # so that the floor is looked for once: it takes the whole log
            self._keep()

    def admit(self, data: bytes) -> Order | Reply | None:
        """Return the command to carry out, the reply to a repeat, or None (counted).

        Every order must be followed by `complete`.
        """
        packet = decode_packet(data)
        if isinstance(packet, Flaw):
            return self._reject(Rejection.CRC if packet is Flaw.CRC else Rejection.FORM)
        mine = packet.is_command and packet.has_secondary
        mine = mine and packet.apid == dic.dictionary().command_apid
        if not mine or len(packet.data) < _HEAD + TAG_BYTES:
            return self._reject(Rejection.FORM)
        slot, tag = packet.data[0], packet.data[-TAG_BYTES:]
        if slot >= SLOTS:
            return self._reject(Rejection.AUTHENTICATION)
        if not hmac.compare_digest(self.keys.tag(slot, data[: -TAG_BYTES - CRC_BYTES]), tag):
            return self._reject(Rejection.AUTHENTICATION)
        return self._authentic(packet.data, slot, tag)

    def complete(self, order: Order, outcome: Outcome, data: bytes = b"") -> Reply:
        """Keep the outcome of a command and return the reply to send."""
        data = data[:MAX_REPLY]
        kept = self._recent.get(order.counter)
        if kept is not None:
            self._recent[order.counter] = replace(kept, outcome=outcome, data=data)
            self._keep()
        return Reply(order.counter, order.command.id, outcome, data)

    def reject_frames(self, count: int) -> None:
        """Count frames that were no packets."""
        self.rejected[Rejection.FORM] += count

    def _authentic(self, body: bytes, slot: int, tag: bytes) -> Order | Reply | None:
        counter, number = int.from_bytes(body[1:9], "big"), body[9]
        kept = self._recent.get(counter)
        if kept is not None and hmac.compare_digest(kept.tag, tag):
            return Reply(counter, kept.command, kept.outcome, kept.data, is_repeat=True)
        entry = dic.command(number)
        reach = MOST_COUNTER if entry is not None and entry.name == SYNC else self.counter + WINDOW
        if not self.counter < counter <= reach:
            return self._reject(Rejection.COUNTER)
        arguments = None if entry is None else decode_fields(entry.argument, body[_HEAD:-TAG_BYTES])
        if entry is None or arguments is None:
            return self._reject(Rejection.CONTENT)
        if any(field.problem(arguments[field.name]) for field in entry.argument):
            return self._reject(Rejection.CONTENT)
        former = self.counter
        self.counter = counter
        self._recent[counter] = _Kept(number, tag, Outcome.UNKNOWN, b"")
        while len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)
        if not self._keep() and not entry.idempotent:
            del self._recent[counter]
            self.counter = former
            return self._reject(Rejection.COUNTER)
        self.accepted += 1
        return Order(counter, entry, arguments, slot)

    def _reject(self, reason: Rejection) -> Order | Reply | None:
        self.rejected[reason] += 1
        return None

    def _keep(self) -> bool:
        rows = [[c, k.command, k.tag.hex(), int(k.outcome), k.data.hex()] for c, k in self._recent.items()]
        return self._save(json.dumps({"counter": self.counter, "recent": rows}).encode())


def _read_state(kept: bytes | None) -> tuple[int, "OrderedDict[int, _Kept]"]:
    """Return counter and outcomes as they were kept; a checksum has vouched for them."""
    recent: OrderedDict[int, _Kept] = OrderedDict()
    if kept is None:
        return 0, recent
    state = json.loads(kept)
    for counter, command, tag, outcome, data in state["recent"]:
        recent[counter] = _Kept(command, bytes.fromhex(tag), Outcome(outcome), bytes.fromhex(data))
    return state["counter"], recent
