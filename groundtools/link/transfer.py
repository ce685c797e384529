"""Whole files over the link: down with gaps asked for again, up with a few commands in flight."""

import hashlib
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

from flightsw.errors import InputError
from flightsw.files import MB, prepare_folder, read_bytes, write_together
from flightsw.runtime.link.commands import Outcome
from flightsw.runtime.link.downlink import CHUNK as DOWN_CHUNK
from flightsw.runtime.link.uplink import CHUNK as UP_CHUNK
from groundtools.link.client import Ground, NoReplyError, file_key

QUIET_S = 3.0  # without a chunk, before gaps are asked for
ROUNDS_WITHOUT_PROGRESS = 10
IN_FLIGHT = 32  # uplink commands without a reply
MAX_UPLINK = 64 * MB

Progress = Callable[[int, int], None]


def get_file(ground: Ground, name: str, out: Path, *, progress: Progress = lambda done, total: None) -> Path:
    """Bring a file down; return where it is. An interrupted one goes on with what is there.

    Raises InputError (no such file, content changed), NoReplyError.
    """
    prepare_folder(out)
    target = out / Path(name).name
    part = out / f".{target.name}.chunks"
    have = _read_part(part)
    first = _first_chunk(ground, name, have)
    size, crc, total = first
    if have and (have[-1] if -1 in have else b"") != struct.pack(">II", size, crc):
        have = {}
    have[-1] = struct.pack(">II", size, crc)
    stalled = 0
    while len(have) - 1 < total:
        before = len(have)
        _request_gaps(ground, name, have, total)
        _collect(ground, name, have, total, progress)
        _write_part(part, have)
        stalled = 0 if len(have) > before else stalled + 1
        if stalled >= ROUNDS_WITHOUT_PROGRESS:
            raise NoReplyError(f"{name}: no more chunks come; what came is kept, run this again")
    content = b"".join(have[index] for index in range(total))[:size]
    part.unlink(missing_ok=True)
    if zlib.crc32(content) != crc:
        raise InputError("changed while it was sent", file=name, fix="get it again")
    write_together(out, {target.name: content})
    return target


def put_file(
    ground: Ground,
    path: Path,
    *,
    progress: Progress = lambda done, total: None,
) -> None:
    """Send a file into the set of models that is not in use; goes on where an earlier try stopped.

    Raises InputError where the payload refuses it, NoReplyError.
    """
    content = read_bytes(path, max_bytes=MAX_UPLINK)
    digest = hashlib.sha256(content).digest()
    _ask(ground, path, "UPLINK_BEGIN", file=path.name, size_bytes=len(content), sha256=digest)
    total = -(-len(content) // UP_CHUNK)
    while True:
        done, gaps = _status(ground, path)
        if done == total:
            break
        first = gaps[0]
        span = range(first, total) if len(gaps) > 11 and gaps == list(range(first, first + 12)) else gaps
        _send_chunks(ground, content, list(span), total, progress)
    _ask(ground, path, "UPLINK_FINISH")


def _first_chunk(ground: Ground, name: str, have: dict[int, bytes]) -> tuple[int, int, int]:
    """Ask for chunk 0, which says how large the file is and what its checksum is."""
    for _ in range(ROUNDS_WITHOUT_PROGRESS):
        answer = ground.command("DOWNLINK", file=name, first_chunk=0, chunks=1)
        if answer.outcome is not Outcome.DONE:
            raise InputError(answer.text, file=name, fix="see `vinsat link files`")
        end = time.monotonic() + QUIET_S
        while (left := end - time.monotonic()) > 0.0:
            try:
                packet = ground.wait_for("CHUNK", left)
            except NoReplyError:
                break
            if packet.values["file_crc32"] == file_key(name):
                size, crc = int(packet.values["size_bytes"]), int(packet.values["content_crc32"])
                return size, crc, max(-(-size // DOWN_CHUNK), 1)
    raise NoReplyError(f"{name}: no chunk comes")


def _request_gaps(ground: Ground, name: str, have: dict[int, bytes], total: int) -> None:
    """Ask for runs of missing chunks, a few at a time."""
    runs: list[tuple[int, int]] = []
    index = 0
    while index < total and len(runs) < 16:
        if index in have:
            index += 1
            continue
        end = index
        while end < total and end not in have:
            end += 1
        runs.append((index, end - index))
        index = end
    for first, count in runs:
        answer = ground.command("DOWNLINK", file=name, first_chunk=first, chunks=count)
        if answer.outcome is not Outcome.DONE:
            raise InputError(answer.text, file=name)


def _collect(ground: Ground, name: str, have: dict[int, bytes], total: int, progress: Progress) -> None:
    """Take chunks until none comes for a while."""
    while len(have) - 1 < total:
        try:
            packet = ground.wait_for("CHUNK", QUIET_S)
        except NoReplyError:
            return
        data = packet.values["data"]
        if packet.values["file_crc32"] == file_key(name) and isinstance(data, bytes):
            index = int(packet.values["chunk"])
            if packet.values["content_crc32"] == struct.unpack(">II", have[-1])[1] and index < total:
                have[index] = data
                progress(len(have) - 1, total)


def _read_part(path: Path) -> dict[int, bytes]:
    """Return the chunks that an earlier try kept: index i32, length u16, data."""
    have: dict[int, bytes] = {}
    try:
        data = path.read_bytes()
    except OSError:
        return have
    at = 0
    while at + 6 <= len(data):
        index, length = struct.unpack_from(">iH", data, at)
        have[index] = data[at + 6 : at + 6 + length]
        at += 6 + length
    return have


def _write_part(path: Path, have: dict[int, bytes]) -> None:
    content = b"".join(struct.pack(">iH", k, len(v)) + v for k, v in have.items())
    write_together(path.parent, {path.name: content})


def _status(ground: Ground, path: Path) -> tuple[int, list[int]]:
    answer = _ask(ground, path, "UPLINK_STATUS")
    numbers = struct.unpack(f">{len(answer) // 4}I", answer)
    return numbers[0], list(numbers[1:])


def _send_chunks(
    ground: Ground,
    content: bytes,
    indices: list[int],
    total: int,
    progress: Progress,
) -> None:
    """Send chunks, at most `IN_FLIGHT` ahead of their replies; what stays unanswered is a gap."""
    waiting: list[int] = []
    for number, index in enumerate(indices):
        piece = content[index * UP_CHUNK : (index + 1) * UP_CHUNK]
        counter = ground.next_counter()
        ground.send_packet(ground.signed("UPLINK_CHUNK", {"chunk": index, "data": piece}, counter))
        waiting.append(counter)
        end = time.monotonic() + QUIET_S
        while len(waiting) >= IN_FLIGHT or (number == len(indices) - 1 and waiting):
            waiting = [counter for counter in waiting if ground.reply(counter) is None]
            if time.monotonic() > end:
                return
            if waiting:
                ground.listen(0.05)
        progress(index + 1, total)


def _ask(ground: Ground, path: Path, name: str, **arguments: int | str | bytes) -> bytes:
    answer = ground.command(name, **arguments)
    if answer.outcome is not Outcome.DONE:
        raise InputError(f"is refused: {answer.text}", file=path)
    return answer.data
