"""Labels against other programs' projections, and read back by other programs."""

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
from pyproj import Transformer

from groundtools import cli, models_folder
from groundtools.dataset import labels, store
from groundtools.dataset.recipe import load_recipe, shipped_recipes
from groundtools.imagery.mosaics import CameraPose, Grid, grid_around
from groundtools.landmarks.regions import REGION_IDS

EMBEDDED = next(path for path in shipped_recipes() if path.stem == "embedded")


@pytest.fixture(scope="module")
def landmarks():
    return labels.read_landmarks(load_recipe(EMBEDDED), models_folder())


@pytest.fixture(scope="module")
def built(catalogue, recipe_text, tmp_path_factory):
    """Return a small data set with its labels."""
    folder = tmp_path_factory.mktemp("built")
    text = recipe_text.format(catalog=catalogue, train=3, policy="keep")
    recipe = folder / "small.toml"
    recipe.write_text(text.replace("width_px = 96", "width_px = 160"))
    command = ["dataset", "build", str(recipe), "--out", str(folder / "set"), "--workers", "1"]
    assert cli.main(command) == 0
    return folder / "set"


def entry(grid: Grid, pose: CameraPose | None = None) -> store.Entry:
    return store.Entry(
        "train/a", "images/train/a.tif", "", 0, "train", "33T", "", grid, (), (), 100.0, None, pose
    )


@pytest.mark.verifies("DAT-015")
def test_labels_of_a_thousand_camera_views_lie_on_the_projected_landmarks(landmarks, rng):
    # Independent of the flight code: PROJ's ellipsoid and a pinhole written out.
    to_ecef = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
    ground = np.stack(
        to_ecef.transform(landmarks.lon_deg, landmarks.lat_deg, 0.0 * landmarks.lon_deg), axis=1
    )
    compared = 0
    for _ in range(1000):
        lon, lat, height = rng.uniform(6, 18), rng.uniform(40, 48), rng.uniform(370e3, 650e3)
        r = np.array(to_ecef.transform(lon, lat, height))
        down = np.array(to_ecef.transform(lon, lat, 0.0)) - r
        axis = down / np.linalg.norm(down) + 0.08 * rng.standard_normal(3)
        z = axis / np.linalg.norm(axis)
        x = np.cross(z, rng.standard_normal(3))
        x /= np.linalg.norm(x)
        rotation = np.stack([x, np.cross(z, x), z])
        focal = rng.uniform(700, 3600)
        grid = Grid(32633, 0.0, 0.0, 600.0, int(focal * 1.3), int(focal * 0.7))
        pose = CameraPose(focal, tuple(r), tuple(tuple(row) for row in rotation))
        uv, _, inside = labels.project(entry(grid, pose), landmarks)
        p = (ground - r) @ rotation.T
        expected = focal * p[:, :2] / p[:, 2:] + [grid.width_px / 2, grid.height_px / 2]
        assert np.abs(uv - expected)[inside].max(initial=0.0) < 0.1  # px
        compared += int(inside.sum())
    assert compared > 5000


@pytest.mark.verifies("DAT-015")
def test_labels_of_a_mosaic_lie_where_its_file_says(landmarks, built):
    compared = 0
    for record in store.read_manifest(built).values():
        uv, _, inside = labels.project(record, landmarks)
        with rasterio.open(built / record.file) as dataset:
            x, y = rasterio.warp.transform("EPSG:4326", dataset.crs, landmarks.lon_deg, landmarks.lat_deg)
            u, v = (x - np.float64(dataset.bounds.left)) / 600.0, (dataset.bounds.top - np.float64(y)) / 600.0
            size = (dataset.width, dataset.height)
        assert np.abs(uv - np.stack([u, v], axis=1))[inside].max(initial=0.0) < 0.01  # px
        expected = (u > 0) & (u < size[0]) & (v > 0) & (v < size[1])
        assert np.array_equal(expected, inside)
        compared += int(inside.sum())
    assert compared > 20


@pytest.mark.verifies("DAT-015")
def test_a_box_cut_by_the_edge_keeps_its_landmarks_centre(landmarks, tmp_path):
    grid = grid_around(
        float(landmarks.lon_deg[landmarks.class_id >= 0][0]),
        float(landmarks.lat_deg[landmarks.class_id >= 0][0]),
        pixel_m=600.0,
        width_px=300,
        height_px=200,
    )
    moved = Grid(grid.epsg, grid.west_m + 148.0 * 600.0, grid.north_m, 600.0, 300, 200)  # 2 px from the edge
    found = labels.labels_of(tmp_path, entry(moved), landmarks)
    first = int(np.flatnonzero(landmarks.class_id >= 0)[0])
    (at,) = np.flatnonzero(found.index == first)
    left, _, right, _ = found.box_px[at]
    assert left == 0.0
    assert found.uv_px[at, 0] == pytest.approx(2.0, abs=1.0)  # px: grids lie on whole pixels
    assert (left + right) / 2 > found.uv_px[at, 0] + 2.0
    assert right - found.uv_px[at, 0] == pytest.approx(0.5 * landmarks.size_km[first] / 0.6, abs=0.01)


@pytest.mark.verifies("DAT-015")
def test_a_landmark_without_a_picture_is_no_label(landmarks, built, tmp_path):
    record = next(
        r for r in store.read_manifest(built).values() if len(labels.labels_of(built, r, landmarks).index)
    )
    whole = labels.labels_of(built, record, landmarks)
    pixels = store.read_pixels(built / record.file)
    pixels[:, :80] = 0
    from dataclasses import replace

    from groundtools.imagery.geotiff_write import cog_bytes

    half = replace(record, file="half.tif", valid_percent=50.0)
    (tmp_path / "half.tif").write_bytes(cog_bytes(np.moveaxis(pixels, -1, 0), record.grid))
    found = labels.labels_of(tmp_path, half, landmarks)
    assert set(found.index) == set(whole.index[whole.uv_px[:, 0] >= 80])


@pytest.mark.verifies("DAT-016")
def test_yolo_and_coco_are_read_back_by_supervision_and_agree(built, landmarks):
    import supervision as sv

    records = [r for r in store.read_manifest(built).values() if r.split == "train"]
    yolo = sv.DetectionDataset.from_yolo(
        str(built / "images" / "train"), str(built / "labels" / "train"), str(built / "data.yaml")
    )
    coco = sv.DetectionDataset.from_coco(
        str(built / "images" / "train"), str(built / "annotations" / "train.json")
    )
    assert yolo.classes == coco.classes == landmarks_of_west_and_east(built).class_names
    assert len(yolo) == len(coco) == len(records)
    boxes = 0
    for record in records:
        mine = landmarks_of_west_and_east(built)
        expected = labels.labels_of(built, record, mine)
        kept = mine.class_id[expected.index] >= 0
        for dataset in (yolo, coco):
            found = dataset.annotations[str(built / record.file)]
            assert np.array_equal(found.class_id, mine.class_id[expected.index][kept])
            assert np.abs(found.xyxy - expected.box_px[kept]).max(initial=0.0) < 0.01  # px
        boxes += int(kept.sum())
    assert boxes > 5


def landmarks_of_west_and_east(built: Path):
    return labels.read_landmarks(load_recipe(built / "recipe.toml"), models_folder())


@pytest.mark.verifies("DAT-016")
@pytest.mark.filterwarnings("ignore")  # mlcroissant's and rdflib's own
def test_croissant_is_read_back_by_mlcroissant_with_every_label(built):
    import geopandas
    import mlcroissant

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = mlcroissant.Dataset(jsonld=built / "croissant.json")
        rows = list(dataset.records(record_set="landmarks"))
    frame = geopandas.read_parquet(built / "labels.parquet")
    assert len(rows) == len(frame) > 20
    assert {row["landmarks/landmark_id"].decode() for row in rows} == set(frame["landmark_id"])
    assert frame.crs.to_epsg() == 4326
    by_id = {row["landmarks/landmark_id"]: row for row in rows}
    assert all(isinstance(row["landmarks/u_px"], float) for row in by_id.values())


@pytest.mark.verifies("DAT-016")
def test_the_stac_items_are_read_back_and_lead_to_the_pictures(built):
    import pystac

    collection = pystac.Collection.from_file(str(built / "stac" / "collection.json"))
    items = list(collection.get_items())
    assert len(items) == 8
    for item in items:
        assert Path(item.assets["image"].get_absolute_href()).is_file()


@pytest.mark.verifies("DAT-016")
def test_the_regions_of_each_picture_are_counted(built):
    import csv

    mine = landmarks_of_west_and_east(built)
    with open(built / "regions.csv", newline="", encoding="utf-8") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    for record in store.read_manifest(built).values():
        found = labels.labels_of(built, record, mine)
        counts = np.bincount(mine.region[found.index], minlength=16)
        assert [int(rows[record.file][name]) for name in REGION_IDS] == counts.tolist()


@pytest.mark.verifies("DAT-006")
def test_verify_finds_altered_labels(built, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(built, copy)
    (copy / "annotations" / "train.json").write_text(json.dumps({}))
    (copy / "data.yaml").unlink()
    assert cli.main(["dataset", "verify", str(copy)]) == 3
    out = capsys.readouterr().out
    assert "annotations/train.json: is altered" in out
    assert "data.yaml: is missing" in out


@pytest.mark.verifies("DAT-017")
def test_a_crop_shows_its_landmarks_where_its_labels_say(built, rng):
    """A crop's label leads back, by the crop's own pixels, to the landmark's pixels in the picture."""
    from flightsw.vision.catalog import read_catalog
    from groundtools.training.folder import DatasetFolder

    catalogs = {name: read_catalog(models_folder() / f"{name}.cat") for name in ("32T", "33T")}
    folder = DatasetFolder(built, catalogs)
    # A picture whose grey is its own column and row makes every crop pixel name its origin.
    seen = folder._seen[0]
    u, v = np.meshgrid(np.arange(160), np.arange(64))
    picture = np.stack([20 + u, 20 + 2 * v, 0 * u + 100], axis=-1).astype(np.uint8)
    import groundtools.training.folder as module

    for yaw, scale in ((0.0, 620.0), (1.0, 500.0), (4.0, 700.0)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "_other_light", lambda rng, pixels: pixels)
            patch.setattr(module, "_read_window", lambda path, low, high, step: _window(picture, low, high))
            aim = np.array([80.0, 32.0])
            pixels, local = folder._cut(rng, seen, aim, scale, (64, 64), yaw)
        near = (np.abs(local - 32) < 14).all(axis=1) & seen.inside
        for place, origin in zip(local[near], seen.uv_px[near], strict=True):
            column, row = np.floor(place).astype(int)
            grey = pixels[row, column].astype(float)
            assert grey[0] - 20 + 0.5 == pytest.approx(origin[0], abs=2.5)  # px and JPEG
            assert (grey[1] - 20) / 2 + 0.5 == pytest.approx(origin[1], abs=2.5)
        middle = pixels[32, 32].astype(float)
        assert middle[0] - 20 == pytest.approx(80.0, abs=2.5)


def _window(picture, low, high):
    padded = np.pad(picture, ((200, 200), (200, 200), (0, 0)), mode="edge")
    return np.ascontiguousarray(padded[low[1] + 200 : high[1] + 200, low[0] + 200 : high[0] + 200])


@pytest.mark.verifies("DAT-017")
def test_both_networks_train_on_a_folder(built, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    checkpoint = ["--checkpoint", str(tmp_path / "ld.pt")]
    data = ["--dataset", str(built), "--steps", "2"]
    assert cli.main(["train", "ld", "--region", "33T", *data, *checkpoint]) == 0
    assert (tmp_path / "ld.pt").is_file()
    checkpoint = ["--checkpoint", str(tmp_path / "rc.pt"), "--batch", "4"]
    assert cli.main(["train", "rc", *data, *checkpoint]) == 0
    assert (tmp_path / "rc.pt").is_file()


@pytest.mark.verifies("DAT-017")
def test_training_on_what_is_no_data_set_is_one_line(tmp_path, capsys):
    assert cli.main(["train", "ld", "--region", "33T", "--dataset", str(tmp_path)]) == 3
    assert "is no data set" in capsys.readouterr().err


def test_a_models_folder_without_catalogues_is_named(built, tmp_path, capsys):
    assert cli.main(["dataset", "resume", str(built), "--workers", "1", "--models", str(tmp_path)]) == 3
    assert "holds no landmark catalogue" in capsys.readouterr().err
