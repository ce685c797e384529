"""Every command README and CONTRIBUTING show exists."""

import re
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path

import pytest

from groundtools import registry

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(sysconfig.get_path("scripts"))
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Return the command lines of all ```sh blocks, comments dropped, continuations joined."""
    lines = []
    for name in ("README.md", "CONTRIBUTING.md"):
        for block in BLOCK.findall((ROOT / name).read_text(encoding="utf-8")):
            text = block.replace("\\\n", " ")
            lines += [line.split("#")[0].strip() for line in text.splitlines()]
    return [line for line in lines if line]


@cache
def make_targets() -> set[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    return set(phony.split())


@cache
def flight_help(subcommand: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from flightsw.cli import main; main()", subcommand, "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_readme_begins_with_two_commands():
    first, second = commands()[:2]
    assert first.startswith("git clone")
    assert second.endswith("make demo")


@pytest.mark.parametrize("line", commands())
def test_a_shown_command_exists(line):
    words = [word for word in line.split() if "=" not in word or word.startswith("-")]
    if words[:2] == ["cd", "vinsat"]:
        words = words[3:]
    program, *rest = words
    program = program.rpartition("/")[2]
    if program == "make":
        assert {word for word in rest if not word.startswith("-")} <= make_targets()
    elif program == "vinsat":
        assert rest[0] in registry.registered("vinsat.commands"), line
        group = {"reproduce": registry.REPRODUCTIONS, "bench": registry.BENCHES}.get(rest[0])
        if group and rest[1] not in ("list", "all"):
            assert rest[1] in registry.registered(group), line
    elif program == "flightsw":
        shown = flight_help(rest[0])
        assert shown.returncode == 0, shown.stderr
        for option in (word for word in rest[1:] if word.startswith("--")):
            assert option in shown.stdout, f"{line}: flightsw {rest[0]} has no {option}"
    else:
        assert program in {"git", "sudo", "run"} or (SCRIPTS / program).exists(), line
