"""The sets of models, A and B: one in use, the other to be uplinked to and to mend from.

A set is a models folder with its sealed manifest, of which this module knows no more than
that every file is a table with `file`, `sha256` and `bytes`: what else it says is for the
inference worker, the only process that loads the networks' runtime. A file that does not have its checksum
is written again from the other set where that has it; an activated set is on trial until
frames have passed through it, and a trial that fails goes back by itself.
"""

import hashlib
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flightsw.errors import InputError, VinsatError
from flightsw.files import read_bytes, write_together
from flightsw.runtime.fly.journal import Journal

NAME = "models"
DEFAULT = {"active": 0, "trial": 0}
TRIAL_FRAMES = 10  # that must pass through a set before it is trusted
LETTERS = "AB"
MANIFEST, SEAL = "manifest.toml", "manifest.sha256"
MAX_FILE = 64_000_000  # bytes


@dataclass(frozen=True, slots=True)
class SetFile:
    """A file of a set, as its manifest has it."""

    file: str
    sha256: str
    bytes: int


def read_set(folder: Path) -> list[SetFile]:
    """Return the files that a sealed manifest names. Raises InputError."""
    data = read_bytes(folder / MANIFEST, max_bytes=MAX_FILE)
    seal = read_bytes(folder / SEAL, max_bytes=1000).decode("ascii", "replace").split()
    if not seal or seal[0] != hashlib.sha256(data).hexdigest():
        raise InputError(f"is not the one {SEAL} was made for", file=folder / MANIFEST)
    try:
        files = list(_tables(tomllib.loads(data.decode())))
    except (ValueError, RecursionError):
        raise InputError("is not TOML", file=folder / MANIFEST) from None
    if any("/" in one.file or one.file.startswith(".") for one in files):
        raise InputError("names a file outside", file=folder / MANIFEST)
    return files


def _tables(value: Any) -> Iterator[SetFile]:
    """Return every table of a file, wherever it stands."""
    if isinstance(value, dict):
        name, sha256, size = (value.get(key) for key in ("file", "sha256", "bytes"))
        if isinstance(name, str) and isinstance(sha256, str) and isinstance(size, int):
            yield SetFile(name, sha256, size)
        else:
            for item in value.values():
                yield from _tables(item)
    elif isinstance(value, list):
        for item in value:
            yield from _tables(item)


class ModelSets:
    """Which folder is in use. problem : why none can be used, "" where one can."""

    def __init__(self, journal: Journal, folders: tuple[Path, ...]) -> None:
        self._journal, self._folders = journal, folders
        kept = journal.load(NAME, DEFAULT)
        self._active = int(kept["active"]) % len(folders)
        self._trial = int(kept["trial"])
        self._scrub: list[SetFile] = []
        self.problem, self.mended = "", 0

    @property
    def active(self) -> Path:
        """Return the folder in use."""
        return self._folders[self._active]

    @property
    def spare(self) -> Path | None:
        """Return the folder not in use, None where there is but one."""
        return self._folders[1 - self._active] if len(self._folders) == 2 else None

    def check_all(self) -> None:
        """Check every file of the set in use, mend what can be mended; else use the other set."""
        self.problem = self._check(self.active)
        if self.problem and self.spare is not None and not self._check(self.spare):
            self._switch("MODELS_ROLLED_BACK", trial=0)
            self.problem = ""
        if self.problem:
            self._journal.event("NO_MODELS", detail=self.problem)

    def scrub_one(self) -> bool:
        """Check the next file of the set in use; tell whether the set had to be mended or left."""
        if not self._scrub:
            try:
                self._scrub = read_set(self.active)
            except VinsatError:
                self.check_all()
                return True
        entry = self._scrub.pop()
        if not _damage(self.active, entry):
            return False
        self.check_all()
        self._scrub = []
        return True

    def frame_passed(self) -> None:
        """Count a frame that the set in use was good for."""
        if self._trial:
            self._trial -= 1
            self._keep()

    def failed(self) -> bool:
        """Tell whether a set on trial was left because the worker failed with it."""
        if not self._trial or self.spare is None:
            return False
        self._switch("MODELS_ROLLED_BACK", trial=0)
        return True

    def activate(self) -> str:
        """Use the other set, once it is whole; return "" or why not."""
        if self.spare is None:
            return "there is one set only"
        self._fill(self.spare, self.active)
        problem = self._check(self.spare)
        if not problem:
            self._switch("MODELS_ACTIVATED", trial=TRIAL_FRAMES)
        return problem

    def roll_back(self) -> str:
        """Use the other set again; return "" or why not."""
        if self.spare is None:
            return "there is one set only"
        problem = self._check(self.spare)
        if not problem:
            self._switch("MODELS_ROLLED_BACK", trial=0)
        return problem

    def _switch(self, event: str, *, trial: int) -> None:
        self._active, self._trial, self._scrub, self.problem = 1 - self._active, trial, [], ""
        self._keep()
        self._journal.event(event, detail=f"set {LETTERS[self._active]}")

    def _keep(self) -> None:
        self._journal.save(NAME, {"active": self._active, "trial": self._trial})

    def _check(self, folder: Path) -> str:
        """Return why a set cannot be used; files are mended from the other one on the way."""
        other = next((f for f in self._folders if f != folder), None)
        problem = self._mend_manifest(folder, other)
        if problem:
            return problem
        for entry in read_set(folder):
            damage = _damage(folder, entry)
            if not damage:
                continue
            self._journal.event("MODEL_DAMAGED", detail=entry.file)
            if other is None or _damage(other, entry) or not _copy(other, folder, (entry.file,)):
                return damage
            self.mended += 1
            self._journal.event("MODEL_MENDED", detail=entry.file)
        return ""

    def _mend_manifest(self, folder: Path, other: Path | None) -> str:
        """Return why there is no manifest. Only a set in use gets the other's."""
        try:
            read_set(folder)
        except VinsatError as error:
            if folder != self.active or other is None:
                return str(error)
            try:
                read_set(other)
            except VinsatError:
                return str(error)
            self._journal.event("MODEL_DAMAGED", detail=MANIFEST)
            if not _copy(other, folder, (MANIFEST, SEAL)):
                return str(error)
            self.mended += 1
            self._journal.event("MODEL_MENDED", detail=MANIFEST)
        return ""

    def _fill(self, folder: Path, source: Path) -> None:
        """Copy what a new manifest names and the set in use has, byte for byte, already."""
        try:
            entries = read_set(folder)
        except VinsatError:
            return
        for entry in entries:
            if _damage(folder, entry) and not _damage(source, entry):
                _copy(source, folder, (entry.file,))


def _damage(folder: Path, entry: SetFile) -> str:
    """Return what is wrong with a file, "" where nothing is."""
    path = folder / entry.file
    try:
        data = read_bytes(path, max_bytes=MAX_FILE)
    except InputError as error:
        return str(error)
    whole = len(data) == entry.bytes and hashlib.sha256(data).hexdigest() == entry.sha256
    return "" if whole else f"{path}: is altered"


def _copy(source: Path, target: Path, names: tuple[str, ...]) -> bool:
    """Copy files whole; tell whether that worked."""
    try:
        contents = {name: read_bytes(source / name, max_bytes=MAX_FILE) for name in names}
        write_together(target, contents)
    except (VinsatError, OSError):
        return False
    return True
