"""Make an environment for every peer of `vinsat bench od`: build/peers/NAME, one after the other.

    python benchmarks/od/make_peers.py [NAME ...]

Each holds the peer, numpy and scipy; the flight program is found by its path.
"""

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = {"scipy": [], "gtsam": ["gtsam==4.3.0"], "brahe": ["brahe==1.8.0"]}


def make(name: str) -> None:
    """Make one environment anew."""
    folder = ROOT / "build" / "peers" / name
    venv.create(folder, with_pip=True, clear=True, symlinks=True)
    command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "numpy>=2.0", "scipy>=1.13"]
    subprocess.run([*command, *PEERS[name]], check=True)


if __name__ == "__main__":
    for peer in sys.argv[1:] or PEERS:
        make(peer)
