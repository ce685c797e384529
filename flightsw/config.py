"""Configuration: a TOML file becomes a frozen dataclass, or an error that names the key.

The dataclass is the schema. Field types may be bool, int, float, str, `T | None`,
`Literal[...]`, another dataclass (a table), tuple[T, ...] (an array of any length),
tuple[T, T, ...] of fixed length, and dict[str, T] (a table with free keys). A field
without a default is required. Numbers must be finite; an integer is accepted where a
float is meant, never the reverse, and true/false are not numbers. Values are checked by
the dataclass itself: a `__post_init__` raises InputError(problem, field="key", fix=...),
to which the loader adds the file and the path of the table.
"""

import dataclasses
import difflib
import math
import os
import tomllib
import types
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from flightsw.errors import InputError
from flightsw.files import MB, read_text

T = TypeVar("T")

MAX_TOML_BYTES = MB
MAX_SHOWN = 40  # characters of a wrong value that are quoted back


def load_toml(path: str | os.PathLike[str], cls: type[T], *, max_bytes: int = MAX_TOML_BYTES) -> T:
    """Return an instance of the dataclass `cls` read from a TOML file.

    Raises InputError with file, key path and fix for everything else.
    """
    return parse_toml(read_text(path, max_bytes=max_bytes), cls, file=path)


def parse_toml(text: str, cls: type[T], *, file: str | os.PathLike[str] = "") -> T:
    """Return an instance of `cls` from TOML text; `file` is only named in messages."""
    try:
        table = tomllib.loads(text)
    except RecursionError:
        raise InputError("is nested too deeply", file=file, fix="write plain tables") from None
    except ValueError as error:  # tomllib.TOMLDecodeError, and numbers of thousands of digits
        raise InputError(f"is not TOML: {_one_line(str(error))}", file=file) from None
    try:
        value: T = _table(table, cls, "")
    except InputError as error:
        raise type(error)(error.problem, file=file, field=error.field, fix=error.fix) from None
    return value


def _table(table: dict[str, Any], cls: Any, path: str) -> Any:
    """Return the dataclass `cls` made from one TOML table found at `path`."""
    hints = get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    for key in table:
        if key not in fields:
            raise _unknown(key, list(fields), path)
    values = {}
    for name, field in fields.items():
        if name in table:
            values[name] = _value(table[name], hints[name], _join(path, name))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            fix = f"add {name} = {_example(hints[name])}"
            raise InputError("is missing", field=_join(path, name), fix=fix)
    try:
        return cls(**values)
    except InputError as error:
        raise type(error)(error.problem, field=_join(path, error.field), fix=error.fix) from None


def _value(value: Any, kind: Any, path: str) -> Any:
    """Return `value` as `kind` (a type of the module's list), or raise InputError at `path`."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):  # only T | None: TOML has no null
        (kind,) = (arm for arm in get_args(kind) if arm is not type(None))
        return _value(value, kind, path)
    if origin is Literal:
        if value not in get_args(kind) or isinstance(value, bool):
            raise _wrong(value, path, "must be one of " + ", ".join(map(repr, get_args(kind))))
        return value
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise _wrong(value, path, "must be a table")
        return _table(value, kind, path)
    if origin is dict:
        if not isinstance(value, dict):
            raise _wrong(value, path, "must be a table")
        return {key: _value(item, get_args(kind)[1], _join(path, key)) for key, item in value.items()}
    if origin is tuple:
        return _array(value, get_args(kind), path)
    return _scalar(value, kind, path)


def _array(value: Any, kinds: tuple[Any, ...], path: str) -> tuple[Any, ...]:
    """Return a TOML array as a tuple with the element types `kinds`."""
    if not isinstance(value, list):
        raise _wrong(value, path, "must be an array")
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(value) != len(kinds):
        raise InputError(f"has {len(value)} elements", field=path, fix=f"give exactly {len(kinds)}")
    pairs = enumerate(zip(value, kinds, strict=True))
    return tuple(_value(item, kind, f"{path}[{index}]") for index, (item, kind) in pairs)


def _scalar(value: Any, kind: Any, path: str) -> Any:
    """Return a TOML scalar as bool, int, float or str."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is float and number:
        try:
            result = float(value)
        except OverflowError:
            result = math.inf
        if not math.isfinite(result):
            raise _wrong(value, path, "must be a finite number")
        return result
    if kind is int and number and isinstance(value, int):
        if abs(value) >= 2**63:
            raise InputError("is too large an integer", field=path)
        return value
    if kind in (bool, str) and isinstance(value, kind):
        return value
    raise _wrong(value, path, f"must be {_NAMES.get(kind, kind)}")


_NAMES: dict[Any, str] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: 'text in "quotes"',
}


def _example(kind: Any) -> str:
    """Return how a value of `kind` looks in TOML, for the message of a missing key."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return repr(arguments[0]).replace("'", '"')
    if origin is tuple:
        shown = arguments if arguments[-1] is not Ellipsis else arguments[:1]
        return "[" + ", ".join(_example(item) for item in shown) + "]"
    return {bool: "false", int: "1", float: "1.0", str: '"..."'}.get(kind, "...")


def _unknown(key: str, known: list[str], path: str) -> InputError:
    """Return the error for a key that the schema does not have."""
    if key and (longer := [name for name in known if name.startswith(key)]):  # a forgotten unit
        known = longer
    near = difflib.get_close_matches(key[:80], known, n=1, cutoff=0.5)
    fix = f"did you mean {near[0]}?" if near else "known keys: " + ", ".join(known)
    return InputError("is an unknown key", field=_join(path, _quoted(key)), fix=fix)


def _wrong(value: Any, path: str, must: str) -> InputError:
    shown = _one_line(repr(value))
    return InputError(f"{must}, got {shown}", field=path)


def _quoted(key: str) -> str:
    """Return a key as it may be shown: short, on one line."""
    return key if key.isidentifier() and len(key) <= MAX_SHOWN else _one_line(repr(key))


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path and key else path or key


def _one_line(text: str) -> str:
    """Return text without line breaks, cut to a length that fits a message."""
    text = " ".join(text.split())
    return text if len(text) <= 2 * MAX_SHOWN else text[: 2 * MAX_SHOWN] + "..."
