"""Importing warns of nothing, prints nothing and needs nothing beyond the declared extras."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = {"flightsw": ".", "groundtools": ".", "vinsat_sim": "sim", "vinsat_hil": "hil"}


def modules() -> list[str]:
    """Return the dotted name of every module of the project."""
    found = []
    for package, parent in PACKAGES.items():
        base = ROOT / parent
        for path in sorted((base / package).rglob("*.py")):
            parts = path.relative_to(base).with_suffix("").parts
            found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return found


def run(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_importing_our_modules_warns_of_nothing_and_prints_nothing():
    # Others' packages may warn while they load; the filter makes errors of ours alone.
    ours = "|".join(PACKAGES)
    names = [name for name in modules() if not name.endswith("__main__")]
    code = (
        "import importlib, warnings\n"
        "warnings.resetwarnings(); warnings.simplefilter('ignore')\n"
        f"warnings.filterwarnings('error', module=r'({ours})(\\..*)?$')\n"
        f"[importlib.import_module(name) for name in {names!r}]"
    )
    result = run(code)
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout == ""
    assert result.stderr == ""


def test_the_flight_program_imports_without_any_warning():
    names = [name for name in modules() if name.startswith("flightsw")]
    result = run(f"import importlib\n[importlib.import_module(name) for name in {names!r}]")
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout + result.stderr == ""
