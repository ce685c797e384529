"""Cards of a data set: Croissant (what is in it, for machines), STAC items (where and when)."""

import json
import warnings
from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from groundtools.dataset.recipe import Recipe
from groundtools.dataset.store import Entry
from groundtools.dataset.verify import sha256_file
from groundtools.imagery.geotiff_write import write_durably

FIELDS = {  # of labels.parquet, for Croissant
    "file": "TEXT",
    "split": "TEXT",
    "landmark_id": "TEXT",
    "region": "TEXT",
    "class_id": "INTEGER",
    "u_px": "FLOAT",
    "v_px": "FLOAT",
    "left_px": "FLOAT",
    "top_px": "FLOAT",
    "right_px": "FLOAT",
    "bottom_px": "FLOAT",
}


def write_croissant(out: Path, recipe: Recipe) -> Path:
    """Write croissant.json: the pictures, the manifest, and the labels as a record set."""
    import mlcroissant as mlc

    source: Any = recipe.source
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        context = mlc.Context()
        metadata = mlc.Metadata(
            ctx=context,
            name=recipe.name,
            description=(
                f"Pictures of {', '.join(recipe.regions)} at {recipe.camera.scale_m_px:g} m a pixel, with"
                " the landmarks in them, made by `vinsat dataset build` from recipe.toml."
            ),
            license=[source.licence] if source.licence else ["see recipe.toml"],
            cite_as=source.credit or "see recipe.toml",
            url="recipe.toml",
            version="1.0.0",
            distribution=_distribution(mlc, context, out),
            record_sets=[
                mlc.RecordSet(
                    ctx=context,
                    id="landmarks",
                    name="landmarks",
                    fields=[_field(mlc, context, name, kind) for name, kind in FIELDS.items()],
                )
            ],
        )
        content = metadata.to_json()
    text = json.dumps(content, indent=1, default=str) + "\n"
    write_durably(out / "croissant.json", text.encode())
    return out / "croissant.json"


def _distribution(mlc: Any, context: Any, out: Path) -> list[Any]:
    """Return the files: labels and manifest with their hashes, and the set of pictures."""
    files = {"labels": ("labels.parquet", "application/x-parquet")}
    files["manifest"] = ("manifest.jsonl", "application/jsonlines")
    found = [
        mlc.FileObject(
            ctx=context,
            id=key,
            name=name,
            content_url=name,
            encoding_formats=[kind],
            sha256=sha256_file(out / name),
        )
        for key, (name, kind) in files.items()
    ]
    pictures = mlc.FileSet(
        ctx=context,
        id="images",
        name="images",
        encoding_formats=["image/tiff"],
        includes=["images/*/*.tif"],
    )
    return [*found, pictures]


def _field(mlc: Any, context: Any, name: str, kind: str) -> Any:
    return mlc.Field(
        ctx=context,
        id=f"landmarks/{name}",
        name=name,
        data_types=[getattr(mlc.DataType, kind)],
        source=mlc.Source(ctx=context, file_object="labels", extract=mlc.Extract(ctx=context, column=name)),
    )


def write_stac(out: Path, recipe: Recipe, entries: Iterable[Entry]) -> list[Path]:
    """Write a static STAC collection of the pictures that have a grid and a date."""
    import pystac

    items = [_item(out, entry) for entry in entries if entry.pose is None and entry.days]
    if not items:
        return []
    boxes = [item.bbox for item in items]
    whole = [min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes)]
    starts = [item.properties["start_datetime"] for item in items]
    ends = [item.properties["end_datetime"] for item in items]
    span = [datetime.fromisoformat(text.replace("Z", "+00:00")) for text in (min(starts), max(ends))]
    collection = pystac.Collection(
        recipe.name,
        f"Pictures made from the recipe {recipe.name}",
        pystac.Extent(
            pystac.SpatialExtent([[*whole, max(b[3] for b in boxes)]]), pystac.TemporalExtent([span])
        ),
        license="other",
        extra_fields={"vinsat:credit": getattr(recipe.source, "credit", "")},
    )
    collection.set_self_href(str(out / "stac" / "collection.json"))
    for item in items:
        collection.add_item(item)
    for item in items:
        item.set_self_href(str(out / "stac" / f"{item.id}.json"))
        item.make_asset_hrefs_relative()
    collection.save(pystac.CatalogType.SELF_CONTAINED)
    return [out / "stac" / "collection.json", *(out / "stac" / f"{item.id}.json" for item in items)]


def _item(out: Path, entry: Entry) -> Any:
    import pystac

    outline = [[round(float(x), 7) for x in corner] for corner in entry.grid.footprint_deg()]
    days = sorted(part for day in entry.days for part in day.split("/"))
    start, end = (date.fromisoformat(day) for day in (days[0], days[-1]))
    item = pystac.Item(
        entry.name.replace("/", "-"),
        {"type": "Polygon", "coordinates": [[*outline, outline[0]]]},
        [round(x, 7) for x in entry.grid.bounds_deg()],
        None,
        {
            "proj:code": f"EPSG:{entry.grid.epsg}",
            "proj:shape": [entry.grid.height_px, entry.grid.width_px],
            "proj:transform": list(entry.grid.affine),
            "vinsat:split": entry.split,
            "vinsat:scenes": list(entry.scenes),
            "eo:cloud_cover": entry.cloud_percent,
        },
        start_datetime=datetime.combine(start, time(0, 0, 0), UTC),
        end_datetime=datetime.combine(end, time(23, 59, 59), UTC),
        stac_extensions=["https://stac-extensions.github.io/projection/v2.0.0/schema.json"],
    )
    asset = pystac.Asset(str(out / entry.file), media_type=pystac.MediaType.COG, roles=["data"])
    item.add_asset("image", asset)
    return item
