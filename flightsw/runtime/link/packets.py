"""CCSDS Space Packets (133.0-B-2) with the CRC-16 of the standards' error control field.

    primary header  6 bytes: version 000, type (1 = command), secondary-header flag, APID
                    (11 bits); sequence flags 11 (unsegmented), sequence count (14 bits);
                    length of what follows, less one
    data            `data`
    CRC             u16, polynomial 0x1021, start 0xFFFF, over header and data
A packet is at most `MAX_PACKET` bytes. Decoding never raises: what is no packet is a `Flaw`.
"""

import binascii
import struct
from dataclasses import dataclass
from enum import Enum

HEADER = struct.Struct(">HHH")
CRC_BYTES = 2
MAX_PACKET = 1024  # bytes, with header and CRC
MAX_DATA = MAX_PACKET - HEADER.size - CRC_BYTES
MOST_APID, IDLE_APID = 0x7FF, 0x7FF
COUNTS = 1 << 14  # sequence counts before they begin anew
_UNSEGMENTED = 0b11


class Flaw(Enum):
    """Why bytes are no packet of ours."""

    LENGTH = "too short, too long, or not as long as the header says"
    HEADER = "another version, or a segmented packet"
    CRC = "the CRC does not agree"


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet. count : sequence count, 0 to 16,383; data : without header and CRC."""

    is_command: bool
    apid: int
    count: int
    data: bytes
    has_secondary: bool = True


def crc16(data: bytes) -> int:
    """Return the CRC-16 of CCSDS (CRC-16/IBM-3740): 0x29B1 for b"123456789"."""
    return binascii.crc_hqx(data, 0xFFFF)


def encode_header(packet: Packet) -> bytes:
    """Return the primary header. Raises ValueError for a field out of range."""
    if not 0 <= packet.apid <= MOST_APID:
        raise ValueError(f"an APID is 0 to {MOST_APID}, got {packet.apid}")
    if not 0 <= packet.count < COUNTS:
        raise ValueError(f"a sequence count is 0 to {COUNTS - 1}, got {packet.count}")
    if not 1 <= len(packet.data) <= MAX_DATA:
        raise ValueError(f"a packet holds 1 to {MAX_DATA} bytes, got {len(packet.data)}")
    first = packet.is_command << 12 | packet.has_secondary << 11 | packet.apid
    length = len(packet.data) + CRC_BYTES - 1
    return HEADER.pack(first, _UNSEGMENTED << 14 | packet.count, length)


def encode_packet(packet: Packet) -> bytes:
    """Return a packet's bytes. Raises ValueError for a field out of range."""
    body = encode_header(packet) + packet.data
    return body + crc16(body).to_bytes(CRC_BYTES, "big")


def decode_packet(data: bytes) -> Packet | Flaw:
    """Return the packet in the bytes, all of them, or why they are none."""
    if not HEADER.size + CRC_BYTES < len(data) <= MAX_PACKET:
        return Flaw.LENGTH
    first, sequence, length = HEADER.unpack_from(data)
    if length + 1 != len(data) - HEADER.size:
        return Flaw.LENGTH
    if first >> 13 or sequence >> 14 != _UNSEGMENTED:
        return Flaw.HEADER
    if crc16(data[:-CRC_BYTES]) != int.from_bytes(data[-CRC_BYTES:], "big"):
        return Flaw.CRC
    body = data[HEADER.size : -CRC_BYTES]
    return Packet(
        bool(first >> 12 & 1), first & MOST_APID, sequence & (COUNTS - 1), body, bool(first >> 11 & 1)
    )
