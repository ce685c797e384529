"""What goes wrong by a caller's mistake, and the exit code each mistake ends in.

A numerical outcome (an orbit that is not determined) is never an exception: see
`flightsw.estimate.solution.Status`.
"""

EXIT_OK = 0
EXIT_USAGE = 2
EXIT_INPUT = 3
EXIT_NOT_DETERMINED = 4


class VinsatError(Exception):
    """Base of all errors that end a command with one clear line."""

    exit_code = EXIT_INPUT


class UsageError(VinsatError):
    """The command line or an option is wrong (exit code 2)."""

    exit_code = EXIT_USAGE


class InputError(VinsatError, ValueError):
    """A file or value cannot be used (exit code 3).

    Parameters say where and what to do: `file` (path as the user gave it), `field`
    (column, key or row), `problem` (what is wrong), `fix` (what to change).
    The message is `file: field: problem; fix`, with empty parts left out.
    """

    def __init__(self, problem: str, *, file: object = "", field: str = "", fix: str = "") -> None:
        self.file = str(file)
        self.field = field
        self.problem = problem
        self.fix = fix
        where = ": ".join(part for part in (self.file, field, problem) if part)
        super().__init__(f"{where}; {fix}" if fix else where)


class ModelError(InputError):
    """A model, map or catalogue is missing, altered or does not match its manifest."""
