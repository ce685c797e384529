"""The second reader of the log, against the one that flies."""

import numpy as np
import pytest

from flightsw.runtime.store.records import Record, Stamp, encode_record, encode_segment_head, scan
from vinsat_hil.medium import LogReader, entries_of


def segment(rng, count: int = 20) -> bytes:
    records = [
        Record(1, k, Stamp(1, k, -k), rng.bytes(int(rng.integers(0, 80)))) for k in range(count)
    ]  # fmt: skip
    return encode_segment_head(1, 0) + b"".join(encode_record(record) for record in records)


@pytest.mark.verifies("HIL-002")
def test_both_readers_find_the_same_records_whatever_was_flipped(rng):
    whole = segment(rng)
    for _ in range(300):
        data = bytearray(whole[: int(rng.integers(0, len(whole) + 1))])
        for _ in range(int(rng.integers(0, 4))):
            if data:
                data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        ours = [(e.sequence, e.kind, e.tai_ns, e.payload) for e in entries_of(bytes(data), "f")]
        theirs = [(r.sequence, r.kind, r.stamp.tai_ns, r.payload) for r in scan(bytes(data)).records]
        assert ours == theirs


def test_a_record_that_is_there_twice_is_read_once(tmp_path):
    data = segment(np.random.default_rng(1), 3)
    for name in ("log-0000000001.seg", "log-0000000002.seg"):
        (tmp_path / name).write_bytes(data)
    assert list(LogReader(tmp_path).read()) == [0, 1, 2]
