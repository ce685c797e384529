"""The `vinsat` command: everything on the ground, each part loaded only when it is called.

Subcommands are entry points of the group `vinsat.commands`: `name = "module:attribute"`,
where the attribute is a `cyclopts.App` or a function. Nothing of them is imported before
they are called; the help line is the first line of the module's docstring, read from
its source. A command returns an exit code or None (0): 0 ok, 2 usage, 3 bad or
insufficient data, 4 not determined, 5 partial campaign, 6 remote or quota.
"""

import ast
import importlib.util
import os
import shutil
import sys
import textwrap
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING

from flightsw.errors import EXIT_INPUT, EXIT_OK, EXIT_USAGE, VinsatError
from groundtools import registry

if TYPE_CHECKING:
    import cyclopts

COMMANDS = "vinsat.commands"
QUOTES = '"' * 3
EXIT_INTERRUPTED = 130  # the shell's code for Ctrl-C
EXIT_UNREAD = 141  # and for a reader who has gone, as in `vinsat doctor | head -2`

INTRODUCTION = (
    "A nanosatellite finds its own orbit from what its camera sees. "
    "Start with `vinsat demo`; `vinsat doctor` tells what is missing."
)
OPTIONS = {
    "--help, -h": "This list; after a command, its options.",
    "--version": "The version.",
    "--install-completion": "Let the shell complete commands and options.",
}
CLOSING = "`vinsat COMMAND --help` explains a command, with examples."


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    try:
        code = _run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_UNREAD
    return code


def _run(words: list[str]) -> int:
    if words in ([], ["-h"], ["--help"]):
        sys.stdout.write(command_list())
        return EXIT_OK
    try:
        import cyclopts
    except ModuleNotFoundError:
        return _complain("this command needs more packages; pip install 'vinsat[sim]'")
    try:
        result = build(words[0] if words else "")(
            words,
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
    except cyclopts.CycloptsError as error:
        return _complain(f"{' '.join(str(error).split())} See vinsat --help", EXIT_USAGE)
    except VinsatError as error:
        return _complain(str(error), error.exit_code)
    except ImportError as error:
        return _complain(missing_package(error))
    except KeyboardInterrupt:
        return _complain("interrupted", EXIT_INTERRUPTED)
    return result if isinstance(result, int) else EXIT_OK


def command_list() -> str:
    """Return what `vinsat --help` says; without the parser, whose import takes twice as long as this."""
    width = min(shutil.get_terminal_size().columns, 100)

    def rows(lines: dict[str, str]) -> list[str]:
        column = max(map(len, lines)) + 4
        return [
            textwrap.fill(text, width, initial_indent=name, subsequent_indent=" " * column)
            for name, text in ((f"  {name}".ljust(column), text) for name, text in lines.items())
        ]

    commands = {name: help_line(entry) for name, entry in registry.registered(COMMANDS).items()}
    head = ["Usage: vinsat COMMAND [OPTIONS]", "", textwrap.fill(INTRODUCTION, width), ""]
    return "\n".join([*head, *rows(commands), "", *rows(OPTIONS), "", textwrap.fill(CLOSING, width), ""])


def build(chosen: str = "") -> "cyclopts.App":
    """Return the command with every registered subcommand, none of them imported.

    chosen : the subcommand that is asked for; it keeps its own help text, the others are a
    line in a list.
    """
    import cyclopts

    app = cyclopts.App(
        name="vinsat", help=INTRODUCTION, version=_version, error_console=_stderr(), help_format="markdown"
    )
    for name, entry in registry.registered(COMMANDS).items():
        if name == chosen:
            app.command(entry.value, name=name)
        else:
            app.command(entry.value, name=name, help=help_line(entry))
    app.register_install_completion_command(help="Let the shell complete commands and options.")
    return app


def help_line(entry: EntryPoint) -> str:
    """Return the first line of the docstring of an entry point's module, without importing it."""
    package, *rest = entry.module.split(".")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return f"(not found: {entry.module})"
    path = Path(spec.submodule_search_locations[0]).joinpath(*rest)
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    try:
        text = source.read_text(encoding="utf-8")
        if text.startswith(QUOTES):  # every module here does: no need to parse all of it
            return text[len(QUOTES) :].partition("\n")[0].partition(QUOTES)[0].strip()
        return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    except (OSError, SyntaxError):
        return f"(not found: {entry.module})"


def missing_package(error: ImportError) -> str:
    """Return one line naming the package that is missing and the command that installs it.

    A package of this project that does not import is a mistake in the project: raised.
    """
    from groundtools import doctor  # it knows which extra brings which module

    cause: BaseException = error
    while isinstance(cause.__cause__, ImportError):  # the lazy loader wraps the real one
        cause = cause.__cause__
    name = getattr(cause, "name", None) or ""
    extra = doctor.extra_of(name)
    if extra is None:
        raise error
    return f"the package {name!r} is not installed; pip install 'vinsat[{extra}]'"


def _complain(message: str, code: int = EXIT_INPUT) -> int:
    sys.stderr.write(f"vinsat: {message}\n")
    return code


def _stderr() -> object:
    from rich.console import Console

    return Console(stderr=True)


def _version() -> str:
    from importlib.metadata import version

    return version("vinsat")
