"""What was recorded of a payload's link: packets once each, what is missing, and the files they carry.

A capture is the bytes of the link as they came (`vinsat link listen --record FILE`), or
CCSDS Space Packets one after another as ground stations archive them. Captures may
overlap, repeat and come in any order: packets are told apart by their content and put in
order by their own time. The count of a packet is its place in the row of its kind, so a
step of more than one is a gap; a step back is a new start of the program, which counts
from 0. What was lost after the last packet, or before the first, cannot be seen.
"""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from flightsw.astro.time import Epoch
from flightsw.errors import InputError
from flightsw.files import MB, read_bytes
from flightsw.runtime.link.downlink import CHUNK
from flightsw.runtime.link.framing import Framer
from flightsw.runtime.link.packets import COUNTS, CRC_BYTES, HEADER, MAX_PACKET, Packet, decode_packet
from flightsw.runtime.link.telemetry import decode_telemetry
from groundtools.link.client import Received, file_key

MAX_BYTES = 400 * MB
MOST_CHUNKS = 100 * MB // CHUNK + 1
# Files that a payload writes: known even where the packet that lists them is lost.
WRITTEN = ("solution.json", "orbit.oem", "ephemeris.csv")


@dataclass(frozen=True, slots=True)
class Gap:
    """Packets of one kind that did not come, between the times of two that did."""

    name: str
    lost: int
    after_utc: str
    before_utc: str


@dataclass(frozen=True, slots=True)
class Carried:
    """One version of a file in chunks. sent_tai_ns : when its last chunk left; missing : chunks."""

    name: str
    size: int
    crc: int
    sent_tai_ns: int
    content: bytes
    missing: tuple[int, ...]

    @property
    def is_whole(self) -> bool:
        """Tell whether all chunks came and their checksum agrees."""
        return not self.missing and len(self.content) == self.size and zlib.crc32(self.content) == self.crc


@dataclass(frozen=True, slots=True)
class Capture:
    """packets in order, each once; repeats; broken : frames or bytes that were no packet; gaps."""

    packets: tuple[Received, ...]
    repeats: int
    broken: int
    gaps: tuple[Gap, ...]


def read_captures(paths: Sequence[Path]) -> Capture:
    """Return what captures hold together. InputError names a file without a telemetry packet."""
    found: dict[bytes, Received] = {}
    repeats = broken = 0
    for path in paths:
        data = read_bytes(path, max_bytes=MAX_BYTES)
        pieces, bad = packets_of(data)
        good = 0
        for piece in pieces:
            decoded = decode_telemetry(piece)
            if decoded is None:
                bad += 1
                continue
            entry, count, tai_ns, values = decoded
            good += 1
            repeats += piece in found
            found[piece] = Received(entry.name, count, tai_ns, values)
        if not good:
            fix = "record it by `vinsat link listen --record FILE`, or give CCSDS packets"
            raise InputError("holds no telemetry packet", file=path, fix=fix)
        broken += bad
    packets = in_order(found.values())
    return Capture(packets, repeats, broken, gaps_of(packets))


def packets_of(data: bytes) -> tuple[list[bytes], int]:
    """Return the packets in recorded bytes, and how many frames (or bytes) were none."""
    framer = Framer()
    framed = framer.feed(data + b"\0")
    if any(isinstance(decode_packet(one), Packet) for one in framed):
        return framed, framer.broken
    return _bare_packets(data)


def _bare_packets(data: bytes) -> tuple[list[bytes], int]:
    """Return packets that stand one after another; a damaged one costs itself alone."""
    found, at, skipped = [], 0, 0
    while at + HEADER.size + CRC_BYTES < len(data):
        end = at + HEADER.size + HEADER.unpack_from(data, at)[2] + 1
        if end <= len(data) and end - at <= MAX_PACKET and isinstance(decode_packet(data[at:end]), Packet):
            found.append(data[at:end])
            at = end
        else:
            at += 1
            skipped += 1
    return found, skipped + len(data) - at


def in_order(packets: Iterable[Received]) -> tuple[Received, ...]:
    """Return packets by time; those of one time by their count, across its turn from 16,383 to 0."""
    by_time: dict[tuple[str, int], list[Received]] = {}
    for packet in packets:
        by_time.setdefault((packet.name, packet.tai_ns), []).append(packet)
    ordered: list[Received] = []
    for group in by_time.values():
        counts = [packet.count for packet in group]
        turns = max(counts) - min(counts) > COUNTS // 2
        ordered += sorted(group, key=lambda p: p.count + COUNTS * (turns and p.count < COUNTS // 2))
    return tuple(sorted(ordered, key=lambda packet: packet.tai_ns))


def gaps_of(packets: Iterable[Received]) -> tuple[Gap, ...]:
    """Return the gaps in the counts of each kind, in the order of time."""
    last: dict[str, Received] = {}
    gaps = []
    for packet in packets:
        before = last.get(packet.name)
        last[packet.name] = packet
        if before is None:
            continue
        lost = (packet.count - before.count - 1) % COUNTS
        if lost >= COUNTS // 2:  # the program has started anew
            lost = packet.count
        if lost:
            times = (Epoch(one.tai_ns).utc_iso(0) for one in (before, packet))
            gaps.append(Gap(packet.name, lost, *times))
    return tuple(gaps)


def files_of(packets: Iterable[Received], *, folder: str = "products") -> list[Carried]:
    """Return every version of every file of a folder that chunks carry, the last sent last.

    Names come from FILE packets, and are those a payload always writes. A file whose name
    is not known, or whose chunks contradict their own sizes, is not returned.
    """
    packets = tuple(packets)
    listed = [str(p.values["file"]) for p in packets if p.name == "FILE"]
    names = {file_key(name): name for name in (*listed, *(f"{folder}/{one}" for one in WRITTEN))}
    chunks: dict[tuple[str, int, int], dict[int, bytes]] = {}
    sent: dict[tuple[str, int, int], int] = {}
    for packet in packets:
        if packet.name != "CHUNK":
            continue
        v = packet.values
        name, data, index = names.get(int(v["file_crc32"])), v["data"], int(v["chunk"])
        size = int(v["size_bytes"])
        if name is None or not _is_plain(name, folder) or not isinstance(data, bytes):
            continue
        if size > MOST_CHUNKS * CHUNK or len(data) != max(min(CHUNK, size - index * CHUNK), 0):
            continue
        key = (name.partition("/")[2], size, int(v["content_crc32"]))
        chunks.setdefault(key, {})[index] = data
        sent[key] = packet.tai_ns
    carried = []
    for key in sorted(chunks, key=lambda one: sent[one]):
        have, total = chunks[key], max(-(-key[1] // CHUNK), 1)
        missing = tuple(index for index in range(total) if index not in have)
        content = b"" if missing else b"".join(have[index] for index in range(total))
        carried.append(Carried(*key, sent[key], content, missing))
    return carried


def _is_plain(name: str, folder: str) -> bool:
    """Tell whether a name lies in the folder itself and can be a file's name here."""
    first, _, rest = name.partition("/")
    return first == folder and rest.isprintable() and bool(rest.strip(".")) and not set(rest) & set("/\\:")


def runs_of(indices: Sequence[int]) -> list[tuple[int, int]]:
    """Return ascending indices as runs (first, count)."""
    runs: list[tuple[int, int]] = []
    for index in indices:
        if runs and index == sum(runs[-1]):
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((index, 1))
    return runs
