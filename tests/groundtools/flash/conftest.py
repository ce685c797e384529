"""A small bundle: one place, one wheel."""

import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from flightsw.vision.manifest import read_manifest, write_manifest
from groundtools.flash.bundle import make_bundle

MODELS = Path(__file__).parents[3] / "models"


@pytest.fixture(scope="session")
def wheels(tmp_path_factory):
    """Return a folder with one made-up wheel."""
    folder = tmp_path_factory.mktemp("wheels")
    with zipfile.ZipFile(folder / "thing-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(zipfile.ZipInfo("thing/__init__.py"), "VALUE = 1\n")
    return folder


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Return a models folder of one place, by its map alone."""
    folder = tmp_path_factory.mktemp("models")
    whole = read_manifest(MODELS)
    place = next(region for region in whole.region if region.detector is None)
    for entry in (place.catalog, place.map):
        shutil.copy(MODELS / entry.file, folder / entry.file)
    write_manifest(folder, replace(whole, region=(place,), rc=None))
    return folder


@pytest.fixture(scope="session")
def bundle(tmp_path_factory, models, wheels):
    """Return a small bundle."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    return make_bundle(tmp_path_factory.mktemp("bundle"), models=models, wheels=wheels)
