import sys

import numpy as np
import pytest

from flightsw.runtime.heap import give_large_blocks_back


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_large_array_that_is_freed_goes_back_to_the_system():
    def resident_mb() -> float:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * 4096 / 1e6

    if not give_large_blocks_back():
        pytest.skip("the C library has no such threshold")
    for _ in range(3):
        before = resident_mb()
        array = np.ones(4_000_000)
        assert resident_mb() > before + 25.0
        del array
        assert resident_mb() < before + 10.0
