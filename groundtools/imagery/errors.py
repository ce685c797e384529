"""How making a picture may fail, and the exit code each failure ends in."""

from flightsw.errors import VinsatError

EXIT_PARTIAL = 5
EXIT_REMOTE = 6


class SceneError(VinsatError):
    """One product cannot be made, whatever is tried: it is set aside, the others go on."""

    exit_code = EXIT_PARTIAL


class PartialError(VinsatError):
    """A campaign ended with some of its products missing (exit code 5)."""

    exit_code = EXIT_PARTIAL


class RemoteError(VinsatError):
    """A service refuses: credentials, quota, budget, no network (exit code 6). Resume later."""

    exit_code = EXIT_REMOTE
