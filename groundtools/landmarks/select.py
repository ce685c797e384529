"""Choosing the landmarks of a region: the best scores, spread out, none twice.

A landmark that all imageries show comes first; where a region has fewer than sixty of
those (deserts, plains) the rest are taken from the first imagery alone.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flightsw.vision.catalog import Catalog
from groundtools.imagery import Imagery
from groundtools.landmarks.ground import CELL_M, GroundGrid, grey_of, ground_grid, read_ground
from groundtools.landmarks.regions import Region
from groundtools.landmarks.score import CHIP_PX, Candidates, find_candidates

Array = NDArray[np.float64]

MARGIN_M = 40e3  # pictures reach this far outside a region: a chip fits
CANDIDATES = 800
SEPARATION_DEG = 0.13  # 14 km
CELL_DEG = 1.0
CELL_QUOTA = 9  # landmarks a 1-deg cell may hold
SIZE_KM = CHIP_PX * CELL_M / 1e3
LEAST = 60  # landmarks a region has in any case
LEAST_SCORE = 0.004  # below it a landmark is hardly one
EDGE_DEG = 0.02  # landmarks keep this far inside the region's bounds


@dataclass(frozen=True, slots=True)
class Selection:
    """Chosen landmarks, best first: lonlat_deg (N, 2), score (N,), shared (N,): seen by all."""

    lonlat_deg: Array
    score: Array
    shared: NDArray[np.bool_]


def select_landmarks(region: Region, imageries: list[Imagery], count: int) -> Selection:
    """Return up to `count` landmarks of a region. The first imagery is the richest one."""
    grid = ground_grid(region.bounds_deg, MARGIN_M)
    greys = [grey_of(read_ground(imagery, grid)) for imagery in imageries]
    margin = round(MARGIN_M / CELL_M)
    shared = find_candidates(greys, margin, CANDIDATES)
    chosen = _spread(region, grid, shared, count, np.empty((0, 2)))
    taken = chosen.lonlat_deg
    least = min(LEAST, count)
    if len(taken) < least and len(greys) > 1:
        own = find_candidates(greys[:1], margin, CANDIDATES)
        more = _spread(region, grid, own, least - len(taken), taken)
        chosen = Selection(
            np.concatenate([taken, more.lonlat_deg]),
            np.concatenate([chosen.score, more.score]),
            np.concatenate([chosen.shared, np.zeros(len(more.score), bool)]),
        )
    return chosen


def _spread(region: Region, grid: GroundGrid, candidates: Candidates, count: int, taken: Array) -> Selection:
    """Return the best candidates that respect separation and quota, given those taken."""
    west, south, east, north = region.bounds_deg
    lonlat = grid.lonlat_deg(candidates.xy_px)
    score = candidates.score
    stretch = np.array([np.cos(np.deg2rad(0.5 * (south + north))), 1.0])
    chosen = [np.asarray(place) for place in taken]
    quota: dict[tuple[int, int], int] = {}
    for place in chosen:
        cell = _cell(place)
        quota[cell] = quota.get(cell, 0) + 1
    picked: list[int] = []
    for k in np.argsort(-score, kind="stable"):
        lon, lat = lonlat[k]
        inside = west + EDGE_DEG <= lon <= east - EDGE_DEG and south + EDGE_DEG <= lat <= north - EDGE_DEG
        cell = _cell(lonlat[k])
        if score[k] < LEAST_SCORE or not inside or quota.get(cell, 0) >= CELL_QUOTA:
            continue
        apart = np.array(chosen).reshape(-1, 2) - lonlat[k]
        if len(chosen) and np.hypot(*(apart * stretch).T).min() < SEPARATION_DEG:
            continue
        chosen.append(lonlat[k])
        picked.append(int(k))
        quota[cell] = quota.get(cell, 0) + 1
        if len(picked) == count:
            break
    return Selection(lonlat[picked].reshape(-1, 2), score[picked], np.ones(len(picked), bool))


def _cell(lonlat_deg: Array) -> tuple[int, int]:
    return int(np.floor(lonlat_deg[0] / CELL_DEG)), int(np.floor(lonlat_deg[1] / CELL_DEG))


def catalog_of(region: Region, selection: Selection) -> Catalog:
    """Return the catalogue: numbered from north to south, on the ellipsoid (height 0)."""
    order = np.lexsort((selection.lonlat_deg[:, 0], -selection.lonlat_deg[:, 1]))
    lonlat = np.round(selection.lonlat_deg[order], 6)  # 0.1 m
    count = len(lonlat)
    return Catalog(
        region.id,
        np.arange(1, count + 1),
        lonlat[:, 0],
        lonlat[:, 1],
        np.zeros(count),
        np.full(count, SIZE_KM),
    )
