"""Processor time of a call on a machine that is shared."""

import time
from collections.abc import Callable


def least_cpu_s(call: Callable[[], object], *, repeats: int = 2) -> float:
    """Return the processor time of a call, s: of the repeat that other work disturbed least."""
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return min(taken)
