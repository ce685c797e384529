"""Labels by geometry: where the catalogues' landmarks are in each picture of a data set.

A mosaic's grid, or a camera view's pose, says where a place lies; nobody draws anything.
A landmark is labelled where its own centre is inside the picture and pictured. Its box is
its catalogued size at the picture's scale, cut at the edges; the centre is kept apart,
because the middle of a cut box is not where the landmark is. Landmarks are looked up at
height 0, as pictures are warped to the ellipsoid.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import ecef_from_lla
from flightsw.camera.model import Camera
from flightsw.camera.project import observe, over_horizon
from flightsw.errors import InputError
from flightsw.vision.catalog import read_catalog
from groundtools.dataset import store
from groundtools.dataset.recipe import Recipe
from groundtools.dataset.store import Entry
from groundtools.landmarks.regions import REGION_IDS, region_by_id

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Landmarks of all regions with a catalogue, in the regions' order.

    ids (N,); region (N,) : index in REGION_IDS; lon_deg, lat_deg, size_km (N,); class_id (N,) : of
    the data set's detectors, -1 for landmarks of regions it does not cover.
    """

    ids: tuple[str, ...]
    region: NDArray[np.int64]
    lon_deg: Array
    lat_deg: Array
    size_km: Array
    class_id: NDArray[np.int64]

    @property
    def class_names(self) -> list[str]:
        """Return the names of the classes, in their order."""
        return [name for name, number in zip(self.ids, self.class_id, strict=True) if number >= 0]


@dataclass(frozen=True, slots=True)
class Labels:
    """What one picture shows. index (K,) : into `Landmarks`; uv_px (K, 2) : centres;
    box_px (K, 4) : left, top, right, bottom, cut at the edges.
    """

    index: NDArray[np.int64]
    uv_px: Array
    box_px: Array


def read_landmarks(recipe: Recipe, models: Path) -> Landmarks:
    """Return the landmarks of a models folder; those of the recipe's own regions are classes."""
    parts = []
    covered = covered_regions(recipe)
    for number, region in enumerate(REGION_IDS):
        path = models / f"{region}.cat"
        if path.is_file():
            parts.append((number, region, read_catalog(path)))
    if not parts:
        raise InputError(
            "holds no landmark catalogue",
            file=models,
            fix="vinsat landmarks select, or name another --models",
        )
    own = np.concatenate([np.full(len(catalog), region in covered) for _, region, catalog in parts])
    return Landmarks(
        ids=tuple(name for _, _, catalog in parts for name in catalog.ids),
        region=np.concatenate([np.full(len(catalog), number) for number, _, catalog in parts]),
        lon_deg=np.concatenate([catalog.lon_deg for _, _, catalog in parts]),
        lat_deg=np.concatenate([catalog.lat_deg for _, _, catalog in parts]),
        size_km=np.concatenate([catalog.size_km for _, _, catalog in parts]),
        class_id=np.where(own, np.cumsum(own) - 1, -1).astype(np.int64),
    )


def covered_regions(recipe: Recipe) -> tuple[str, ...]:
    """Return the reference system's regions that the recipe's regions and areas overlap."""
    bounds = [recipe.bounds_deg(name) for name in recipe.regions]

    def overlaps(region: str) -> bool:
        w, s, e, n = region_by_id(region).bounds_deg
        return any(w < east and west < e and s < north and south < n for west, south, east, north in bounds)

    return tuple(region for region in REGION_IDS if overlaps(region))


def project(entry: Entry, landmarks: Landmarks) -> tuple[Array, Array, Bools]:
    """Return pixels (N, 2) of landmarks in a picture, their sides in px (N,), and which are inside (N,)."""
    grid, pose = entry.grid, entry.pose
    if pose is None:
        uv = grid.uv_from_lonlat(landmarks.lon_deg, landmarks.lat_deg)
        side = landmarks.size_km * 1e3 / grid.pixel_m
        seen = np.ones(len(uv), bool)
    else:
        ground = ecef_from_lla(np.deg2rad(landmarks.lat_deg), np.deg2rad(landmarks.lon_deg))
        half = (grid.width_px / 2, grid.height_px / 2)
        camera = Camera(grid.width_px, grid.height_px, pose.focal_px, pose.focal_px, *half)
        r_ecef, rotation = np.array(pose.r_ecef), np.array(pose.cam_from_ecef)
        uv, _, _ = observe(camera, rotation, r_ecef, ground)
        depth = (ground - r_ecef) @ rotation[2]
        side = landmarks.size_km * 1e3 * pose.focal_px / np.maximum(depth, 1.0)
        seen = (depth > 0.0) & ~over_horizon(r_ecef, ground)
    with np.errstate(invalid="ignore"):
        inside = ((uv > 0.0) & (uv < (grid.width_px, grid.height_px))).all(axis=1)
    return uv, side, inside & seen


def labels_of(out: Path, entry: Entry, landmarks: Landmarks) -> Labels:
    """Return the labels of a picture."""
    uv, side, inside = project(entry, landmarks)
    index = np.flatnonzero(inside)
    if entry.valid_percent < 100.0 and len(index):
        pixels = store.read_pixels(out / entry.file)
        at = np.floor(uv[index]).astype(int)
        index = index[pixels[at[:, 1], at[:, 0]].any(axis=1)]
    centre, half = uv[index], 0.5 * side[index, None]
    size = np.array([entry.grid.width_px, entry.grid.height_px])
    box = np.concatenate([np.maximum(centre - half, 0.0), np.minimum(centre + half, size)], axis=1)
    return Labels(index, centre, box)


def regions_seen(labels: Labels, landmarks: Landmarks) -> NDArray[np.int64]:
    """Return how many landmarks of each region (16,) a picture shows."""
    return np.bincount(landmarks.region[labels.index], minlength=len(REGION_IDS))
