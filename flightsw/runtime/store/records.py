"""A record of the log as bytes, and back; whatever the bytes are, never an exception.

    offset  0  magic      4 bytes  b"VREC"
            4  version    u8       1
            5  kind       u8       see `Kind`
            6  length     u16      of the payload, bytes
            8  boot       u32      number of this start of the payload
           12  sequence   u64      grows by one with every record, over all starts
           20  mono_ns    u64      monotonic clock, ns
           28  tai_ns     i64      time, ns of TAI past 2000-01-01T12:00:00 TAI
           36  payload    length bytes
               crc        u32      CRC-32 (zlib) of everything before it
All big-endian. A segment begins with b"VSEG", version u8, three zero bytes, its number
u64, the sequence of its first record u64, and CRC-32 u32 of these.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

MAGIC, SEGMENT_MAGIC = b"VREC", b"VSEG"
VERSION = 1
HEAD = struct.Struct(">4sBBHIQQq")
SEGMENT_HEAD = struct.Struct(">4sB3xQQ")
CRC = struct.Struct(">I")
MAX_PAYLOAD = 0xFFFF  # bytes


class Kind(IntEnum):
    """What a record holds."""

    OBSERVATIONS = 1  # of one frame, JSON
    EVENT = 2  # id, severity and arguments, JSON
    SOLUTION = 3  # an estimate, JSON
    COMMAND = 4  # counter and outcome of an executed command, JSON
    ARC = 5  # a new arc begins, JSON
    FRAME = 6  # a frame was taken, JSON


@dataclass(frozen=True, slots=True)
class Stamp:
    """When something was: start number, monotonic ns, TAI ns past 2000-01-01T12:00:00 TAI."""

    boot: int
    mono_ns: int
    tai_ns: int


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the log. kind : a `Kind`, or a number a later version knows."""

    kind: int
    sequence: int
    stamp: Stamp
    payload: bytes


@dataclass(frozen=True, slots=True)
class Scan:
    """What a segment's bytes hold.

    number, first_sequence : of its header, None where that is damaged; damaged : bytes that
    belong to no valid record; is_clean : the last byte ends a valid record.
    """

    number: int | None
    first_sequence: int | None
    records: tuple[Record, ...]
    damaged: int
    is_clean: bool


def encode_record(record: Record) -> bytes:
    """Return the bytes of a record. Raises ValueError for a payload over `MAX_PAYLOAD`."""
    if len(record.payload) > MAX_PAYLOAD:
        raise ValueError(f"a record holds at most {MAX_PAYLOAD} bytes, got {len(record.payload)}")
    s = record.stamp
    head = HEAD.pack(
        MAGIC, VERSION, record.kind, len(record.payload), s.boot, record.sequence, s.mono_ns, s.tai_ns
    )
    body = head + record.payload
    return body + CRC.pack(zlib.crc32(body))


def encode_segment_head(number: int, first_sequence: int) -> bytes:
    """Return the bytes a segment begins with."""
    head = SEGMENT_HEAD.pack(SEGMENT_MAGIC, VERSION, number, first_sequence)
    return head + CRC.pack(zlib.crc32(head))


SEGMENT_HEAD_BYTES = SEGMENT_HEAD.size + CRC.size


def scan(data: bytes) -> Scan:
    """Return every valid record of a segment, looking for the next magic after damage."""
    number, first = _segment_head(data)
    at = SEGMENT_HEAD_BYTES if number is not None else 0
    records: list[Record] = []
    damaged = at if number is None else 0
    is_clean = number is not None
    while at < len(data):
        found = _record_at(data, at)
        if found is None:
            following = data.find(MAGIC, at + 1)
            following = len(data) if following < 0 else following
            damaged += following - at
            at, is_clean = following, False
            continue
        record, at = found
        records.append(record)
        is_clean = number is not None
    return Scan(number, first, tuple(records), damaged, is_clean and bool(data))


def increasing(records: Iterator[Record]) -> Iterator[Record]:
    """Drop what is there twice: a record written again after a failed sync."""
    last = -1
    for record in records:
        if record.sequence > last:
            last = record.sequence
            yield record


def _segment_head(data: bytes) -> tuple[int | None, int | None]:
    if len(data) < SEGMENT_HEAD_BYTES:
        return None, None
    magic, version, number, first = SEGMENT_HEAD.unpack_from(data)
    (crc,) = CRC.unpack_from(data, SEGMENT_HEAD.size)
    whole = zlib.crc32(data[: SEGMENT_HEAD.size]) == crc
    if not whole or magic != SEGMENT_MAGIC or version != VERSION:
        return None, None
    return number, first


def _record_at(data: bytes, at: int) -> tuple[Record, int] | None:
    """Return the valid record that begins at `at`, and where it ends."""
    if len(data) - at < HEAD.size + CRC.size:
        return None
    magic, version, kind, length, boot, sequence, mono_ns, tai_ns = HEAD.unpack_from(data, at)
    end = at + HEAD.size + length
    if magic != MAGIC or version != VERSION or end + CRC.size > len(data):
        return None
    if zlib.crc32(memoryview(data)[at:end]) != CRC.unpack_from(data, end)[0]:
        return None
    record = Record(kind, sequence, Stamp(boot, mono_ns, tai_ns), data[at + HEAD.size : end])
    return record, end + CRC.size
