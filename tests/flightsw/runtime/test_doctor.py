"""The payload's doctor on this machine: what is there passes, what is missing is named."""

from flightsw.cli import main
from flightsw.runtime.doctor import doctor
from groundtools.link.client import new_keys, write_keys

TOML = """[paths]
store = "store"
frames = "frames"
products = "products"
models = ["models"]
camera = "camera.toml"
keys = "keys"
[camera]
kind = "command"
command = ["false"]
"""


def test_what_is_missing_is_named(tmp_path, capsys):
    (tmp_path / "payload.toml").write_text(TOML, encoding="utf-8")
    (tmp_path / "camera.toml").write_text(
        "width_px = 10\nheight_px = 10\nfx_px = 10.0\nfy_px = 10.0\ncx_px = 5.0\ncy_px = 5.0\n"
        "distortion = [0.0, 0.0, 0.0, 0.0, 0.0]\n"
        "cam_from_body = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]\n",
        encoding="utf-8",
    )
    found = {c.name: c.passed for c in doctor(tmp_path / "payload.toml", with_selftest=False)}
    assert found["clock"]
    assert not found["keys"]
    assert not found["camera"]
    assert not found["models"]
    assert "storage, store" in found
    write_keys(tmp_path / "keys", new_keys())
    found = {c.name: c.passed for c in doctor(tmp_path / "payload.toml", with_selftest=False)}
    assert found["keys"]
    assert main(["doctor", "--config", str(tmp_path / "absent.toml")]) == 3
    assert "does not exist" in capsys.readouterr().err
