import subprocess
import sys

import pytest

# In a process of its own: another test's freed blocks would be used again.
PROGRAM = """
import numpy as np
from flightsw.runtime.heap import give_large_blocks_back

def resident_mb():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096 / 1e6

if give_large_blocks_back():
    for _ in range(3):
        before = resident_mb()
        array = np.ones(4_000_000)
        held = resident_mb()
        del array
        print(held - before, resident_mb() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_large_array_that_is_freed_goes_back_to_the_system():
    done = subprocess.run([sys.executable, "-P", "-c", PROGRAM], capture_output=True, text=True, check=True)
    if not done.stdout:
        pytest.skip("the C library has no such threshold")
    rows = [[float(word) for word in line.split()] for line in done.stdout.splitlines()]
    assert len(rows) == 3
    for held_mb, kept_mb in rows:
        assert held_mb > 25.0
        assert kept_mb < 10.0
