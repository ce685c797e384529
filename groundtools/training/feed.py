"""Samples drawn ahead of the network: by one more thread, in the order of the steps."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
AHEAD = 4  # steps drawn before they are asked for


def feed(draw: Callable[[int], T], first: int, last: int) -> Iterator[T]:
    """Yield draw(step) for steps first .. last - 1.

    draw must depend on nothing but the step: a thread runs ahead with it while the
    network learns (numpy, OpenCV and torch let go of the interpreter at work).
    """
    pool = ThreadPoolExecutor(1)
    try:
        waiting = deque(pool.submit(draw, step) for step in range(first, min(first + AHEAD, last)))
        for step in range(first, last):
            if step + AHEAD < last:
                waiting.append(pool.submit(draw, step + AHEAD))
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
