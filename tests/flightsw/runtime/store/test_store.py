"""The store on a real folder and on disks that fail: formats, retention, RAM, one writer."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flightsw.runtime.store.disk import FolderDisk, StoreBusyError
from flightsw.runtime.store.records import Kind, Record, Stamp, encode_record, encode_segment_head, scan
from flightsw.runtime.store.slots import Copy, Slots, decode_slot, encode_slot
from flightsw.runtime.store.store import RAM_BYTES, Store, StoreMode

sys.path.insert(0, str(Path(__file__).parent))
from playback import MemoryDisk

STAMP = Stamp(boot=3, mono_ns=5_000_000_000, tai_ns=-17)


class FailingDisk(MemoryDisk):
    """A disk that fails with `error` while it is set, or once only."""

    error, once = None, False

    def append(self, name, data):
        self._fail()
        super().append(name, data)

    def overwrite(self, name, data):
        self._fail()
        super().overwrite(name, data)

    def _fail(self):
        if self.error is not None:
            error, self.error = self.error, None if self.once else self.error
            raise OSError(error, "as asked")


def segment(count: int) -> tuple[bytes, list[Record]]:
    records = [Record(Kind.EVENT, k, STAMP, b"x" * (7 * k)) for k in range(count)]
    return encode_segment_head(1, 0) + b"".join(map(encode_record, records)), records


@pytest.mark.verifies("PAY-002")
def test_every_flipped_byte_of_a_segment_costs_the_record_it_is_in_and_no_other():
    data, records = segment(4)
    for at in range(len(data)):
        for bit in (0x01, 0x80, 0xFF):
            damaged = bytearray(data)
            damaged[at] ^= bit
            found = scan(bytes(damaged))
            assert set(found.records) <= set(records)
            assert len(found.records) >= 3
            assert found.damaged or found.number is None or not found.is_clean


@pytest.mark.verifies("PAY-002")
def test_every_flipped_byte_of_a_slot_is_noticed_and_mended_from_the_other_copy():
    disk = MemoryDisk()
    Slots(disk).save("keys", b"the newest value")
    for name in ("keys.a", "keys.b"):
        for at in range(len(disk.files[name])):
            hurt = MemoryDisk(disk.files)
            hurt.files[name][at] ^= 0x10
            assert decode_slot(bytes(hurt.files[name])) is None
            slots = Slots(hurt)
            assert slots.load("keys") == b"the newest value"
            assert slots.mended == 1
            assert hurt.files == disk.files


@given(st.binary(max_size=400))
def test_any_bytes_are_a_scan_and_a_slot_or_nothing(data):
    assert scan(data).damaged <= len(data)
    decode_slot(data)
    assert scan(encode_segment_head(1, 0) + data).records == ()


@given(st.binary(max_size=300), st.integers(0, 2**64 - 1))
def test_a_slot_reads_as_it_was_written(payload, generation):
    assert decode_slot(encode_slot(Copy(generation, payload))) == Copy(generation, payload)


def test_records_come_back_from_a_folder_with_their_stamps(tmp_path):
    store = Store(FolderDisk(tmp_path))
    record = store.append(Kind.OBSERVATIONS, b"seen", STAMP)
    assert store.commit()
    assert store.save("state", b"here")
    store.close()
    again = Store(FolderDisk(tmp_path))
    assert list(again.records()) == [record]
    assert list(again.records(Kind.EVENT)) == []
    assert again.load("state") == b"here"
    assert again.append(Kind.EVENT, b"", STAMP).sequence == 1


@pytest.mark.verifies("PAY-003")
def test_a_second_writer_is_refused_in_one_line(tmp_path):
    first = FolderDisk(tmp_path)
    code = f"from flightsw.runtime.store.disk import FolderDisk; FolderDisk({str(tmp_path)!r})"
    other = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert "in use by another process" in other.stderr
    with pytest.raises(StoreBusyError):
        FolderDisk(tmp_path)
    first.close()
    FolderDisk(tmp_path).close()


@pytest.mark.verifies("PAY-004")
def test_the_oldest_segments_go_first_and_the_budget_holds(tmp_path):
    store = Store(FolderDisk(tmp_path), segment_bytes=10_000, budget_bytes=50_000)
    for k in range(400):
        store.append(Kind.EVENT, bytes(500), Stamp(1, k, k))
        assert store.commit()
        assert sum(f.stat().st_size for f in tmp_path.iterdir()) <= 50_000
    kept = [record.sequence for record in store.records()]
    assert kept == list(range(kept[0], 400))
    assert len(kept) >= 70
    assert store.dropped_segments > 10


@pytest.mark.verifies("PAY-005")
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_dead_disk_leaves_a_store_in_memory_that_writes_all_when_it_comes_back(error):
    disk = FailingDisk()
    store = Store(disk)
    first = store.append(Kind.EVENT, b"before", STAMP)
    assert store.commit()
    disk.error = error
    second = store.append(Kind.EVENT, b"during", STAMP)
    assert not store.commit()
    assert store.mode is StoreMode.RAM
    assert not store.save("counters", b"7")
    assert store.load("counters") == b"7"
    assert list(store.records()) == [first, second]
    assert not store.retry()
    disk.error = None
    assert store.retry()
    assert store.mode is StoreMode.DISK
    again = Store(MemoryDisk(disk.files))
    assert list(again.records()) == [first, second]
    assert again.load("counters") == b"7"


def test_a_write_that_fails_once_is_made_again_in_a_new_segment():
    disk = FailingDisk()
    store = Store(disk)
    store.append(Kind.EVENT, b"one", STAMP)
    store.commit()
    disk.error, disk.once = errno.EIO, True
    store.append(Kind.EVENT, b"two", STAMP)
    assert store.commit()
    assert [r.payload for r in Store(MemoryDisk(disk.files)).records()] == [b"one", b"two"]


def test_memory_alone_keeps_the_newest_records_within_its_limit():
    disk = FailingDisk()
    store = Store(disk)
    disk.error = errno.EIO
    for k in range(200):
        store.append(Kind.EVENT, bytes(60_000), Stamp(1, k, k))
        store.commit()
    kept = list(store.records())
    assert sum(len(record.payload) for record in kept) <= RAM_BYTES
    assert kept[-1].sequence == 199
    assert store.lost == 200 - len(kept)


def test_a_damaged_middle_costs_one_record_and_the_log_goes_on():
    disk = MemoryDisk()
    store = Store(disk)
    for k in range(5):
        store.append(Kind.EVENT, b"%d" % k, STAMP)
        store.commit()
    name = next(iter(disk.files))
    disk.files[name][100] ^= 1
    again = Store(disk)
    assert again.damaged_bytes > 0
    assert len(list(again.records())) == 4
    again.append(Kind.EVENT, b"5", STAMP)
    assert again.commit()
    assert [r.payload for r in again.records()][-1] == b"5"


def test_random_garbage_in_place_of_every_file_is_survived(rng):
    disk = MemoryDisk()
    store = Store(disk)
    store.append(Kind.EVENT, b"x", STAMP)
    store.commit()
    store.save("state", b"y")
    names = list(disk.files)
    for _ in range(200):
        hurt = MemoryDisk(disk.files)
        for name in names:
            hurt.files[name] = bytearray(rng.bytes(int(rng.integers(0, 300))))
        again = Store(hurt)
        assert list(again.records()) == []
        assert again.load("state") is None
        again.append(Kind.EVENT, b"z", STAMP)
        assert again.commit()


@pytest.mark.verifies("PAY-052")
def test_the_newest_part_of_a_log_is_read_without_the_rest():
    store = Store(MemoryDisk(), segment_bytes=1_000, budget_bytes=1_000_000)
    for number in range(200):
        store.append(Kind.EVENT, b"%03d" % number + bytes(97), STAMP)
        store.commit()
    newest = [int(record.payload[:3]) for record in store.records(newest_bytes=5_000)]
    assert newest == list(range(newest[0], 200))
    assert 5_000 <= sum(144 for _ in newest) + 1_000  # bytes of a record; the segments' heads
    assert len(newest) <= 6_000 // 140
    assert len(list(store.records(newest_bytes=10**9))) == 200
