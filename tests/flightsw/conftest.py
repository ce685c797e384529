"""What several parts of the flight program are tested on: a small case with a known answer, a toy planet."""

import runpy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from flightsw.camera.model import Camera
from flightsw.estimate.solution import Solution
from flightsw.runtime.known_case import KnownCase, known_case
from flightsw.runtime.od import Knowledge, determine
from flightsw.runtime.tables import rows_of, write_observations

TOY_WORLD = Path(__file__).parents[1] / "data" / "toy_world.py"


@pytest.fixture(scope="session")
def toy() -> SimpleNamespace:
    """Return the names of tests/data/toy_world.py."""
    return SimpleNamespace(**runpy.run_path(str(TOY_WORLD)))


@dataclass(frozen=True)
class CaseFiles:
    """A known case, its solution without further knowledge, and its files."""

    case: KnownCase
    solution: Solution
    observations: Path
    camera: Path


def camera_toml(camera: Camera) -> str:
    rows = ", ".join("[" + ", ".join(repr(float(x)) for x in row) + "]" for row in camera.cam_from_body)
    return (
        f"width_px = {camera.width_px}\nheight_px = {camera.height_px}\n"
        f"fx_px = {camera.fx_px}\nfy_px = {camera.fy_px}\ncx_px = {camera.cx_px}\ncy_px = {camera.cy_px}\n"
        f"distortion = {list(camera.distortion)}\ncam_from_body = [{rows}]\n"
    )


@pytest.fixture(scope="session")
def write_case(tmp_path_factory: pytest.TempPathFactory) -> Callable[[KnownCase], tuple[Path, Path]]:
    """Return a function that writes a case as (observations.csv, camera.toml)."""

    def write(case: KnownCase) -> tuple[Path, Path]:
        folder = tmp_path_factory.mktemp("case")
        write_observations(folder / "obs.csv", rows_of(case.observations))
        (folder / "cam.toml").write_text(camera_toml(case.camera))
        return folder / "obs.csv", folder / "cam.toml"

    return write


@pytest.fixture(scope="session")
def case_files(write_case: Callable[[KnownCase], tuple[Path, Path]]) -> CaseFiles:
    """Return the two-pass case that `flightsw selftest` runs."""
    case = known_case()
    observations, camera = write_case(case)
    return CaseFiles(case, determine(case.observations, case.camera, Knowledge())[0], observations, camera)
