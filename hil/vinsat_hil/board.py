"""The board under the flight program: its file system, its memory, its power.

The program is not touched. Python loads `inside/sitecustomize.py` before it, which
replaces a few functions of the operating system's interface (`os.open`, `os.write`,
`os.fdatasync`, ...) by ones that ask the board first. The board fails writes, counts
operations, and cuts the power at the one it is told to. What a power cut leaves is what a
medium may leave: writes that were not synced are there, gone, or torn; files that were
made or removed and whose folder was not synced are there or not.

Standard library alone: it runs on the target.
"""

import contextlib
import errno
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vinsat_hil.switches import End, Medium, Switches

VARIABLE = "VINSAT_BOARD"  # names the board's folder
PLAN, PAGE, OPENED, CRASH = "plan.json", "switches", "opened", "crash"
_FAILURES = {Medium.FULL: errno.ENOSPC, Medium.READ_ONLY: errno.EROFS}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class PowerCut(BaseException):
    """Power is gone, for a payload that lives in the host's process."""


class Board:
    """One board. root : the payload's folder; is_supervisor : its operations count.

    The original functions of the system are kept in `system` and given back by `remove`.
    """

    def __init__(self, folder: Path, *, is_inside_host: bool = False) -> None:
        plan = json.loads((folder / PLAN).read_text(encoding="utf-8"))
        self.folder, self.root = folder, str(plan["root"])
        self.link: str = plan["link"]
        self.switches = Switches(folder / PAGE)
        self.is_inside_host = is_inside_host
        self.thread = threading.get_ident()
        self.is_supervisor = is_inside_host or "flightsw.runtime.fly.child" not in sys.orig_argv
        self.files: dict[int, str] = {}  # open for writing, by descriptor
        self.before: dict[str, bytes | None] = {}  # content at the last sync, None: was not there
        self.entries: dict[str, bytes | None] = {}  # folder entries at the last sync of the folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.ballast: list[bytearray] = []
        self.system: dict[tuple[Any, str], Callable[..., Any]] = {}

    def install(self) -> None:
        """Put it under the program."""
        replacements = (
            (os, "open", self._open), (os, "write", self._write), (os, "close", self._close),
            (os, "ftruncate", self._truncate), (os, "fdatasync", self._sync), (os, "fsync", self._sync),
            (os, "unlink", self._unlink), (os, "replace", self._replace), (io, "open", self._io_open),
        )  # fmt: skip
        for module, name, function in replacements:
            self.system[module, name] = getattr(module, name)
            setattr(module, name, function)

    def remove(self) -> None:
        """Take it away."""
        for (module, name), function in self.system.items():
            setattr(module, name, function)

    def power_off(self) -> None:
        """Lose or tear what was not synced: what a medium may do when power goes."""
        rng = random.Random(self.switches["seed"])
        for path, content in sorted(self.before.items()):
            self._lose(path, content, rng)
        for path, content in sorted(self.entries.items()):
            if rng.random() < 0.5:
                self._put(path, content)
        self.before.clear()
        self.entries.clear()

    def bury(self) -> None:
        """End what a payload in the host's process has left open."""
        for process in self.processes:
            process.kill()
            process.wait()
        for handle in list(self.files):
            with contextlib.suppress(OSError):
                self._system(os, "close")(handle)
        self.files.clear()

    # What the program calls.

    def _open(self, path: Any, flags: int, mode: int = 0o777, **options: Any) -> int:
        if not self._is_mine(path):
            return int(self._system(os, "open")(path, flags, mode, **options))
        self._alive()
        name = os.fspath(path)
        is_there = os.path.exists(name)
        if flags & _WRITING and name.startswith(self.root):
            self._refuse(Medium.READ_ONLY)
            if not is_there:
                self._refuse(Medium.FULL)
        handle = int(self._system(os, "open")(path, flags, mode, **options))
        if flags & (os.O_WRONLY | os.O_RDWR) or name == self.link or os.path.isdir(name):
            self.files[handle] = name
        if flags & os.O_CREAT and not is_there:
            self.entries.setdefault(name, None)
            self.before.setdefault(name, None)
        return handle

    def _write(self, handle: int, data: Any) -> int:
        name = self._name(handle)
        if name is None:
            return int(self._system(os, "write")(handle, data))
        if name == self.link:
            self._alive()
            written = int(self._system(os, "write")(handle, data))
            self.switches["sent"] += written
            return written
        self._operation(name)
        self._refuse(Medium.FULL, Medium.READ_ONLY)
        self._remember(name)
        return int(self._system(os, "write")(handle, data))

    def _truncate(self, handle: int, length: int) -> None:
        name = self._name(handle)
        if name is not None:
            self._remember(name)
        self._system(os, "ftruncate")(handle, length)

    def _sync(self, handle: int) -> None:
        name = self._name(handle)
        if name is not None:
            self._operation(name)
            if self.switches["medium"] == Medium.SYNC_FAILS:
                raise OSError(errno.EIO, os.strerror(errno.EIO), name)
            self.before.pop(name, None)
            if os.path.isdir(name):
                self.entries = {p: c for p, c in self.entries.items() if os.path.dirname(p) != name}

    def _close(self, handle: int) -> None:
        if threading.get_ident() == self.thread:
            self.files.pop(handle, None)
        self._system(os, "close")(handle)

    def _unlink(self, path: Any, **options: Any) -> None:
        if self._is_mine(path):
            name = os.fspath(path)
            self._operation(name)
            self._refuse(Medium.READ_ONLY)
            if os.path.exists(name):
                self.entries.setdefault(name, Path(name).read_bytes())
        self._system(os, "unlink")(path, **options)

    def _replace(self, source: Any, target: Any, **options: Any) -> None:
        if self._is_mine(target):
            name = os.fspath(target)
            self._operation(name)
            self._refuse(Medium.READ_ONLY)
            if not os.path.exists(name):
                self.entries.setdefault(name, None)
        self._system(os, "replace")(source, target, **options)

    def _io_open(self, file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if not isinstance(file, int) and set(mode) & set("wax+") and self._is_mine(file):
            self._operation(os.fspath(file))
            self._refuse(Medium.FULL, Medium.READ_ONLY)
        return self._system(io, "open")(file, mode, *arguments, **options)

    # What the board does about it.

    def _system(self, module: Any, name: str) -> Callable[..., Any]:
        return self.system[module, name]

    def _is_mine(self, path: Any) -> bool:
        """Tell whether a path is the payload's and the one who asks is the payload."""
        if isinstance(path, int) or threading.get_ident() != self.thread:
            return False
        name = os.fspath(path)
        if not isinstance(name, str):
            return False
        return name == self.link or name.startswith(self.root)

    def _name(self, handle: int) -> str | None:
        return self.files.get(handle) if threading.get_ident() == self.thread else None

    def _alive(self) -> None:
        if self.is_inside_host and self.switches["is_dead"]:
            raise PowerCut

    def _operation(self, name: str) -> None:
        """Count an operation of the medium, and end everything at the one that is the last."""
        self._alive()
        if not self.is_supervisor:
            return
        self.switches["operations"] += 1
        left = self.switches["countdown"]
        if left:
            self.switches["countdown"] = left - 1
            if left == 1:
                self._end(End(self.switches["end"]))

    def _end(self, how: End) -> None:
        if how is End.POWER_CUT:
            self.power_off()
        if self.is_inside_host:
            self.switches["is_dead"] = 1
            raise PowerCut
        os.kill(os.getpid(), signal.SIGKILL)

    def _refuse(self, *mediums: Medium) -> None:
        state = Medium(self.switches["medium"])
        if state in mediums and state in _FAILURES:
            raise OSError(_FAILURES[state], os.strerror(_FAILURES[state]))

    def _remember(self, name: str) -> None:
        """Keep what is on the medium now, before it is written over."""
        if name not in self.before:
            self.before[name] = Path(name).read_bytes()

    def _lose(self, path: str, content: bytes | None, rng: random.Random) -> None:
        if not os.path.exists(path):
            return
        now, old = Path(path).read_bytes(), content or b""
        chance = rng.random()
        if chance < 0.4:
            self._put(path, old)
        elif chance < 0.8 and len(now) > 0:
            kept = rng.randrange(len(now))
            grown = now.startswith(old)
            torn = now[: max(kept, len(old))] if grown else now[:kept] + old[kept:]
            self._put(path, torn)

    def _put(self, path: str, content: bytes | None) -> None:
        if content is None:
            with contextlib.suppress(FileNotFoundError):
                self._system(os, "unlink")(path)
            return
        with self._system(io, "open")(path, "wb") as file:
            file.write(content)
