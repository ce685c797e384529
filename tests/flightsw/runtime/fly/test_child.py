"""The workers' side, by itself."""

import socket
import subprocess
import sys

from flightsw.errors import EXIT_INPUT
from flightsw.runtime.fly.child import send


def test_a_worker_whose_models_are_damaged_ends_with_a_line_and_no_traceback(tmp_path):
    """Found by fault trials: pictures, hang@15.9#700,flip_model@55*12#398, seed 0."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-P", "-m", "flightsw.runtime.fly.child", "inference"]
    child = subprocess.Popen(command, stdin=theirs.fileno(), stderr=subprocess.PIPE, text=True)
    theirs.close()
    camera = tmp_path / "camera.toml"
    send(ours, {"do": "open", "kind": "models", "models": str(tmp_path), "camera": str(camera), "threads": 1})
    _, errors = child.communicate(timeout=60)
    ours.close()
    assert child.returncode == EXIT_INPUT
    assert "Traceback" not in errors
    assert errors.count("\n") == 1
