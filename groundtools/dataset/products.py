"""From a recipe to the pictures it asks for: each a pure function of (recipe, name)."""

import zlib
from collections.abc import Iterator
from datetime import date

import numpy as np

from groundtools.dataset.recipe import SPLITS, Recipe, Split
from groundtools.imagery.mosaics import Product, grid_around


def products(recipe: Recipe) -> Iterator[Product]:
    """Yield every product: train, validation, test; regions in order; collections in order."""
    for split_name in SPLITS:
        if split_name not in recipe.splits:
            continue
        for region in recipe.regions:
            for index in range(product_count(recipe, recipe.splits[split_name])):
                yield _product(recipe, split_name, region, index)


def product_count(recipe: Recipe, split: Split) -> int:
    """Return how many products a split has in one region."""
    return split.per_region * len(recipe.collections)


def total(recipe: Recipe, split: str) -> int:
    """Return how many products a split has."""
    return product_count(recipe, recipe.splits[split]) * len(recipe.regions)


def _product(recipe: Recipe, split_name: str, region: str, index: int) -> Product:
    split = recipe.splits[split_name]
    rng = np.random.default_rng([recipe.seed, SPLITS.index(split_name), zlib.crc32(region.encode()), index])
    west, south, east, north = recipe.bounds_deg(region)
    lon = rng.uniform(west, east)
    low, high = np.sin(np.deg2rad([south, north]))
    lat = np.rad2deg(np.arcsin(rng.uniform(low, high)))  # even over the area, not over latitude
    camera = recipe.camera
    grid = grid_around(
        float(lon),
        float(lat),
        pixel_m=camera.scale_m_px,
        width_px=camera.width_px,
        height_px=camera.height_px,
    )
    years = split.years
    return Product(
        name=f"{split_name}/{region}-{index:05d}",
        split=split_name,
        region=region,
        grid=grid,
        first_day=date(years[0], 1, 1) if years else date.min,
        last_day=date(years[-1], 12, 31) if years else date.min,
        months=split.months,
        collection=recipe.collections[index // split.per_region],
        scenes=split.scenes,
        seed=int(rng.integers(2**31)),
        number=index % split.per_region,
        siblings=split.per_region,
    )
