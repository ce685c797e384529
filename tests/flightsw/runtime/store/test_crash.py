"""A power cut at any instant: no committed record is lost, none that is torn is believed."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from flightsw.runtime.store.records import Stamp, scan
from flightsw.runtime.store.store import Store

sys.path.insert(0, str(Path(__file__).parent))
from playback import Medium, MemoryDisk, Operation

SEGMENT, BUDGET = 2_000, 40_000
QUICK_VARIANTS, FULL_VARIANTS = 4, 60


def recorded_trace(seed: int, *, frames: int) -> list[Operation]:
    """Return what a payload does to its disk over some frames and two restarts."""
    rng = np.random.default_rng(seed)
    disk = MemoryDisk(trace=[])
    store = Store(disk, segment_bytes=SEGMENT, budget_bytes=BUDGET)
    for frame in range(frames):
        if frame and frame % (frames // 3) == 0:
            store = Store(disk, segment_bytes=SEGMENT, budget_bytes=BUDGET)
        group = [
            store.append(
                int(rng.integers(1, 6)), rng.bytes(int(rng.integers(0, 200))), Stamp(1, frame, -frame)
            )
            for _ in range(int(rng.integers(1, 4)))
        ]
        disk.mark(("begin", group))
        store.commit()
        disk.mark(("committed", group))
        if frame % 3 == 0:
            value = json.dumps({"counter": frame, "more": "x" * int(rng.integers(0, 60))}).encode()
            disk.mark(("saving", value))
            store.save("counters", value)
            disk.mark(("saved", value))
    return disk.trace


def crash_everywhere(trace: list[Operation], *, variants: int, seed: int) -> int:
    """Reopen after a cut at every operation; return how many cuts were played."""
    rng = np.random.default_rng(seed)
    medium, appended, committed = Medium(), {}, set()
    saved, legal = None, {None}
    cuts = 0
    for operation in trace:
        medium.advance(operation)
        if operation.kind == "remove":  # what the budget drops may be there or not
            committed -= {record.sequence for record in scan(bytes(medium.content[operation.name])).records}
        if operation.kind == "mark":
            what, value = operation.mark
            if what == "begin":
                appended.update({record.sequence: record for record in value})
            elif what == "committed":
                committed |= {record.sequence for record in value}
            elif what == "saving":
                legal = {saved, value}
            else:
                saved, legal = value, {value}
            continue
        for variant in range(variants):
            disk = medium.cut(rng, variant)
            check(disk, appended, committed, legal)
            cuts += 1
    return cuts


def check(disk, appended, committed, legal):
    store = Store(disk, segment_bytes=SEGMENT, budget_bytes=BUDGET)
    found = list(store.records())
    for record in found:
        assert record == appended[record.sequence]  # torn or invented otherwise
    sequences = [record.sequence for record in found]
    assert sequences == sorted(set(sequences))
    assert not committed - set(sequences)
    assert store.load("counters") in legal
    added = store.append(1, b"life goes on", Stamp(2, 0, 0))
    assert store.commit()
    assert added.sequence > max(sequences, default=-1)
    again = Store(disk, segment_bytes=SEGMENT, budget_bytes=BUDGET)
    assert list(again.records())[-1] == added


@pytest.mark.verifies("PAY-001")
def test_a_power_cut_at_any_operation_loses_nothing_committed():
    trace = recorded_trace(1, frames=60)
    assert crash_everywhere(trace, variants=QUICK_VARIANTS, seed=1) > 800


@pytest.mark.slow
@pytest.mark.verifies("PAY-001")
def test_a_hundred_thousand_power_cuts_lose_nothing_committed():
    trace = recorded_trace(2, frames=420)
    assert sum(operation.kind != "mark" for operation in trace) >= 1_000
    cuts = crash_everywhere(trace, variants=FULL_VARIANTS, seed=2)
    print(f"{len(trace)} operations, {cuts} power cuts")  # noqa: T201
    assert cuts >= 100_000
