"""Reading files that may be anything, and writing files that are whole or absent.

Every failure is one of the package's errors with the file, the problem and the fix: a
file is measured before it is read, so that a gigabyte never reaches memory, and a file
is written beside its place and renamed into it, so that no reader sees half of one.
"""

import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from flightsw.errors import InputError, UsageError

MB = 1_000_000  # bytes


def read_bytes(path: str | os.PathLike[str], *, max_bytes: int, allow_empty: bool = False) -> bytes:
    """Return the content of a regular file of at most `max_bytes`.

    Raises InputError: missing, not a regular file (a folder, a pipe, a device), not
    readable, empty, too large. The limit also holds for files that lie about their size.
    """
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise InputError("is not a regular file", file=path, fix="give a file")
            if status.st_size > max_bytes:
                raise _too_large(path, status.st_size, max_bytes)
            content = file.read(max_bytes + 1)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError("does not exist", file=path, fix="check the path") from None
    except IsADirectoryError:
        raise InputError("is a folder", file=path, fix="give a file") from None
    except PermissionError:
        raise InputError("may not be read", file=path, fix="check its permissions") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise InputError(f"cannot be read ({_reason(error)})", file=repr(str(path))[1:-1]) from None
    if len(content) > max_bytes:
        raise _too_large(path, len(content), max_bytes)
    if not content and not allow_empty:
        raise InputError("is empty (0 bytes)", file=path, fix="write the file again")
    return content


def read_text(path: str | os.PathLike[str], *, max_bytes: int, allow_empty: bool = False) -> str:
    """Return the text of a UTF-8 file (a byte-order mark is dropped).

    Raises InputError as `read_bytes`, and where the bytes are not UTF-8 text.
    """
    content = read_bytes(path, max_bytes=max_bytes, allow_empty=allow_empty)
    if b"\0" in content:
        at = content.index(b"\0")
        raise InputError(f"is not text: a zero byte at offset {at}", file=path, fix="write it as UTF-8 text")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"is not UTF-8: byte 0x{content[error.start]:02x}",
            file=path,
            field=f"line {line}",
            fix="save it as UTF-8",
        ) from None


def prepare_folder(folder: str | os.PathLike[str]) -> Path:
    """Make an output folder and prove that a file can be written into it; return its path.

    Raises UsageError (exit code 2). Called before long work, so that the work is not lost.
    """
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from None
    return path


def write_together(
    folder: str | os.PathLike[str],
    contents: Mapping[str, str] | Mapping[str, bytes] | Mapping[str, str | bytes],
    *,
    stale: tuple[str, ...] = (),
) -> None:
    """Write files into one folder: all of them, or none.

    contents : name -> content. All are first written whole under temporary names and
    flushed to the disk; then the files named in `stale` are removed, then all are renamed
    into place in the given order, so the last one marks a complete set: name it in
    `stale` too where an old set may be there. Raises UsageError (exit code 2).
    """
    path = prepare_folder(folder)
    for name in (*contents, *stale):
        if (path / name).is_dir():
            raise _unwritable(path / name, IsADirectoryError("a folder of that name is there"))
    temporary: dict[str, str] = {}
    try:
        for name, content in contents.items():
            temporary[name] = _write_temporary(path, name, content)
        for name in stale:
            (path / name).unlink(missing_ok=True)
        for name in contents:
            os.replace(temporary[name], path / name)
            del temporary[name]
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        for leftover in temporary.values():
            Path(leftover).unlink(missing_ok=True)


def _open_without_waiting(path: str, flags: int) -> int:
    """Open so that a pipe without a writer does not block."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _write_temporary(folder: Path, name: str, content: str | bytes) -> str:
    """Write one file whole under a temporary name of `folder`; return that name."""
    handle, temporary = tempfile.mkstemp(prefix=f".{name}.", suffix=".part", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return temporary


def _umask() -> int:
    """Return the process's file mode mask (it can only be read by setting it)."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _too_large(path: str | os.PathLike[str], size: int, max_bytes: int) -> InputError:
    return InputError(
        f"is too large: {size / MB:.1f} MB or more, at most {max_bytes / MB:g} MB are read",
        file=path,
        fix="check that it is the right file, or split it",
    )


def _unwritable(path: Path, error: Exception) -> UsageError:
    shown = repr(str(path))[1:-1]
    return UsageError(f"{shown}: cannot be written ({_reason(error)}); choose another output folder")


def _reason(error: Exception) -> str:
    """Return the operating system's words for an error, without the path."""
    return (getattr(error, "strerror", None) or str(error)).lower()
