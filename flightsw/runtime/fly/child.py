"""The workers' side: `python -m flightsw.runtime.fly.child inference|orbit`.

One loop: read a message, do it, answer. It ends when its parent does, by two means: the
socket's end, and a signal of the kernel should it be in the middle of its work.
"""

import contextlib
import ctypes
import json
import os
import signal
import socket
import sys
from typing import Any, Protocol

from flightsw.errors import VinsatError
from flightsw.runtime.fly.worker import LENGTH, MAX_MESSAGE

_PR_SET_PDEATHSIG = 1
NICENESS = 5  # the supervisor comes first

Message = dict[str, Any]


class Job(Protocol):
    """What a worker can do; made from the message that opens it."""

    def run(self, task: Message) -> Message:
        """Do a task and return the answer; an exception ends the process."""


def main(argv: list[str]) -> int:
    """Serve until the parent is gone."""
    _die_with_parent()
    with contextlib.suppress(OSError):  # where the service manager does not allow it
        os.nice(NICENESS)
    link = socket.socket(fileno=os.dup(0))
    job: Job | None = None
    while (task := receive(link)) is not None:
        if task["do"] == "ping":
            answer: Message = {}
        elif task["do"] == "open":
            try:
                job = _open(argv[0], task)
            except VinsatError as error:  # a damaged model: the supervisor looks after it
                sys.stderr.write(f"{argv[0]}: {error}\n")
                return error.exit_code
            answer = {}
        else:
            assert job is not None
            answer = job.run(task)
        send(link, answer)
    return 0


def receive(link: socket.socket) -> Message | None:
    """Return the next message, None at the end of the stream."""
    head = _exactly(link, LENGTH.size)
    if head is None:
        return None
    (length,) = LENGTH.unpack(head)
    data = _exactly(link, length) if length <= MAX_MESSAGE else None
    if data is None:
        return None
    message: Message = json.loads(data)
    return message


def send(link: socket.socket, message: Message) -> None:
    """Send a message, waiting as long as it takes."""
    data = json.dumps(message).encode()
    link.sendall(LENGTH.pack(len(data)) + data)


def _open(name: str, arguments: Message) -> Job:
    if name == "inference":
        from flightsw.runtime.fly.inference_job import open_inference

        return open_inference(arguments)
    from flightsw.runtime.fly.orbit_job import OrbitJob

    return OrbitJob(arguments)


def _die_with_parent() -> None:
    """Ask the kernel for SIGKILL when the parent ends, and look whether it has already."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the parent
    if os.getppid() == 1:
        sys.exit(1)


def _exactly(link: socket.socket, count: int) -> bytes | None:
    data = bytearray()
    while len(data) < count:
        piece = link.recv(min(count - len(data), 1 << 18))
        if not piece:
            return None
        data += piece
    return bytes(data)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
