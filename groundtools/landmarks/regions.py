"""The sixteen regions of the reference system, and which of them get a detector.

Bounds are degrees west, south, east, north (east positive), as in the published
system: 6 x 8 deg cells named like the military grid zones they lie in. The order is
the class order of the region classifier; it travels in the manifest.
"""

from dataclasses import dataclass

from flightsw.errors import UsageError


@dataclass(frozen=True, slots=True)
class Region:
    """A cell of longitude and latitude, degrees."""

    id: str
    west_deg: float
    south_deg: float
    east_deg: float
    north_deg: float

    @property
    def bounds_deg(self) -> tuple[float, float, float, float]:
        """West, south, east, north."""
        return self.west_deg, self.south_deg, self.east_deg, self.north_deg


REGIONS: tuple[Region, ...] = tuple(
    Region(name, west, south, west + 6.0, south + 8.0)
    for name, west, south in (
        ("10S", -126.0, 32.0),
        ("10T", -126.0, 40.0),
        ("11R", -120.0, 24.0),
        ("12R", -114.0, 24.0),
        ("16T", -90.0, 40.0),
        ("17R", -84.0, 24.0),
        ("17T", -84.0, 40.0),
        ("18S", -78.0, 32.0),
        ("32S", 6.0, 32.0),
        ("32T", 6.0, 40.0),
        ("33S", 12.0, 32.0),
        ("33T", 12.0, 40.0),
        ("52S", 126.0, 32.0),
        ("53S", 132.0, 32.0),
        ("54S", 138.0, 32.0),
        ("54T", 138.0, 40.0),
    )
)

REGION_IDS: tuple[str, ...] = tuple(region.id for region in REGIONS)

# Coasts that every imagery shows; America, Europe and Japan in turn, so that two passes
# of one satellite within six hours are likely to meet two of them.
DETECTOR_IDS: tuple[str, ...] = ("54S", "33T", "17R", "52S", "33S", "18S", "11R", "17T")


def region_by_id(region_id: str) -> Region:
    """Return a region. Raises UsageError naming the known ones."""
    for region in REGIONS:
        if region.id == region_id:
            return region
    raise UsageError(f"no region {region_id!r}; known: {', '.join(REGION_IDS)}")
