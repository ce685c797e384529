"""The flight program in a thread of this process: the rung for a debugger.

Its file system goes through the board as on the other rungs; a power cut is an exception
that nothing on board catches, after which the medium answers with the same exception.
Signals belong to the host, so those of the program are not installed.
"""

import gc
import os
import signal
import subprocess
import threading
import time
import warnings
from pathlib import Path

from flightsw.runtime.fly.assembly import fly
from flightsw.runtime.fly.health import memory_mb
from vinsat_hil import board as boards
from vinsat_hil.hooks import crash_hook
from vinsat_hil.target import (
    BOARD,
    END_S,
    INSIDE,
    PACKAGE,
    PAYLOAD,
    FolderTarget,
    children_of,
    signal_worker_of,
)


class InProcessTarget(FolderTarget):
    """The program in a thread of this process. A kill is a power cut that loses nothing."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._thread: threading.Thread | None = None
        self._ended: list[int | BaseException] = []
        self._began = 0.0
        self.hang_up = lambda: None  # set by the host: ends the wait for its clock

    def prepare(self, *, link: str, mutant: str) -> None:
        if mutant:
            raise ValueError("a seeded defect needs a process of its own")
        self.plan(link=link, mutant="", executable="")

    def start(self) -> None:
        for name in ("sent", "operations", "is_dead"):
            self.switch(name, 0)
        self._ended, self._began = [], time.process_time()
        self._thread = threading.Thread(target=self._fly, name="payload")
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def kill(self) -> int | None:
        self.switch("is_dead", 1)
        return self._join()

    def stop(self) -> int | None:
        return self._join()

    def hang(self) -> None:
        raise ValueError("a thread cannot be stopped")

    def signal_worker(self, number: int) -> bool:
        return signal_worker_of(children_of(os.getpid()), number)

    def memory_mb(self) -> float:
        return memory_mb([os.getpid(), *children_of(os.getpid())])

    def cpu_s(self) -> float:
        return time.process_time() - self._began

    def _join(self) -> int | None:
        if self._thread is None:
            return None
        self.hang_up()
        self._thread.join(timeout=END_S)
        self._thread = None
        ended = self._ended[0] if self._ended else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # a dead payload closes nothing
            self._ended = []
            gc.collect()
        return ended if isinstance(ended, int) else -signal.SIGKILL

    def _fly(self) -> None:
        board = boards.Board(self.folder / BOARD, is_inside_host=True)
        environment = {boards.VARIABLE: board.folder, "PYTHONPATH": f"{INSIDE}{os.pathsep}{PACKAGE}"}
        before = {name: os.environ.get(name) for name in environment}
        handler, popen = signal.signal, subprocess.Popen
        os.environ.update({name: str(value) for name, value in environment.items()})
        signal.signal = lambda *arguments: None  # type: ignore[assignment, misc]  # signals are the host's

        class Kept(popen):  # type: ignore[misc, valid-type]
            """A process that the board ends with itself."""

            def __init__(kept, *arguments: object, **options: object) -> None:
                super().__init__(*arguments, **options)
                board.processes.append(kept)

        subprocess.Popen = Kept  # type: ignore[misc]
        board.install()
        try:
            self._ended.append(fly(self.folder / PAYLOAD / "payload.toml"))
        except boards.PowerCut:
            self._ended.append(-signal.SIGKILL)
        except BaseException as error:
            crash_hook(board.folder)(type(error), error, error.__traceback__)
            self._ended.append(1)
        finally:
            board.remove()
            board.bury()
            signal.signal, subprocess.Popen = handler, popen  # type: ignore[misc]
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
