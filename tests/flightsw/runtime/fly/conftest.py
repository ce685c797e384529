"""A payload on this machine, ended with its test."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from rig import Host, make_rig


@pytest.fixture
def rig(tmp_path):
    rig = make_rig(tmp_path / "rig")
    yield rig
    rig.close()


@pytest.fixture
def host():
    host = Host()
    yield host
    host.close()
