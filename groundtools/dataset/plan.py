"""What a recipe will take, before anything is fetched: requests, bytes, EECU, hours.

Counts and bytes are exact. Seconds and EECU are assumptions, printed with their basis:
no service publishes what a request costs.
"""

from dataclasses import dataclass

from groundtools.dataset.products import total
from groundtools.dataset.recipe import (
    SPLITS,
    EarthEngineSource,
    GeoTiffSource,
    Recipe,
    StacSource,
    TilesSource,
)
from groundtools.imagery.earthengine import requests_of
from groundtools.imagery.mosaics import Cost, Grid

FREE_TIERS_EECU_H = {"Community": 150.0, "Contributor": 1000.0}  # a month, non-commercial, since 2026-04
DAYS_A_MONTH = 30.4
EECU_FACTOR = 4.0  # the true cost is thought to lie within this factor of the assumption
SCENE_BYTES_SHARE = 0.5  # of a picture's raw size that COG readers fetch, overviews compressed


@dataclass(frozen=True, slots=True)
class Plan:
    """products by split; requests; bytes_raw : of all pictures, uncompressed; bytes_fetched;
    eecu_h; hours with `workers` at work; days : by free tier; basis : of the assumptions.
    """

    recipe: str
    products: dict[str, int]
    requests: int
    bytes_raw: int
    bytes_fetched: int
    eecu_h: float
    hours: float
    workers: int
    days: dict[str, float]
    basis: str

    @property
    def count(self) -> int:
        """How many products there are."""
        return sum(self.products.values())

    def lines(self) -> list[str]:
        """Return the plan for a reader."""
        splits = ", ".join(f"{count:,} {name}" for name, count in self.products.items())
        lines = [
            f"{self.recipe}: {self.count:,} pictures ({splits})",
            f"  {self.requests:,} requests, {_size(self.bytes_raw)} uncompressed,"
            f" about {_size(self.bytes_fetched)} to fetch,"
            f" about {self.hours:.3g} h with {self.workers} at work",
        ]
        if self.eecu_h:
            low, high = self.eecu_h / EECU_FACTOR, self.eecu_h * EECU_FACTOR
            tiers = ", ".join(
                f"{name} ({FREE_TIERS_EECU_H[name]:,.0f} EECU-h a month) {days:,.1f} days"
                for name, days in self.days.items()
            )
            lines.append(f"  about {self.eecu_h:,.0f} EECU-hours ({low:,.0f} to {high:,.0f}): {tiers}")
        return [*lines, f"  basis: {self.basis}"]


def plan(recipe: Recipe, *, workers: int = 2) -> Plan:
    """Return the plan of a recipe; nothing is opened or asked."""
    counts = {name: total(recipe, name) for name in SPLITS if name in recipe.splits}
    count = sum(counts.values())
    pixels = recipe.camera.width_px * recipe.camera.height_px
    cost, fetched, basis = product_cost(recipe)
    hours = count * cost.seconds / 3600.0 / workers
    listings = 0
    if isinstance(recipe.source, EarthEngineSource):
        hours = max(hours, count * cost.requests / (recipe.source.requests_s * workers) / 3600.0)
        if recipe.source.product == "scene":
            listings = len(recipe.regions) * len(recipe.collections) * len(counts)
    eecu_h = count * cost.eecu_s / 3600.0
    days = {}
    if eecu_h:
        days = {
            name: max(hours / 24.0, eecu_h / month * DAYS_A_MONTH)
            for name, month in FREE_TIERS_EECU_H.items()
        }
    return Plan(
        recipe=recipe.name,
        products=counts,
        requests=round(count * cost.requests) + listings,
        bytes_raw=3 * pixels * count,
        bytes_fetched=round(fetched * count),
        eecu_h=eecu_h,
        hours=hours,
        workers=workers,
        days=days,
        basis=basis,
    )


def product_cost(recipe: Recipe) -> tuple[Cost, float, str]:
    """Return the assumed cost of one product, the bytes it fetches, and the basis of both."""
    source, camera = recipe.source, recipe.camera
    pixels = camera.width_px * camera.height_px
    side_km = camera.scale_m_px / 1e3
    area_km2 = pixels * side_km**2
    if isinstance(source, EarthEngineSource):
        parts = requests_of(Grid(32631, 0.0, 0.0, 1.0, camera.width_px, camera.height_px))
        eecu_s = source.eecu_s_per_mpx * pixels / 1e6
        basis = (
            f"{source.eecu_s_per_mpx:g} EECU-s a megapixel of three bands and one EECU-s a second of waiting"
            " are assumed, not measured: take your own project's figure from Cloud Monitoring"
            " (workload tag vinsat-dataset) after the first hundred and set eecu_s_per_mpx"
        )
        return Cost(parts, max(2.0, eecu_s), eecu_s), 3.0 * pixels, basis
    if isinstance(source, StacSource):
        scenes = max(1.0, area_km2 / 110.0**2 * 1.6)
        files = 3 + bool(source.mask_band)
        fetched = SCENE_BYTES_SHARE * 3 * 2 * pixels + bool(source.mask_band) * scenes * 1.0e6
        basis = (
            f"{scenes:.0f} scenes of 110 km a picture (1.6 times its area), {files} files of each in two"
            " reads, 0.15 s a read, overviews at the picture's scale: assumed"
        )
        reads = scenes * files * 2
        return Cost(reads, 0.15 * reads), fetched, basis
    if isinstance(source, TilesSource):
        tiles = area_km2 / (256 * 40_075.0 / (256 << source.level)) ** 2 * 2.0 + 4.0
        return Cost(tiles, 0.05 * tiles), tiles * 20e3, f"{tiles:.0f} tiles of 20 kB a picture, 0.05 s each"
    if isinstance(source, GeoTiffSource):
        return Cost(0.0, pixels * 1e-7), 0.0, "0.1 s a megapixel, local files"
    return Cost(0.0, pixels * 3e-7), 0.0, "0.3 s a megapixel, rendered here"


def _size(count: float) -> str:
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB")):
        if count >= unit:
            return f"{count / unit:.2f} {name}"
    return f"{count / 1e3:.0f} kB"
