"""What follows once the pictures are there: labels and cards, made anew from the manifest."""

from pathlib import Path

from groundtools.dataset import store
from groundtools.dataset.cards import write_croissant, write_stac
from groundtools.dataset.label_files import write_coco, write_geoparquet, write_regions, write_yolo
from groundtools.dataset.labels import labels_of, read_landmarks
from groundtools.dataset.recipe import SPLITS, load_recipe
from groundtools.dataset.store import Entry
from groundtools.dataset.verify import LISTING, sha256_file
from groundtools.imagery.geotiff_write import write_durably
from groundtools.jobs import writing


def finish(out: Path, models: Path) -> None:
    """Write labels and cards of a data set's pictures, and a list of their hashes.

    models : the folder of the landmark catalogues. Raises InputError, UsageError.
    """
    recipe = load_recipe(out / store.RECIPE)
    landmarks = read_landmarks(recipe, models)
    entries = [e for e in store.read_manifest(out).values() if isinstance(e, Entry)]
    labelled = [(entry, labels_of(out, entry, landmarks)) for entry in entries]
    splits = [split for split in SPLITS if any(entry.split == split for entry in entries)]
    with writing(out):
        (out / LISTING).unlink(missing_ok=True)
        written = write_yolo(out, labelled, landmarks)
        written += write_coco(out, splits, licence=recipe.source.licence)
        written.append(write_geoparquet(out, labelled, landmarks))
        written.append(write_regions(out, labelled, landmarks))
        written += write_stac(out, recipe, entries)
        written.append(write_croissant(out, recipe))
        lines = [f"{sha256_file(path)}  {path.relative_to(out).as_posix()}\n" for path in written]
        write_durably(out / LISTING, "".join(lines).encode())
