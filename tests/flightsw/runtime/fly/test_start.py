"""A start: soon, whatever is on the medium; and what it goes on with."""

import json
import os
import time
from pathlib import Path

import pytest

from flightsw.runtime.fly.ring import frame_name
from flightsw.runtime.known_case import EPOCH
from flightsw.runtime.store.log import BUDGET_BYTES, SEGMENT_BYTES
from flightsw.runtime.store.records import (
    SEGMENT_HEAD_BYTES,
    Kind,
    Record,
    Stamp,
    encode_record,
    encode_segment_head,
)

READY_S, PATIENCE_S = 5.0, 120.0  # of processor, whatever else runs here; of the clock
NS = 1_000_000_000


def fill(folder, *, budget: int) -> int:
    """Write a log of that many bytes: a frame a second, none with observations; return their number."""
    folder.mkdir()
    sequence = frames = 0
    for number in range(1, budget // SEGMENT_BYTES):
        data = bytearray(encode_segment_head(number, sequence))
        while len(data) < SEGMENT_BYTES - SEGMENT_HEAD_BYTES - 500:
            tai_ns = EPOCH.tai_ns - 500_000 * NS + frames * NS
            frame = {"frame": frame_name(tai_ns), "tai_ns": tai_ns, "arc": 1}
            for kind, more in ((Kind.FRAME, {}), (Kind.OBSERVATIONS, {"status": "NO_POSE", "rows": []})):
                payload = json.dumps({**frame, **more}, separators=(",", ":")).encode()
                data += encode_record(Record(kind, sequence, Stamp(1, tai_ns, tai_ns), payload))
                sequence += 1
            frames += 1
        (folder / f"log-{number:010d}.seg").write_bytes(data)
    return frames


@pytest.mark.verifies("PAY-052")
def test_a_full_log_does_not_make_a_start_late(rig):
    assert fill(rig.folder / "store", budget=BUDGET_BYTES) > 150_000
    rig.write(clock=rig.scaled_clock(1.0))
    began = time.monotonic()
    rig.start()
    while "BOOT IDLE" not in rig.log():
        assert time.monotonic() - began < PATIENCE_S, rig.log()
        time.sleep(0.02)
    fields = Path(f"/proc/{rig.process.pid}/stat").read_text().rpartition(")")[2].split()
    assert (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") < READY_S
