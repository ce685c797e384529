"""Reproduction `tracking`: frames of land anywhere, their pose roughly known.

Places of 5 x 5 deg are drawn over all land between 58 S and 70 N by seed, not for their
texture and away from every region of the models; maps are made from the tiles, frames are
drawn from them too (moderate radiometric change, clouds in 80 %), so this is optimistic
about the source: the Landsat scene, whose maps are the tiles', is tracked beside it. It
fills a tenth of a frame, and clouds often leave less of it than the dense check needs:
the rate of the frames that show enough at their true pose is printed too.
Prior errors are normal, 8 km and 1 deg (1 sigma an axis), and 25 km and 2 deg. Wrong
priors are of another place, or 100 to 200 km off: nothing may be accepted there that is
not right. What of them reaches the dense check is counted: only that tests it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from flightsw.astro.geodesy import geodetic_up, lla_from_ecef
from flightsw.camera.pose_fit import Pose, rotation_from_vector
from flightsw.vision.check import FEWEST_CELLS, dense_score
from flightsw.vision.cloud import cloudy
from flightsw.vision.finder import Finder, FrameStatus, search_frame
from flightsw.vision.models import Models
from flightsw.vision.preprocess import MODEL_CAMERA
from flightsw.vision.track import Expectation
from groundtools.imagery import Imagery
from groundtools.landmarks.maps import Bounds
from groundtools.landmarks.regions import REGIONS
from groundtools.registry import Check, Reproduction, Scale, at_least, at_most, noted
from groundtools.statistics import wilson_interval
from vinsat_sim.experiments.matching import Judged, Shot, judge, models_of, share, shoot, tally
from vinsat_sim.experiments.no_fix import land_share
from vinsat_sim.experiments.unseen_source import PLACES, SCENE_DEG, imageries
from vinsat_sim.views import ViewSampler

Array = NDArray[np.float64]

SEED = 9_100
PLACES_DRAWN = {"quick": 4, "full": 30}
FRAMES_EACH = {"quick": 6, "full": 10}
LANDSAT_FRAMES = {"quick": 10, "full": 60}
SIZE_DEG = 5.0
LEAST_LAND = 0.5  # of the middle of a place
COLOUR = 0.5  # moderate radiometric change
NEAR, FAR = (8e3, 1.0), (25e3, 2.0)  # m, deg
OFF = (100e3, 200e3)  # m, of wrong priors
CLOUD_CLASSES = (("under_20", 0.0, 0.2, 0.95), ("20_to_50", 0.2, 0.5, 0.90), ("over_50", 0.5, 1.01, 0.65))


@dataclass(frozen=True, slots=True)
class Tracked:
    """One frame: its clouds (share), and what came of the two priors and of a wrong one."""

    cloud: float
    near: Judged
    far: Judged
    wrong_accepted: int
    wrong_checked: int
    wrong_tried: int


def run(scale: Scale) -> tuple[Check, ...]:
    """Draw places, make maps, track frames, judge."""
    opened = imageries()
    rng = np.random.default_rng(SEED)
    tracked: list[Tracked] = []
    for number in range(PLACES_DRAWN[scale]):
        bounds = _land_place(rng, opened["tiles"])
        with models_of({f"P{number}": (bounds, [opened["tiles"]])}) as models:
            sampler = ViewSampler(opened["tiles"], _inner(bounds), colour=COLOUR)
            for k in range(FRAMES_EACH[scale]):
                tracked.append(_track(models, shoot(sampler, (SEED, number, k)), number * 1000 + k))
    with models_of({"BAHAMAS": (PLACES["BAHAMAS"], [opened["tiles"]])}) as models:
        sampler = ViewSampler(opened["landsat"], SCENE_DEG, sea=("raw",), colour=COLOUR)
        landsat, clear = [], []
        reference = models.region("BAHAMAS").reference
        for k in range(LANDSAT_FRAMES[scale]):
            shot = shoot(sampler, (SEED, 999, k), scene_only=True)
            landsat.append(_track(models, shot, 999_000 + k))
            if dense_score(shot.frame, shot.pose, reference).cells >= FEWEST_CELLS:
                clear.append(landsat[-1])
    return _checks(tracked, landsat, clear)


def _checks(tracked: list[Tracked], landsat: list[Tracked], clear: list[Tracked]) -> tuple[Check, ...]:
    out = []
    for name, low, high, asked in CLOUD_CLASSES:
        inside = [one for one in tracked if low <= one.cloud < high]
        fixed = sum(one.near.fixed for one in inside)
        rate, interval = share(fixed, len(inside)), wilson_interval(fixed, len(inside))
        out.append(at_least(f"fix_rate_8_km_1_deg_cloud_{name}_percent", rate, asked, interval=interval))
        out.append(noted(f"frames_cloud_{name}_percent", len(inside)))
    far, n = sum(one.far.fixed for one in tracked), len(tracked)
    scene = sum(one.near.fixed for one in landsat)
    shown = sum(one.near.fixed for one in clear)
    everyone = [*tracked, *landsat]
    near_tally = tally([one.near for one in tracked])
    wrong = sum(one.near.wrong + one.far.wrong for one in everyone)
    tried = sum(one.wrong_tried for one in everyone)
    accepted = sum(one.wrong_accepted for one in everyone)
    return (
        *out,
        at_least("fix_rate_25_km_2_deg", share(far, n), 0.85, interval=wilson_interval(far, n)),
        at_least(
            "landsat_fix_rate_8_km_1_deg", share(scene, len(landsat)), 0.90,
            interval=wilson_interval(scene, len(landsat)),
        ),
        at_most("median_error_px", near_tally.median_px, 0.5, unit="px"),
        noted("p99_error_px", near_tally.p99_px),
        *_for_a_model([one.near for one in tracked if one.near.fixed]),
        at_most("wrong_fixes", wrong, 0),
        at_most("accepted_of_wrong_priors", accepted, 0, interval=wilson_interval(accepted, tried)),
        noted("wrong_priors_tried", tried),
        noted("wrong_priors_that_reached_the_dense_check", sum(one.wrong_checked for one in everyone)),
        noted("frames", len(tracked)),
        noted("landsat_frames", len(landsat)),
        noted("landsat_frames_that_show_enough", len(clear)),
        noted(
            "landsat_fix_rate_of_those", share(shown, len(clear)), interval=wilson_interval(shown, len(clear))
        ),
    )  # fmt: skip


def _for_a_model(fixed: list[Judged]) -> tuple[Check, ...]:
    """Return what an error model needs beside the errors: what a frame has in common, how much it gives."""
    if not fixed:
        return ()
    common = np.array([one.common_px for one in fixed])
    counts = [len(one.errors_px) for one in fixed]
    return (
        noted("common_error_of_a_frame_px", float(np.sqrt(np.mean(common**2)))),
        noted("observations_of_a_fix", float(np.median(counts))),
    )


def _track(models: Models, shot: Shot, number: int) -> Tracked:
    rng = np.random.default_rng([SEED, 5, number])
    near, far = (_judged(models, shot, _disturbed(shot.pose, rng, *size)) for size in (NEAR, FAR))
    accepted = checked = tried = 0
    for wrong in _wrong_priors(shot.pose, rng):
        result = search_frame(models, shot.frame, MODEL_CAMERA, finders=(Finder.TRACKING,), expected=wrong)
        outcome = judge(shot, result, fixable=False)
        tried += 1
        accepted += outcome.wrong
        checked += result.status in (FrameStatus.FIX, FrameStatus.FAILED_CHECK)
    clouds = shot.frame.rgb[2::4, 2::4][shot.frame.valid[2::4, 2::4]]
    cover = float(np.mean(cloudy(clouds))) if len(clouds) else 1.0
    return Tracked(cover, near, far, accepted, checked, tried)


def _judged(models: Models, shot: Shot, expected: Expectation) -> Judged:
    result = search_frame(models, shot.frame, MODEL_CAMERA, finders=(Finder.TRACKING,), expected=expected)
    return judge(shot, result, fixable=True)


def _disturbed(pose: Pose, rng: np.random.Generator, metres: float, degrees: float) -> Expectation:
    """Return a prior with normal errors, an axis each."""
    turn = rotation_from_vector(np.deg2rad(rng.normal(0.0, degrees, (1, 3))))[0]
    moved = Pose(pose.r_ecef + rng.normal(0.0, metres, 3), turn @ pose.cam_from_ecef)
    return Expectation(moved, float(np.hypot(metres, np.deg2rad(degrees) * pose.altitude)))


def _wrong_priors(pose: Pose, rng: np.random.Generator) -> Iterator[Expectation]:
    """Yield priors beside the truth by 100 to 200 km, and turned to look at another place."""
    lat, lon, _ = lla_from_ecef(pose.r_ecef)
    up = geodetic_up(lat, lon)
    for _ in range(2):
        across = np.cross(up, rng.normal(size=3))
        across *= rng.uniform(*OFF) / np.linalg.norm(across)
        yield Expectation(replace(pose, r_ecef=pose.r_ecef + across), 10e3)


def _land_place(rng: np.random.Generator, imagery: Imagery) -> Bounds:
    """Return a place on land, away from the regions, uniform over the Earth's surface."""
    while True:
        lat = float(np.rad2deg(np.arcsin(rng.uniform(np.sin(np.deg2rad(-55.0)), np.sin(np.deg2rad(67.0))))))
        lon = float(rng.uniform(-175.0, 175.0))
        half = 0.5 * SIZE_DEG
        wide = half / np.cos(np.deg2rad(lat))
        bounds = (lon - wide, lat - half, lon + wide, lat + half)
        apart = all(
            abs(lat - 0.5 * (r.south_deg + r.north_deg)) > 10.0
            or abs(lon - 0.5 * (r.west_deg + r.east_deg)) > 14.0
            for r in REGIONS
        )
        if apart and land_share(lat, lon, imagery) > LEAST_LAND:
            return bounds


def _inner(bounds: Bounds) -> Bounds:
    """Return the bounds a deg further in: where frames are drawn."""
    west, south, east, north = bounds
    return west + 1.0, south + 1.0, east - 1.0, north - 1.0


REPRODUCTION = Reproduction(
    id="tracking",
    title="Any land is a landmark once the pose is roughly known; a wrong prior confirms nothing",
    run=run,
    seeds=lambda scale: (SEED,),
)
