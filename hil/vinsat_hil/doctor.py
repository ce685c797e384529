"""What a rig lacks, with the command that mends it."""

import os
import shutil
import socket
from importlib.util import find_spec
from pathlib import Path

from flightsw.errors import InputError
from groundtools.doctor import Finding
from vinsat_hil.rig import Rig

CONNECT_S = 3.0


def examine(rig: Rig) -> list[Finding]:
    """Return the findings; looking changes nothing."""
    found = [_pty(), _shm(), _onnx()]
    if rig.rung == "emulated":
        found += [_qemu(), *_root(rig)]
    if rig.rung == "remote":
        found += [_agent(rig), *_device(rig)]
    return found


def _pty() -> Finding:
    try:
        ours, theirs = os.openpty()
    except OSError as error:
        return Finding(
            name="pseudo-terminals", state="missing", detail=str(error), fix="mount devpts on /dev/pts"
        )
    os.close(ours)
    os.close(theirs)
    return Finding(name="pseudo-terminals", state="ok", detail="the link of rigs on this computer")


def _shm() -> Finding:
    if os.access("/dev/shm", os.W_OK):
        return Finding(name="/dev/shm", state="ok", detail="trials are flown in memory")
    return Finding(name="/dev/shm", state="absent", detail="trials are flown on the disk, and wear it")


def _onnx() -> Finding:
    if find_spec("onnx") is not None:
        return Finding(name="onnx", state="ok", detail="fixture models for the scenario pictures")
    fix = "pip install 'vinsat[train]'"
    return Finding(name="onnx", state="absent", detail="no scenario pictures", fix=fix)


def _qemu() -> Finding:
    path = shutil.which("qemu-aarch64-static")
    if path is None:
        fix = "sudo apt install qemu-user-static"
        return Finding(name="qemu-aarch64", state="missing", detail="is not installed", fix=fix)
    return Finding(name="qemu-aarch64", state="ok", detail=path)


def _root(rig: Rig) -> list[Finding]:
    try:
        root = rig.arm64_root()
    except InputError as error:
        fix = "make one and export VINSAT_ARM64_ROOT (docs/hil.md)"
        return [Finding(name="arm64 system", state="missing", detail=str(error), fix=fix)]
    wanted = [Path("usr/bin/python3"), *(Path(part) for part in rig.emulated.path)]
    missing = [str(part) for part in wanted if not (root / part).exists()]
    if missing:
        fix = "install the flight bundle into it (docs/hil.md)"
        return [Finding(name="arm64 system", state="missing", detail=f"{root} lacks {missing}", fix=fix)]
    return [Finding(name="arm64 system", state="ok", detail=str(root))]


def _agent(rig: Rig) -> Finding:
    host, _, port = rig.remote.agent.rpartition(":")
    fix = f"on the board: vinsat hil agent --listen 0.0.0.0:{port or 4711}"
    if not host or not port.isdigit():
        return Finding(name="agent", state="missing", detail=f"{rig.remote.agent!r} is no HOST:PORT", fix=fix)
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
    except OSError as error:
        return Finding(name="agent", state="missing", detail=f"{rig.remote.agent}: {error}", fix=fix)
    return Finding(name="agent", state="ok", detail=rig.remote.agent)


def _device(rig: Rig) -> list[Finding]:
    kind, _, rest = rig.remote.link.partition(":")
    if kind != "serial":
        return []
    device = rest.rpartition(":")[0] or rest
    if os.access(device, os.R_OK | os.W_OK):
        return [Finding(name="serial line", state="ok", detail=device)]
    fix = "plug the adapter in; sudo usermod -aG dialout $USER"
    return [Finding(name="serial line", state="missing", detail=f"{device} cannot be opened", fix=fix)]
