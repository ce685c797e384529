"""Run one command and print its exit code, wall time and peak memory as JSON.

Runs as a small process of its own: the peak memory Linux reports for a child includes
that of the process it was started from, and the simulator is larger than the flight
program. Only the standard library is imported. Usage: measure.py COMMAND [ARGUMENT...]
"""

import json
import os
import subprocess
import sys
import time

KB_PER_MAXRSS = 1.0 / 1024.0 if sys.platform == "darwin" else 1.0  # bytes there, KB elsewhere


def main(command: list[str]) -> int:
    """Run `command` (its stdout is dropped, its stderr passes through)."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, wait_status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(wait_status)
    record = {
        "exit_code": process.returncode,
        "wall_s": time.monotonic() - started,
        "peak_rss_mb": usage.ru_maxrss * KB_PER_MAXRSS / 1024.0,
    }
    sys.stdout.write(json.dumps(record) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
