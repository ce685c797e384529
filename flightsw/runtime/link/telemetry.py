"""Telemetry packets: fields of the dictionary behind a time, each APID with its own count.

The sequence count is given when a packet is sent, not when it is queued, so a gap on the
ground means a packet lost on the way and never one that was dropped on board.
"""

from collections.abc import Mapping

from flightsw.runtime.link import dictionary as dic
from flightsw.runtime.link.fields import Value, decode_fields, encode_fields
from flightsw.runtime.link.packets import COUNTS, Packet, decode_packet, encode_packet
from flightsw.runtime.link.queue import SendQueue

MAX_QUEUE = 200_000  # bytes
_TIME_BYTES = 8


def encode_telemetry(name: str, tai_ns: int, values: Mapping[str, Value]) -> bytes:
    """Return a packet with sequence count 0. Raises ValueError for a field that does not fit."""
    entry = dic.telemetry(name)
    if entry is None:
        raise ValueError(f"{name} is no telemetry packet")
    data = tai_ns.to_bytes(_TIME_BYTES, "big", signed=True) + encode_fields(entry.field, values)
    return encode_packet(Packet(False, entry.apid, 0, data))


def decode_telemetry(data: bytes) -> tuple[dic.Telemetry, int, int, dict[str, Value]] | None:
    """Return entry, sequence count, TAI ns and values of a telemetry packet, None where it is none."""
    packet = decode_packet(data)
    if not isinstance(packet, Packet) or packet.is_command:
        return None
    entry = dic.telemetry(packet.apid)
    if entry is None or len(packet.data) < _TIME_BYTES:
        return None
    values = decode_fields(entry.field, packet.data[_TIME_BYTES:])
    if values is None:
        return None
    tai_ns = int.from_bytes(packet.data[:_TIME_BYTES], "big", signed=True)
    return entry, packet.count, tai_ns, values


class Telemetry:
    """The queue of packets to send, numbered as they leave."""

    def __init__(self, limit: int = MAX_QUEUE) -> None:
        self.queue = SendQueue(limit)
        self._counts: dict[int, int] = {}

    def put(self, name: str, tai_ns: int, values: Mapping[str, Value]) -> bool:
        """Queue a packet; tell whether it found room."""
        entry = dic.telemetry(name)
        assert entry is not None
        return self.queue.put(encode_telemetry(name, tai_ns, values), entry.priority)

    def take(self) -> bytes | None:
        """Return the next packet, its sequence count given now."""
        data = self.queue.take()
        if data is None:
            return None
        packet = decode_packet(data)
        assert isinstance(packet, Packet)
        count = self._counts.get(packet.apid, 0)
        self._counts[packet.apid] = (count + 1) % COUNTS
        return encode_packet(Packet(False, packet.apid, count, packet.data))

    @property
    def dropped(self) -> int:
        """Packets that found no room so far."""
        return sum(self.queue.dropped)
