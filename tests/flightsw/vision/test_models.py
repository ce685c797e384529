import dataclasses
import hashlib
import shutil

import numpy as np
import pytest

from flightsw.errors import InputError, ModelError
from flightsw.vision import manifest as mf
from flightsw.vision import models as models_module
from flightsw.vision.catalog import write_catalog
from flightsw.vision.maps import write_map
from flightsw.vision.models import load_models, verify_models
from flightsw.vision.session import Session, onnx_metadata


def reseal(folder, **changes):
    """Write the manifest again with the right hashes and `changes` to its fields."""
    manifest = mf.read_manifest(folder)
    place = manifest.region[0]
    detector = dataclasses.replace(place.detector, model=mf.file_entry(folder, place.detector.model.file))
    place = dataclasses.replace(
        place,
        catalog=mf.file_entry(folder, place.catalog.file),
        map=mf.file_entry(folder, place.map.file),
        detector=detector,
    )
    rc = dataclasses.replace(manifest.rc, model=mf.file_entry(folder, manifest.rc.model.file))
    mf.write_manifest(folder, dataclasses.replace(manifest, region=(place,), rc=rc, **changes))


def test_a_manifest_comes_back_as_it_was_written(toy_models):
    manifest = mf.read_manifest(toy_models)
    written = dataclasses.replace(manifest, accept=mf.Acceptance(peak=0.25))
    mf.write_manifest(toy_models, written)
    assert mf.read_manifest(toy_models) == written


def test_a_whole_set_is_verified_line_by_line(toy_models):
    lines = verify_models(toy_models)
    assert lines == ["33T: 40 landmarks, map, detector", "region classifier: 2 classes"]


def test_the_seal_is_one_that_sha256sum_can_check(toy_models):
    digest, name = (toy_models / mf.SEAL).read_text().split()
    assert digest == hashlib.sha256((toy_models / name).read_bytes()).hexdigest()


@pytest.mark.verifies("VIS-106")
@pytest.mark.parametrize(
    "name", ["manifest.toml", "manifest.sha256", "33T.cat", "33T.map", "33T.onnx", "rc.onnx"]
)
def test_missing_cut_and_altered_files_are_refused_by_name(toy_models, name):
    path = toy_models / name
    whole = path.read_bytes()
    for damage in (None, b"", whole[:-1], whole + b"\n\n", whole[:9] + bytes([whole[9] ^ 1]) + whole[10:]):
        if damage is None:
            path.unlink()
        else:
            path.write_bytes(damage)
        with pytest.raises(ModelError) as caught:
            load_models(toy_models)
        expected = {"manifest.sha256": "manifest."}.get(name, name)
        assert expected in str(caught.value)
        assert "; " in str(caught.value)  # a fix
        path.write_bytes(whole)
        if name == "manifest.sha256":
            break  # trailing white space does not alter a seal
    load_models(toy_models)


@pytest.mark.verifies("VIS-106")
def test_another_class_order_is_refused_even_with_right_hashes(toy, toy_models):
    order = np.arange(toy.LANDMARKS)[::-1]
    catalog = toy.catalog()
    columns = ("number", "lon_deg", "lat_deg", "height", "size_km")
    turned = dataclasses.replace(catalog, **{name: getattr(catalog, name)[order] for name in columns})
    write_catalog(toy_models / "33T.cat", turned)
    reseal(toy_models)
    with pytest.raises(ModelError, match=r"33T\.onnx: vinsat\.catalog_sha256: .*another class order"):
        load_models(toy_models)


def test_a_classifier_of_another_class_order_is_refused(toy, toy_models):
    (toy_models / "rc.onnx").write_bytes(toy.classifier_onnx(("17R", mf.ELSEWHERE), 0.9))
    reseal(toy_models)
    with pytest.raises(ModelError, match=r"rc\.onnx: vinsat\.classes: .*17R,elsewhere.*33T,elsewhere"):
        load_models(toy_models)


def test_a_detector_of_another_region_is_refused(toy, toy_models):
    entry = mf.file_entry(toy_models, "33T.cat")
    (toy_models / "33T.onnx").write_bytes(toy.detector_onnx(mf.detector_metadata("17R", entry)))
    reseal(toy_models)
    with pytest.raises(ModelError, match=r"33T\.onnx: vinsat\.region"):
        load_models(toy_models)


def test_the_map_of_another_region_is_refused(toy_map, toy_models):
    write_map(toy_models / "33T.map", dataclasses.replace(toy_map, region="17R"))
    reseal(toy_models)
    with pytest.raises(ModelError, match=r"33T\.map: is the map of 17R, not of 33T"):
        load_models(toy_models)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": 2}, "schema: 2 is not 1"),
        ({"accept": mf.Acceptance(peak=0.2)}, None),
    ],
)
def test_a_manifest_of_another_schema_is_refused(toy_models, change, words):
    reseal(toy_models, **change)
    if words is None:
        assert load_models(toy_models).manifest.accept.peak == 0.2
        return
    with pytest.raises(ModelError, match=words):
        load_models(toy_models)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("schema = 1", "schema = 1\nsurprise = 2", "surprise"),
        ("0.485", "0.5", r"rc\.mean"),
        ("[1, 3, 160, 288]", "[1, 3, 320, 576]", r"rc\.input"),
        ("[1, 3, 656, 1152]", "[1, 3, 640, 640]", r"region\.33T\.detector\.input"),
        ('"elsewhere"]', '"17R"]', r"rc\.classes"),
        ('"33T.cat"', '"../33T.cat"', "plain file name"),
        ("landmarks = 40", "landmarks = 41", r"33T\.cat: holds 40 landmarks of 33T, not 41"),
        ("min_inliers = 4", "min_inliers = 3", "min_inliers"),
    ],
)
def test_a_resealed_manifest_that_asks_for_something_else_is_refused(toy_models, old, new, words):
    path = toy_models / mf.NAME
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    (toy_models / mf.SEAL).write_text(hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(ModelError, match=words):
        load_models(toy_models)


def test_a_network_of_other_shapes_is_refused(toy, toy_models):
    data = (toy_models / "rc.onnx").read_bytes()
    path = toy_models / "rc.onnx"
    with pytest.raises(ModelError, match=r"rc\.onnx: takes"):
        Session(data, path=path, input_shape=(1, 3, 8, 8), output_shapes={"logits": (1, 2)})
    with pytest.raises(ModelError, match=r"output 'logits' is \(1, 2\), not \[1, 17\]"):
        Session(data, path=path, input_shape=(1, 3, 160, 288), output_shapes={"logits": (1, 17)})
    with pytest.raises(ModelError, match="is not a network"):
        Session(b"junk", path=path, input_shape=(1, 3, 8, 8), output_shapes={})


def test_metadata_are_read_without_the_runtime(toy, toy_models, rng):
    data = (toy_models / "33T.onnx").read_bytes()
    found = onnx_metadata(data)
    assert found["vinsat.kind"] == "ld"
    assert found["vinsat.region"] == "33T"
    for cut in rng.integers(0, len(data), 50):  # any prefix: an error or fewer entries, never a hang
        try:
            onnx_metadata(data[:cut])
        except ValueError:
            pass


def test_no_more_maps_and_searches_are_held_than_memory_allows(toy, toy_map, toy_models, monkeypatch):
    monkeypatch.setattr(models_module, "HELD", 2)
    tmp_path, manifest = toy_models, mf.read_manifest(toy_models)
    places = [manifest.region[0]]
    for name in ("17R", "54S"):
        catalog = dataclasses.replace(toy.catalog(), region=name)
        write_catalog(tmp_path / f"{name}.cat", catalog)
        write_map(tmp_path / f"{name}.map", dataclasses.replace(toy_map, region=name))
        catalog_entry, map_entry = (mf.file_entry(tmp_path, f"{name}.{end}") for end in ("cat", "map"))
        places.append(mf.Region(name, toy.BOUNDS_DEG, len(catalog), catalog_entry, map_entry))
    mf.write_manifest(tmp_path, dataclasses.replace(manifest, region=tuple(places)))
    models = dataclasses.replace(load_models(tmp_path), most_banks=1)
    for name in ("33T", "54S", "17R", "33T"):
        models.region(name)
        models.bank(name)
        assert len(models._held) <= 2
        assert len(models._banks) == 1
    with pytest.raises(ValueError, match="17R has no detector"):
        models.detector("17R")
    assert models.region("33T") is models.region("33T")


def test_a_file_altered_after_the_start_is_refused_when_it_is_loaded(toy_models):
    models = load_models(toy_models)
    (toy_models / "33T.map").write_bytes(b"VSMP" + bytes(200))
    with pytest.raises(ModelError, match=r"33T\.map"):
        models.region("33T")


def test_a_folder_that_is_not_there_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"manifest\.toml: does not exist"):
        load_models(tmp_path / "nowhere")


def test_copies_of_a_set_are_as_good_as_the_first(toy_models, tmp_path):
    shutil.copytree(toy_models, tmp_path / "copy")
    assert load_models(tmp_path / "copy").manifest == load_models(toy_models).manifest
