"""A campaign on disk: every trial its own shard while it runs, one file when it is done.

DIR/scenario.toml, campaign.json {level, scenario_sha256}, trials/SEED.json (a trial each,
written whole), trials.jsonl (all trials in order of seed, once the campaign has ended or
been ended). What is read is the union of both; a trial is in it once. A line is
    {"recipe": ..., "cpu_s": ..., "outcome": {...}}  or  {"recipe", "seed", "quarantined": reason}
"""

import hashlib
import heapq
import json
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from flightsw.errors import InputError, UsageError
from groundtools.imagery.geotiff_write import write_durably
from groundtools.jobs import writing
from vinsat_sim.montecarlo.outcome import Outcome
from vinsat_sim.scenario import Scenario, parse_scenario

SCENARIO, ABOUT, SHARDS, TRIALS = "scenario.toml", "campaign.json", "trials", "trials.jsonl"


@dataclass(frozen=True, slots=True)
class Trial:
    """A stored trial: its outcome and the processor time it took, or why there is none."""

    seed: int
    outcome: Outcome | None
    quarantined: str = ""
    cpu_s: float = 0.0

    def line(self, recipe: str) -> bytes:
        """Return it as a line of the file."""
        if self.outcome is None:
            data = {"recipe": recipe, "seed": self.seed, "quarantined": self.quarantined}
        else:
            data = {"recipe": recipe, "cpu_s": round(self.cpu_s, 2), "outcome": self.outcome.as_json()}
        return json.dumps(data, separators=(",", ":")).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Campaign:
    """A folder of trials of one scenario at one level."""

    folder: Path
    level: str
    text: str

    @property
    def scenario(self) -> Scenario:
        """The scenario, as it was when the campaign began."""
        return parse_scenario(self.text)

    @property
    def recipe(self) -> str:
        """What all trials of the folder have in common."""
        return recipe_of(self.text, self.level)

    def trials(self) -> Iterator[Trial]:
        """Yield every stored trial of this recipe once, in order of seed; what is torn is left out."""
        loose = (trial for seed in sorted(self._seeds()) for trial in _read(self.shard(seed), self.recipe))
        packed = _read(self.folder / TRIALS, self.recipe)
        last = 0
        for trial in heapq.merge(loose, packed, key=attrgetter("seed")):  # of two, the shard is newer
            if trial.seed != last:
                yield trial
            last = trial.seed

    def get(self, seed: int) -> Trial | None:
        """Return a trial from its shard, None where it has none."""
        return next(_read(self.shard(seed), self.recipe), None)

    def shard(self, seed: int) -> Path:
        """Return where a trial is stored while the campaign runs."""
        return self.folder / SHARDS / f"{seed}.json"

    def put(self, trial: Trial) -> None:
        """Store a trial, whole. Raises UsageError where the disk refuses."""
        path = self.shard(trial.seed)
        with writing(path):
            path.parent.mkdir(exist_ok=True)
            write_durably(path, trial.line(self.recipe))

    def pack(self) -> None:
        """Gather all trials into one file; the shards go when it is on the disk."""
        path = self.folder / TRIALS
        with writing(path):
            temporary = path.with_name(f".{TRIALS}.part")
            with temporary.open("wb") as file:
                for trial in self.trials():
                    file.write(trial.line(self.recipe))
            temporary.replace(path)
            for seed in self._seeds():
                self.shard(seed).unlink()
            if (self.folder / SHARDS).is_dir():
                (self.folder / SHARDS).rmdir()

    def _seeds(self) -> list[int]:
        """Return the seeds that have a shard."""
        return [int(path.stem) for path in (self.folder / SHARDS).glob("*.json") if path.stem.isdigit()]


def start(folder: Path, text: str, level: str) -> Campaign:
    """Begin a campaign in a folder, or take up the one of the same scenario and level in it.

    Raises UsageError where another one, or something else, is there.
    """
    campaign = Campaign(folder, level, text)
    if (folder / ABOUT).is_file():
        there = open_campaign(folder)
        if (there.text, there.level) != (text, level):
            raise UsageError(f"{folder}: holds a campaign of another scenario or level; choose another --out")
        return there
    if folder.is_dir() and any(path.name not in (SCENARIO, SHARDS) for path in folder.iterdir()):
        raise UsageError(f"{folder}: is not empty and no campaign; choose another --out")
    about = {"level": level, "scenario_sha256": sha256(text.encode())}
    with writing(folder):
        (folder / SHARDS).mkdir(parents=True, exist_ok=True)
        write_durably(folder / SCENARIO, text.encode())
        write_durably(folder / ABOUT, (json.dumps(about, indent=2) + "\n").encode())
    return campaign


def open_campaign(folder: Path) -> Campaign:
    """Return the campaign of a folder. Raises InputError where there is none, or an altered one."""
    fix = "vinsat sim campaign SCENARIO --out DIR makes one"
    try:
        text = (folder / SCENARIO).read_text(encoding="utf-8")
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        level, digest = str(about["level"]), str(about["scenario_sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError("is no campaign", file=folder, fix=fix) from None
    if digest != sha256(text.encode()):
        raise InputError("is not the scenario the campaign was begun with", file=folder / SCENARIO)
    return Campaign(folder, level, text)


def recipe_of(text: str, level: str) -> str:
    """Return the hash of what a trial depends on besides its seed and the program."""
    return sha256(f"{level}\n{text}".encode())[:16]


def sha256(content: bytes) -> str:
    """Return the hash of a content, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _read(path: Path, recipe: str) -> Iterator[Trial]:
    """Yield the trials of a file; a line that is torn or of another recipe is left out."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                trial = _trial(json.loads(line), recipe)
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
            if trial is not None:
                yield trial


def _trial(data: dict[str, Any], recipe: str) -> Trial | None:
    if data["recipe"] != recipe:
        return None
    if "quarantined" in data:
        return Trial(int(data["seed"]), None, str(data["quarantined"]))
    outcome = Outcome.of(data["outcome"])
    return Trial(outcome.seed, outcome, cpu_s=float(data["cpu_s"]))
