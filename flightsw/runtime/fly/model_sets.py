"""The sets of models, A and B: one in use, the other to be uplinked to and to mend from.

A set is a models folder with its sealed manifest. A file that does not have its checksum
is written again from the other set where that has it; an activated set is on trial until
frames have passed through it, and a trial that fails goes back by itself.
"""

from pathlib import Path

from flightsw.errors import VinsatError
from flightsw.files import read_bytes, write_together
from flightsw.runtime.fly.journal import Journal
from flightsw.vision import manifest as mf

NAME = "models"
DEFAULT = {"active": 0, "trial": 0}
TRIAL_FRAMES = 10  # that must pass through a set before it is trusted
LETTERS = "AB"


class ModelSets:
    """Which folder is in use. problem : why none can be used, "" where one can."""

    def __init__(self, journal: Journal, folders: tuple[Path, ...]) -> None:
        self._journal, self._folders = journal, folders
        kept = journal.load(NAME, DEFAULT)
        self._active = int(kept["active"]) % len(folders)
        self._trial = int(kept["trial"])
        self._scrub: list[mf.FileEntry] = []
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
                self._scrub = mf.read_manifest(self.active).files()
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
        for entry in mf.read_manifest(folder).files():
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
            mf.read_manifest(folder)
        except VinsatError as error:
            if folder != self.active or other is None:
                return str(error)
            try:
                mf.read_manifest(other)
            except VinsatError:
                return str(error)
            self._journal.event("MODEL_DAMAGED", detail=mf.NAME)
            if not _copy(other, folder, (mf.NAME, mf.SEAL)):
                return str(error)
            self.mended += 1
            self._journal.event("MODEL_MENDED", detail=mf.NAME)
        return ""

    def _fill(self, folder: Path, source: Path) -> None:
        """Copy what a new manifest names and the set in use has, byte for byte, already."""
        try:
            entries = mf.read_manifest(folder).files()
        except VinsatError:
            return
        for entry in entries:
            if _damage(folder, entry) and not _damage(source, entry):
                _copy(source, folder, (entry.file,))


def _damage(folder: Path, entry: mf.FileEntry) -> str:
    """Return what is wrong with a file, "" where nothing is."""
    try:
        mf.read_model_file(folder, entry)
    except VinsatError as error:
        return str(error)
    return ""


def _copy(source: Path, target: Path, names: tuple[str, ...]) -> bool:
    """Copy files whole; tell whether that worked."""
    try:
        contents = {name: read_bytes(source / name, max_bytes=mf.MAX_FILE_BYTES) for name in names}
        write_together(target, contents)
    except (VinsatError, OSError):
        return False
    return True
