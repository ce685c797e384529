"""A disk in memory that records every operation, and the disks a power cut can leave behind.

Pessimistic: content written since a file's last sync may be there or not, each write on
its own (so later writes may survive earlier ones), and the last may be torn anywhere,
with zeros where a hole is left; a file that was made or removed since the last sync of
the folder may be there or not.
"""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Operation:
    """kind: write (at an offset), truncate, make, remove, sync, sync_folder, mark."""

    kind: str
    name: str = ""
    at: int = 0
    data: bytes = b""
    mark: object = None


class MemoryDisk:
    """A `Disk` over a dictionary; `trace` collects operations where it is a list."""

    def __init__(self, files=None, trace=None):
        self.files = {name: bytearray(data) for name, data in (files or {}).items()}
        self.trace = trace

    def sizes(self):
        return {name: len(data) for name, data in self.files.items()}

    def read(self, name):
        if name not in self.files:
            raise FileNotFoundError(name)
        return bytes(self.files[name])

    def append(self, name, data):
        self._make(name)
        self._note(Operation("write", name, len(self.files[name]), data))
        self.files[name] += data

    def overwrite(self, name, data):
        self._make(name)
        self._note(Operation("write", name, 0, data))
        self._note(Operation("truncate", name, len(data)))
        self.files[name] = bytearray(data)

    def sync(self, name):
        assert name in self.files
        self._note(Operation("sync", name))

    def sync_folder(self):
        self._note(Operation("sync_folder"))

    def remove(self, name):
        self._note(Operation("remove", name))
        self.files.pop(name, None)

    def close(self):
        pass

    def mark(self, what):
        self._note(Operation("mark", mark=what))

    def _make(self, name):
        if name not in self.files:
            self._note(Operation("make", name))
            self.files[name] = bytearray()

    def _note(self, operation):
        if self.trace is not None:
            self.trace.append(operation)


def apply(content: bytearray, operation: Operation, length: int | None = None) -> bytearray:
    """Return a file's content after an operation of which only `length` bytes arrived."""
    if operation.kind == "truncate":
        return content[: operation.at] + bytes(max(operation.at - len(content), 0))
    data = operation.data if length is None else operation.data[:length]
    if not data:
        return content
    content = content + bytes(max(operation.at - len(content), 0))
    return content[: operation.at] + data + content[operation.at + len(data) :]


@dataclass
class Medium:
    """What is surely on the medium after a prefix of the trace, and what is on its way."""

    content: dict[str, bytearray] = field(default_factory=dict)
    pending: dict[str, list[Operation]] = field(default_factory=dict)
    present: set[str] = field(default_factory=set)
    entries: list[Operation] = field(default_factory=list)  # makes and removes, not yet synced
    last: Operation | None = None

    def advance(self, operation: Operation) -> None:
        name = operation.name
        if operation.kind == "make":
            self.content[name], self.pending[name] = bytearray(), []
            self.entries.append(operation)
        elif operation.kind == "remove":
            self.entries.append(operation)
        elif operation.kind in ("write", "truncate"):
            self.pending[name].append(operation)
        elif operation.kind == "sync":
            for one in self.pending[name]:
                self.content[name] = apply(self.content[name], one)
            self.pending[name] = []
        elif operation.kind == "sync_folder":
            for one in self.entries:
                (self.present.add if one.kind == "make" else self.present.discard)(one.name)
            self.entries = []
        self.last = operation

    def cut(self, rng: np.random.Generator, variant: int) -> MemoryDisk:
        """Return one disk that a power cut can leave: 0 nothing on its way arrived, 1 all, else some."""
        present = set(self.present)
        for one in self.entries:
            if variant == 1 or (variant > 1 and rng.random() < 0.7):
                (present.add if one.kind == "make" else present.discard)(one.name)
        files = {}
        for name in present:
            content = self.content[name]
            for one in self.pending[name]:
                content = self._arrived(content, one, rng, variant)
            files[name] = bytes(content)
        return MemoryDisk(files)

    def _arrived(self, content, one, rng, variant):
        if variant == 0:
            return content
        if variant == 1:
            return apply(content, one)
        if one is self.last and one.kind == "write":  # torn anywhere, or its length alone arrived
            length = int(rng.integers(0, len(one.data) + 1))
            content = apply(content, one, length)
            if rng.random() < 0.3:
                content = content + bytes(max(one.at + len(one.data) - len(content), 0))
            return content
        return apply(content, one) if rng.random() < 0.6 else content
