"""Train the networks and say how good they are.

`vinsat train rc`, `vinsat train ld --region 33T` (repeat --region to teach several with one
trunk), `vinsat train weights`, `vinsat train evaluate rc|ld`. Runs of rc and ld go on where
they were stopped, by any means; --fresh starts again. Then `vinsat export`.
"""

import functools
import json
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from flightsw.errors import InputError
from groundtools import models_folder
from groundtools.landmarks.app import default_imagery

HELP = """Train the networks and say how good they are.

For example:

`vinsat train rc --steps 2500`

`vinsat train ld --region 33T --dataset runs/italy`

`vinsat train evaluate flight --frames 60`
"""
app = App(name="train", help=HELP)
evaluate = App(name="evaluate", help="Judge the shipped networks on frames they have not seen.")
app.command(evaluate)

Json = Annotated[bool, Parameter(name="--json", help="Print one JSON object.")]
Dataset = Annotated[Path | None, Parameter(help="A data set's folder, in place of rendered frames.")]
Imageries = Annotated[list[str] | None, Parameter(help='Like "embedded" or "tiles.tar:flat,raw".')]


def _specs(imagery: list[str] | None, sea: str) -> tuple[str, ...]:
    """Return imagery texts; by default all that is at hand, tiles with their seas."""
    return tuple(imagery or [one if one == "embedded" else f"{one}:{sea}" for one in default_imagery()])


def _dataset_spec(folder: Path) -> tuple[str, ...]:
    """Return what stands for a data set in a run's recipe: its name and what is in it."""
    from groundtools.dataset.store import MANIFEST
    from groundtools.dataset.verify import sha256_file

    if not (folder / MANIFEST).is_file():
        raise InputError("is no data set (no manifest.jsonl in it)", file=folder)
    return (f"dataset:{folder.name}:{sha256_file(folder / MANIFEST)[:16]}",)


@app.command
def rc(
    *,
    steps: int = 2500,
    batch: int = 32,
    seed: int = 1,
    imagery: Imageries = None,
    dataset: Dataset = None,
    warm_start: Annotated[str, Parameter(help="Checkpoint whose averaged weights are the start.")] = "",
    checkpoint: Path | None = None,
    fresh: bool = False,
    models: Path | None = None,
) -> int:
    """Train the region classifier; its labels come from the catalogues in the models folder."""
    from flightsw.vision.catalog import read_catalog
    from groundtools.landmarks.regions import REGION_IDS
    from groundtools.training.rc_train import RcRecipe, checkpoint_path, train_rc

    folder = models or models_folder()
    catalogs = [read_catalog(folder / f"{name}.cat") for name in REGION_IDS]
    specs = _dataset_spec(dataset) if dataset else _specs(imagery, "flat")
    recipe = RcRecipe(seed=seed, steps=steps, batch=batch, imagery=specs, warm_start=warm_start)
    path = checkpoint or checkpoint_path()
    if fresh:
        path.unlink(missing_ok=True)
    draw = None
    if dataset:
        from groundtools.training.folder import DatasetFolder
        from groundtools.training.rc_samples import RegionLandmarks

        pictures = DatasetFolder(dataset, dict(zip(REGION_IDS, catalogs, strict=True)))
        landmarks = RegionLandmarks.of(catalogs)

        draw = functools.partial(pictures.draw_view, landmarks=landmarks)
    train_rc(recipe, catalogs, path=path, draw=draw)
    sys.stderr.write(f"{path}: trained; next: vinsat export rc\n")
    return 0


@app.command
def ld(
    *,
    region: Annotated[list[str], Parameter(help="Region ids, taught together.")],
    steps: int = 2200,
    per_region: int = 2,
    seed: int = 1,
    imagery: Imageries = None,
    dataset: Dataset = None,
    warm_start: Annotated[str, Parameter(help="Checkpoint whose trunk is taken over.")] = "",
    checkpoint: Path | None = None,
    fresh: bool = False,
    models: Path | None = None,
) -> int:
    """Train the landmark detectors of regions."""
    from flightsw.vision.catalog import read_catalog
    from groundtools.landmarks.regions import region_by_id
    from groundtools.training.ld_train import LdRecipe, checkpoint_path, train_ld

    folder = models or models_folder()
    names = tuple(region_by_id(name).id for name in region)
    catalogs = {name: read_catalog(folder / f"{name}.cat") for name in names}
    recipe = LdRecipe(
        names,
        seed=seed,
        steps=steps,
        per_region=per_region,
        imagery=_dataset_spec(dataset) if dataset else _specs(imagery, "flat,raw"),
        warm_start=warm_start,
    )
    path = checkpoint or checkpoint_path(names)
    if fresh:
        path.unlink(missing_ok=True)
    draw = None
    if dataset:
        from groundtools.training.folder import DatasetFolder

        draw = DatasetFolder(dataset, catalogs).draw_crop
    train_ld(recipe, catalogs, path=path, draw=draw)
    sys.stderr.write(f"{path}: trained; next: vinsat export ld\n")
    return 0


@app.command
def weights(
    *,
    out: Annotated[Path, Parameter(help="Folder for worth.onnx; a models folder gets it into its manifest.")],
    arcs: Annotated[int, Parameter(help="Simulated arcs to learn from.")] = 24,
    epochs: int = 12,
    seed: int = 1,
    source: Annotated[
        str, Parameter(help="Where arcs come from: a name of `vinsat.sources`.")
    ] = "weight-arcs",
) -> int:
    """Train what detections are worth, through the orbit's fit (CPU, minutes)."""
    from groundtools.registry import registered
    from groundtools.training.worth_train import WorthRecipe, train_worth, write_worth

    sources = registered("vinsat.sources")
    if source not in sources:
        raise InputError(f"is no source of arcs; there are {', '.join(sources)}", field=f"--source {source}")
    drawn = sources[source].load()(seed=seed, count=arcs)
    net, curve = train_worth(drawn, WorthRecipe(seed=seed, epochs=epochs))
    path = write_worth(net, out)
    sys.stderr.write(f"{path}: loss {curve[0]:.4f} -> {curve[-1]:.4f} over {len(drawn)} arcs\n")
    return 0


@app.command
def prune(
    checkpoint: Path,
    *,
    out: Path,
    keep: Annotated[int, Parameter(help="Landmarks to keep of each region.")] = 64,
    frames: Annotated[int, Parameter(help="Frames of each imagery to measure on.")] = 16,
    imagery: Imageries = None,
    models: Path | None = None,
) -> int:
    """Keep the landmarks a first run finds again: catalogues and a warm start, written to --out."""
    from groundtools.training.prune import prune_run

    out.mkdir(parents=True, exist_ok=True)
    for line in prune_run(checkpoint, models or models_folder(), out, _specs(imagery, "flat"), keep, frames):
        sys.stderr.write(line + "\n")
    sys.stderr.write(f"{out}: next: vinsat train ld --warm-start {out / checkpoint.name} --models {out}\n")
    return 0


@evaluate.command(name="rc")
def evaluate_rc(
    *,
    frames: int = 600,
    seed: int = 90_001,
    imagery: Imageries = None,
    models: Path | None = None,
    as_json: Json = False,
) -> int:
    """Judge the shipped region classifier on each imagery."""
    from groundtools.training.report import rc_report

    report = rc_report(models or models_folder(), list(_specs(imagery, "flat")), frames, seed)
    return _show(report, as_json)


@evaluate.command(name="ld")
def evaluate_ld(
    *,
    region: list[str] | None = None,
    frames: int = 60,
    seed: int = 90_002,
    imagery: Imageries = None,
    models: Path | None = None,
    as_json: Json = False,
) -> int:
    """Judge the shipped landmark detectors behind the pose gate alone, on each imagery."""
    from groundtools.training.report import ld_report

    report = ld_report(models or models_folder(), region, list(_specs(imagery, "flat")), frames, seed)
    return _show(report, as_json)


@evaluate.command(name="flight")
def evaluate_flight(
    *,
    region: list[str] | None = None,
    frames: int = 60,
    seed: int = 90_003,
    imagery: Imageries = None,
    models: Path | None = None,
    finder: Annotated[
        Literal["both", "match", "landmarks"], Parameter(help="Who may propose poses.")
    ] = "both",
    as_json: Json = False,
) -> int:
    """Judge the vision of the flight program as a whole: networks, matching, dense check."""
    from flightsw.vision.finder import ALL_FINDERS, Finder
    from groundtools.training.report import flight_report

    finders = ALL_FINDERS if finder == "both" else (Finder[finder.upper()],)
    specs = list(_specs(imagery, "flat"))
    report = flight_report(models or models_folder(), region, specs, frames, seed, finders=finders)
    return _show(report, as_json)


def _show(report: dict[str, object], as_json: bool) -> int:
    if as_json:
        sys.stdout.write(json.dumps(report, indent=1) + "\n")
        return 0
    for name, figures in report.items():
        sys.stdout.write(f"{name}: {figures}\n")
    return 0
