"""The board: what a power cut leaves of writes, in this process."""

import json
import os
import threading
from pathlib import Path

import pytest

from flightsw.runtime.store.disk import FolderDisk
from flightsw.runtime.store.records import Stamp
from flightsw.runtime.store.store import Store, StoreMode
from vinsat_hil.board import PAGE, PLAN, Board, PowerCut
from vinsat_hil.switches import End, Medium, Switches


@pytest.fixture
def board(tmp_path):
    (tmp_path / "board").mkdir()
    Switches(tmp_path / "board" / PAGE, create=True).close()
    plan = {"root": f"{tmp_path / 'payload'}/", "link": "/nowhere"}
    (tmp_path / "board" / PLAN).write_text(json.dumps(plan), encoding="utf-8")
    (tmp_path / "payload").mkdir()
    board = Board(tmp_path / "board", is_inside_host=True)
    board.install()
    yield board
    board.remove()
    board.bury()


def store_at(board: Board) -> Store:
    return Store(FolderDisk(Path(board.root) / "store"))


@pytest.mark.verifies("HIL-003")
def test_a_full_disk_has_the_store_keep_records_and_write_them_later(board):
    store = store_at(board)
    board.switches["medium"] = Medium.FULL
    store.append(1, b"x", Stamp(1, 0, 0))
    assert not store.commit()
    assert store.mode is StoreMode.RAM
    board.switches["medium"] = Medium.FINE
    assert store.retry()
    assert [record.payload for record in store.records()] == [b"x"]
    store.close()


@pytest.mark.verifies("HIL-003")
def test_what_was_committed_survives_a_power_cut_at_any_operation(board):
    cuts = 0
    for operation in range(1, 30):
        for seed in range(3):
            folder = Path(board.root) / "store"
            board.switches["is_dead"], board.switches["countdown"] = 0, 0
            store, committed = store_at(board), []
            before = [record.payload for record in store.records()]
            board.switches["end"], board.switches["seed"] = End.POWER_CUT, seed
            board.switches["countdown"] = operation
            try:
                for k in range(8):
                    store.append(1, f"{operation} {seed} {k}".encode(), Stamp(1, 0, 0))
                    store.commit()
                    committed.append(f"{operation} {seed} {k}".encode())
                store.close()
            except PowerCut:
                cuts += 1
            board.bury()
            board.switches["is_dead"], board.switches["countdown"] = 0, 0
            after = store_at(board)
            held = [record.payload for record in after.records()]
            assert held[: len(before) + len(committed)] == before + committed
            after.close()
            assert folder.is_dir()
    assert cuts > 20


def test_what_was_not_synced_may_be_torn(board):
    path = Path(board.root) / "file"
    outcomes = set()
    for seed in range(30):
        path.unlink(missing_ok=True)
        board.entries.clear()
        board.before.clear()
        handle = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.write(handle, b"0123456789")
        board.switches["seed"] = seed
        board.power_off()
        outcomes.add(path.read_bytes() if path.exists() else None)
        os.close(handle)
    assert None in outcomes
    assert b"" in outcomes
    assert any(outcome and len(outcome) < 10 for outcome in outcomes)


def test_other_threads_and_other_files_are_left_alone(board, tmp_path):
    board.switches["medium"] = Medium.READ_ONLY
    (tmp_path / "mine").write_text("of the host", encoding="utf-8")
    path = Path(board.root) / "by another thread"
    thread = threading.Thread(target=path.write_text, args=("of the host",), kwargs={"encoding": "utf-8"})
    thread.start()
    thread.join()
    assert path.exists()
    with pytest.raises(OSError, match="Read-only"):
        (Path(board.root) / "mine").write_text("of the payload", encoding="utf-8")
