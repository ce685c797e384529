"""Faults, one by one: each ends in its documented mode, and the payload comes back from it."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time

import pytest

from flightsw.runtime.link import dictionary as dic
from flightsw.runtime.link.commands import Outcome
from groundtools.link.client import Ground, NoReplyError

FAST = {"parameter": 2, "value": 0.5}  # HOUSEKEEPING twice a second


def housekeeping(ground: Ground, condition, *, seconds=20.0):
    """Return the first HOUSEKEEPING that meets a condition."""
    end = time.monotonic() + seconds
    packet = None
    while time.monotonic() < end:
        with contextlib.suppress(NoReplyError):
            packet = ground.wait_for("HOUSEKEEPING", 2.0)
            if condition(packet.values):
                return packet.values
    raise AssertionError(f"never so: {packet and packet.values}")


def event(ground: Ground, name: str, *, seconds=90.0):
    """Return the next event of a name."""
    number = dic.event(name).id
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(NoReplyError):
            packet = ground.wait_for("EVENT", 1.0)
            if packet.values["event"] == number:
                return packet.values
    raise AssertionError(f"no {name}")


def mode(name: str) -> int:
    return ["BOOT", "SAFE", "IDLE", "IMAGING", "COMPUTE", "DOWNLINK"].index(name)


@pytest.fixture
def flying(rig):
    """Return a rig that takes frames in real time, and its ground."""
    rig.write(camera="cycle", more='[gyro]\nkind = "table"\npath = "gyro.csv"')
    gyro = "time_utc,wx_rad_s,wy_rad_s,wz_rad_s\n2020-01-01T00:00:00Z,0.001,0.002,0.003\n"
    (rig.folder / "gyro.csv").write_text(gyro, encoding="utf-8")
    rig.start()
    ground = rig.ground()
    ground.command("SET_PARAMETER", **FAST)
    ground.command("SET_PARAMETER", parameter=1, value=0.2)
    housekeeping(ground, lambda v: v["mode"] == mode("IMAGING") and v["frames_taken"] > 2)
    return rig, ground


@pytest.mark.verifies("PAY-030")
def test_without_a_camera_it_idles_and_images_again_when_it_is_back(flying):
    rig, ground = flying
    shutil.move(rig.folder / "taken", rig.folder / "away")
    assert "no *.jpg" in event(ground, "CAMERA_LOST")["detail"]
    housekeeping(ground, lambda v: v["mode"] == mode("IDLE"))
    shutil.move(rig.folder / "away", rig.folder / "taken")
    event(ground, "CAMERA_BACK")
    housekeeping(ground, lambda v: v["mode"] == mode("IMAGING"))


@pytest.mark.verifies("PAY-030")
def test_without_a_gyro_imaging_goes_on(flying):
    rig, ground = flying
    assert housekeeping(ground, lambda v: v["wx_rad_s"] > 0)["wz_rad_s"] == pytest.approx(0.003)
    (rig.folder / "gyro.csv").rename(rig.folder / "gone.csv")
    event(ground, "GYRO_LOST")
    taken = housekeeping(ground, lambda v: v["wx_rad_s"] == 0)["frames_taken"]
    housekeeping(ground, lambda v: v["frames_taken"] > taken and v["mode"] == mode("IMAGING"))
    (rig.folder / "gone.csv").rename(rig.folder / "gyro.csv")
    event(ground, "GYRO_BACK")


@pytest.mark.verifies("PAY-031")
@pytest.mark.parametrize("step_s", [3600, -3600])
def test_a_clock_step_begins_a_new_arc_and_no_frame_of_the_old_one_counts(flying, step_s):
    _, ground = flying
    now = ground.wait_for("HOUSEKEEPING", 5.0)
    arc = now.values["arc"]
    ground.command("SET_TIME", time_tai_ns=now.tai_ns + step_s * 1_000_000_000)
    assert event(ground, "CLOCK_STEP")["value"] == pytest.approx(step_s, abs=5.0)
    values = housekeeping(ground, lambda v: v["arc"] == arc + 1)
    assert values["observations"] == 0
    housekeeping(ground, lambda v: v["frames_taken"] > values["frames_taken"])


@pytest.mark.verifies("PAY-032")
def test_a_worker_that_hangs_is_replaced_and_its_frame_looked_at_again(rig):
    rig.write(camera="cycle", more="[limits]\nping_s = 1.0")
    text = (rig.folder / "payload.toml").read_text(encoding="utf-8")
    (rig.folder / "payload.toml").write_text(text.replace("timeout_s = 20.0", "timeout_s = 1.0"))
    rig.start()
    ground = rig.ground()
    ground.command("SET_PARAMETER", **FAST)
    ground.command("SET_PARAMETER", parameter=1, value=0.2)
    housekeeping(ground, lambda v: v["frames_taken"] > 9)  # it has loaded, and looks at them
    (child,) = rig.children()
    os.kill(child, signal.SIGSTOP)
    assert "in time" in event(ground, "WORKER_LOST")["detail"]
    housekeeping(ground, lambda v: v["inference_restarts"] == 1 and v["mode"] == mode("IMAGING"))
    assert rig.children() not in ([child], [])


@pytest.mark.verifies("PAY-033")
def test_children_die_with_their_supervisor(flying):
    rig, _ = flying
    children = rig.children()
    assert children
    rig.process.kill()
    rig.process.wait()
    end = time.monotonic() + 5.0
    while time.monotonic() < end and any(map(alive, children)):
        time.sleep(0.05)
    assert not [pid for pid in children if alive(pid)]


def alive(pid: int) -> bool:
    """Tell whether a process has not ended; one that is being taken down is still alive."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().split()[2] not in "ZX"
    except OSError:
        return False


@pytest.mark.verifies("PAY-034")
def test_a_boot_loop_ends_in_safe_and_a_longer_one_asks_for_the_other_image(rig):
    more = 'other_image_after = 3\nother_image = ["touch", "switched"]'
    rig.write(camera="cycle", healthy_after_s=1000.0, safe_after=2, more=more)
    for _ in range(2):
        rig.start()
        rig.ground().close()
        rig.process.kill()
        rig.process.wait()
    rig.start()
    ground = rig.ground()
    ground.command("SET_PARAMETER", **FAST)
    values = housekeeping(ground, lambda v: v["boot"] == 3)
    assert values["mode"] == mode("SAFE")
    assert values["reason"] == dic.event("BOOT_LOOP").id
    assert not (rig.folder / "switched").exists()
    rig.process.kill()
    rig.process.wait()
    rig.start()
    rig.ground().wait_for("HOUSEKEEPING", 10.0)
    assert (rig.folder / "switched").exists()


@pytest.mark.verifies("PAY-035")
def test_the_watchdog_is_fed_by_the_working_loop_and_by_nothing_else(rig):
    address = rig.folder / "notify"
    server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    server.bind(str(address))
    server.settimeout(10.0)
    rig.write(camera="none")
    os.environ["NOTIFY_SOCKET"] = str(address)
    try:
        rig.start()
    finally:
        del os.environ["NOTIFY_SOCKET"]
    assert server.recv(200) == b"READY=1"
    for _ in range(5):
        assert server.recv(200).startswith(b"WATCHDOG=1\nSTATUS=I")
    os.kill(rig.process.pid, signal.SIGSTOP)
    server.setblocking(False)
    while waiting(server):
        pass
    time.sleep(1.0)
    assert not waiting(server)
    os.kill(rig.process.pid, signal.SIGCONT)
    server.settimeout(5.0)
    assert server.recv(200).startswith(b"WATCHDOG=1")
    assert rig.end() == 0
    last = b""
    with contextlib.suppress(TimeoutError):
        server.settimeout(0.5)
        while True:
            last = server.recv(200)
    assert last == b"STOPPING=1"
    server.close()


def waiting(server: socket.socket) -> bytes:
    """Return a message that waits, b"" where none does."""
    try:
        return server.recv(200)
    except BlockingIOError:
        return b""


@pytest.fixture
def small_disk(rig):
    """Mount a small file system where the store is."""
    folder = rig.folder / "store"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a file system")
    yield folder
    rig.close()
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.verifies("PAY-036")
def test_a_full_disk_and_a_read_only_one_leave_the_payload_in_memory_until_it_is_mended(rig, small_disk):
    rig.write(camera="cycle", more="[limits]\nstore_retry_s = 1.0")
    rig.start()
    ground = rig.ground()
    ground.command("SET_PARAMETER", **FAST)
    ground.command("SET_PARAMETER", parameter=1, value=0.2)
    housekeeping(ground, lambda v: v["frames_taken"] > 2)
    filler = small_disk / "filler"
    with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    event(ground, "STORE_IN_RAM")
    taken = housekeeping(ground, lambda v: v["store_mode"] == 1)["frames_taken"]
    housekeeping(ground, lambda v: v["frames_taken"] > taken)
    assert ground.command("PING").outcome is Outcome.DONE
    filler.unlink()
    event(ground, "STORE_BACK", seconds=30.0)
    assert housekeeping(ground, lambda v: v["store_mode"] == 0)["records_lost"] == 0
    ground.close()
    assert rig.end() == 0


@pytest.mark.verifies("PAY-036")
def test_a_medium_that_is_read_only_from_the_start_is_flown_without(rig, small_disk):
    rig.write(camera="cycle", more="[limits]\nstore_retry_s = 1.0")
    rig.start()
    rig.ground().wait_for("HOUSEKEEPING", 20.0)
    assert rig.end() == 0
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    rig.start()
    ground = rig.ground()
    values = housekeeping(ground, lambda v: v["store_mode"] == 1)
    assert values["mode"] == mode("IMAGING")
    ground.command("SET_PARAMETER", **FAST)
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    event(ground, "STORE_BACK", seconds=30.0)
    housekeeping(ground, lambda v: v["store_mode"] == 0)
