"""Help that teaches: every command shows examples, and every example parses."""

import re
import shlex

import pytest

from groundtools import cli, registry

COMMANDS = registry.registered(cli.COMMANDS)
EXAMPLE = re.compile(r"`(vinsat [^`]+)`")


def help_of(name: str) -> str:
    """Return a command's own help text and those of its subcommands."""
    pytest.importorskip("torch") if name in ("train", "export") else None
    app = COMMANDS[name].load()
    parts = [app.help or "", *(app[one].help or "" for one in app if not one.startswith("-"))]
    return "\n".join(parts)


# Read when tests are collected: a listing of commands leaves its own line as a command's help.
TEXTS = {name: help_of(name) for name in COMMANDS if name not in ("train", "export")}


@pytest.mark.verifies("RUN-103")
@pytest.mark.parametrize("name", TEXTS)
def test_every_command_shows_examples_that_parse(name):
    examples = [one for one in EXAMPLE.findall(TEXTS[name]) if one.split()[1] == name]
    assert examples
    for example in examples:
        cli.build(name).parse_args(shlex.split(example)[1:], exit_on_error=False, print_error=False)
