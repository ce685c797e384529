"""Values as bytes by their declared types: big-endian, in order, without gaps.

Types: u8 u16 u32 u64 i8 i16 i32 i64 f32 f64; text:N (UTF-8, zero-padded to N bytes);
hex:N (N bytes); bytes (all that is left, last field only).
"""

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flightsw.errors import InputError

Value = int | float | str | bytes

CODES = {
    "u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i8": "b", "i16": "h", "i32": "i", "i64": "q",
    "f32": "f", "f64": "d",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """One value: name (with its unit), type, range, meaning, and names of its numbers.

    low, high : inclusive, for numbers; names : of 0, 1, 2 ..., then the range is theirs.
    """

    name: str
    type: str
    description: str = ""
    low: float | None = None
    high: float | None = None
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the type. Raises InputError."""
        kind, _, size = self.type.partition(":")
        sized = kind in ("text", "hex") and size.isdigit() and 0 < int(size) <= 512
        if self.type not in CODES and self.type != "bytes" and not sized:
            fix = f"use one of {', '.join(CODES)}, text:N, hex:N, bytes"
            raise InputError(f"{self.type!r} is not a type", field="type", fix=fix)

    @property
    def size(self) -> int | None:
        """Bytes it takes; None for `bytes`."""
        if self.type in CODES:
            return struct.calcsize(">" + CODES[self.type])
        return None if self.type == "bytes" else int(self.type.partition(":")[2])

    def named(self, value: Value) -> Value:
        """Return the name of a number that has one, else the value."""
        return self.names[value] if isinstance(value, int) and 0 <= value < len(self.names) else value

    def problem(self, value: Value) -> str:
        """Return what is wrong with a decoded value, "" where nothing is."""
        if self.names and isinstance(value, int) and not 0 <= value < len(self.names):
            return f"{self.name}: {value} is none of {', '.join(self.names)}"
        if isinstance(value, int | float):
            if not math.isfinite(value):
                return f"{self.name}: must be finite"
            below = self.low is not None and value < self.low
            if below or (self.high is not None and value > self.high):
                return f"{self.name}: {value:g} is outside {self.low} to {self.high}"
        return ""


def encode_fields(fields: Sequence[Field], values: Mapping[str, Value]) -> bytes:
    """Return values in the order of their fields. Raises ValueError naming the field."""
    unknown = set(values) - {field.name for field in fields}
    if unknown:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    out = bytearray()
    for field in fields:
        if field.name not in values:
            raise ValueError(f"{field.name}: is missing")
        out += _encode(field, values[field.name])
    return bytes(out)


def decode_fields(fields: Sequence[Field], data: bytes) -> dict[str, Value] | None:
    """Return the values by name; None where the length is not theirs or a text is no UTF-8."""
    values: dict[str, Value] = {}
    at = 0
    for field in fields:
        size = len(data) - at if field.size is None else field.size
        part = data[at : at + size]
        if len(part) != size:
            return None
        try:
            values[field.name] = _decode(field, part)
        except ValueError:
            return None
        at += size
    return values if at == len(data) else None


def _encode(field: Field, value: Value) -> bytes:
    if isinstance(value, str) and field.names:
        if value not in field.names:
            raise ValueError(f"{field.name}: {value!r} is none of {', '.join(field.names)}")
        value = field.names.index(value)
    if field.type in CODES:
        kind = float if field.type[0] == "f" else int
        if not isinstance(value, int | float) or (kind is int and value != int(value)):
            raise ValueError(f"{field.name}: must be a number of type {field.type}")
        try:
            return struct.pack(">" + CODES[field.type], kind(value))
        except (struct.error, OverflowError):
            raise ValueError(f"{field.name}: {value} does not fit {field.type}") from None
    raw = value.encode() if isinstance(value, str) else value
    if not isinstance(raw, bytes):
        raise ValueError(f"{field.name}: must be text or bytes")
    if field.size is None:
        return raw
    if len(raw) > field.size or (field.type.startswith("hex") and len(raw) != field.size):
        raise ValueError(f"{field.name}: {len(raw)} bytes do not fit {field.type}")
    return raw.ljust(field.size, b"\0")


def _decode(field: Field, part: bytes) -> Value:
    if field.type in CODES:
        value: int | float = struct.unpack(">" + CODES[field.type], part)[0]
        return value
    return part.rstrip(b"\0").decode() if field.type.startswith("text") else part
