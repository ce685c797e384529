"""Packets in a stream of bytes: consistent overhead byte stuffing (Cheshire and Baker, 1999).

A frame is the stuffed packet between zero bytes, which occur nowhere else. A byte that is
lost, added or changed therefore costs at most the packet it is in and its neighbour, and
a receiver that starts in the middle is right from the next zero on. The overhead is one
byte in 254, and two a packet.
"""

from flightsw.runtime.link.packets import MAX_PACKET

DELIMITER = b"\0"
_RUN = 254  # bytes without a zero that one code byte can announce
MAX_FRAME = MAX_PACKET + MAX_PACKET // _RUN + 2  # stuffed, without delimiters


def encode_frame(packet: bytes) -> bytes:
    """Return a packet stuffed, between two delimiters."""
    out = bytearray(DELIMITER)
    parts = packet.split(DELIMITER)
    for index, part in enumerate(parts):
        while len(part) >= _RUN:
            out.append(_RUN + 1)
            out += part[:_RUN]
            part = part[_RUN:]
            if not part and index == len(parts) - 1:
                return bytes(out + DELIMITER)
        out.append(len(part) + 1)
        out += part
    return bytes(out + DELIMITER)


def decode_frame(frame: bytes) -> bytes | None:
    """Return the packet in a stuffed frame (without delimiters), None where it is none."""
    out = bytearray()
    at, end = 0, len(frame)
    while at < end:
        code = frame[at]
        following = at + code
        if code == 0 or following > end:
            return None
        out += frame[at + 1 : following]
        at = following
        if code <= _RUN and at < end:
            out.append(0)
    return bytes(out)


class Framer:
    """Takes a stream in pieces of any size; memory is bounded by one frame.

    broken : frames that were no stuffed packet, or too long for one.
    """

    def __init__(self) -> None:
        self._part = bytearray()
        self._too_long = False
        self.broken = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Return the packets that end in these bytes."""
        packets = []
        *ended, rest = data.split(DELIMITER)
        for piece in ended:
            self._take(piece)
            packet = self._finish()
            if packet is not None:
                packets.append(packet)
        self._take(rest)
        return packets

    def _take(self, piece: bytes) -> None:
        if len(self._part) + len(piece) > MAX_FRAME:
            self._too_long = True
            self._part.clear()
        else:
            self._part += piece

    def _finish(self) -> bytes | None:
        frame, too_long = bytes(self._part), self._too_long
        self._part.clear()
        self._too_long = False
        if not frame and not too_long:
            return None  # two delimiters in a row
        packet = None if too_long else decode_frame(frame)
        self.broken += packet is None
        return packet
