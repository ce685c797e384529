import json
import subprocess
import sys
import sysconfig
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest

from flightsw.errors import EXIT_INPUT, EXIT_OK, EXIT_USAGE, InputError, UsageError
from groundtools import cli, doctor, registry

VINSAT = Path(sysconfig.get_path("scripts")) / "vinsat"
HEAVY = (
    "cyclopts",
    "rich",
    "numpy",
    "torch",
    "brahe",
    "cv2",
    "matplotlib",
    "rasterio",
    "onnxruntime",
    "skyfield",
)


def register(monkeypatch, function) -> None:
    """Make `function` the only subcommand, named `probe`."""
    module = ModuleType("probe_module")
    module.__spec__ = ModuleSpec("probe_module", None)
    module.probe = function
    monkeypatch.setitem(sys.modules, "probe_module", module)
    entry = EntryPoint("probe", "probe_module:probe", cli.COMMANDS)
    monkeypatch.setattr(cli.registry, "registered", lambda group: {"probe": entry})


@pytest.mark.verifies("RUN-103")
def test_help_names_every_command():
    result = subprocess.run([VINSAT, "--help"], capture_output=True, text=True, check=True)
    for name in registry.registered(cli.COMMANDS):
        assert name in result.stdout
    assert "(not found" not in result.stdout


def test_the_shell_can_be_taught_to_complete(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))  # a start-up file may be touched
    script = tmp_path / "vinsat.bash"
    assert cli.main(["--install-completion", "--shell", "bash", "--output", str(script)]) == EXIT_OK
    assert "fit-tle" in script.read_text()
    capsys.readouterr()


@pytest.mark.verifies("RUN-103")
def test_help_loads_no_command_and_no_parser():
    code = (
        "import sys; from groundtools import cli; cli.main(['--help']);"
        f"loaded = [m for m in {HEAVY!r} if m in sys.modules]; sys.exit(str(loaded) if loaded else 0)"
    )
    python = VINSAT.with_name("python")
    result = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("error", "code"), [(InputError("is wrong", file="a.toml", fix="mend it"), 3), (UsageError("no"), 2)]
)
def test_a_mistake_ends_in_one_line_and_its_exit_code(monkeypatch, capsys, error, code):
    def fail() -> None:
        raise error

    register(monkeypatch, fail)
    assert cli.main(["probe"]) == code
    assert capsys.readouterr().err == f"vinsat: {error}\n"


def test_an_unknown_option_is_a_usage_error_in_one_line(capsys):
    assert cli.main(["bench", "--no-such-option"]) == EXIT_USAGE
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_an_unknown_reproduction_names_those_there_are(capsys):
    assert cli.main(["reproduce", "no-such-thing"]) == EXIT_USAGE
    assert "demo-20" in capsys.readouterr().err


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch, capsys):
    def fail() -> None:
        raise ModuleNotFoundError("No module named 'rasterio'", name="rasterio.io")

    register(monkeypatch, fail)
    assert cli.main(["probe"]) == EXIT_INPUT
    assert "pip install 'vinsat[ground]'" in capsys.readouterr().err


def test_a_broken_module_of_our_own_is_not_called_a_missing_package(monkeypatch):
    def fail() -> None:
        raise ModuleNotFoundError("No module named 'vinsat_sim.nothing'", name="vinsat_sim.nothing")

    register(monkeypatch, fail)
    with pytest.raises(ModuleNotFoundError):
        cli.main(["probe"])


@pytest.mark.verifies("SIM-101")
@pytest.mark.parametrize("command", ["reproduce", "bench"])
def test_list_prints_one_json_object_that_names_every_entry(capsys, command):
    assert cli.main([command, "list", "--json"]) == EXIT_OK
    group = {"reproduce": registry.REPRODUCTIONS, "bench": registry.BENCHES}[command]
    entries = json.loads(capsys.readouterr().out)["entries"]
    assert [entry["id"] for entry in entries] == list(registry.registered(group))
    assert all(entry["title"] for entry in entries)


@pytest.mark.verifies("RUN-104")
def test_doctor_names_missing_models_and_how_to_mend_it(tmp_path, capsys):
    assert cli.main(["doctor", "--models", str(tmp_path), "--json"]) == EXIT_INPUT
    printed = json.loads(capsys.readouterr().out)
    assert printed["ok"] is False
    (models,) = [finding for finding in printed["findings"] if finding["name"] == "models"]
    assert models["state"] == "missing"
    assert str(tmp_path) in models["detail"]
    assert models["fix"]


def test_a_reader_who_leaves_early_sees_no_traceback():
    with subprocess.Popen([VINSAT, "doctor"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        complaint = process.stderr.read()
    assert (process.returncode, complaint) == (cli.EXIT_UNREAD, b"")


def test_every_extra_of_the_project_is_looked_at():
    for extra in doctor.EXTRAS:
        assert doctor.requirements_of(extra), extra
    assert "numpy" in doctor.requirements_of("base")
    assert "numpy" not in doctor.requirements_of("sim")


@pytest.mark.parametrize(
    ("module", "extra"),
    [("brahe", "sim"), ("cv2", "sim"), ("torch", "layers"), ("ee", "ground"), ("os", None)],
)
def test_a_module_leads_to_the_extra_that_brings_it(module, extra):
    assert doctor.extra_of(module) == extra
