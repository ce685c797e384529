"""Scenarios: what a simulation draws from, read from a TOML file in sim/scenarios."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from flightsw.config import load_toml
from flightsw.errors import InputError

# A link to sim/scenarios, so that a wheel carries them too.
SCENARIOS = Path(__file__).resolve().parent / "scenarios"


@dataclass(frozen=True, slots=True)
class OrbitFamily:
    """A family of orbits: uniform in altitude (of the semi-major axis), e and inclination.

    weight : how often it is drawn, relative to the others; altitude_km,
    inclination_deg : (low, high).
    """

    name: str
    weight: float
    altitude_km: tuple[float, float]
    eccentricity_max: float
    inclination_deg: tuple[float, float]

    def __post_init__(self) -> None:
        """Check the ranges. Raises InputError."""
        _ascending("altitude_km", self.altitude_km, low=250.0, high=1200.0)
        _ascending("inclination_deg", self.inclination_deg, low=0.0, high=180.0)
        if not self.weight > 0.0:
            raise InputError("must be positive", field="weight")
        if not 0.0 <= self.eccentricity_max < 0.1:
            raise InputError("must lie in [0, 0.1)", field="eccentricity_max")


@dataclass(frozen=True, slots=True)
class PassRule:
    """When a draw counts: `required` passes of at least `frames` frames with at least
    `landmarks` landmarks of one region in view and the sun above `sun_elevation_min_deg`;
    frames more than `gap_min` minutes apart belong to different passes.
    """

    required: int
    frames: int
    landmarks: int
    sun_elevation_min_deg: float
    gap_min: float


@dataclass(frozen=True, slots=True)
class Scenario:
    """One arc of one satellite, as a distribution; the keys are explained in demo.toml."""

    duration_h: float
    cadence_s: float
    sun_elevation_min_deg: float
    first_day: str
    last_day: str
    cloud_cover: tuple[float, float]
    pointing_offset_max_deg: float
    jitter_deg: float
    jpeg_quality: int
    orbit: tuple[OrbitFamily, ...]
    passes: PassRule

    def __post_init__(self) -> None:
        """Check values and ranges. Raises InputError."""
        for name in ("duration_h", "cadence_s"):
            if not getattr(self, name) > 0.0:
                raise InputError("must be positive", field=name)
        _ascending("cloud_cover", self.cloud_cover, low=0.0, high=1.0)
        if not self.orbit:
            raise InputError("needs at least one orbit family", field="orbit")
        if self.days[1] < self.days[0]:
            raise InputError("lies before first_day", field="last_day")
        if not 1 <= self.jpeg_quality <= 100:
            raise InputError("must lie in 1..100", field="jpeg_quality")

    @property
    def duration_s(self) -> float:
        """The length of the arc, s."""
        return self.duration_h * 3600.0

    @property
    def days(self) -> tuple[date, date]:
        """The first and the last day an arc may start on."""
        return _day("first_day", self.first_day), _day("last_day", self.last_day)


def load_scenario(name_or_path: str | Path = "demo") -> Scenario:
    """Return the scenario of a name (sim/scenarios/NAME.toml) or of a TOML file's path."""
    path = Path(name_or_path)
    return load_toml(path if path.suffix == ".toml" else SCENARIOS / f"{path}.toml", Scenario)


def _day(field: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f"is not a day: {text!r}", field=field, fix='write "2025-01-31"') from None


def _ascending(field: str, pair: tuple[float, float], *, low: float, high: float) -> None:
    if not low <= pair[0] <= pair[1] <= high:
        raise InputError(f"must be ascending within {low:g}..{high:g}", field=field)
