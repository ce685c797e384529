"""A progress line on stderr for long runs, plain where stderr is not a terminal."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class Reporter:
    """Tells how far a run is; `every_s` between lines where there is no terminal."""

    name: str
    total: int
    every_s: float = 20.0
    _bar: object = None
    _task: object = None
    _last_s: float = 0.0

    def update(self, step: int, text: str) -> None:
        """Show `step` of `total` and a text of figures."""
        if self._bar is not None:
            self._bar.update(self._task, completed=step, text=text)  # type: ignore[attr-defined]
            return
        now = time.monotonic()
        if now - self._last_s >= self.every_s or step >= self.total:
            self._last_s = now
            sys.stderr.write(f"{self.name} {step}/{self.total} {text}\n")
            sys.stderr.flush()


@contextmanager
def reporting(name: str, total: int) -> Iterator[Reporter]:
    """Yield a Reporter: a rich progress bar on a terminal, lines elsewhere."""
    if not sys.stderr.isatty():
        yield Reporter(name, total)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield Reporter(name, total, _bar=bar, _task=bar.add_task(name, total=total, text=""))
