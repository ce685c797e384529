"""A child process that does one thing at a time, may be killed at any moment, and is then
started again.

Messages are JSON behind a length, over a socket that is the child's standard input. The
child answers pings from the loop that does its work, so a ping that is answered means
work that gets done. Timeouts are in real seconds whatever clock the payload has.
"""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from enum import Enum
from typing import Any

LENGTH = struct.Struct(">I")
MAX_MESSAGE = 64_000_000  # bytes
PIECE = 1 << 18
READY_S = 30.0  # to start and load

Message = dict[str, Any]


class Lost(Enum):
    """How a worker was lost; the value is the sentence for a human."""

    ENDED = "ended by itself"
    SILENT = "did not answer in time"
    GARBLED = "answered with what is no message"


class Worker:
    """The parent's side of one child.

    restarts : times it was lost; took_s : the last task's time; was_at_task : the last time it
    was lost it had been given a task, and was not merely starting.
    """

    def __init__(self, job: str, arguments: Message, *, timeout_s: float, ping_s: float) -> None:
        self._job, self._arguments = job, arguments
        self._timeout_s, self._ping_s = timeout_s, ping_s
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._in, self._out = bytearray(), bytearray()
        self._asked, self._limit_s, self._heard = 0.0, 0.0, 0.0
        self._waiting: str | None = None  # what an answer is awaited to: ready, ping, task
        self._next: Message | None = None
        self.restarts, self.failures, self.took_s = 0, 0, 0.0
        self.was_at_task = False

    @property
    def is_running(self) -> bool:
        """Tell whether there is a process."""
        return self._process is not None

    @property
    def is_busy(self) -> bool:
        """Tell whether a task is under way."""
        return self._next is not None or self._waiting == "task"

    @property
    def pid(self) -> int | None:
        """Return the child's process id."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the child where there is none; it loads what it needs and says when it is ready."""
        if self._process is not None:
            return
        ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "flightsw.runtime.fly.child", self._job],
                stdin=theirs.fileno(),
                env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        finally:
            theirs.close()
        ours.setblocking(False)
        self._socket = ours
        self._in.clear()
        self._out.clear()
        self._send({"do": "open", **self._arguments}, "ready", READY_S)

    def ask(self, task: Message) -> None:
        """Give it a task; it must not be busy. The answer comes out of `poll`."""
        assert not self.is_busy
        self.start()
        self._next = task
        self._advance()

    def poll(self) -> Message | Lost | None:
        """Return the answer to the task, or that the worker was lost (task and all), or None."""
        if self._process is None:
            return None
        try:
            self._exchange()
        except OSError:
            return self._lose(Lost.ENDED)
        answer = self._take()
        if isinstance(answer, Lost):
            return self._lose(answer)
        if answer is not None:
            kind, self._waiting = self._waiting, None
            self._heard = time.monotonic()
            self._advance()
            if kind != "ready":
                self.failures = 0
            if kind == "task":
                self.took_s = self._heard - self._asked
                return answer
        elif self._process.poll() is not None:
            return self._lose(Lost.ENDED)
        elif self._waiting is not None and time.monotonic() - self._asked > self._limit_s:
            return self._lose(Lost.SILENT)
        elif self._waiting is None and time.monotonic() - self._heard > self._ping_s:
            self._send({"do": "ping"}, "ping", self._ping_s)
        return None

    def stop(self) -> None:
        """End the child where there is one."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        if self._socket is not None:
            self._socket.close()
        self._process, self._socket, self._waiting, self._next = None, None, None, None

    def readers(self) -> list[int]:
        """Return the socket, to wait on."""
        return [] if self._socket is None else [self._socket.fileno()]

    def _lose(self, how: Lost) -> Lost:
        self.took_s = time.monotonic() - self._asked
        self.was_at_task = self._waiting == "task"
        self.stop()
        self.restarts += 1
        self.failures += 1
        return how

    def _advance(self) -> None:
        if self._waiting is None and self._next is not None:
            task, self._next = self._next, None
            self._send(task, "task", self._timeout_s)

    def _send(self, message: Message, kind: str, limit_s: float) -> None:
        data = json.dumps(message).encode()
        self._out += LENGTH.pack(len(data)) + data
        self._waiting, self._limit_s = kind, limit_s
        self._asked = self._heard = time.monotonic()

    def _exchange(self) -> None:
        """Send and receive what can be without waiting. Raises OSError where the child is gone."""
        assert self._socket is not None
        while self._out:
            try:
                sent = self._socket.send(memoryview(self._out)[:PIECE])
            except BlockingIOError:
                break
            del self._out[:sent]
        while True:
            try:
                data = self._socket.recv(PIECE)
            except BlockingIOError:
                return
            if not data:
                if LENGTH.size <= len(self._in):
                    return  # an answer, and then the end
                raise ConnectionResetError
            self._in += data

    def _take(self) -> Message | Lost | None:
        if len(self._in) < LENGTH.size:
            return None
        (length,) = LENGTH.unpack_from(self._in)
        if length > MAX_MESSAGE:
            return Lost.GARBLED
        if len(self._in) < LENGTH.size + length:
            return None
        data = bytes(self._in[LENGTH.size : LENGTH.size + length])
        del self._in[: LENGTH.size + length]
        try:
            message = json.loads(data)
        except ValueError:
            return Lost.GARBLED
        return message if isinstance(message, dict) else Lost.GARBLED
