"""Every command that README and the documents show: it is there, it parses, and it runs.

Each line of a ```sh block or a shell cell is parsed by the program it names. Cells run with
their page (tests/docs). Of the blocks what can run in seconds does, in a folder with the
files the pages speak of; the others are listed below, with the reason and, where there is
one, what runs them instead.
"""

import re
import shlex
import shutil
import sysconfig
from functools import cache
from itertools import groupby, takewhile
from pathlib import Path

import pytest

from flightsw import cli as flight_cli
from flightsw.errors import EXIT_NOT_DETERMINED, EXIT_OK
from flightsw.estimate.batch import estimate_orbit
from flightsw.runtime import golden
from flightsw.runtime.known_case import known_case
from flightsw.runtime.products import write_solution
from flightsw.runtime.tables import rows_of, write_observations
from groundtools import cli, registry
from groundtools.products import formats
from groundtools.products.ephemeris import from_solution
from groundtools.products.fit_tle import Body, elements_of
from groundtools.products.omm import write_json
from groundtools.products.tle import write_tle

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(sysconfig.get_path("scripts"))
PAGES = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "datasets/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "tutorials").glob("*.md")),
)
BLOCK, CELL = (
    re.compile(rf"^ *```{head}\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
    for head in ("sh", r"\{code-cell\}\n%%sh")
)
CAMERA = """width_px = 1152
height_px = 648
fx_px = 886.9625
fy_px = 886.9625
cx_px = 576.0
cy_px = 324.0
distortion = [0.0, 0.0, 0.0, 0.0, 0.0]
cam_from_body = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
"""  # of the golden frames
SHORTER = {"--trials 5000 --half-width 0.02": "--trials 2", "--trials 500": "--trials 2"}
OF_THE_SYSTEM = {"apt", "cd", "dd", "debootstrap", "git", "python3", "rpi-image-gen", "sfdisk"}
OF_THE_SHELL = {"do", "done", "export", "for"}
NOT_RUN = {  # how a line begins: why it only parses here
    "vinsat dataset build": "minutes; tests/groundtools/dataset/test_build.py",
    "vinsat train ld": "minutes, and torch; the tutorial that shows it runs it",
    "vinsat sim report": "reads two finished campaigns; tests/vinsat_sim/montecarlo",
    "vinsat flash": "builds or writes a whole payload; tests/groundtools/flash",
    "vinsat hil run": "minutes; tests/vinsat_hil",
    "vinsat hil trials": "hours; tests/vinsat_hil",
    "vinsat hil mutants": "hours; tests/vinsat_hil",
    "vinsat hil realtime": "minutes; tests/vinsat_hil",
    "vinsat hil doctor": "a rig that may not be here; tests/vinsat_hil",
    "vinsat link listen": "talks to a payload; tests/groundtools/link",
    "vinsat link send": "talks to a payload; tests/groundtools/link",
    "flightsw fly": "flies until it is stopped; tests/flightsw/runtime/fly",
}


def lexer(line: str) -> shlex.shlex:
    """Return the words of a shell line and what stands between its commands, without its comment."""
    words = shlex.shlex(line, posix=True, punctuation_chars=";&|")
    words.whitespace_split = True
    return words


def shown(block: re.Pattern[str] = BLOCK) -> list[tuple[str, str]]:
    """Return (page, command) of all blocks of a kind, lines split at `;` and the like."""
    found = []
    for page in PAGES:
        for text in block.findall(page.read_text(encoding="utf-8")):
            for line in text.replace("\\\n", " ").splitlines():
                for ends, words in groupby(lexer(line), lambda word: word != "" and set(word) <= set(";&|")):
                    if not ends:
                        found.append((page.relative_to(ROOT).as_posix(), shlex.join(words)))
    return found


COMMANDS = [pytest.param(line, id=f"{page}: {line}") for page, line in (*shown(), *shown(CELL))]


def words_of(line: str) -> list[str]:
    """Return the words of a command, without sudo, the folder of its program and where its output goes."""
    own = takewhile(lambda word: not re.match(r"\d?[<>]", word), shlex.split(line))
    words = [word for word in own if word != "sudo"]
    return [words[0].rpartition("/")[2], *words[1:]]


@cache
def make_targets() -> set[str]:
    (phony,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    return set(phony.split())


def test_readme_begins_with_two_commands():
    commands = [line for page, line in shown() if page == "README.md"]
    assert commands[0].startswith("git clone ")
    assert commands[1:3] == ["cd vinsat", "make demo"]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_shown_command_parses(line):
    program, *rest = words_of(line)
    if program == "make":
        assert {word for word in rest if "=" not in word} <= make_targets()
    elif program == "flightsw":
        flight_cli._parser().parse_args(rest)
    elif program == "vinsat":
        command, _, rest_of_it = cli.build(rest[0]).parse_args(rest, exit_on_error=False, print_error=False)
        assert callable(command)
        assert not rest_of_it
        group = {"reproduce": registry.REPRODUCTIONS, "bench": registry.BENCHES}.get(rest[0])
        assert group is None or rest[1] in ("list", "all", *registry.registered(group))


def test_every_other_program_is_one_of_the_system_or_of_the_environment():
    named = {words_of(line)[0] for _, line in shown()} - OF_THE_SYSTEM - OF_THE_SHELL
    assert named
    assert [program for program in named if program != "make" and not (SCRIPTS / program).exists()] == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Return a folder with the files that the pages speak of."""
    base = tmp_path_factory.mktemp("shown")
    for name in ("models", "datasets"):
        (base / name).symlink_to(ROOT / name)
    (base / "DIR").mkdir()
    shutil.copyfile(Path(golden.__file__).with_name("florida.jpg"), base / "FRAME.jpg")
    shutil.copyfile(base / "FRAME.jpg", base / "DIR" / "FRAME.jpg")
    (base / "DIR" / "frames.csv").write_text("file,time_utc\nFRAME.jpg,2026-03-01T12:00:00Z\n")
    (base / "cam.toml").write_text(CAMERA)
    (base / "my.toml").write_text((ROOT / "sim" / "scenarios" / "thesis.toml").read_text())
    case = known_case(landmarks=30)
    solution = estimate_orbit(case.observations, case.camera)
    for run in ("RUN", "runs/demo"):
        write_solution(base / run, solution)
        write_observations(base / run / "observations.csv", rows_of(case.observations))
    shutil.copyfile(base / "RUN" / "observations.csv", base / "obs.csv")
    shutil.copyfile(base / "RUN" / "orbit.oem", base / "orbit.oem")
    (base / "reference.csv").write_text(formats.write_csv(from_solution(solution, 0.0, 3000.0, 60.0)))
    elements, _ = elements_of(solution, hours=6.0, arc=False, body=Body("X", "2026-014C", "100042"))
    (base / "catalogue.json").write_text(write_json((elements,)))
    (base / "elements.tle").write_text(write_tle(elements))
    return base


def runnable() -> list[str]:
    """Return the commands of our own programs that run in seconds, each once."""
    found = {shlex.join(words_of(line)): None for _, line in shown()}
    own = [line for line in found if line.startswith(("vinsat ", "flightsw "))]
    return [line for line in own if not line.startswith(tuple(NOT_RUN))]


@pytest.mark.parametrize("line", runnable())
def test_a_shown_command_runs(line, folder, monkeypatch, capsys):
    for long, short in SHORTER.items():
        line = line.replace(long, short)
    monkeypatch.chdir(folder)
    program, *rest = shlex.split(line)
    code = (cli.main if program == "vinsat" else flight_cli.main)(rest)
    assert code in (EXIT_OK, EXIT_NOT_DETERMINED), capsys.readouterr().err


def test_what_is_not_run_is_shown_somewhere():
    lines = [shlex.join(words_of(line)) for _, line in shown()]
    assert [known for known in NOT_RUN if not any(one.startswith(known) for one in lines)] == []


def test_the_dictionary_of_reasons_names_tests_that_are_there():
    named = re.findall(r"tests/[\w./]+", " ".join(NOT_RUN.values()))
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []
