"""What a trial flies: passes over landmarks, when time moves, what the camera sees.

A scenario is a TOML file; those of the package are named by their file's name. The orbit
is `flightsw.runtime.known_case`'s, propagated by the flight program's own force model: a
trial asks whether the program survives, not whether its physics is right.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.forces import Forces
from flightsw.astro.propagate import propagate
from flightsw.astro.rotation import ecef_from_eci
from flightsw.config import load_toml
from flightsw.errors import InputError
from flightsw.runtime.known_case import EPOCH, KnownCase, known_case

FOLDER = Path(__file__).parent / "scenarios"

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One kind of flight.

    inference : "observations" (a detector's table) or "models" (fixture networks look at
    rendered frames). passes_s : starts, s past the first frame; frames : a pass; every_s :
    between frames; tick_s : between instants away from passes; settle_s : after the last
    frame, free of faults; landmarks, noise_px : see `known_case`; worker_mb :
    budget of the inference worker.
    """

    name: str
    inference: Literal["observations", "models"] = "observations"
    passes_s: tuple[float, ...] = (0.0, 6000.0, 12000.0)
    frames: int = 6
    every_s: float = 10.0
    tick_s: float = 200.0
    settle_s: float = 900.0
    landmarks: int = 30
    noise_px: float = 1.0
    worker_mb: float = 120.0

    def __post_init__(self) -> None:
        """Refuse what is no flight. Raises InputError."""
        for name in ("frames", "every_s", "tick_s", "settle_s", "landmarks", "noise_px"):
            if not getattr(self, name) > 0:
                raise InputError("must be positive", field=name, fix="give a positive number")
        if not self.passes_s or sorted(self.passes_s) != list(self.passes_s):
            raise InputError("are to ascend", field="passes_s", fix="order them")

    def frame_times_s(self) -> Array:
        """Return the times of all frames (F,), s past the first."""
        one = self.every_s * np.arange(self.frames)
        return np.concatenate([start + one for start in self.passes_s])

    def tick_times_s(self) -> Array:
        """Return the instants (T,) of a run: before, at frames, after passes, and between."""
        frames = self.frame_times_s()
        last = float(frames[-1])
        after = np.concatenate([np.array([20.0, 70.0, 140.0]) + start + self.every_s * self.frames
                                for start in self.passes_s])  # fmt: skip
        between = np.arange(-20.0, last + self.settle_s, self.tick_s)
        return np.unique(np.round(np.concatenate([frames, after, between, [last + self.settle_s]]), 3))

    def faults_until_s(self) -> float:
        """Return when the last fault is over: the last pass is flown without any."""
        return float(self.passes_s[-1]) - 300.0 if len(self.passes_s) > 1 else float(self.frame_times_s()[-1])


@dataclass(frozen=True, slots=True)
class Truth:
    """The true orbit, by time past the first frame."""

    case: KnownCase

    def r_ecef(self, t_s: float) -> Array:
        """Return the true position (3,), m, ecef, at a true time."""
        state = propagate(Forces(), EPOCH, self.case.state[0], 1.0, np.array([0.0, t_s])).state[1]
        return np.asarray(ecef_from_eci(EPOCH, np.array([t_s]))[0] @ state[:3])


def load_scenario(name: str) -> Scenario:
    """Return a scenario of the package, or of a file whose name ends in .toml. Raises InputError."""
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.exists() and not name.endswith(".toml"):
        known = ", ".join(scenario_names())
        raise InputError(f"{name!r} is no scenario", field="--scenario", fix=f"one of {known}, or a .toml")
    return load_toml(path, Scenario)


def scenario_names() -> list[str]:
    """Return the scenarios of the package."""
    return sorted(entry.removesuffix(".toml") for entry in os.listdir(FOLDER) if entry.endswith(".toml"))


def flown(scenario: Scenario, seed: int) -> KnownCase:
    """Return what is seen and the truth, of a seed."""
    return known_case(
        passes_s=scenario.passes_s, frames=scenario.frames, every_s=scenario.every_s,
        landmarks=scenario.landmarks, noise_px=scenario.noise_px, seed=seed,
    )  # fmt: skip
