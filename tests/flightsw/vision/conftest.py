import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

TOY_WORLD = Path(__file__).parents[2] / "data" / "toy_world.py"


@pytest.fixture(scope="session")
def toy() -> SimpleNamespace:
    """Return the names of tests/data/toy_world.py."""
    return SimpleNamespace(**runpy.run_path(str(TOY_WORLD)))


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


@pytest.fixture
def toy_models(toy, tmp_path):
    """Return a fresh models folder."""
    toy.write_models(tmp_path / "models")
    return tmp_path / "models"
