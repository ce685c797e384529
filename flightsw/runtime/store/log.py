"""The append-only log: segments that only grow, the oldest dropped when the budget is spent.

`commit` is one write and one sync. No byte that was written is ever written again: a
segment whose end is torn is left as it is and a new one begun, so recovery itself cannot
lose anything to the next power cut. Segments are `log-0000000001.seg` and so on.
"""

import re
from collections.abc import Iterator

from flightsw.runtime.store.disk import Disk
from flightsw.runtime.store.records import (
    SEGMENT_HEAD_BYTES,
    Record,
    encode_record,
    encode_segment_head,
    increasing,
    scan,
)

_NAME = re.compile(r"log-(\d{10})\.seg")
BLOCK = 4096  # bytes a file occupies at least
SEGMENT_BYTES, BUDGET_BYTES = 1_000_000, 64_000_000


class SegmentLog:
    """The log of a disk. Raises OSError where the disk cannot be read or written.

    next_sequence : of the next record; damaged : bytes found at opening, in the segments
    read then, that belong to no record; dropped : segments removed to stay in budget.
    """

    def __init__(
        self, disk: Disk, *, segment_bytes: int = SEGMENT_BYTES, budget_bytes: int = BUDGET_BYTES
    ) -> None:
        self._disk = disk
        self._segment_bytes, self._budget = segment_bytes, budget_bytes
        self._sizes: dict[int, int] = {}
        self.next_sequence, self.damaged, self.dropped = 0, 0, 0
        self._current: int | None = None
        self._recover()

    def commit(self, records: list[Record]) -> None:
        """Append records: when this returns, they are on the medium.

        After an OSError none of them may be relied on; committing them again is safe, for
        a new segment is begun and a record that is there twice is read once.
        """
        if not records:
            return
        data = b"".join(encode_record(record) for record in records)
        if self._current is None or self._sizes[self._current] + len(data) > self._segment_bytes:
            self._begin(records[0].sequence, len(data))
        number = self._current
        assert number is not None
        self._current = None  # until this has worked: what failed is not written after
        self._disk.append(_file(number), data)
        self._sizes[number] += len(data)
        self._disk.sync(_file(number))
        self._current = number
        self.next_sequence = records[-1].sequence + 1

    def records(self, *, newest_bytes: int | None = None) -> Iterator[Record]:
        """Return every valid record, oldest first; a segment that cannot be read is left out.

        newest_bytes : only the newest segments, as many as hold that much together.
        """
        numbers = sorted(self._sizes)
        if newest_bytes is not None:
            held, first = 0, len(numbers)
            while first > 0 and held < newest_bytes:
                first -= 1
                held += self._sizes[numbers[first]]
            numbers = numbers[first:]
        return increasing(self._read(numbers))

    def drop_oldest(self) -> bool:
        """Remove the oldest segment, but never the newest; tell whether one was removed."""
        if len(self._sizes) < 2:
            return False
        number = min(self._sizes)
        self._disk.remove(_file(number))
        del self._sizes[number]
        self.dropped += 1
        return True

    @property
    def bytes(self) -> int:
        """Bytes that the log occupies."""
        return sum(max(size, BLOCK) for size in self._sizes.values())

    def _read(self, numbers: list[int]) -> Iterator[Record]:
        for number in numbers:
            try:
                data = self._disk.read(_file(number))
            except OSError:
                continue
            yield from scan(data).records

    def _begin(self, first_sequence: int, needed: int) -> None:
        """Begin a segment, dropping the oldest ones where the budget asks for it."""
        self._current = None
        room = max(self._segment_bytes, needed)
        while self.bytes + room > self._budget and self.drop_oldest():
            pass
        number = max(self._sizes, default=0) + 1
        self._sizes[number] = SEGMENT_HEAD_BYTES
        self._disk.append(_file(number), encode_segment_head(number, first_sequence))
        self._disk.sync(_file(number))
        self._disk.sync_folder()
        self._current = number

    def _recover(self) -> None:
        """Find the segments and where the sequence goes on; sync what is going to be relied on.

        After a mere crash of the program the last writes may be in memory alone.
        """
        for name, size in self._disk.sizes().items():
            if match := _NAME.fullmatch(name):
                self._sizes[int(match[1])] = size
        newest = max(self._sizes, default=0)
        for number in sorted(self._sizes, reverse=True):
            found = scan(self._disk.read(_file(number)))
            self.damaged += found.damaged
            if number == newest and found.is_clean:
                self._current = number
            self._sync(number)
            last = max((record.sequence for record in found.records), default=-1)
            self.next_sequence = max(self.next_sequence, last + 1, found.first_sequence or 0)
            if found.records:
                break  # older segments were synced before this one was begun
        if self._sizes:
            self._sync_folder()

    def _sync(self, number: int) -> None:
        try:
            self._disk.sync(_file(number))
        except OSError:
            self._current = None  # a read-only medium can still be read

    def _sync_folder(self) -> None:
        try:
            self._disk.sync_folder()
        except OSError:
            return


def _file(number: int) -> str:
    return f"log-{number:010d}.seg"
