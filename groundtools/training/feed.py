"""Samples drawn ahead of the network: by one more process, in the order of the steps."""

import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

T = TypeVar("T")


class _Steps(Dataset[Any]):
    def __init__(self, draw: Callable[[int], Any], first: int, last: int) -> None:
        self.draw, self.first, self.last = draw, first, last

    def __len__(self) -> int:
        return self.last - self.first

    def __getitem__(self, index: int) -> Any:
        return self.draw(self.first + index)


def one_thread(_worker: int = 0) -> None:
    """Keep this process to one core: two processes side by side are quicker than two threads."""
    import cv2

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def feed(draw: Callable[[int], T], first: int, last: int) -> Iterator[T]:
    """Yield draw(step) for steps first .. last - 1.

    draw must depend on nothing but the step: a second process, where there is a second
    core, runs ahead with it.
    """
    workers = 1 if (os.cpu_count() or 1) > 1 else 0
    steps = _Steps(draw, first, last)
    yield from DataLoader(
        steps,
        batch_size=None,
        num_workers=workers,
        collate_fn=_as_is,
        worker_init_fn=one_thread,
        prefetch_factor=4 if workers else None,
        multiprocessing_context="fork" if workers else None,
    )


def _as_is(sample: T) -> T:
    return sample
