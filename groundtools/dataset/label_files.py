"""Labels as files: YOLO, COCO (by supervision), GeoParquet, and the regions of each picture.

data.yaml and labels/SPLIT/*.txt (YOLO: class, middle and size of the cut box, parts of the
picture), annotations/SPLIT.json (COCO), labels.parquet (GeoParquet: every label with the
landmark's centre in pixels and on the Earth), regions.csv (one row a picture, how many
landmarks of each region it shows: above 0 is the classifier's multi-hot label).
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from groundtools.dataset.labels import Labels, Landmarks, regions_seen
from groundtools.dataset.recipe import SPLITS
from groundtools.dataset.store import Entry
from groundtools.imagery.geotiff_write import write_durably
from groundtools.landmarks.regions import REGION_IDS

Labelled = tuple[Entry, Labels]


def write_yolo(out: Path, labelled: Iterable[Labelled], landmarks: Landmarks) -> list[Path]:
    """Write one text file a picture and data.yaml; return the files."""
    written = []
    splits = set()
    for entry, labels in labelled:
        width, height = entry.grid.width_px, entry.grid.height_px
        lines = []
        for index, (left, top, right, bottom) in zip(labels.index, labels.box_px, strict=True):
            number = landmarks.class_id[index]
            if number < 0:
                continue
            middle = ((left + right) / 2 / width, (top + bottom) / 2 / height)
            size = ((right - left) / width, (bottom - top) / height)
            lines.append(f"{number} " + " ".join(f"{x:.7f}" for x in (*middle, *size)) + "\n")
        path = out / "labels" / f"{entry.name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, "".join(lines).encode())
        written.append(path)
        splits.add(entry.split)
    keys = {"train": "train", "validation": "val", "test": "test"}
    text = "path: .\n" + "".join(f"{keys[s]}: images/{s}\n" for s in SPLITS if s in splits)
    text += "names:\n" + "".join(f"  {n}: {name}\n" for n, name in enumerate(landmarks.class_names))
    write_durably(out / "data.yaml", text.encode())
    return [*written, out / "data.yaml"]


def write_coco(out: Path, splits: Iterable[str], *, licence: str) -> list[Path]:
    """Convert the YOLO labels of each split by supervision; return the files."""
    import supervision

    written = []
    for split in splits:
        dataset = supervision.DetectionDataset.from_yolo(
            images_directory_path=str(out / "images" / split),
            annotations_directory_path=str(out / "labels" / split),
            data_yaml_path=str(out / "data.yaml"),
        )
        path = out / "annotations" / f"{split}.json"
        path.parent.mkdir(exist_ok=True)
        part = path.with_name(f".{split}.json.part")
        dataset.as_coco(annotations_path=str(part))
        data = json.loads(part.read_text(encoding="utf-8"))
        part.unlink()
        # The converter claims a licence and the hour of conversion; neither is true of the pictures.
        data["licenses"] = [{"id": 1, "name": licence or "see datasets/README.md", "url": ""}]
        for image in data["images"]:
            del image["date_captured"]
        write_durably(path, json.dumps(data, separators=(",", ":")).encode())
        written.append(path)
    return written


def write_geoparquet(out: Path, labelled: Iterable[Labelled], landmarks: Landmarks) -> Path:
    """Write every label with its landmark's place."""
    import geopandas
    import pandas

    names = (
        "file split landmark_id region class_id u_px v_px left_px top_px right_px bottom_px lon_deg lat_deg"
    ).split()
    frame = pandas.DataFrame(list(_rows(labelled, landmarks)), columns=names)
    frame = frame.astype({"class_id": "int32", **dict.fromkeys(names[5:], "float64")})
    points = geopandas.points_from_xy(frame.pop("lon_deg"), frame.pop("lat_deg"), crs="EPSG:4326")
    content = io.BytesIO()
    geopandas.GeoDataFrame(frame, geometry=points).to_parquet(content, index=False)
    write_durably(out / "labels.parquet", content.getvalue())
    return out / "labels.parquet"


def _rows(labelled: Iterable[Labelled], landmarks: Landmarks) -> Iterator[tuple[Any, ...]]:
    for entry, labels in labelled:
        for index, uv, box in zip(labels.index, labels.uv_px, labels.box_px, strict=True):
            yield (
                entry.file,
                entry.split,
                landmarks.ids[index],
                REGION_IDS[landmarks.region[index]],
                landmarks.class_id[index],
                *uv,
                *box,
                landmarks.lon_deg[index],
                landmarks.lat_deg[index],
            )


def write_regions(out: Path, labelled: Iterable[Labelled], landmarks: Landmarks) -> Path:
    """Write how many landmarks of each region every picture shows."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["file", "split", *REGION_IDS])
    for entry, labels in labelled:
        table.writerow([entry.file, entry.split, *regions_seen(labels, landmarks)])
    write_durably(out / "regions.csv", text.getvalue().encode())
    return out / "regions.csv"
