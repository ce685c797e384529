"""What every test may ask for: a seeded generator, a numerical derivative, shared data."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from groundtools.imagery import shared

Array = NDArray[np.float64]


@pytest.fixture
def rng() -> np.random.Generator:
    """Return the one source of randomness of a test, the same in every run."""
    return np.random.default_rng(7)


@pytest.fixture
def finite_difference() -> Callable[..., Array]:
    """Return `derivative(f, x, h=1e-6)`: the central difference of f at x.

    x : (n,); f(x) : any shape; h : one step or one per component, in the unit of x.
    The result has the shape of f(x) with an axis of length n behind it.
    """

    def derivative(f: Callable[[Array], ArrayLike], x: ArrayLike, h: ArrayLike = 1e-6) -> Array:
        point = np.array(x, dtype=np.float64)
        steps = np.broadcast_to(np.asarray(h, dtype=np.float64), point.shape)
        columns = []
        for index, step in enumerate(steps):
            shift = np.zeros_like(point)
            shift[index] = step
            ahead, behind = np.asarray(f(point + shift)), np.asarray(f(point - shift))
            columns.append((ahead - behind) / (2.0 * step))
        return np.stack(columns, axis=-1)

    return derivative


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of shared data (VINSAT_DATA, or ../shared/data); skip without it."""
    folder = shared.shared_data_dir()
    if folder is None:
        pytest.skip("needs the shared data: set VINSAT_DATA to their folder")
    return folder


@pytest.fixture
def children() -> Callable[[int], list[int]]:
    """Return a function of a process id that returns the processes below it."""
    return _children


def _children(pid: int) -> list[int]:
    """Return the processes below one, itself left out."""
    below, parents = [], {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    waiting = [pid]
    while waiting:
        found = [child for child, parent in parents.items() if parent in waiting]
        below += found
        waiting = found
    return below
