"""A data set on one page: thumbnails with labels, counts, a map of the pictures, clouds.

One HTML file with everything in it: it opens without a network and asks for nothing.
"""

import base64
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

from groundtools.dataset import store
from groundtools.dataset.labels import Labels, Landmarks, labels_of, read_landmarks
from groundtools.dataset.recipe import SPLITS, Recipe, load_recipe
from groundtools.dataset.store import Entry, Quarantined
from groundtools.imagery.geotiff_write import write_durably
from groundtools.jobs import writing
from groundtools.landmarks.regions import REGION_IDS

TEMPLATE = Path(__file__).with_name("view.html")
THUMB_PX = 360  # width of a thumbnail
COLOURS = {"train": "#2a6fbb", "validation": "#c77d12", "test": "#3a8a4d"}
BINS = 10  # of the cloud histogram


@dataclass(frozen=True, slots=True)
class Thumb:
    """A picture on the page: its JPEG as a data address, and a line below it."""

    source: str
    caption: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of a chart: what it counts, how many, its length 0..100."""

    name: str
    count: int
    length: float


@dataclass(frozen=True, slots=True)
class Outline:
    """A picture's outline on the map: SVG points and colour."""

    points: str
    colour: str


def write_view(out: Path, models: Path, *, thumbs: int = 48) -> Path:
    """Write view.html into a data set's folder; return it. At most `thumbs` pictures are shown."""
    from jinja2 import Environment

    recipe = load_recipe(out / store.RECIPE)
    landmarks = read_landmarks(recipe, models)
    records = list(store.read_manifest(out).values())
    entries = [record for record in records if isinstance(record, Entry)]
    labelled = [(entry, labels_of(out, entry, landmarks)) for entry in entries]
    shown = _evenly(labelled, thumbs)
    outlines, coast, box = _map(recipe, entries)
    template = Environment(autoescape=True).from_string(TEMPLATE.read_text(encoding="utf-8"))
    text = template.render(
        recipe=recipe,
        credit=recipe.source.credit,
        licence=recipe.source.licence,
        colours=COLOURS,
        counts=[(name, sum(e.split == name for e in entries)) for name in SPLITS if name in recipe.splits],
        quarantined=Counter(r.reason for r in records if isinstance(r, Quarantined)).most_common(20),
        thumbs=[_thumb(out, entry, labels, landmarks) for entry, labels in shown],
        total=len(entries),
        regions=_bars(_region_counts(labelled, landmarks)),
        classes=_class_summary(labelled, landmarks),
        clouds=_cloud_bars(entries),
        outlines=outlines,
        coast=coast,
        box=box,
    )
    with writing(out / "view.html"):
        write_durably(out / "view.html", text.encode())
    return out / "view.html"


def _evenly(items: list[tuple[Entry, Labels]], count: int) -> list[tuple[Entry, Labels]]:
    """Return up to `count` of the items, spread over all of them."""
    if len(items) <= count:
        return items
    return [items[int(index)] for index in np.linspace(0, len(items) - 1, count)]


def _thumb(out: Path, entry: Entry, labels: Labels, landmarks: Landmarks) -> Thumb:
    pixels = store.read_pixels(out / entry.file)
    scale = THUMB_PX / pixels.shape[1]
    small = cv2.resize(
        pixels, (THUMB_PX, max(1, round(pixels.shape[0] * scale))), interpolation=cv2.INTER_AREA
    )
    for uv, box in zip(labels.uv_px * scale, labels.box_px * scale, strict=True):
        left, top, right, bottom = (int(x) for x in box)
        cv2.rectangle(small, (left, top), (right, bottom), (255, 220, 60), 1)
        cv2.circle(small, tuple(int(x) for x in uv), 2, (255, 60, 60), -1)
    jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(small), 80)
    cloud = "" if entry.cloud_percent is None else f", {entry.cloud_percent:.0f} % cloud"
    days = f", {entry.days[0]}" if entry.days else ""
    caption = f"{entry.name}: {len(labels.index)} landmarks{cloud}{days}"
    return Thumb(f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}", caption)


def _region_counts(labelled: list[tuple[Entry, Labels]], landmarks: Landmarks) -> Counter[str]:
    counts: Counter[str] = Counter()
    for _, labels in labelled:
        counts.update(REGION_IDS[number] for number in landmarks.region[labels.index])
    return counts


def _class_summary(labelled: list[tuple[Entry, Labels]], landmarks: Landmarks) -> list[Bar]:
    """Return how many landmarks of the data set's classes were seen how often."""
    seen: Counter[int] = Counter()
    for _, labels in labelled:
        seen.update(int(number) for number in landmarks.class_id[labels.index] if number >= 0)
    times = Counter(
        {"never": 0, "once": 0, "2 to 5 times": 0, "6 to 20 times": 0, "more often": 0}
        | Counter(_how_often(seen[number]) for number in range(len(landmarks.class_names)))
    )
    return _bars(times)


def _how_often(count: int) -> str:
    if count < 2:
        return ("never", "once")[count]
    return "2 to 5 times" if count <= 5 else "6 to 20 times" if count <= 20 else "more often"


def _cloud_bars(entries: list[Entry]) -> list[Bar]:
    known = [entry.cloud_percent for entry in entries if entry.cloud_percent is not None]
    if not known:
        return []
    counts, edges = np.histogram(known, bins=BINS, range=(0.0, 100.0))
    return _bars(Counter({f"{low:.0f} %": int(n) for low, n in zip(edges[:-1], counts, strict=True)}))


def _bars(counts: Counter[str]) -> list[Bar]:
    most = max(counts.values(), default=0)
    return [Bar(name, count, 100.0 * count / max(most, 1)) for name, count in counts.items()]


def _map(recipe: Recipe, entries: list[Entry]) -> tuple[list[Outline], str, str]:
    """Return outlines, an SVG path of coasts, and the view box, degrees with latitude upside down."""
    bounds = np.array([recipe.bounds_deg(name) for name in recipe.regions])
    west, south = bounds[:, :2].min(axis=0) - 4.0
    east, north = bounds[:, 2:].max(axis=0) + 4.0
    outlines = []
    for entry in entries:
        if entry.pose is None:
            points = " ".join(f"{lon:.3f},{-lat:.3f}" for lon, lat in entry.grid.footprint_deg())
            outlines.append(Outline(points, COLOURS[entry.split]))
    return outlines, _coast((west, south, east, north)), f"{west} {-north} {east - west} {north - south}"


def _coast(bounds_deg: tuple[float, float, float, float]) -> str:
    """Return the coasts as an SVG path, empty where the shorelines are not installed."""
    try:
        from groundtools.imagery.shorelines import LAND, load_shorelines

        shorelines = load_shorelines("l")
    except ImportError:
        return ""
    parts = []
    for ring in shorelines.rings(bounds_deg, (LAND,), 20.0):
        points = np.asarray(ring, float)
        if len(points) > 2:
            parts.append("M" + "L".join(f"{lon:.2f},{-lat:.2f}" for lon, lat in points) + "Z")
    return "".join(parts)
