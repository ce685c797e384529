"""The flight program on a rung: started, signalled, ended, and its files reached.

A target has one folder: `payload` is what the program may see, `board` what lies under
it. `LocalTarget` starts the program as a process, on this processor or an emulated one;
`InProcessTarget` runs it in a thread of this process; `vinsat_hil.agent` has the one that
speaks to another computer.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Protocol

from flightsw.runtime.fly.health import memory_mb
from vinsat_hil import board as boards
from vinsat_hil.rig import Rig
from vinsat_hil.switches import Switches

PAYLOAD, BOARD, ERRORS = "payload", "board", "stderr"
PACKAGE = Path(__file__).resolve().parents[1]
INSIDE = Path(__file__).resolve().parent / "inside"
END_S = 20.0  # of real time, for a process to be gone


class Target(Protocol):
    """What the host does to a flight program, wherever it runs."""

    def prepare(self, *, link: str, mutant: str) -> None:
        """Lay out the board's folder; link : the device that the payload opens."""

    def start(self) -> None:
        """Start the program."""

    def is_alive(self) -> bool:
        """Tell whether it runs."""

    def kill(self) -> int | None:
        """SIGKILL; return the code it ended with, None where it had none."""

    def stop(self) -> int | None:
        """SIGTERM; return the code it ended with."""

    def hang(self) -> None:
        """SIGSTOP."""

    def signal_worker(self, number: int) -> bool:
        """Send a signal to the inference worker; tell whether there is one."""

    def memory_mb(self) -> float:
        """Return the memory of the program and its workers, proportional, MB."""

    def cpu_s(self) -> float:
        """Return the processor time of the program since its start, without its workers, s."""

    def put(self, name: str, data: bytes, *, mode: int = 0o644, in_place: bool = False) -> None:
        """Write a file, named from the target's folder; in_place : the file that is open stays it."""

    def get(self, name: str) -> bytes:
        """Return a file's content."""

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder."""

    def refresh(self) -> None:
        """Have this computer's copy of the folder be as the target's."""

    def switch(self, name: str, value: int) -> None:
        """Set a switch of the board."""

    def reading(self, name: str) -> int:
        """Return a switch of the board."""


class FolderTarget:
    """Files and switches of a target on this computer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in (PAYLOAD, BOARD):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self._switches = Switches(folder / BOARD / boards.PAGE, create=True)

    def plan(self, *, link: str, mutant: str, executable: str) -> None:
        """Write what the board is to know."""
        plan = {
            "root": str(self.folder / PAYLOAD) + os.sep, "base": str(self.folder) + os.sep,
            "link": link, "mutant": mutant, "executable": executable,
        }  # fmt: skip
        (self.folder / BOARD / boards.PLAN).write_text(json.dumps(plan), encoding="utf-8")

    def put(self, name: str, data: bytes, *, mode: int = 0o644, in_place: bool = False) -> None:
        path = self.folder / name
        if in_place:
            with open(path, "r+b") as file:
                file.write(data)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.put")
        part.write_bytes(data)
        part.chmod(mode)
        part.replace(path)

    def get(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def names(self, folder: str) -> list[str]:
        path = self.folder / folder
        return sorted(os.listdir(path)) if path.is_dir() else []

    def refresh(self) -> None:
        """Nothing: the folder is here."""

    def switch(self, name: str, value: int) -> None:
        self._switches[name] = value

    def reading(self, name: str) -> int:
        return self._switches[name]


class LocalTarget(FolderTarget):
    """The program as a process of this computer, native or under qemu-user."""

    def __init__(self, folder: Path, rig: Rig) -> None:
        super().__init__(folder)
        self._rig = rig
        self._process: subprocess.Popen[bytes] | None = None
        self._python = [sys.executable]
        self._path = [str(INSIDE), str(PACKAGE)]
        self._environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        if rig.rung == "emulated":
            self._emulate(rig.arm64_root())

    def prepare(self, *, link: str, mutant: str) -> None:
        executable = self._python[0] if self._rig.rung == "emulated" else ""
        self.plan(link=link, mutant=mutant, executable=executable)

    def start(self) -> None:
        self.switch("sent", 0)
        self.switch("operations", 0)
        environment = self._environment | {
            boards.VARIABLE: str(self.folder / BOARD),
            "PYTHONPATH": os.pathsep.join(self._path),
        }
        with open(self.folder / ERRORS, "ab") as errors:
            self._process = subprocess.Popen(
                [*self._python, "-P", "-m", "flightsw.cli", "fly", "--config", "payload.toml"],
                cwd=self.folder / PAYLOAD,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
            )

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> int | None:
        return self._end(signal.SIGKILL)

    def stop(self) -> int | None:
        return self._end(signal.SIGTERM)

    def hang(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def signal_worker(self, number: int) -> bool:
        return signal_worker_of(self._pids()[1:], number)

    def memory_mb(self) -> float:
        return memory_mb(self._pids())

    def cpu_s(self) -> float:
        return cpu_s(self._pids()[:1])

    def _pids(self) -> list[int]:
        if self._process is None or self._process.poll() is not None:
            return []
        return [self._process.pid, *children_of(self._process.pid)]

    def _end(self, number: int) -> int | None:
        if self._process is None:
            return None
        workers = self._pids()[1:]
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            code = self._process.wait(timeout=END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._process = None
        wait_until_gone(workers)
        return code

    def _emulate(self, root: Path) -> None:
        """Have Python, here and for the workers, be the emulated one: a script of one line."""
        script = self.folder / BOARD / "python3"
        cpu = self._rig.emulated.cpu
        text = f'#!/bin/sh\nexec qemu-aarch64-static -cpu {cpu} -L "{root}" "{root}/usr/bin/python3" "$@"\n'
        script.write_text(text, encoding="utf-8")
        script.chmod(0o755)
        self._python = [str(script)]
        flight = Path(sys.modules["flightsw"].__file__ or "").resolve().parents[1]
        self._path += [str(flight), *(str(root / part) for part in self._rig.emulated.path)]


def children_of(pid: int) -> list[int]:
    """Return the processes that a process, or any thread of it, has started and that live."""
    found = []
    for task in _listed(Path(f"/proc/{pid}/task")):
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{pid}/task/{task}/children").read_text(encoding="ascii")
            found += [int(word) for word in text.split()]
    return found


def wait_until_gone(pids: list[int]) -> None:
    """Wait until processes are gone, or dead and not yet fetched by their parent."""
    end = time.monotonic() + END_S
    while time.monotonic() < end and any(_state(pid) not in ("", "Z", "X") for pid in pids):
        time.sleep(0.001)


def signal_worker_of(pids: list[int], number: int) -> bool:
    """Send a signal to the inference worker among processes; tell whether there is one."""
    for pid in pids:
        with contextlib.suppress(OSError):
            if b"\0inference" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, number)
                if number == signal.SIGKILL:
                    wait_until_gone([pid])
                return True
    return False


def cpu_s(pids: list[int]) -> float:
    """Return user and system time of processes, s."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError, ValueError, IndexError):
            words = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
            ticks += int(words[11]) + int(words[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _state(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    return ""


def _listed(folder: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return os.listdir(folder)
    return []
