"""The tutorial's commands do what it says, in the order it says it."""

import os
import re
import shlex
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "tutorials" / "dataset.md"
SCRIPTS = Path(sysconfig.get_path("scripts"))
BLOCK = re.compile(r"^```(?:sh|\{code-cell\}\n%%sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    text = PAGE.read_text(encoding="utf-8")
    return [shlex.split(line) for block in BLOCK.findall(text) for line in block.splitlines() if line]


def test_the_tutorial_shows_every_step():
    steps = [command[1:3] for command in commands()]
    for step in ("plan", "build", "status", "verify", "resume", "view"):
        assert ["dataset", step] in steps
    assert ["train", "ld"] in steps


@pytest.mark.slow
def test_the_tutorial_runs_from_recipe_to_trained_region(tmp_path):
    for name in ("datasets", "models"):
        os.symlink(ROOT / name, tmp_path / name)
    for program, *arguments in commands():
        done = subprocess.run(
            [SCRIPTS / program, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
    assert (tmp_path / "runs" / "italy" / "view.html").is_file()
    assert (tmp_path / "runs" / "33T.pt").is_file()
