"""What is hooked into each process of the payload before its program starts.

The board goes under it, a seeded defect into it where one is asked for; what it opens and
what ends it is written down. Standard library alone: it runs on the target.
"""

import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from vinsat_hil.board import CRASH, OPENED, PLAN, VARIABLE, Board


def install_from_environment() -> None:
    """Install the board that the environment names, in a process of its own."""
    if VARIABLE not in os.environ:
        return
    folder = Path(os.environ[VARIABLE])
    plan = json.loads((folder / PLAN).read_text(encoding="utf-8"))
    if plan["executable"]:
        sys.executable = plan["executable"]
    board = Board(folder)
    _note_what_is_opened(folder, str(plan["base"]))
    sys.excepthook = crash_hook(folder)
    board.install()
    if plan["mutant"]:
        from vinsat_hil.mutants import apply

        apply(plan["mutant"])
    if not board.is_supervisor:
        _burden(board)


def _note_what_is_opened(folder: Path, base: str) -> None:
    """Write down each file below `base` that the process opens, once."""
    seen: set[str] = set()
    log = os.open(folder / f"{OPENED}-{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not isinstance(arguments[0], str):
            return
        path = os.path.abspath(arguments[0])
        if path.startswith(base) and path not in seen:
            seen.add(path)
            os.write(log, path.encode() + b"\n")

    sys.addaudithook(hook)


def crash_hook(folder: Path) -> Callable[[type[BaseException], BaseException, TracebackType | None], None]:
    """Return a hook that keeps what ended a process."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        text = "".join(traceback.format_exception(kind, error, trace))
        (folder / f"{CRASH}-{os.getpid()}").write_text(text, encoding="utf-8")

    return hook


def _burden(board: Board) -> None:
    """Have the worker's tasks take memory and time where the switches say so."""
    job: type[Any]
    if "inference" in sys.orig_argv:
        from flightsw.runtime.fly.inference_job import ModelsJob, TableJob

        jobs: tuple[type[Any], ...] = (ModelsJob, TableJob)
    else:
        from flightsw.runtime.fly.orbit_job import OrbitJob

        jobs = (OrbitJob,)
    for job in jobs:
        job.run = _burdened(job.run, board, takes_memory="inference" in sys.orig_argv)


def _burdened(run: Callable[..., Any], board: Board, *, takes_memory: bool) -> Callable[..., Any]:
    def burdened(job: Any, task: Any) -> Any:
        wanted = board.switches["ballast_mb"] if takes_memory else 0
        if wanted and not board.ballast:
            board.ballast.append(bytearray(b"\1") * (wanted * 1_000_000))
        time.sleep(board.switches["slow_ms"] / 1e3)
        return run(job, task)

    return burdened
