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


@pytest.mark.verifies("RUN-103")
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_examples_that_parse(name):
    examples = [one for one in EXAMPLE.findall(help_of(name)) if one.split()[1] == name]
    assert examples
    for example in examples:
        cli.build(name).parse_args(shlex.split(example)[1:], exit_on_error=False, print_error=False)


@pytest.mark.verifies("RUN-103")
def test_whoever_asks_for_help_sees_the_examples(capsys):
    assert cli.main(["compare", "--help"]) == 0
    assert "vinsat compare runs/demo" in capsys.readouterr().out
