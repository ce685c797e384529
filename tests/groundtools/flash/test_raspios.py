"""The layer for the Raspberry Pi's image builder: its form and its shell, no more than that.

What is asked of a layer is that of rpi-image-gen 2: a header of X-Env fields between
METABEGIN and METAEND, then YAML with the keys of mmdebstrap. It is not built here, and says so.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from groundtools.flash import install

HERE = Path(install.__file__).parent
LAYER = HERE / "raspios" / "layer" / "vinsat.yaml"
CONFIG = HERE / "raspios" / "config" / "vinsat.yaml"


def fields() -> dict[str, str]:
    """Return the header's fields, continued lines joined."""
    text = LAYER.read_text(encoding="utf-8")
    header = text[text.index("# METABEGIN\n") + 12 : text.index("# METAEND\n")]
    joined = re.sub(r"\n#  +", " ", header)
    lines = [line.removeprefix("# ") for line in joined.splitlines() if line not in ("#", "")]
    assert all(re.match(r"X-Env-[A-Za-z0-9_-]+: ", line) for line in lines)
    found = dict(line.split(": ", 1) for line in lines)
    assert len(found) == len(lines), "a field is there twice"
    return found


def hooks() -> list[str]:
    yaml = pytest.importorskip("yaml")
    content = yaml.safe_load(LAYER.read_text(encoding="utf-8"))
    assert set(content) == {"mmdebstrap"}
    assert set(content["mmdebstrap"]) == {"packages", "customize-hooks"}
    assert all(re.fullmatch(r"[a-z0-9.+-]+", name) for name in content["mmdebstrap"]["packages"])
    return content["mmdebstrap"]["customize-hooks"]


@pytest.mark.verifies("PAY-051")
def test_the_header_is_whole_and_says_that_nothing_was_built():
    found = fields()
    for name in ("Name", "Category", "Version", "Desc", "Requires"):
        assert found[f"X-Env-Layer-{name}"]
    assert "Not built" in found["X-Env-Layer-Desc"]
    for name in ("bundle", "key"):
        valid = found[f"X-Env-Var-{name}-Valid"].removeprefix("regex:")
        assert re.match(valid, {"bundle": "/a/b.tar", "key": "/a/b.pem"}[name])
        assert not re.match(valid, found[f"X-Env-Var-{name}"]), "a default must not pass for a value"


def test_each_variable_that_a_hook_uses_is_declared():
    used = set(re.findall(r"IGconf_(\w+)", "".join(hooks())))
    prefix = fields()["X-Env-VarPrefix"]
    assert used == {f"{prefix}_{name}" for name in ("bundle", "key")}


def test_the_hooks_are_shell_and_enable_the_units_that_are_shipped():
    for hook in hooks():
        done = subprocess.run(["sh", "-n"], input=hook, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
    words = hooks()[-1].split("enable", 1)[1].split()
    assert tuple(words) == install.ENABLED


def test_the_configuration_uses_the_layer():
    yaml = pytest.importorskip("yaml")
    content = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    assert content["layer"]["app"] == fields()["X-Env-Layer-Name"]


@pytest.mark.verifies("PAY-051")
def test_the_installing_hook_installs_a_bundle_into_a_root(bundle, tmp_path):
    if shutil.which("python3") is None:
        pytest.skip("needs python3")
    root = tmp_path / "root"
    root.mkdir()
    environment = {"PATH": "/usr/bin:/bin:/usr/local/bin", "IGconf_vinsat_bundle": str(bundle)}
    key = tmp_path / "key.pem"
    subprocess.run(["tar", "-x", "-f", str(bundle), "-C", str(tmp_path), "key.pem"], check=True)
    environment["IGconf_vinsat_key"] = str(key)
    subprocess.run(["sh", "-c", hooks()[0], "hook", str(root)], env=environment, check=True)
    assert (root / "opt/vinsat/current/bin/fly").exists()
