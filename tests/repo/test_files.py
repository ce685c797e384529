"""Files are short, and the repository names no package index."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
HARD_STOP_LINES = 500
MAX_MODELS_BYTES = 40_000_000  # models, maps and catalogues together
# In two parts, so that this file does not name them either.
HOST_PARTS = (
    ("pypi", ".org"),
    ("pythonhosted", ".org"),
    ("download.py", "torch.org"),
    ("registry.npm", "js.org"),
    ("piwhe", "els.org"),
    ("conda.ana", "conda.org"),
)
INDEX_HOSTS = [first + second for first, second in HOST_PARTS]


def tracked() -> list[Path]:
    """Return the files of the repository, by git."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_no_python_file_is_longer_than_the_hard_stop():
    lengths = {
        path: len(path.read_text(encoding="utf-8").splitlines()) for path in tracked() if path.suffix == ".py"
    }
    too_long = {str(path): lines for path, lines in lengths.items() if lines > HARD_STOP_LINES}
    assert not too_long


def test_nothing_names_a_package_index():
    for path in tracked():
        content = path.read_bytes()
        for host in INDEX_HOSTS:
            assert host.encode() not in content, f"{path} names {host}"


def test_models_maps_and_catalogues_stay_small():
    total = sum(path.stat().st_size for path in tracked() if path.is_relative_to(ROOT / "models"))
    assert total <= MAX_MODELS_BYTES, f"models/ holds {total / 1e6:.1f} MB"


def test_datasets_and_models_hold_no_python():
    for path in tracked():
        if path.suffix == ".py":
            assert not path.is_relative_to(ROOT / "models"), path
            assert not path.is_relative_to(ROOT / "datasets"), path
