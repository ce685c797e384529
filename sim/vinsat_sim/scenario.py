"""Scenarios: what a simulation draws from, read from a TOML file in sim/scenarios.

One file serves `vinsat demo` and campaigns at every level (measurements, images,
hardware). What a file leaves out has the defaults below.
"""

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal

from flightsw.config import load_toml, parse_toml
from flightsw.errors import InputError

# A link to sim/scenarios, so that a wheel carries them too.
SCENARIOS = Path(__file__).resolve().parent / "scenarios"


@dataclass(frozen=True, slots=True)
class OrbitFamily:
    """A family of orbits: uniform in altitude (of the semi-major axis), e and inclination.

    weight : how often it is drawn, relative to the others; altitude_km,
    inclination_deg : (low, high); node_local_time_h : (low, high) mean local time of the
    ascending node, None for any.
    """

    name: str
    weight: float
    altitude_km: tuple[float, float]
    eccentricity_max: float
    inclination_deg: tuple[float, float]
    node_local_time_h: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """Check the ranges. Raises InputError."""
        if self.node_local_time_h is not None:
            _ascending("node_local_time_h", self.node_local_time_h, low=0.0, high=24.0)
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
class Attitude:
    """How the body points and what is known of it, besides the scenario's constant offset.

    given : the exact attitude of every frame is handed to the flight program; slow_deg,
    slow_s : 1 sigma per axis and correlation time of a slow error, which the estimator is
    told; tumble_deg_s, tumble_min : a turn about a random axis at the arc's start, hidden.
    """

    given: bool = False
    slow_deg: float = 0.0
    slow_s: float = 1000.0
    tumble_deg_s: float = 0.0
    tumble_min: float = 0.0

    def __post_init__(self) -> None:
        """Check the ranges. Raises InputError."""
        for name in ("slow_deg", "tumble_deg_s", "tumble_min"):
            _ascending(name, (getattr(self, name),) * 2, low=0.0, high=1e4)
        if not self.slow_s > 0.0:
            raise InputError("must be positive", field="slow_s")


@dataclass(frozen=True, slots=True)
class Detector:
    """Of the measurement level alone: which error model, how dense landmarks are, how many are reported.

    errors : a parameter set of `measurement.detector`; landmarks_per_region : uniform on
    each region's area; kept : share of those in view, lit and clear that are reported.
    """

    errors: Literal["published", "shipped"] = "published"
    landmarks_per_region: int = 500
    kept: float = 0.65

    def __post_init__(self) -> None:
        """Check the ranges. Raises InputError."""
        if not 1 <= self.landmarks_per_region <= 10_000:
            raise InputError("must lie in 1..10000", field="landmarks_per_region")
        _ascending("kept", (self.kept, self.kept), low=0.0, high=1.0)


@dataclass(frozen=True, slots=True)
class Surprises:
    """What is otherwise than the flight program was told; drawn uniformly between (low, high).

    focal_error_percent : of the true over the stated focal length; blur_px : 1 sigma of the
    point spread, full-resolution px (images; at measurement level it widens the noise
    alike); ut1_error_s : how far the Earth has turned ahead of the on-board table;
    drag_factor : on the true drag.
    """

    focal_error_percent: tuple[float, float] = (0.0, 0.0)
    blur_px: tuple[float, float] = (0.0, 0.0)
    ut1_error_s: tuple[float, float] = (0.0, 0.0)
    drag_factor: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        """Check the ranges. Raises InputError."""
        _ascending("focal_error_percent", self.focal_error_percent, low=-10.0, high=10.0)
        _ascending("blur_px", self.blur_px, low=0.0, high=100.0)
        _ascending("ut1_error_s", self.ut1_error_s, low=-10.0, high=10.0)
        _ascending("drag_factor", self.drag_factor, low=0.0, high=100.0)


@dataclass(frozen=True, slots=True)
class Swarm:
    """Satellites released together: seeds 1..objects share orbit and start, and so on.

    release_m_s : 1 sigma per axis of the release velocity, which each has for itself.
    """

    objects: int = 1
    release_m_s: float = 0.0

    def __post_init__(self) -> None:
        """Check the ranges. Raises InputError."""
        if self.objects < 1:
            raise InputError("must be at least 1", field="objects")
        _ascending("release_m_s", (self.release_m_s,) * 2, low=0.0, high=100.0)


@dataclass(frozen=True, slots=True)
class Hardware:
    """Of the hardware level alone: which rig flies it, and a file of faults ("" for none)."""

    rig: str = "process"
    faults: str = ""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One arc of one satellite, as a distribution; the keys are explained in demo.toml.

    night : False lets the Sun stand SUN_WITHOUT_NIGHT_DEG high wherever a frame is taken;
    cloud_shape : (a, b) of the beta distribution of the cover between the ends of
    cloud_cover, (1, 1) being uniform; focal_sigma_percent : what the estimator is told.
    """

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
    title: str = ""
    night: bool = True
    cloud_shape: tuple[float, float] = (1.0, 1.0)
    focal_sigma_percent: float = 0.0
    attitude: Attitude = field(default_factory=Attitude)
    detector: Detector = field(default_factory=Detector)
    surprises: Surprises = field(default_factory=Surprises)
    swarm: Swarm = field(default_factory=Swarm)
    hardware: Hardware = field(default_factory=Hardware)

    def __post_init__(self) -> None:
        """Check values and ranges. Raises InputError."""
        for name in ("duration_h", "cadence_s"):
            if not getattr(self, name) > 0.0:
                raise InputError("must be positive", field=name)
        _ascending("cloud_cover", self.cloud_cover, low=0.0, high=1.0)
        if not min(self.cloud_shape) > 0.0:
            raise InputError("must be positive", field="cloud_shape")
        _ascending("focal_sigma_percent", (self.focal_sigma_percent,) * 2, low=0.0, high=10.0)
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
    return load_toml(scenario_path(name_or_path), Scenario)


def parse_scenario(text: str) -> Scenario:
    """Return the scenario that a TOML text holds."""
    return parse_toml(text, Scenario)


def scenario_path(name_or_path: str | Path) -> Path:
    """Return the file of a name in the library, or the path itself."""
    path = Path(name_or_path)
    return path if path.suffix == ".toml" else SCENARIOS / f"{path}.toml"


def scenario_names() -> tuple[str, ...]:
    """Return the names of the library's scenarios (camera.toml is a camera)."""
    return tuple(sorted(path.stem for path in SCENARIOS.glob("*.toml") if path.stem != "camera"))


def _day(field: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f"is not a day: {text!r}", field=field, fix='write "2025-01-31"') from None


def _ascending(field: str, pair: tuple[float, float], *, low: float, high: float) -> None:
    if not low <= pair[0] <= pair[1] <= high:
        raise InputError(f"must be ascending within {low:g}..{high:g}", field=field)
