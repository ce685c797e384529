"""A scenario that flies in a twelfth of a second, and a level that costs nothing."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from vinsat_sim.montecarlo import campaign as campaign_module
from vinsat_sim.montecarlo.outcome import Outcome, Pass
from vinsat_sim.scenario import SCENARIOS, Scenario


@pytest.fixture
def short_text() -> str:
    """Return a scenario of a minute: no satellite sees anything, each is a real trial."""
    text = (SCENARIOS / "iss-like.toml").read_text(encoding="utf-8")
    return text.replace("duration_h = 6.0", "duration_h = 0.02")


@pytest.fixture
def short_file(tmp_path: Path, short_text: str) -> Path:
    """Return the file of that scenario."""
    path = tmp_path / "short.toml"
    path.write_text(short_text, encoding="utf-8")
    return path


def made_up(seed: int) -> Outcome:
    """Return an outcome that follows from its seed: every fourth sees nothing, every 20th is wrong."""
    if seed % 4 == 0:
        return Outcome(seed=seed, status="NO_LANDMARKS", determined=False, usable_passes=0, sightings=0)
    error_km, sigma_km = 0.1 * (seed % 80), 1.0 + 0.1 * (seed % 80)
    wrong = seed % 20 == 1
    return Outcome(
        seed=seed, status="DETERMINED", determined=True, usable_passes=1 + seed % 4, sightings=100,
        error_ever_km=0.5 * error_km, error_last_image_km=error_km, error_end_km=2.0 * error_km,
        rms_km=error_km, sigma_last_image_km=sigma_km, nees=6.0 + seed % 3, nees_position=3.0 + 10.0 * wrong,
        wrong=wrong, solved=not wrong,
        passes=(Pass(lon_deg=-80.0 + seed % 100, lat_deg=30.0, start_min=12.0, frames=5, sightings=50),),
        curve_km=tuple(error_km + 0.1 * abs(k - 5) for k in range(11)),
    )  # fmt: skip


@dataclass
class Stub:
    """A level that notes what it flew, and fails where it is told to."""

    flown: list[int] = field(default_factory=list)
    fails: set[int] = field(default_factory=set)

    def __call__(self, scenario: Scenario, seed: int) -> Outcome:
        """Fly a seed."""
        self.flown.append(seed)
        if seed in self.fails:
            raise ValueError(f"seed {seed} is poison")
        return made_up(seed)


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Stub:
    """Put a level in place that costs nothing, in this process."""
    level = Stub()
    monkeypatch.setattr(campaign_module, "find_level", lambda name: level)
    return level


@pytest.fixture
def outcome() -> Callable[[int], Outcome]:
    """Return `made_up`."""
    return made_up
