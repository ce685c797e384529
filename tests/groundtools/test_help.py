"""Help that teaches: every command shows examples, and every example parses."""

import importlib.util
import re
import shlex
import subprocess
import sys

import pytest

from groundtools import cli, registry

COMMANDS = registry.registered(cli.COMMANDS)
EXAMPLE = re.compile(r"`(vinsat [^`]+)`")


def help_of(name: str) -> str:
    """Return a command's own help text and those of its subcommands; nothing where torch is missing."""
    if name in ("train", "export") and importlib.util.find_spec("torch") is None:
        return ""
    app = COMMANDS[name].load()
    parts = [app.help or "", *(app[one].help or "" for one in app if not one.startswith("-"))]
    return "\n".join(parts)


# Read when tests are collected: making the shell's completion leaves a command's line of the
# list as its help, for the rest of the process.
TEXTS = {name: help_of(name) for name in COMMANDS}


@pytest.mark.verifies("RUN-103")
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_examples_that_parse(name):
    pytest.importorskip("torch") if name in ("train", "export") else None
    examples = [one for one in EXAMPLE.findall(TEXTS[name]) if one.split()[1] == name]
    assert examples
    for example in examples:
        cli.build(name).parse_args(shlex.split(example)[1:], exit_on_error=False, print_error=False)


@pytest.mark.verifies("RUN-103")
def test_whoever_asks_for_help_sees_the_examples():
    asked = [sys.executable, "-P", "-c", "import sys; from groundtools.cli import main; sys.exit(main())"]
    shown = subprocess.run([*asked, "compare", "--help"], capture_output=True, text=True, check=True)
    assert "vinsat compare runs/demo" in shown.stdout
