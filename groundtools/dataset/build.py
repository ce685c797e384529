"""Building a data set: whatever is not there yet is made, by this process or by dask workers.

Every picture is written by whoever makes it, and only its entry comes back: workers hold
nothing, a killed one costs at most the picture at hand, and memory does not grow with
the number of pictures. What fails for good is quarantined with its reason; what a
service refuses (credentials, quota, budget) stops the build, to be resumed later.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from operator import attrgetter
from pathlib import Path

from flightsw.config import parse_toml
from flightsw.errors import InputError, UsageError
from groundtools.dataset import store
from groundtools.dataset.plan import product_cost
from groundtools.dataset.products import products
from groundtools.dataset.recipe import EarthEngineSource, Recipe, load_recipe
from groundtools.dataset.sources import open_source
from groundtools.dataset.store import Entry, Quarantined, Record
from groundtools.imagery.errors import RemoteError, SceneError
from groundtools.imagery.mosaics import MosaicSource, Product
from groundtools.jobs import Killed, alone, leftovers, run_jobs, writing

Report = Callable[[int, int], None]
"""Told after every product: how many are done, how many there are."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A product that a service refused: nothing else will be granted either."""

    reason: str


@dataclass(frozen=True, slots=True)
class Result:
    """made, kept : pictures made now, and found from before; quarantined; stopped : why
    the build ended early, empty where it did not.
    """

    made: int
    kept: int
    quarantined: int
    stopped: str


def start(recipe_path: Path, out: Path) -> Recipe:
    """Make the folder of a new data set, its recipe in it. The same recipe may be there already."""
    recipe = load_recipe(recipe_path)
    text = recipe_path.read_bytes()
    there = out / store.RECIPE
    if there.is_file():
        if there.read_bytes() != text:
            raise UsageError(f"{out}: holds a data set of another recipe; choose another --out")
        return recipe
    if out.is_dir() and any(out.iterdir()):
        raise UsageError(f"{out}: is not empty and no data set; choose another --out")
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        store.write_durably(there, text)
    return recipe


def build(
    out: Path,
    *,
    workers: int = 2,
    scheduler: str = "",
    retry_quarantined: bool = False,
    budget_eecu_h: float | None = None,
    report: Report = lambda done, total: None,
) -> Result:
    """Make what a started data set lacks; return what happened. Resuming is the same call."""
    recipe = load_recipe(_recipe_of(out))
    with alone(out):
        for leftover in leftovers(out):
            leftover.unlink(missing_ok=True)
        wanted = {product.name: product for product in products(recipe)}
        records = _scan(out, wanted, retry_quarantined)
        kept = len(records)
        store.write_manifest(out, records.values())  # a line cut short by a kill goes
        missing = [product for name, product in wanted.items() if name not in records]
        missing, stopped = _within_budget(recipe, missing, kept, budget_eecu_h)
        if missing:
            text = (out / store.RECIPE).read_text(encoding="utf-8")
            job = partial(make_one, text, out.resolve())
            done = run_jobs(job, missing, name=attrgetter("name"), workers=workers, scheduler=scheduler)
            for product, outcome in done:
                if isinstance(outcome, Killed):
                    outcome = Quarantined(product.name, outcome.reason)
                if isinstance(outcome, Stop):
                    stopped = outcome.reason
                    break
                records[product.name] = outcome
                _append(out, outcome)
                report(len(records), len(wanted))
        store.write_manifest(out, [records[name] for name in wanted if name in records])
    made = len(records) - kept
    quarantined = sum(isinstance(record, Quarantined) for record in records.values())
    return Result(made, kept, quarantined, stopped)


def make_one(recipe_text: str, out: Path, product: Product) -> Record | Stop:
    """Make one product and return its entry, or why there is none. Runs in a worker."""
    try:
        recipe, source = _opened(recipe_text)
        mosaic = source.make(product)
        valid = 100.0 * float((mosaic.pixels != 0).any(axis=-1).mean())
        if valid < max(recipe.min_valid_percent, 1e-9):
            return Quarantined(
                product.name, f"{valid:.1f} % pictured, {recipe.min_valid_percent:g} % asked for"
            )
        return store.save(out, product, mosaic)
    except SceneError as error:
        return Quarantined(product.name, str(error))
    except RemoteError as error:
        return Stop(str(error))


@lru_cache(maxsize=1)
def _opened(recipe_text: str) -> tuple[Recipe, MosaicSource]:
    """Return the source of a recipe, opened once in a process."""
    recipe = parse_toml(recipe_text, Recipe)
    return recipe, open_source(recipe)


def _scan(out: Path, wanted: dict[str, Product], retry_quarantined: bool) -> dict[str, Record]:
    """Return what is there: the manifest's entries whose files are, and pictures it lacks."""
    known = store.read_manifest(out)
    records: dict[str, Record] = {}
    for name in wanted:
        record = known.get(name)
        path = store.image_path(out, name)
        if isinstance(record, Quarantined):
            if not retry_quarantined:
                records[name] = record
        elif isinstance(record, Entry) and _size(path) == record.bytes:
            records[name] = record
        elif path.is_file():
            entry = store.read_entry(out, name)
            if entry is not None and (record is None or entry == record):
                records[name] = entry
    return records


def _append(out: Path, record: Record) -> None:
    path = out / store.MANIFEST
    with writing(path), open(path, "ab") as file:
        file.write(record.line().encode())


def _within_budget(
    recipe: Recipe, missing: list[Product], kept: int, budget_eecu_h: float | None
) -> tuple[list[Product], str]:
    """Return the products that the budget leaves, and why not all, by the plan's estimate."""
    source = recipe.source
    if not isinstance(source, EarthEngineSource):
        return missing, ""
    each = product_cost(recipe)[0].eecu_s / 3600.0
    budget = source.budget_eecu_h if budget_eecu_h is None else budget_eecu_h
    left = max(0, int(budget / each) - kept)
    if left >= len(missing):
        return missing, ""
    reason = (
        f"the budget of {budget:g} EECU-hours is spent by the plan's estimate"
        f" ({each * 3600:.0f} EECU-s a picture); go on with"
        " `vinsat dataset resume --budget-eecu-h`, next month if need be"
    )
    return missing[:left], reason


def _recipe_of(out: Path) -> Path:
    path = out / store.RECIPE
    if not path.is_file():
        raise InputError(
            "is no data set (no recipe.toml in it)", file=out, fix="vinsat dataset build RECIPE --out DIR"
        )
    return path


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
