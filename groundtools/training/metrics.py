"""Figures of merit with the intervals they deserve."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundtools.statistics import wilson_interval


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `count` with Wilson's 95 % interval (all of 0 to 1 where nothing was tried)."""

    hits: int
    count: int

    @property
    def value(self) -> float:
        """The share, NaN of nothing."""
        return self.hits / self.count if self.count else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """Low and high."""
        return wilson_interval(self.hits, self.count) or (0.0, 1.0)

    def as_dict(self) -> dict[str, float]:
        """Return value, low, high and count, for JSON."""
        low, high = self.interval
        return {"value": self.value, "low": low, "high": high, "n": self.count}


def f1_per_class(truth: NDArray[np.bool_], claimed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return F1 (C,) of truth and claims (N, C); NaN where a class is neither true nor claimed."""
    both = (truth & claimed).sum(axis=0).astype(float)
    total = truth.sum(axis=0) + claimed.sum(axis=0)
    return np.where(total > 0, 2.0 * both / np.maximum(total, 1), np.nan)


def best_thresholds(truth: NDArray[np.bool_], probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the threshold (C,) of each class that maximises its F1, smoothed.

    The F1 curve of a small set is ragged, so the middle of all thresholds within 0.005
    of the best is taken.
    """
    grid = np.linspace(0.05, 0.95, 91)
    out = np.full(truth.shape[1], 0.5)
    for k in range(truth.shape[1]):
        claimed = probability[:, k][None, :] >= grid[:, None]
        both = (claimed & truth[:, k]).sum(axis=1).astype(float)
        total = claimed.sum(axis=1) + truth[:, k].sum()
        f1 = 2.0 * both / np.maximum(total, 1)
        if truth[:, k].any():
            out[k] = float(np.median(grid[f1 >= f1.max() - 0.005]))
    return out


def bootstrap_macro_f1(
    truth: NDArray[np.bool_], claimed: NDArray[np.bool_], rng: np.random.Generator, draws: int = 500
) -> tuple[float, float]:
    """Return the 95 % bootstrap interval over frames of the macro F1."""
    values = []
    for _ in range(draws):
        pick = rng.integers(0, len(truth), len(truth))
        values.append(float(np.nanmean(f1_per_class(truth[pick], claimed[pick]))))
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
