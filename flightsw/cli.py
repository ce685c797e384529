"""The `flightsw` command: frames or observations in, orbit out.

Exit codes: 0 determined (or all well), 2 usage, 3 unreadable or malformed input, 4 not
determined. A mistake of the caller ends in one line on stderr, never in a traceback.
Handlers import what they need when they run, so that --help is quick and `od` loads no
network runtime.
"""

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import TYPE_CHECKING, NoReturn

from flightsw.errors import EXIT_INPUT, EXIT_NOT_DETERMINED, EXIT_OK, EXIT_USAGE, VinsatError
from flightsw.runtime.heap import give_large_blocks_back

if TYPE_CHECKING:
    from flightsw.runtime.od import Outcome
    from flightsw.runtime.selftest import Check

INTERRUPTED = 130  # as a shell reports SIGINT
EXIT_CODES = "exit codes: 0 determined, 2 usage, 3 unreadable or malformed input, 4 not determined"

RUN_EXAMPLES = """examples:
  flightsw run --frames frames --camera cam.toml --models models --out out
  flightsw run --frames frames --camera cam.toml --models models --until 2026-03-02T00:00:00Z --json

Frames are JPEG files. Their times come from frames.csv (columns file, time_utc) in the
folder, else from names like 2026-03-01T12-00-05.250000.jpg. A frame that cannot be read is
skipped and counted. Written are observations.csv, solution.json, and, where a state was
reached, orbit.oem and ephemeris.csv.
"""
OD_EXAMPLES = """examples:
  flightsw od --observations obs.csv --camera cam.toml --out out
  flightsw od --observations obs.csv --camera cam.toml --attitude att.csv --prior out/solution.json --out out2

Written are solution.json and, where a state was reached, orbit.oem and ephemeris.csv.
"""
FLY_EXAMPLES = """example:
  flightsw fly --config payload.toml

Takes frames, looks at them, estimates the orbit, and talks to the ground until it is ended
(SIGTERM, or the command RESTART). Exit codes: 0 ended on request, 2 usage, 3 a file or
device of the configuration cannot be used.
"""
DOCTOR_EXAMPLES = """example:
  flightsw doctor --config /etc/vinsat/payload.toml

Clock, keys, one frame of the camera, memory, storage, and the self-test. Exit codes: 0 fit,
3 a check failed.
"""
VERIFY_EXAMPLES = """example:
  flightsw verify --models models

Every file of the folder is compared with the sealed manifest, and every network is loaded.
"""
SELFTEST_EXAMPLES = """examples:
  flightsw selftest
  flightsw selftest --models models

Time, Earth rotation, propagation and the estimator on a small case whose answer is known;
with --models each network is also loaded and run once.
"""


class _Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        line = f"{self.prog}: {' '.join(message.split())}; see {self.prog} --help\n"
        self.exit(EXIT_USAGE, line)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="flightsw: %(message)s")
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as stop:  # argparse ends by itself: 0 for --help, 2 for a mistake
        return stop.code if isinstance(stop.code, int) else EXIT_USAGE
    give_large_blocks_back()
    try:
        code: int = arguments.handler(arguments)
    except VinsatError as error:
        sys.stderr.write(f"flightsw: {' '.join(str(error).split())}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("flightsw: interrupted\n")
        return INTERRUPTED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="flightsw",
        allow_abbrev=False,
        description="Find the orbit from what the camera sees.",
        epilog=EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"flightsw {_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)

    run = _command(commands, "run", "frames to orbit, once", RUN_EXAMPLES)
    run.add_argument("--frames", required=True, metavar="DIR", help="folder of JPEG frames")
    run.add_argument("--camera", required=True, metavar="TOML", help="camera file")
    run.add_argument("--models", required=True, metavar="DIR", help="models folder with its manifest.toml")
    alone = "look at every frame by itself and once: no neighbours, no second sweep with the orbit found"
    run.add_argument("--no-tracking", action="store_true", help=alone)
    _add_knowledge(run)
    run.set_defaults(handler=_run)

    od = _command(commands, "od", "observations to orbit", OD_EXAMPLES)
    od.add_argument(
        "--observations", required=True, metavar="CSV", help="landmark observations, of any detector"
    )
    od.add_argument("--camera", required=True, metavar="TOML", help="camera file")
    _add_knowledge(od)
    od.set_defaults(handler=_od)

    fly = _command(commands, "fly", "the supervised payload", FLY_EXAMPLES)
    fly.add_argument("--config", required=True, metavar="TOML", help="payload file")
    fly.add_argument("--verbose", action="store_true", help="say every event on stderr")
    fly.set_defaults(handler=_fly)

    doctor = _command(commands, "doctor", "is this computer fit to fly?", DOCTOR_EXAMPLES)
    doctor.add_argument("--config", required=True, metavar="TOML", help="payload file")
    doctor.add_argument("--json", action="store_true", help="print the results as JSON")
    doctor.set_defaults(handler=_doctor)

    verify = _command(commands, "verify", "check a models folder", VERIFY_EXAMPLES)
    verify.add_argument("--models", required=True, metavar="DIR", help="models folder with its manifest.toml")
    verify.set_defaults(handler=_verify)

    selftest = _command(commands, "selftest", "check this program on this computer", SELFTEST_EXAMPLES)
    selftest.add_argument("--models", metavar="DIR", help="models folder: load and run each network once")
    selftest.add_argument("--json", action="store_true", help="print the results as JSON")
    selftest.set_defaults(handler=_selftest)
    return parser


def _command(
    commands: "argparse._SubParsersAction[_Parser]", name: str, summary: str, examples: str
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=summary,
        description=f"{name}: {summary}.",
        epilog=f"{examples}\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _add_knowledge(parser: argparse.ArgumentParser) -> None:
    """Add the options that `run` and `od` share."""
    attitude = "attitude table (cam_from_eci quaternions); without it: nadir pointing, its error estimated"
    gyro = "turning rates; used where pointing is said to vary (--estimator)"
    prior = "solution.json of an earlier run: start from it and weigh it in"
    estimator = "what is known of pointing, camera, clock and detector (docs/files.md)"
    until = "where the ephemeris ends, e.g. 2026-03-02T00:00:00Z (default: the last used observation)"
    parser.add_argument("--attitude", metavar="CSV", help=attitude)
    parser.add_argument("--gyro", metavar="CSV", help=gyro)
    parser.add_argument("--prior", metavar="JSON", help=prior)
    parser.add_argument("--estimator", metavar="TOML", help=estimator)
    parser.add_argument("--until", metavar="TIME_UTC", help=until)
    parser.add_argument("--out", default="out", metavar="DIR", help="output folder (default: out)")
    parser.add_argument("--json", action="store_true", help="print solution.json on stdout")


def _run(arguments: argparse.Namespace) -> int:
    from flightsw.runtime.run import run

    outcome = run(
        frames=arguments.frames,
        camera=arguments.camera,
        models=arguments.models,
        attitude=arguments.attitude,
        gyro=arguments.gyro,
        prior=arguments.prior,
        until=arguments.until,
        estimator=arguments.estimator,
        out=arguments.out,
        tracking=not arguments.no_tracking,
    )
    return _report(outcome, arguments)


def _od(arguments: argparse.Namespace) -> int:
    from flightsw.runtime.od import od

    outcome = od(
        observations=arguments.observations,
        camera=arguments.camera,
        attitude=arguments.attitude,
        gyro=arguments.gyro,
        prior=arguments.prior,
        until=arguments.until,
        estimator=arguments.estimator,
        out=arguments.out,
    )
    return _report(outcome, arguments)


def _fly(arguments: argparse.Namespace) -> int:
    from flightsw.runtime.fly.assembly import fly

    if arguments.verbose:
        logging.getLogger("flightsw.fly").setLevel(logging.INFO)
    return fly(arguments.config)


def _verify(arguments: argparse.Namespace) -> int:
    from pathlib import Path

    from flightsw.vision.models import verify_models

    _say("".join(f"{line}\n" for line in verify_models(Path(arguments.models))))
    return EXIT_OK


def _selftest(arguments: argparse.Namespace) -> int:
    from flightsw.runtime.selftest import selftest

    return _say_checks(selftest(models=arguments.models), arguments)


def _doctor(arguments: argparse.Namespace) -> int:
    from flightsw.runtime.doctor import doctor

    return _say_checks(doctor(arguments.config), arguments)


def _say_checks(results: "Sequence[Check]", arguments: argparse.Namespace) -> int:
    """Say what passed and what did not; return the exit code."""
    if arguments.json:
        _say(json.dumps({r.name: {"passed": r.passed, "detail": r.detail} for r in results}) + "\n")
    else:
        _say("".join(f"{'ok  ' if r.passed else 'FAIL'} {r.name}: {r.detail}\n" for r in results))
    return EXIT_OK if all(r.passed for r in results) else EXIT_INPUT


def _report(outcome: "Outcome", arguments: argparse.Namespace) -> int:
    """Say how an estimate ended, and return its exit code."""
    solution = outcome.solution
    used, sigma = int(solution.used.sum()), solution.position_sigma / 1e3
    lines = [outcome.frames] if outcome.frames else []
    lines.append(f"{solution.status.name}: {solution.status.value}")
    lines.append(f"observations: {used} used, {len(solution.used) - used} rejected")
    if solution.has_state:
        epoch, passes = solution.epoch.utc_iso(3), len(solution.passes)
        lines.append(f"orbit at {epoch}: 1-sigma position {sigma:.3f} km, {passes} passes")
    lines.append(f"written: {', '.join(outcome.written)} in {ascii(arguments.out)[1:-1]}")
    _say(outcome.text if arguments.json else "\n".join(lines) + "\n")
    return EXIT_OK if solution.status.is_determined else EXIT_NOT_DETERMINED


def _say(text: str) -> None:
    """Write to stdout, where somebody still listens."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:  # e.g. `flightsw od ... | head -1`; the files are written all the same
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _version() -> str:
    try:
        return metadata.version("vinsat")
    except metadata.PackageNotFoundError:  # run from a folder that was never installed
        return "unknown"


if __name__ == "__main__":
    sys.exit(main())
