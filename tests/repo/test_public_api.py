"""The public names of the flight program change on purpose only."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("public_api.py")
SNAPSHOT = SCRIPT.with_suffix(".txt")


def test_the_public_names_are_those_of_the_snapshot():
    code = f"import runpy; print('\\n'.join(runpy.run_path({str(SCRIPT)!r})['public_api']()))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    now, then = set(result.stdout.splitlines()), set(SNAPSHOT.read_text(encoding="utf-8").splitlines())
    fix = "if this is meant: python tests/repo/public_api.py"
    assert now == then, f"new: {sorted(now - then)}; gone: {sorted(then - now)}; {fix}"
