"""Rigs: where the payload runs and how it is reached, as TOML.

Those of the package are in `rigs/` and named by their file; any other is a path that ends
in .toml. What a rung cannot play is left out of drawn compositions and refused by name.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from flightsw.config import load_toml
from flightsw.errors import InputError
from vinsat_hil.faults import Rung

FOLDER = Path(__file__).parent / "rigs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulated:
    """root : of an arm64 system, with `{VARIABLE}` taken from the environment; cpu : of qemu;
    path : PYTHONPATH inside, relative to the root.
    """

    root: str = ""
    cpu: str = "cortex-a72"
    path: tuple[str, ...] = ("opt/vinsat/current/app", "opt/vinsat/current/lib")


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """agent : HOST:PORT of `vinsat hil agent` on the board; host : this computer's address
    there; link : where the link is reached from here, an address of `vinsat link` such as
    serial:/dev/ttyUSB0:460800 or tcp:192.168.7.2:4712, or "pty" where the board is this
    computer; device : the link's serial device on the board, "" for TCP.
    """

    agent: str = ""
    host: str = "127.0.0.1"
    link: str = "pty"
    device: str = ""
    baud: int = 460_800


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """One rig.

    rung : of the ladder; restart_s : processor time within which a start has to answer;
    answer_s : real time after which a payload that does not answer is given up; hang_s :
    after which a watchdog would act; worker_s : a worker's time for a task; memory_mb :
    the budget of all its processes; extra_mb : what the rig itself adds to each process
    (an emulator, the host).
    """

    name: str
    rung: Rung
    restart_s: float = 3.0
    answer_s: float = 300.0
    hang_s: float = 0.5
    worker_s: float = 30.0
    memory_mb: float = 350.0
    extra_mb: float = 0.0
    emulated: Emulated = field(default_factory=Emulated)
    remote: Remote = field(default_factory=Remote)

    def arm64_root(self) -> Path:
        """Return the root of the emulated system. Raises InputError where a variable is not set."""
        text = self.emulated.root
        if text.startswith("{") and text.endswith("}"):
            value = os.environ.get(text[1:-1], "")
            if not value:
                fix = f"export {text[1:-1]}=FOLDER (docs/hil.md says how to make one)"
                raise InputError("names no folder", field="emulated.root", fix=fix)
            return Path(value)
        return Path(text)


def load_rig(name: str) -> Rig:
    """Return a rig of the package, or of a file. Raises InputError."""
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.exists() and not name.endswith(".toml"):
        fix = f"one of {', '.join(rig_names())}, or a file that ends in .toml"
        raise InputError(f"{name!r} is no rig", field="--rig", fix=fix)
    return load_toml(path, Rig)


def rig_names() -> list[str]:
    """Return the rigs of the package."""
    return sorted(entry.removesuffix(".toml") for entry in os.listdir(FOLDER) if entry.endswith(".toml"))
