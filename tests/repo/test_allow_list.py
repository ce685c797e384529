"""What flies imports the standard library, numpy, scipy.linalg, onnxruntime, a JPEG decoder."""

import ast
import sys
from pathlib import Path

import pytest

FLIGHTSW = Path(__file__).parents[2] / "flightsw"
ALLOWED = {"flightsw", "numpy", "scipy.linalg", "onnxruntime", "simplejpeg", *sys.stdlib_module_names}
ONLY_SESSION = "onnxruntime"
MODULES = sorted(FLIGHTSW.rglob("*.py"))


def imported(path: Path) -> list[str]:
    """Return every module a file imports, at any depth of its code."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where a name comes from"
            names.append(node.module or "")
            if node.module == "scipy":
                names += [f"scipy.{alias.name}" for alias in node.names]
                names.remove("scipy")
    return names


def is_allowed(name: str) -> bool:
    return any(name == allowed or name.startswith(f"{allowed}.") for allowed in ALLOWED)


@pytest.mark.verifies("RUN-101")
@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(FLIGHTSW)))
def test_a_flight_module_imports_only_what_may_fly(path):
    foreign = [name for name in imported(path) if not is_allowed(name)]
    assert not foreign, f"{path} imports {foreign}"
    if path.name != "session.py":
        assert not [name for name in imported(path) if name.startswith(ONLY_SESSION)]


def test_scipy_is_loaded_by_the_orbit_side_and_only_when_it_is_needed():
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                text = ast.unparse(node)
                assert "scipy" not in text, f"{path}: {text} at module level"
        if "scipy" in path.read_text(encoding="utf-8"):
            assert path.parent.name in ("astro", "estimate", "runtime"), path
