"""Reproduction `no-fix`: what the finders say of frames that show none of their places.

Frames of land and sea anywhere between 60 S and 72 N, at least AWAY_DEG from every region,
overcast ones and mirrored ones (which may lie over a region), and noise, over both
imageries where the tiles are at hand. Every map of the models is searched in every frame,
and every detector looks at it, without the region classifier before them: harder than
flight, where the classifier keeps most away. A frame is accepted when a pose passes the
dense check. None may. Cameras of another scale are refused by name, before any frame.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import lla_from_ecef
from flightsw.errors import InputError
from flightsw.vision.catalog import read_catalog
from flightsw.vision.finder import FrameResult, FrameStatus, find_landmarks
from flightsw.vision.models import Models, load_models
from flightsw.vision.preprocess import check_camera
from groundtools import models_folder
from groundtools.imagery import Imagery, open_imagery
from groundtools.imagery.mercator import metres_per_pixel, pixel_from_lonlat
from groundtools.imagery.shared import shared_data_dir
from groundtools.landmarks.regions import REGIONS
from groundtools.registry import Check, Reproduction, Scale, at_most, noted
from groundtools.statistics import wilson_interval
from vinsat_sim.clouds import cloud_field
from vinsat_sim.scene.frame import encode_jpeg, render_frame
from vinsat_sim.views import REFERENCE_CAMERA, View, ViewSampler

Array = NDArray[np.float64]

TILES = Path("imagery") / "bmng_z8_land_60S_72N.tar"
FRAMES = {"quick": 30, "full": 1_510}  # a fifth each: see KINDS
SEED = 7_700
AWAY_DEG = 8.0
OVERCAST = 0.995  # share of the sky
LAND_SHARE, SEA_SHARE = 0.3, 0.02  # of a frame: above it is land, below it is sea
LEVEL, HALF_FRAME_M = 5, 300e3  # where land and sea are told apart
WORLD_DEG = (-180.0, -60.0, 180.0, 72.0)
KINDS = ("land", "sea", "overcast", "mirrored", "noise")


def run(scale: Scale) -> tuple[Check, ...]:
    """Draw the frames, let every map and detector look at each, count what is accepted."""
    models = load_models(models_folder())
    places = models.manifest.region
    models = replace(models, classifier=None, most_banks=len(places))
    imageries = _imageries()
    towards = _towards_landmarks(models)
    seen = []
    for index in range(FRAMES[scale]):
        seen.append(find_landmarks(models, _frame(index, towards, imageries), REFERENCE_CAMERA))
    accepted = {kind: _count(seen, kind, (FrameStatus.FIX,)) for kind in KINDS}
    checked = {kind: _count(seen, kind, (FrameStatus.FIX, FrameStatus.FAILED_CHECK)) for kind in KINDS}
    total, frames = sum(accepted.values()), len(seen)
    return (
        at_most("accepted", total, 0, interval=wilson_interval(total, frames)),
        Check(name="other_scale_is_refused", value=_is_refused(), passed=_is_refused()),
        noted("frames", frames),
        noted("maps_searched_in_each", len(places)),
        *(noted(f"accepted_{kind}", accepted[kind]) for kind in KINDS),
        *(noted(f"poses_proposed_in_frames_{kind}", checked[kind]) for kind in KINDS),
        noted("highest_contrast_of_the_dense_check_8_accepts", _highest_contrast(seen)),
        noted("imageries", ", ".join(imagery.name for imagery in imageries)),
    )


def _count(seen: list[FrameResult], kind: str, which: tuple[FrameStatus, ...]) -> int:
    return sum(_kind(k) == kind and look.status in which for k, look in enumerate(seen))


def _highest_contrast(seen: list[FrameResult]) -> float:
    contrasts = [look.score.contrast for look in seen if look.score is not None]
    return float(np.nanmax([0.0, *contrasts]))


def _is_refused() -> bool:
    """Tell whether a camera of 1 km a pixel and one of a 100 km swath are refused."""
    for factor, width in ((0.6, 2304), (1.0, 300)):
        camera = replace(REFERENCE_CAMERA, width_px=width, height_px=min(width, 1296))
        camera = replace(camera, fx_px=camera.fx_px * factor**2, fy_px=camera.fy_px * factor**2)
        try:
            check_camera(camera)
        except InputError:
            continue
        return False
    return True


def _imageries() -> list[Imagery]:
    """Return the embedded imagery, and the tiles where they are at hand."""
    folder = shared_data_dir()
    tiles = [] if folder is None or not (folder / TILES).is_file() else [str(folder / TILES)]
    return [open_imagery(spec) for spec in ("embedded", *tiles)]


def _kind(index: int) -> str:
    return KINDS[index % len(KINDS)]


def _frame(index: int, towards: Array, imageries: list[Imagery]) -> bytes:
    """Return the JPEG of a frame: a pure function of its index and the imagery."""
    rng = np.random.default_rng([SEED, index])
    kind = _kind(index)
    if kind == "noise":
        grey = rng.integers(
            0, 256, (REFERENCE_CAMERA.height_px, REFERENCE_CAMERA.width_px, 3), dtype=np.uint8
        )
        return encode_jpeg(grey, 90)
    imagery = imageries[index // len(KINDS) % len(imageries)]
    sampler = ViewSampler(imagery, WORLD_DEG)
    while True:
        view = sampler.draw(rng)
        if kind == "mirrored":
            place = REGIONS[int(rng.integers(len(REGIONS)))]
            view = ViewSampler(imagery, place.bounds_deg).draw(rng)
            break
        if kind == "overcast":
            clouds = cloud_field(int(rng.integers(2**31)), cover=OVERCAST)
            view = replace(view, scene=replace(view.scene, clouds=clouds))
            break
        if _is_elsewhere(view, towards) and _matches(kind, _land_below(view, imagery)):
            break
    pixels = render_frame(
        view.scene, REFERENCE_CAMERA, view.r_ecef, view.cam_from_ecef, view.sun_ecef, seed=view.seed
    )
    if kind == "mirrored":
        pixels = np.ascontiguousarray(pixels[:, ::-1])
    return encode_jpeg(pixels, view.quality)


def _is_elsewhere(view: View, towards: Array) -> bool:
    """Tell whether the point below is AWAY_DEG of arc from every landmark, unit vectors (N, 3)."""
    up = view.r_ecef / np.linalg.norm(view.r_ecef)
    return bool(np.max(towards @ up) < np.cos(np.radians(AWAY_DEG)))


def _towards_landmarks(models: Models) -> Array:
    """Return unit vectors (N, 3), ecef, towards the landmarks of every place."""
    places = models.manifest.region
    p = np.concatenate([read_catalog(models.folder / place.catalog.file).p_ecef for place in places])
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
    title="Land, sea and cloud of other places, mirrored frames, noise: no finder may claim a fix",
    run=run,
    seeds=lambda scale: (SEED,),
)
