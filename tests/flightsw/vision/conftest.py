import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def toy_field(toy):
    return toy.texture(1)


@pytest.fixture(scope="session")
def toy_map(toy, toy_field):
    return toy.reference_map(toy_field)


@pytest.fixture(scope="session")
def toy_frame(toy, toy_field):
    """Return the planet's frame from the pose that the toy detector knows, (648, 1152, 3)."""
    return toy.render(toy_field, toy.TRUE_POSE)


@pytest.fixture(scope="session")
def toy_set(toy, tmp_path_factory):
    """Return the toy planet's models folder, not to be written to."""
    folder = tmp_path_factory.mktemp("toy") / "models"
    toy.write_models(folder)
    return folder


@pytest.fixture
def toy_models(toy_set, tmp_path):
    """Return a copy of the models folder, to be spoilt."""
    return Path(shutil.copytree(toy_set, tmp_path / "models"))
