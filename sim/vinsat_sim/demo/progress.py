"""Progress of a long command on stderr: bars on a terminal, a line per stage elsewhere."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

QUIET_S = 30.0  # between lines where there is no terminal


class Ticker:
    """Shows one stage after the other; use as a context manager."""

    def __init__(self, *, shown: bool = True) -> None:
        self._bars: Progress | None = None
        if shown and sys.stderr.isatty():
            self._bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=Console(stderr=True),
            )
        self._shown = shown
        self._task = None
        self._label, self._total, self._done, self._spoke = "", 0, 0, 0.0

    def __enter__(self) -> "Ticker":
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()

    def stage(self, label: str, total: int | None = None) -> None:
        """Begin a stage of `total` steps, or of unknown length."""
        self._label, self._total, self._done, self._spoke = label, total or 0, 0, time.monotonic()
        if self._bars:
            self._task = self._bars.add_task(label, total=total)
        elif self._shown:
            self._say(label)

    def step(self, count: int = 1) -> None:
        """Say that `count` steps of the stage are done."""
        self._done += count
        if self._bars and self._task is not None:
            self._bars.advance(self._task, count)
        elif self._shown and time.monotonic() - self._spoke > QUIET_S:
            self._spoke = time.monotonic()
            self._say(f"{self._label}: {self._done} of {self._total}" if self._total else self._label)

    def _say(self, text: str) -> None:
        sys.stderr.write(f"vinsat demo: {text}\n")
        sys.stderr.flush()
