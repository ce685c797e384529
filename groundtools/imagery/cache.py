"""The folder that keeps what is slow to make again: rasterised coasts, filled colours."""

import os
import tempfile
from pathlib import Path

ENVIRONMENT_VARIABLE = "VINSAT_CACHE"


def cache_dir(*parts: str) -> Path:
    """Return (and make) a folder below VINSAT_CACHE, else below the user's cache folder.

    Deleting it at any time is safe. Where it cannot be written, a temporary folder
    takes its place and the work is done again next time.
    """
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    xdg = os.environ.get("XDG_CACHE_HOME")
    base = Path(named) if named else Path(xdg or Path.home() / ".cache") / "vinsat"
    folder = base.joinpath(*parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = Path(tempfile.gettempdir(), "vinsat-cache", *parts)
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_atomically(path: Path, content: bytes) -> None:
    """Write a cache file so that no reader ever sees half of it; a full disk is ignored."""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as handle:
            handle.write(content)
        os.replace(handle.name, path)
    except OSError:
        Path(handle.name).unlink(missing_ok=True)
