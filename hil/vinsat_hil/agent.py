"""The board's side of a remote rig, and the host's view of it.

`serve` runs on the board under test and does to a `LocalTarget` there what the host asks:
files, starts, signals, switches. A message is a length u32 (big-endian), a JSON object,
and behind it as many bytes as its `size` says:
    {"do": "put", "arguments": ["payload/taken/x.jpg"], "options": {"mode": 420}, "size": 9412}
    {"result": true, "size": 0}       or   {"error": "no such file", "size": 0}
One host at a time; it says who may start programs there, so it listens on loopback unless
told otherwise, and belongs on a laboratory's own network.
"""

import contextlib
import json
import socket
import struct
from pathlib import Path
from typing import Any

from flightsw.errors import InputError
from vinsat_hil.rig import Rig
from vinsat_hil.target import BOARD, PAYLOAD, LocalTarget

LENGTH = struct.Struct(">I")
MAX_HEAD, MAX_DATA = 100_000, 64_000_000  # bytes
CONNECT_S = 10.0
MIRRORED = (f"{PAYLOAD}/store", f"{PAYLOAD}/products", BOARD)
CALLS = (
    "prepare", "start", "is_alive", "kill", "stop", "hang", "signal_worker", "memory_mb", "put", "get",
    "names", "switch", "reading", "cpu_s",
)  # fmt: skip


def serve(host: str, port: int, folder: Path, *, ready: Any = None) -> None:
    """Serve hosts one after the other, for ever. ready : an Event that is set when it listens."""
    with socket.create_server((host, port)) as server:
        if ready is not None:
            ready.set()
        while True:
            peer, _ = server.accept()
            with peer:
                serve_one(peer, folder)


def serve_one(peer: socket.socket, folder: Path) -> None:
    """Serve one host until it is gone; what it started is ended with it."""
    target: LocalTarget | None = None
    try:
        while (message := receive(peer)) is not None:
            head, data = message
            if head.get("do") == "open":
                target = LocalTarget(
                    folder.resolve() / _plain(head["name"]), Rig(name="board", rung="process")
                )
                send(peer, {"result": str(target.folder)})
            elif target is None or head.get("do") not in CALLS:
                send(peer, {"error": f"{head.get('do')!r} is not known, or nothing is open"})
            else:
                send(peer, *_answer(target, head, data))
    except (OSError, ValueError, KeyError):
        return
    finally:
        if target is not None:
            target.kill()


def _answer(target: LocalTarget, head: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    arguments, options = list(head.get("arguments", ())), dict(head.get("options", {}))
    if head["do"] == "put":
        arguments.append(data)
    try:
        if head["do"] in ("put", "get", "names"):
            _inside(target.folder, str(arguments[0]))
        result = getattr(target, head["do"])(*arguments, **options)
    except (OSError, ValueError, TypeError) as error:
        return {"error": f"{type(error).__name__}: {error}"}, b""
    return ({"result": True}, result) if isinstance(result, bytes) else ({"result": result}, b"")


class RemoteTarget:
    """A target on another computer. folder : where this computer keeps its copy."""

    def __init__(self, folder: Path, rig: Rig) -> None:
        self.folder = folder
        host, _, port = rig.remote.agent.rpartition(":")
        fix = "see `vinsat hil doctor --rig`"
        try:
            self._socket = socket.create_connection((host, int(port)), timeout=CONNECT_S)
        except (OSError, ValueError) as error:
            raise InputError(f"cannot be reached ({error})", file=rig.remote.agent, fix=fix) from None
        self._socket.settimeout(rig.answer_s)
        self._known: dict[str, int] = {}
        self.base = str(self._call_head({"do": "open", "name": folder.name})[0]["result"])

    def prepare(self, *, link: str, mutant: str) -> None:
        self._call("prepare", link=link, mutant=mutant)

    def start(self) -> None:
        self._call("start")

    def is_alive(self) -> bool:
        return bool(self._call("is_alive"))

    def kill(self) -> int | None:
        return self._call("kill")  # type: ignore[no-any-return]

    def stop(self) -> int | None:
        return self._call("stop")  # type: ignore[no-any-return]

    def hang(self) -> None:
        self._call("hang")

    def signal_worker(self, number: int) -> bool:
        return bool(self._call("signal_worker", int(number)))

    def memory_mb(self) -> float:
        return float(self._call("memory_mb"))

    def cpu_s(self) -> float:
        return float(self._call("cpu_s"))

    def put(self, name: str, data: bytes, *, mode: int = 0o644, in_place: bool = False) -> None:
        head = {"do": "put", "arguments": [name], "options": {"mode": mode, "in_place": in_place}}
        self._call_head(head, data)

    def get(self, name: str) -> bytes:
        return self._call_head({"do": "get", "arguments": [name]})[1]

    def names(self, folder: str) -> list[str]:
        return [str(name) for name in self._call("names", folder)]

    def refresh(self) -> None:
        for folder in MIRRORED:
            here = self.folder / folder
            here.mkdir(parents=True, exist_ok=True)
            there = set(self.names(folder))
            for path in here.iterdir():
                if path.name not in there:
                    path.unlink()
            for name in sorted(there):
                with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                    (here / name).write_bytes(self.get(f"{folder}/{name}"))

    def switch(self, name: str, value: int) -> None:
        self._call("switch", name, int(value))

    def reading(self, name: str) -> int:
        return int(self._call("reading", name))

    def close(self) -> None:
        """End the conversation, and with it what was started."""
        self._socket.close()

    def _call(self, do: str, *arguments: Any, **options: Any) -> Any:
        return self._call_head({"do": do, "arguments": arguments, "options": options})[0]["result"]

    def _call_head(self, head: dict[str, Any], data: bytes = b"") -> tuple[dict[str, Any], bytes]:
        send(self._socket, head, data)
        message = receive(self._socket)
        if message is None:
            raise InputError("has ended the conversation", file="agent", fix="is the board still there?")
        answer, body = message
        if "error" in answer:
            kind, _, text = str(answer["error"]).partition(": ")
            raise FileNotFoundError(text) if kind == "FileNotFoundError" else InputError(text, file="agent")
        return answer, body


def send(link: socket.socket, head: dict[str, Any], data: bytes = b"") -> None:
    """Send one message."""
    text = json.dumps({**head, "size": len(data)}).encode()
    link.sendall(LENGTH.pack(len(text)) + text + data)


def receive(link: socket.socket) -> tuple[dict[str, Any], bytes] | None:
    """Return the next message, None at the end. Raises ValueError for what is none."""
    length = _exactly(link, LENGTH.size)
    if length is None:
        return None
    (size,) = LENGTH.unpack(length)
    if size > MAX_HEAD:
        raise ValueError("a head is too long")
    text = _exactly(link, size)
    head = None if text is None else json.loads(text)
    if not isinstance(head, dict) or not 0 <= int(head.get("size", 0)) <= MAX_DATA:
        raise ValueError("no message")
    data = _exactly(link, int(head.get("size", 0)))
    return None if data is None else (head, data)


def _exactly(link: socket.socket, count: int) -> bytes | None:
    data = bytearray()
    while len(data) < count:
        piece = link.recv(min(count - len(data), 1 << 18))
        if not piece:
            return None
        data += piece
    return bytes(data)


def _plain(name: str) -> str:
    """Return a name that is a folder's. Raises ValueError."""
    if not name or "/" in name or name.startswith("."):
        raise ValueError(f"{name!r} is no plain name")
    return name


def _inside(folder: Path, name: str) -> None:
    """Refuse a name that leads out. Raises ValueError."""
    if not (folder / name).resolve().is_relative_to(folder):
        raise ValueError(f"{name!r} leads out of the trial's folder")
