"""The only place that touches ONNX Runtime: one CPU, no arena, no spinning.

Models are ONNX files with fixed shapes; fp32 and int8 are the same to the caller.
What a model is for travels inside it as metadata (`vinsat.*` keys, see `onnx_metadata`),
so that weights cannot be given another region's class order.
"""

import ctypes
import functools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else it opens threads, a database, connections

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from flightsw.errors import ModelError
from flightsw.vision.catalog import REPLACE

Floats = NDArray[np.float32]
MAX_THREADS = 4
M_MMAP_THRESHOLD = -3  # of glibc's mallopt
LARGE_BYTES = 1 << 20


@functools.cache
def return_large_blocks() -> bool:
    """Make glibc give blocks of 1 MB and more back to the system as soon as they are free.

    By default it learns to keep them: after some frames the program held 215 MB, of which
    it used 83. Costs a fifth of a network's time in page faults. Returns whether it worked
    (another C library: no).
    """
    try:
        return bool(ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE_BYTES))
    except (OSError, AttributeError):
        return False


class Session:
    """A loaded network: `run(x) -> outputs`, float32 in and out."""

    __slots__ = ("_outputs", "_session", "path")

    def __init__(
        self,
        data: bytes,
        *,
        path: Path,
        input_shape: tuple[int, ...],
        output_shapes: Mapping[str, tuple[int, ...]],
        threads: int = 1,
    ) -> None:
        """Load ONNX bytes; ModelError names `path` when they are not the expected network."""
        return_large_blocks()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = max(1, min(threads, MAX_THREADS, os.cpu_count() or 1))
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # the arena keeps the largest frame for ever
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's own exceptions share no base but this
            reason = str(error).strip().splitlines()[0][:120]
            raise ModelError(f"is not a network ({reason})", file=path, fix=REPLACE) from error
        found = [tuple(node.shape) for node in session.get_inputs()]
        if found != [input_shape]:
            raise ModelError(f"takes {found}, not {list(input_shape)}", file=path, fix=REPLACE)
        outputs = {node.name: tuple(node.shape) for node in session.get_outputs()}
        for name, shape in output_shapes.items():
            if outputs.get(name) != shape:
                problem = f"output {name!r} is {outputs.get(name)}, not {list(shape)}"
                raise ModelError(problem, file=path, fix=REPLACE)
        self.path = path
        self._session = session
        self._outputs = list(output_shapes)

    def run(self, x: Floats) -> list[Floats]:
        """Return the outputs, in the order of `output_shapes`."""
        name = self._session.get_inputs()[0].name
        return [np.asarray(value, np.float32) for value in self._session.run(self._outputs, {name: x})]


def onnx_metadata(data: bytes) -> dict[str, str]:
    """Return an ONNX file's metadata without loading the network.

    Reads the protocol buffer's top level only: ModelProto.metadata_props is field 14, its
    entries are key (1) and value (2). Raises ValueError where it is no protocol buffer.
    """
    found = {}
    for field, entry in _fields(memoryview(data)):
        if field == 14:
            parts = dict(_fields(entry))
            key, value = (bytes(parts.get(n, b"")).decode("utf-8") for n in (1, 2))
            found[key] = value
    return found


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield (number, content) of a message's length-delimited fields, skipping others."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == 0:
            _, at = _varint(data, at)
        elif kind == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise ValueError("a field is longer than the file")
            yield tag >> 3, data[at : at + size]
            at += size
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("ends inside a number")
        value |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128:
            return value, at
    raise ValueError("a number of more than 10 bytes")
