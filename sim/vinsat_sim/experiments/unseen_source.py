"""Reproduction `unseen-source`: maps of one imagery, frames of another.

    tiles -> Landsat      one scene, nothing outside of it: frame and features are masked to it
    tiles -> embedded     four places
    embedded -> tiles     two places
    embedded -> Landsat   printed, no rate is asked
No network has a part in it: maps are made by `maps build` from the first imagery alone and
matched as a place the classifier does not know. The limits were fixed on other places
(11R, 12R, 32T, 53S; seeds 515151 and 626262) than those judged here. The scene and the
tiles are data that not everybody has: without them there is nothing to judge.
"""

from dataclasses import dataclass

from flightsw.errors import InputError
from flightsw.vision.finder import Finder, search_frame
from flightsw.vision.preprocess import MODEL_CAMERA
from groundtools.imagery import Imagery, open_imagery
from groundtools.imagery.shared import shared_data_dir
from groundtools.landmarks.maps import Bounds
from groundtools.registry import Check, Reproduction, Scale, at_least, at_most, noted
from groundtools.statistics import wilson_interval
from vinsat_sim.experiments.matching import Judged, Tally, is_fixable, judge, models_of, shoot, tally
from vinsat_sim.views import ViewSampler

SEED = 8_600
TILES = ("imagery", "bmng_z8_land_60S_72N.tar")
LANDSAT = ("landsat", "landsat7_bahamas_300m.tif")
SCENE_DEG = (-78.6, 23.6, -76.8, 25.2)  # sub-satellite points from which the scene is well in view
PLACES: dict[str, Bounds] = {
    "BAHAMAS": (-80.0, 22.0, -75.0, 28.0),
    "ITALY": (11.0, 38.0, 17.0, 44.0),
    "AEGEAN": (22.0, 35.0, 28.0, 41.0),
    "COLORADO": (-110.0, 36.0, -104.0, 42.0),
}
LANDSAT_RATE, OTHER_RATE = 0.70, 0.85
QUICK = 10  # times fewer frames than full


@dataclass(frozen=True, slots=True)
class Case:
    """Maps of one imagery, frames of another over a place; `frames` at full scale."""

    name: str
    place: str
    maps: str
    frames_of: str
    frames: int


CASES = (
    Case("tiles_to_landsat", "BAHAMAS", "tiles", "landsat", 200),
    Case("embedded_to_landsat", "BAHAMAS", "embedded", "landsat", 40),
    *(Case("tiles_to_embedded", place, "tiles", "embedded", 75) for place in PLACES),
    *(Case("embedded_to_tiles", place, "embedded", "tiles", 50) for place in ("ITALY", "AEGEAN")),
)


def run(scale: Scale) -> tuple[Check, ...]:
    """Make the maps, draw the frames, search them, judge."""
    opened = imageries()
    outcomes: dict[str, list[Judged]] = {}
    for number, case in enumerate(CASES):
        frames = case.frames if scale == "full" else case.frames // QUICK
        outcomes.setdefault(case.name, []).extend(_fly(case, number, frames, opened))
    return checks({name: tally(judged) for name, judged in outcomes.items()})


def checks(found: dict[str, Tally]) -> tuple[Check, ...]:
    """Return the checks of every pair of imageries."""
    out: list[Check] = [at_most("wrong_fixes_in_all", sum(one.wrong for one in found.values()), 0)]
    for name, one in found.items():
        if name == "tiles_to_landsat":  # one small scene: the rate is of all its frames
            over_all = wilson_interval(one.right, one.frames)
            out.append(at_least(f"{name}_fix_rate", one.overall, LANDSAT_RATE, interval=over_all))
        elif name == "embedded_to_landsat":
            out.append(
                noted(f"{name}_fix_rate", one.overall, interval=wilson_interval(one.right, one.frames))
            )
        else:
            out.append(at_least(f"{name}_fix_rate", one.rate, OTHER_RATE, interval=one.interval))
        out += [
            noted(f"{name}_frames", one.frames),
            noted(f"{name}_fixable", one.fixable),
            noted(f"{name}_wrong", one.wrong),
            noted(f"{name}_median_px", one.median_px),
            noted(f"{name}_p99_px", one.p99_px),
        ]
    return tuple(out)


def _fly(case: Case, number: int, frames: int, opened: dict[str, Imagery]) -> list[Judged]:
    bounds = PLACES[case.place]
    is_scene = case.frames_of == "landsat"
    sampler = ViewSampler(opened[case.frames_of], SCENE_DEG if is_scene else bounds)
    if is_scene:
        sampler = ViewSampler(opened["landsat"], SCENE_DEG, sea=("raw",))
    judged = []
    with models_of({case.place: (bounds, [opened[case.maps]])}) as models:
        reference = models.region(case.place).reference
        for k in range(frames):
            shot = shoot(sampler, (SEED, number, k), scene_only=is_scene)
            result = search_frame(models, shot.frame, MODEL_CAMERA, finders=(Finder.MATCH,))
            judged.append(judge(shot, result, fixable=is_fixable(shot, reference)))
    return judged


def imageries() -> dict[str, Imagery]:
    """Return embedded, tiles and landsat imagery. Raises InputError where one is not at hand."""
    folder = shared_data_dir()
    paths = {
        name: folder and folder.joinpath(*parts) for name, parts in (("tiles", TILES), ("landsat", LANDSAT))
    }
    for name, path in paths.items():
        if path is None or not path.is_file():
            raise InputError(
                f"the {name} are not at hand", fix="see docs/design/005 for what is looked for where"
            )
    return {
        "embedded": open_imagery("embedded"),
        **{name: open_imagery(str(path)) for name, path in paths.items()},
    }


REPRODUCTION = Reproduction(
    id="unseen-source",
    title="Maps of one imagery, frames of another: fixes, and none of them wrong",
    run=run,
    seeds=lambda scale: (SEED,),
)
