"""A ground and a payload talk: files both ways, keys, counters, restarts, a serial line."""

import hashlib
import os
import pty
import shutil
import threading
import tty
from pathlib import Path

import pytest

from flightsw.runtime.drivers.cameras import CommandCamera
from flightsw.runtime.drivers.clocks import SystemClock
from flightsw.runtime.fly.ports import DeviceError
from flightsw.runtime.link.commands import Outcome
from groundtools.link.client import Credentials, Ground
from groundtools.link.streams import SerialStream
from groundtools.link.transfer import get_file, put_file

MODELS = Path(__file__).parents[4] / "models"


@pytest.fixture
def quiet(rig):
    """Return a rig that takes no frames and has two sets of models, one of them empty."""
    rig.write(camera="none")
    path = rig.folder / "payload.toml"
    text = path.read_text(encoding="utf-8").replace('models = ["models"]', 'models = ["models", "spare"]')
    path.write_text(text, encoding="utf-8")
    rig.start()
    return rig


@pytest.mark.verifies("PAY-017")
def test_a_file_comes_down_whole_and_listed(quiet, rng, tmp_path):
    content = rng.bytes(30_000)
    (quiet.folder / "products").mkdir(exist_ok=True)
    (quiet.folder / "products" / "orbit.oem").write_bytes(content)
    ground = quiet.ground()
    assert int.from_bytes(ground.command("LIST_FILES", first=0).data, "big") == 1
    assert ground.wait_for("FILE", 5.0).values["file"] == "products/orbit.oem"
    path = get_file(ground, "products/orbit.oem", tmp_path / "down")
    assert path.read_bytes() == content
    assert ground.gaps == {}


@pytest.mark.verifies("PAY-016")
def test_keys_are_rotated_each_by_the_other_and_survive_a_restart(quiet):
    ground = quiet.ground()
    before = Credentials(quiet.folder / "keys").keys
    assert ground.rotate_key(0).outcome is Outcome.DONE
    assert ground.rotate_key(1).outcome is Outcome.DONE
    after = Credentials(quiet.folder / "keys").keys
    assert not set(before.slot) & set(after.slot)
    ground.close()
    assert quiet.end() == 0
    quiet.start()
    assert quiet.ground().command("PING").outcome is Outcome.DONE


@pytest.mark.verifies("PAY-014")
def test_a_ground_that_lost_its_counter_finds_it_again(quiet):
    quiet.ground().command("SET_PARAMETER", parameter=2, value=0.5)
    (quiet.folder / "keys.counter").write_text('{"counter": 1000000}', encoding="utf-8")
    ahead = quiet.ground()
    assert ahead.sync().outcome is Outcome.DONE
    assert ahead.command("PING").outcome is Outcome.DONE


@pytest.mark.verifies("PAY-018")
def test_models_go_up_are_activated_and_rolled_back(quiet):
    for path in MODELS.iterdir():
        if path.is_file():
            shutil.copy(path, quiet.folder / "models" / path.name)
    ground = quiet.ground()
    refused = ground.command("ACTIVATE_MODELS")
    assert refused.outcome is Outcome.REFUSED
    changed = quiet.folder / "17R.cat"
    changed.write_bytes((MODELS / "17R.cat").read_bytes())
    for path in (changed, MODELS / "manifest.toml", MODELS / "manifest.sha256"):
        put_file(ground, path)
    assert (quiet.folder / "spare" / "17R.cat").read_bytes() == changed.read_bytes()
    assert ground.command("ACTIVATE_MODELS").outcome is Outcome.DONE
    assert "set B" in quiet.log()
    assert ground.command("ROLL_BACK_MODELS").outcome is Outcome.DONE
    digest = hashlib.sha256(b"x").digest()
    assert ground.command("UPLINK_BEGIN", file="../x", size_bytes=1, sha256=digest).outcome is Outcome.REFUSED


@pytest.mark.verifies("PAY-011")
def test_a_serial_line_carries_commands_and_telemetry(rig):
    ours, theirs = pty.openpty()
    tty.setraw(ours)
    ground_end, ground_tty = pty.openpty()
    tty.setraw(ground_end)
    rig.write(camera="none")
    path = rig.folder / "payload.toml"
    text = path.read_text(encoding="utf-8").replace('kind = "tcp"', 'kind = "serial"')
    path.write_text(text.replace(f"port = {rig.port}", f'path = "{os.ttyname(theirs)}"'), encoding="utf-8")
    pumps = [
        threading.Thread(target=pump, args=pair, daemon=True)
        for pair in ((ours, ground_end), (ground_end, ours))
    ]
    for one in pumps:
        one.start()
    rig.start()
    ground = Ground(SerialStream(os.ttyname(ground_tty), 115_200), Credentials(rig.folder / "keys"))
    ground.wait_for("HOUSEKEEPING", 20.0)
    assert ground.command("PING").outcome is Outcome.DONE
    ground.close()


def pump(source: int, target: int) -> None:
    """Carry bytes from one pseudo-terminal to another, as a cable would."""
    try:
        while data := os.read(source, 4096):
            os.write(target, data)
    except OSError:
        return


def test_a_camera_program_gives_frames_with_the_time_of_their_exposure(tmp_path):
    script = tmp_path / "rpicam-still"
    script.write_text(
        "#!/bin/sh\nprintf '\\377\\330frame' > $1\n"
        'up=$(cut -d" " -f1 /proc/uptime)\n'
        'echo "{\\"SensorTimestamp\\": ${up%.*}${up#*.}0000000, \\"ExposureTime\\": 2000}" > $2\n',
        encoding="ascii",
    )
    script.chmod(0o755)
    clock = SystemClock(1)
    camera = CommandCamera(
        (str(script), "{path}", "{metadata}"), timeout_s=5.0, line_time_s=1e-5, height_px=100
    )
    camera.request(clock.now())
    frame = None
    while frame is None:
        frame = camera.poll(clock.now())
    assert frame.jpeg.startswith(b"\xff\xd8")
    assert abs(frame.tai_ns - clock.now().tai_ns) < 2e9  # ns


@pytest.mark.parametrize(
    ("command", "word"),
    [(("sleep", "60"), "within"), (("false",), "ended with"), (("nowhere-to-be-found",), "cannot be run")],
)
def test_a_camera_program_that_hangs_or_fails_is_a_lost_camera(command, word):
    clock = SystemClock(1)
    camera = CommandCamera(command, timeout_s=0.3)

    def take():
        camera.request(clock.now())
        while camera.poll(clock.now()) is None:
            pass

    with pytest.raises(DeviceError, match=word):
        take()
