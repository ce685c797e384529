"""Reproduction `no-fix`: what the detectors say of places they were never taught.

Frames of land, sea and overcast anywhere between 60 S and 72 N, at least AWAY_DEG from
every region with a detector (overcast ones may lie over a region), over both imageries
where the tiles are at hand. Every detector looks at every frame, without the region
classifier before it: harder than flight, where the classifier keeps most of them away.
A frame is accepted when a pose passes the gate and the dense check. None may.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import lla_from_ecef
from flightsw.vision.catalog import read_catalog
from flightsw.vision.finder import FrameResult, FrameStatus, find_landmarks
from flightsw.vision.models import Models, load_models
from groundtools import models_folder
from groundtools.imagery import Imagery, open_imagery
from groundtools.imagery.mercator import metres_per_pixel, pixel_from_lonlat
from groundtools.imagery.shared import shared_data_dir
from groundtools.registry import Check, Reproduction, Scale, at_most, noted
from groundtools.statistics import wilson_interval
from vinsat_sim.clouds import cloud_field
from vinsat_sim.scene.frame import encode_jpeg, render_frame
from vinsat_sim.views import REFERENCE_CAMERA, View, ViewSampler

Array = NDArray[np.float64]

TILES = Path("imagery") / "bmng_z8_land_60S_72N.tar"
FRAMES = {"quick": 216, "full": 1_512}  # a third each: land, sea, overcast
SEED = 7_700
AWAY_DEG = 8.0
OVERCAST = 0.995  # share of the sky
LAND_SHARE, SEA_SHARE = 0.3, 0.02  # of a frame: above it is land, below it is sea
LEVEL, HALF_FRAME_M = 5, 300e3  # where land and sea are told apart
WORLD_DEG = (-180.0, -60.0, 180.0, 72.0)
KINDS = ("land", "sea", "overcast")


def run(scale: Scale) -> tuple[Check, ...]:
    """Draw the frames, let every detector look at each, count what is accepted."""
    models = load_models(models_folder())
    imageries = _imageries()
    towards = _towards_landmarks(models)
    frames = [_frame(index, towards, imageries) for index in range(FRAMES[scale])]
    alone = _one_detector_each(models)
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        seen = list(pool.map(lambda single: _looks(single, frames), alone))
    accepted = {kind: _count(seen, kind, (FrameStatus.FIX,)) for kind in KINDS}
    checked = {kind: _count(seen, kind, (FrameStatus.FIX, FrameStatus.FAILED_CHECK)) for kind in KINDS}
    total, looks = sum(accepted.values()), len(frames) * len(alone)
    return (
        at_most("accepted", total, 0, interval=wilson_interval(total, looks)),
        noted("frames", len(frames)),
        noted("looks (frames x detectors)", looks),
        *(noted(f"accepted, {kind}", accepted[kind]) for kind in KINDS),
        *(noted(f"passed the gate, met the dense check, {kind}", checked[kind]) for kind in KINDS),
        noted("highest contrast of the dense check (8 and more accepts)", _highest_contrast(seen)),
        noted("imageries", ", ".join(imagery.name for imagery in imageries)),
    )


def _looks(models: Models, frames: list[bytes]) -> list[FrameResult]:
    return [find_landmarks(models, jpeg, REFERENCE_CAMERA) for jpeg in frames]


def _count(seen: list[list[FrameResult]], kind: str, which: tuple[FrameStatus, ...]) -> int:
    return sum(_kind(k) == kind and look.status in which for one in seen for k, look in enumerate(one))


def _highest_contrast(seen: list[list[FrameResult]]) -> float:
    contrasts = [look.score.contrast for one in seen for look in one if look.score is not None]
    return float(np.nanmax([0.0, *contrasts]))


def _imageries() -> list[Imagery]:
    """Return the embedded imagery, and the tiles where they are at hand."""
    folder = shared_data_dir()
    tiles = [] if folder is None or not (folder / TILES).is_file() else [str(folder / TILES)]
    return [open_imagery(spec) for spec in ("embedded", *tiles)]


def _one_detector_each(models: Models) -> list[Models]:
    """Return the models once for each detector, with it alone and no classifier before it."""
    return [
        replace(models, manifest=replace(models.manifest, region=(place,)), classifier=None)
        for place in models.manifest.region
        if place.detector
    ]


def _kind(index: int) -> str:
    return KINDS[index % len(KINDS)]


def _frame(index: int, towards: Array, imageries: list[Imagery]) -> bytes:
    """Return the JPEG of a frame: a pure function of its index and the imagery."""
    rng = np.random.default_rng([SEED, index])
    imagery = imageries[index // len(KINDS) % len(imageries)]
    sampler = ViewSampler(imagery, WORLD_DEG)
    while True:
        view = sampler.draw(rng)
        if _kind(index) == "overcast":
            clouds = cloud_field(int(rng.integers(2**31)), cover=OVERCAST)
            view = replace(view, scene=replace(view.scene, clouds=clouds))
            break
        if _is_elsewhere(view, towards) and _matches(_kind(index), _land_below(view, imagery)):
            break
    pixels = render_frame(
        view.scene, REFERENCE_CAMERA, view.r_ecef, view.cam_from_ecef, view.sun_ecef, seed=view.seed
    )
    return encode_jpeg(pixels, view.quality)


def _is_elsewhere(view: View, towards: Array) -> bool:
    """Tell whether the point below is AWAY_DEG of arc from every landmark, unit vectors (N, 3)."""
    up = view.r_ecef / np.linalg.norm(view.r_ecef)
    return bool(np.max(towards @ up) < np.cos(np.radians(AWAY_DEG)))


def _towards_landmarks(models: Models) -> Array:
    """Return unit vectors (N, 3), ecef, towards the landmarks of every detector."""
    equipped = [place for place in models.manifest.region if place.detector]
    p = np.concatenate([read_catalog(models.folder / place.catalog.file).p_ecef for place in equipped])
    return np.asarray(p / np.linalg.norm(p, axis=1, keepdims=True))


def _land_below(view: View, imagery: Imagery) -> float:
    """Return the share of land within about half a frame of the point below."""
    lat, lon, _ = lla_from_ecef(view.r_ecef)
    return land_share(float(np.rad2deg(lat)), float(np.rad2deg(lon)), imagery)


def land_share(lat_deg: float, lon_deg: float, imagery: Imagery) -> float:
    """Return the share of land within about half a frame of a place."""
    lat, lon = np.deg2rad(lat_deg), np.deg2rad(lon_deg)
    x, y = np.asarray(pixel_from_lonlat(lon, lat, level=LEVEL)).reshape(-1).astype(int)
    half = int(HALF_FRAME_M / metres_per_pixel(lat, LEVEL))
    return float(np.mean(imagery.land(x - half, y - half, x + half, y + half, level=LEVEL)) / 255.0)


def _matches(kind: str, land: float) -> bool:
    return land > LAND_SHARE if kind == "land" else land < SEA_SHARE


REPRODUCTION = Reproduction(
    id="no-fix",
    title="Land, sea and overcast of other places: no detector may claim a fix",
    run=run,
    seeds=lambda scale: (SEED,),
)
