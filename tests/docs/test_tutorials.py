"""The cells of every executed page run, in order, in an empty folder, as the documents' builder runs them."""

import os
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CELL = re.compile(r"^```\{code-cell\}\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = sorted(
    page for page in DOCS.rglob("*.md") if page.read_text(encoding="utf-8").startswith("---\nfile_format")
)
# Minutes of processor time, or packages that not every environment has.
SLOW = {"dataset.md", "demo.md"}
NEEDS = {"layers.md": "torch", "concepts.md": "matplotlib", "flash.md": "flightsw"}


def cells(page: Path) -> list[str]:
    return [cell for cell in CELL.findall(page.read_text(encoding="utf-8")) if "remove-cell" not in cell]


def run_page(page: Path, folder: Path, monkeypatch) -> str:
    """Run a page's cells in a folder; return what its shell cells printed."""
    monkeypatch.setenv("VINSAT_ROOT", str(ROOT))
    monkeypatch.setenv("PATH", f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(folder)
    for name in ("datasets", "models", "sim", "docs"):
        (folder / name).symlink_to(ROOT / name)
    names: dict[str, object] = {}
    printed = []
    for cell in cells(page):
        if cell.startswith("%%sh\n"):
            done = subprocess.run(["sh", "-e", "-c", cell[5:]], capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{cell}\n{done.stdout}\n{done.stderr}"
            printed.append(done.stdout + done.stderr)
        else:
            exec(compile(re.sub(r"^:tags:.*\n", "", cell), page.name, "exec"), names)
    return "".join(printed)


def test_every_tutorial_is_there():
    names = {page.name for page in PAGES}
    assert {"demo.md", "own-camera.md", "own-detector.md", "dataset.md", "products.md"} <= names
    assert {"campaign.md", "flash.md", "layers.md", "where-was-my-camera.md"} <= names
    assert all(cells(page) for page in PAGES)


@pytest.mark.parametrize(
    "page",
    [pytest.param(p, marks=[pytest.mark.slow] if p.name in SLOW else []) for p in PAGES],
    ids=lambda page: page.name,
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's import
def test_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    if page.name in NEEDS:
        pytest.importorskip(NEEDS[page.name])
    run_page(page, tmp_path, monkeypatch)
