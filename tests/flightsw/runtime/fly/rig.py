"""A payload on this machine: a made-up orbit, frames by time, another detector's observations."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import simplejpeg

from flightsw.astro.time import Epoch
from flightsw.runtime.fly.ring import frame_name
from flightsw.runtime.known_case import CAMERA, EPOCH, KnownCase, known_case
from flightsw.runtime.tables import rows_of, write_observations
from groundtools.link.client import Credentials, Ground, new_keys, write_keys
from groundtools.link.streams import TcpStream

CAMERA_TOML = f"""width_px = {CAMERA.width_px}
height_px = {CAMERA.height_px}
fx_px = {CAMERA.fx_px}
fy_px = {CAMERA.fy_px}
cx_px = {CAMERA.cx_px}
cy_px = {CAMERA.cy_px}
distortion = [0.0, 0.0, 0.0, 0.0, 0.0]
cam_from_body = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
"""
PAYLOAD_TOML = """[paths]
store = "store"
frames = "frames"
products = "products"
models = ["models"]
camera = "camera.toml"
keys = "keys"
[camera]
kind = "{camera}"
folder = "taken"
retry_s = 0.5
[inference]
kind = "observations"
observations = "observations.csv"
timeout_s = 20.0
[link]
kind = "tcp"
port = {port}
[boot]
healthy_after_s = {healthy_after_s}
safe_after = {safe_after}
{more}
"""
NICENESS = -5 if os.geteuid() == 0 else 0  # of vinsat.service
BYTE_CODE = Path(tempfile.gettempdir()) / f"vinsat-byte-code-{os.getuid()}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@dataclass
class Rig:
    """A folder with everything a payload needs, and the means to run and reach it."""

    folder: Path
    case: KnownCase
    port: int = field(default_factory=free_port)
    process: subprocess.Popen | None = None
    grounds: list[Ground] = field(default_factory=list)

    def write(self, *, clock="", camera="folder", healthy_after_s=1.0, safe_after=1000, more=""):
        text = PAYLOAD_TOML.format(
            camera=camera, port=self.port, healthy_after_s=healthy_after_s, safe_after=safe_after, more=more
        )
        (self.folder / "payload.toml").write_text(text + clock, encoding="utf-8")

    def scaled_clock(self, rate: float, *, lead_s: float = 60.0) -> str:
        """Return the table of a clock that is `lead_s` before the first frame now."""
        start = (EPOCH - lead_s).utc_iso()
        now_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        return f'[clock]\nkind = "scaled"\nepoch_utc = "{start}"\nboottime_s = {now_s:.3f}\nrate = {rate}\n'

    def start(self) -> None:
        """Start it as a release on a payload computer is: from byte code, with the unit's niceness."""
        command = [sys.executable, "-P", "-m", "flightsw.cli", "fly", "--verbose", "--config", "payload.toml"]
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                ["nice", "-n", str(NICENESS), *command],
                cwd=self.folder,
                env=kept | {"PYTHONPYCACHEPREFIX": str(BYTE_CODE)},
                stderr=log,
                start_new_session=True,
            )

    def ground(self, *, wait_s: float = 20.0) -> Ground:
        end = time.monotonic() + wait_s
        while True:
            try:
                stream = TcpStream("127.0.0.1", self.port)
                break
            except ValueError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        ground = Ground(stream, Credentials(self.folder / "keys"))
        self.grounds.append(ground)
        return ground

    def children(self) -> list[int]:
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        try:
            return [int(pid) for pid in path.read_text(encoding="ascii").split()]
        except OSError:
            return []

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)

    def close(self) -> None:
        for ground in self.grounds:
            ground.close()
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8")


def make_rig(folder: Path, *, frames: int = 12) -> Rig:
    """Return a rig whose frames are those of the two passes of a known case."""
    case = known_case(frames=frames)
    folder.mkdir(exist_ok=True)
    (folder / "taken").mkdir()
    (folder / "models").mkdir()
    (folder / "camera.toml").write_text(CAMERA_TOML, encoding="utf-8")
    write_keys(folder / "keys", new_keys())
    write_observations(folder / "observations.csv", rows_of(case.observations))
    grey = simplejpeg.encode_jpeg(np.full((16, 16, 3), 90, dtype=np.uint8))
    for t_s in case.observations.frame_t_s:
        epoch: Epoch = case.observations.epoch + float(t_s)
        (folder / "taken" / frame_name(epoch.tai_ns)).write_bytes(grey)
    rig = Rig(folder, case)
    rig.write()
    return rig


class Host:
    """The other end of a lock-step clock."""

    def __init__(self) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.settimeout(30)
        self.port = self.server.getsockname()[1]
        self.peer = None

    def table(self) -> str:
        return f'[clock]\nkind = "lockstep"\naddress = "127.0.0.1:{self.port}"\n'

    def accept(self) -> None:
        self.peer, _ = self.server.accept()
        self.peer.settimeout(120)
        self.lines = self.peer.makefile("rw", encoding="ascii", newline="\n")
        assert self.lines.readline() == "READY\n"

    def tick(self, epoch: Epoch) -> str:
        """Move time and return the payload's digest when all is done."""
        self.lines.write(f"TICK {epoch.tai_ns}\n")
        self.lines.flush()
        word, tai_ns, digest = self.lines.readline().split()
        assert (word, int(tai_ns)) == ("DONE", epoch.tai_ns)
        return digest

    def close(self) -> None:
        if self.peer is not None:
            self.lines.close()
            self.peer.close()
        self.server.close()
