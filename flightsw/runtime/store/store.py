"""What the payload remembers: one log, a few values, one writer; RAM alone where a disk dies.

Records are appended to a group and committed together, once a frame. A commit that fails
is tried again in a new segment (after dropping the oldest, where the disk is full); where
that fails too the store goes on in RAM: the newest records are kept up to a limit,
values are answered from memory, and `retry` writes all of it when the disk comes back.
"""

import errno
from collections import deque
from collections.abc import Iterator
from enum import Enum

from flightsw.runtime.store.disk import Disk
from flightsw.runtime.store.log import BUDGET_BYTES, SEGMENT_BYTES, SegmentLog
from flightsw.runtime.store.records import Record, Stamp
from flightsw.runtime.store.slots import Slots

PROBE = "probe"  # a value that is saved to see whether the medium works
RAM_BYTES = 4_000_000  # of records kept in memory while there is no disk


class StoreMode(Enum):
    """Where records go; the value is the sentence for a human."""

    DISK = "records are on the medium when a commit returns"
    RAM = "the medium fails: the newest records are kept in memory alone"


class Store:
    """The one writer of a disk. Only the constructor raises OSError.

    mode : see `StoreMode`; lost : records that no longer found room in RAM.
    """

    def __init__(
        self, disk: Disk, *, segment_bytes: int = SEGMENT_BYTES, budget_bytes: int = BUDGET_BYTES
    ) -> None:
        self._disk = disk
        self._limits = (segment_bytes, budget_bytes)
        self._slots = Slots(disk)
        self._log = SegmentLog(disk, segment_bytes=segment_bytes, budget_bytes=budget_bytes)
        self._next = self._log.next_sequence
        self._group: list[Record] = []
        self._kept: deque[Record] = deque()  # of RAM mode
        self._kept_bytes = 0
        self._values: dict[str, bytes] = {}  # what could not be saved
        self.mode, self.lost = StoreMode.DISK, 0

    def append(self, kind: int, payload: bytes, stamp: Stamp) -> Record:
        """Add a record to the group that the next `commit` writes. Raises ValueError (too long)."""
        record = Record(int(kind), self._next, stamp, payload)
        self._next += 1
        self._group.append(record)
        return record

    def commit(self) -> bool:
        """Write the group; tell whether it is on the medium (else it is kept in RAM)."""
        group, self._group = self._group, []
        if self.mode is StoreMode.DISK and self._write(group):
            return True
        self._keep(group)
        return False

    def records(self, *kinds: int, newest_bytes: int | None = None) -> Iterator[Record]:
        """Return the records of some kinds (of all without one), oldest first, pending ones last.

        newest_bytes : of the medium no more than the newest segments that hold this much.
        """
        on_disk = self._log.records(newest_bytes=newest_bytes)
        last = -1
        for record in on_disk:
            last = record.sequence
            if not kinds or record.kind in kinds:
                yield record
        for record in (*self._kept, *self._group):
            if record.sequence > last and (not kinds or record.kind in kinds):
                yield record

    def load(self, name: str) -> bytes | None:
        """Return the newest value of a name, None where there is none."""
        if name in self._values:
            return self._values[name]
        try:
            return self._slots.load(name)
        except OSError:
            return None

    def save(self, name: str, payload: bytes) -> bool:
        """Keep a value; tell whether both copies are on the medium."""
        try:
            self._slots.save(name, payload)
        except OSError:
            self._values[name] = payload
            self.mode = StoreMode.RAM
            return False
        self._values.pop(name, None)
        return True

    def retry(self) -> bool:
        """Try the disk again after a failure; tell whether all is on the medium now."""
        if self.mode is StoreMode.DISK:
            return True
        try:
            self._slots.save(PROBE, b"")
            self._log = self._reopened()
            for name, payload in tuple(self._values.items()):
                self._slots.save(name, payload)
                del self._values[name]
            self._log.commit(list(self._kept))
        except OSError:
            return False
        self._kept.clear()
        self._kept_bytes = 0
        self.mode = StoreMode.DISK
        return True

    def scrub(self) -> None:
        """Read every value, and mend copies that differ."""
        try:
            self._slots.scrub()
        except OSError:
            self.mode = StoreMode.RAM

    @property
    def mended(self) -> int:
        """Copies of values that were damaged and written again since the start."""
        return self._slots.mended

    @property
    def bytes(self) -> int:
        """Bytes the log occupies on the medium."""
        return self._log.bytes

    @property
    def dropped_segments(self) -> int:
        """Segments removed since the start to stay in the budget."""
        return self._log.dropped

    @property
    def damaged_bytes(self) -> int:
        """Bytes found at the start that belong to no record."""
        return self._log.damaged

    def close(self) -> None:
        """Commit what is pending and let go of the disk."""
        self.commit()
        self._disk.close()

    def _write(self, group: list[Record]) -> bool:
        """Commit to the log, once more after a failure."""
        try:
            self._log.commit(group)
            return True
        except OSError as error:
            if error.errno == errno.ENOSPC:
                self._drop_quietly()
        try:
            self._log.commit(group)
            return True
        except OSError:
            self.mode = StoreMode.RAM
            return False

    def _drop_quietly(self) -> None:
        try:
            self._log.drop_oldest()
        except OSError:
            return

    def _reopened(self) -> SegmentLog:
        """Return the log read anew: what a failed write left is not trusted."""
        segment_bytes, budget_bytes = self._limits
        log = SegmentLog(self._disk, segment_bytes=segment_bytes, budget_bytes=budget_bytes)
        log.dropped, log.damaged = self._log.dropped, self._log.damaged
        return log

    def _keep(self, group: list[Record]) -> None:
        for record in group:
            self._kept.append(record)
            self._kept_bytes += len(record.payload)
        while self._kept_bytes > RAM_BYTES:
            self._kept_bytes -= len(self._kept.popleft().payload)
            self.lost += 1
